"""The contracts of the topics as pydantic models, for services downstream and upstream.

Needs pydantic only. Fields that a later release adds are kept in ``model_extra``, so code written
against this release goes on reading. ``python -m resolver.contracts schemas`` writes the same
contracts as JSON Schema.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

MODEL_CONFIG = ConfigDict(
    alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True
)


class IdentifyEvent(BaseModel):
    """A raw identify event as a sender states it; absent and null mean the same."""

    model_config = MODEL_CONFIG

    type: str | None = Field(None, description="identify; null means identify.")
    message_id: str | None = None
    user_id: str | int | float | None = None
    anonymous_id: str | int | float | None = None
    traits: dict[str, JsonValue] | None = None
    context: dict[str, JsonValue] | None = None
    integrations: JsonValue = None
    timestamp: str | int | float | None = Field(None, description="ISO 8601 or Unix time.")
    original_timestamp: str | int | float | None = None
    sent_at: str | int | float | None = None
    received_at: str | int | float | None = None
    channel: str | None = None


class ProfileSection(BaseModel):
    """Who the profile is, and what changed since this destination was last sent it."""

    model_config = MODEL_CONFIG

    id: str = Field(description="user:…, email:… or anon:…; the record's key.")
    version: int = Field(description="Rises with every change of the record.")
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    anonymous_ids: list[str] = []
    emails: list[str] = []
    merged: list[str] = Field([], description="Profiles that became part of this one.")
    changed: list[str] | None = Field(None, description="Changed traits; null if not known.")
    removed: list[str] | None = Field(None, description="Removed traits; null if not known.")
    caused_by: str | None = Field(None, description="messageId of the event.")


class AliasEvent(BaseModel):
    """Somebody who was known by another id."""

    model_config = MODEL_CONFIG

    type: str = "alias"
    previous_id: str
    user_id: str


class ResolvedProfile(BaseModel):
    """A resolved profile as one destination sees it: the value of a destination's topic."""

    model_config = MODEL_CONFIG

    type: str = "identify"
    message_id: str = Field(description="<profile.id>@<profile.version>")
    timestamp: datetime | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    traits: dict[str, JsonValue] = {}
    context: dict[str, JsonValue] = {}
    integrations: dict[str, JsonValue] = {}
    identity: dict[str, JsonValue] = Field({}, description="The vendor's own ids.")
    profile: ProfileSection
    unset: list[str] = Field([], description="Fields of traits that were removed.")
    aliases: list[AliasEvent] = Field([], description="To be sent before the profile.")


def parse(value: bytes | None) -> ResolvedProfile | None:
    """The profile in a JSON record; None for a tombstone: forget what was under the key.

    Raises ``pydantic.ValidationError`` (a ValueError) where the value breaks the contract.
    """
    return None if value is None else ResolvedProfile.model_validate_json(value)


def read(payload: dict[str, Any] | None) -> ResolvedProfile | None:
    """The same from a decoded payload, for example of an Avro record."""
    return None if payload is None else ResolvedProfile.model_validate(payload)


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by file name, as published in ``schemas/``.

    Needs the whole package: that of a destination's specification is among them.
    """
    from resolver.destinations.spec import DestinationSpec

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "destination.schema.json": dialect | DestinationSpec.model_json_schema(),
        "identify.schema.json": dialect | IdentifyEvent.model_json_schema(),
        "resolved_profile.schema.json": dialect | ResolvedProfile.model_json_schema(),
    }


def publish(folder: Path) -> None:
    """Writes the JSON Schemas into ``folder``."""
    for name, schema in json_schemas().items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
