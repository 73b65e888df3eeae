"""A destination as its owner describes it: data, not code."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resolver.core.consent import Audience, destination_key
from resolver.core.traits import canonical_name

TOPIC_FORM = r"^[A-Za-z0-9._-]{1,249}$"


class Format(StrEnum):
    """How values are written on a topic."""

    JSON = "json"
    AVRO = "avro"


class Anonymous(StrEnum):
    """Whether a destination takes people nobody has identified."""

    SEND = "send"
    DROP = "drop"


class EmailUserId(StrEnum):
    """What becomes of a userId that is an e-mail address."""

    SEND = "send"
    DROP = "drop"
    AS_TRAIT = "as_trait"


class Case(StrEnum):
    """The case of trait names that are not reserved."""

    AS_SENT = "as_sent"
    CAMEL = "camel"
    SNAKE = "snake"


class Payload(StrEnum):
    """What a message carries: all traits, or those that changed since the last one."""

    FULL = "full"
    CHANGES = "changes"


class DestinationSpec(BaseModel):
    """One destination: who it is, what it takes, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._()-]*$")]
    aliases: tuple[str, ...] = ()
    topic: Annotated[str, Field(pattern=TOPIC_FORM)] = ""
    format: Format = Format.JSON
    anonymous: Anonymous = Anonymous.SEND
    email_user_id: EmailUserId = EmailUserId.SEND
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    opt_in: bool = False
    case: Case = Case.AS_SENT
    payload: Payload = Payload.FULL

    @model_validator(mode="before")
    @classmethod
    def _name_the_topic(cls, stated: object) -> object:
        if isinstance(stated, dict) and stated.get("name") and not stated.get("topic"):
            return {**stated, "topic": f"resolved.{destination_key(str(stated['name']))}"}
        return stated

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which an event's ``integrations`` object may name this destination."""
        return tuple(dict.fromkeys(map(destination_key, (self.name, *self.aliases))))

    def audience(self) -> Audience:
        """Who reads its view of a profile."""
        return Audience(self.keys, self.opt_in)

    def takes(self, trait: str) -> bool:
        """Whether a trait may be sent at all."""
        if self.include is not None and trait not in map(canonical_name, self.include):
            return False
        return trait not in map(canonical_name, self.exclude)
