"""The contracts of the topics as pydantic models, for services downstream and upstream.

Needs pydantic only. Fields that a later release adds are kept in ``model_extra``, so code written
against this release goes on reading. ``python -m resolver.contracts schemas`` writes the same
contracts as JSON Schema.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, RootModel, Tag
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
    """Somebody who became part of a user: lies before the user's profile, under the same key.

    It may be repeated. It says nothing of traits and takes no profile's place.
    """

    model_config = MODEL_CONFIG

    type: Literal["alias"]
    message_id: str = Field(description="<profile.id>@<profile.version>+<whom it took in>")
    timestamp: datetime | None = Field(None, description="The profile's own.")
    previous_id: str = Field(description="An anonymousId, or an e-mail address.")
    user_id: str = Field(description="Whose profile it is part of now.")
    identity: dict[str, JsonValue] = Field({}, description="The vendor's own ids of the user.")
    profile: ProfileSection = Field(
        description="id and version of the user's profile; merged: whom it took in, with its kind."
    )


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


def _kind(payload: Any) -> str:
    """Which model a decoded or parsed value is of."""
    stated = payload.get("type") if isinstance(payload, dict) else getattr(payload, "type", None)
    return "alias" if stated == "alias" else "profile"


class DestinationRecord(
    RootModel[
        Annotated[
            Annotated[AliasEvent, Tag("alias")] | Annotated[ResolvedProfile, Tag("profile")],
            Discriminator(_kind),
        ]
    ]
):
    """What may be the value of a record of a destination's topic."""


def parse(value: bytes | None) -> ResolvedProfile | AliasEvent | None:
    """What a JSON record says: a profile, or an alias event where the destination gets those.

    None for a tombstone: forget what was under the key. Raises ``pydantic.ValidationError`` (a
    ValueError) where the value breaks the contract.
    """
    return None if value is None else DestinationRecord.model_validate_json(value).root


def read(payload: dict[str, Any] | None) -> ResolvedProfile | AliasEvent | None:
    """The same from a decoded payload, for example of an Avro record."""
    return None if payload is None else DestinationRecord.model_validate(payload).root


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by file name, as published in ``schemas/``.

    Needs the whole package: that of a destination's specification is among them.
    """
    from resolver.destinations.spec import DestinationSpec

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "alias_event.schema.json": dialect | AliasEvent.model_json_schema(),
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
