"""A destination as its owner describes it: data, not code.

Read ``DestinationSpec`` first. What each part does to a payload is in ``shape.py``.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from resolver.core.consent import OPT_IN_BY_CONVENTION, Audience, destination_key
from resolver.core.traits import CANONICAL_INNER, canonical_name, fold_name
from resolver.destinations.presets import Expanded, expanded
from resolver.destinations.rules import (
    Alone,
    CustomTraits,
    FieldRule,
    IdentityRules,
    Limits,
    NameRules,
    Part,
    Source,
    ValueRules,
)
from resolver.destinations.vocabulary import (
    Anonymous,
    Case,
    Derive,
    Emails,
    EmailUserId,
    Form,
    Format,
    Hash,
    OnMerge,
    Payload,
    Removed,
)

__all__ = ["Anonymous", "Case", "DestinationSpec", "EmailUserId", "Format", "Payload"]

TOPIC_FORM = r"^[A-Za-z0-9._-]{1,249}$"
REQUIRED_FORM = "identity.<field> or traits.<path>, alternatives separated by '|'"


class Choice(Part):
    """Where sources disagree about a destination: what was chosen, and why."""

    about: str
    chosen: str
    because: str


class AlsoRule(Part):
    """Something of the profile that is no trait, sent among the traits."""

    source: Annotated[Source, Field(alias="from", description="Such as last_seen or context.ip.")]
    form: Annotated[Form, Field(alias="as", description="The form of the value.")] = Form.KEEP


def _required(stated: str) -> str:
    for one in stated.split("|"):
        section, _, path = one.strip().partition(".")
        if section not in ("identity", "traits") or not path:
            raise ValueError(f"{one.strip()!r} should be {REQUIRED_FORM}")
    return stated


def _listed(stated: Any) -> Any:
    return [stated] if isinstance(stated, str) else stated


def _canonical(stated: dict[str, Any]) -> dict[str, Any]:
    """Names of reserved traits in the one spelling that profiles have."""
    return {canonical_name(name): rule for name, rule in stated.items()}


def _canonical_parts(stated: dict[str, FieldRule]) -> dict[str, FieldRule]:
    """The same for the members of addresses and companies."""
    rules = {}
    for trait, rule in stated.items():
        known = CANONICAL_INNER.get(trait, {})
        parts = {known.get(fold_name(name), name): part for name, part in rule.parts.items()}
        rules[trait] = rule.model_copy(update={"parts": parts}) if parts else rule
    return rules


Required = Annotated[str, AfterValidator(_required)]


class DestinationSpec(BaseModel):
    """One destination: who it is, what it takes, and how."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=lambda schema: schema.pop("required", None)
    )

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._()-]*$",
            description="What an event's integrations object calls it.",
        ),
    ]
    preset: Annotated[
        str | None, Field(description="The preset that this one starts from: mixpanel, segment, …")
    ] = None
    about: Annotated[str, Field(description="What this is for, in a paragraph.")] = ""
    choices: Annotated[
        tuple[Choice, ...], Field(description="Where sources disagree: what was chosen, and why.")
    ] = ()
    aliases: Annotated[tuple[str, ...], Field(description="Other names of it.")] = ()
    topic: Annotated[
        str, Field(pattern=TOPIC_FORM, description="Left out: resolved. and the name.")
    ] = ""
    format: Annotated[Format, Field(description="How values are written.")] = Format.JSON
    anonymous: Annotated[
        Anonymous, Field(description="Whether it takes people nobody has identified.")
    ] = Anonymous.SEND
    email_user_id: Annotated[
        EmailUserId, Field(description="What becomes of a userId that is an e-mail address.")
    ] = EmailUserId.SEND
    include: Annotated[
        tuple[str, ...] | None, Field(description="The only traits it may be sent; null: all.")
    ] = None
    exclude: Annotated[tuple[str, ...], Field(description="Traits it is never sent.")] = ()
    opt_in: Annotated[
        bool, Field(description="Whether it sees only events whose integrations name it.")
    ] = False
    case: Annotated[Case, Field(description="The case of names of traits that have no field.")] = (
        Case.AS_SENT
    )
    payload: Annotated[
        Payload, Field(description="All traits, or those that changed since the last message.")
    ] = Payload.FULL
    identity: Annotated[
        IdentityRules, Field(description="The vendor's own ids, in the member 'identity'.")
    ] = IdentityRules()
    requires: Annotated[
        tuple[Required, ...],
        BeforeValidator(_listed),
        Alone("string"),
        Field(description=f"Without these a profile is not sent: {REQUIRED_FORM}."),
    ] = ()
    derive: Annotated[
        dict[str, Derive],
        AfterValidator(_canonical),
        Field(description="Traits made from others where they are missing."),
    ] = {}
    traits: Annotated[
        dict[str, Annotated[FieldRule, Alone("string")]],
        AfterValidator(_canonical),
        AfterValidator(_canonical_parts),
        Field(description="The field of each trait, by the trait's name; the rest are custom."),
    ] = {}
    also: Annotated[
        dict[str, AlsoRule], Field(description="What else goes among the traits, by its field.")
    ] = {}
    defaults: Annotated[
        dict[str, str | int | float | bool], Field(description="Fields filled where empty.")
    ] = {}
    custom: Annotated[
        CustomTraits, Field(description="Where traits without a field of their own go.")
    ] = CustomTraits()
    names: Annotated[NameRules, Field(description="What names of custom traits may be.")] = (
        NameRules()
    )
    values: Annotated[ValueRules, Field(description="What becomes of values, by their type.")] = (
        ValueRules()
    )
    limits: Annotated[Limits, Field(description="Bounds, and what happens beyond them.")] = Limits()
    removed: Annotated[Removed, Field(description="How a trait that was removed is told.")] = (
        Removed.OMIT
    )
    hash: Annotated[
        dict[str, Hash],
        AfterValidator(_canonical),
        Field(description="Traits that leave only as a hash, in hexadecimal, by their name."),
    ] = {}
    emails: Annotated[
        Emails, Field(description="What becomes of the addresses in profile.emails.")
    ] = Emails.SEND
    context: Annotated[
        Literal["send", "drop"], Field(description="Whether the latest event's context is sent.")
    ] = "send"
    on_merge: Annotated[
        OnMerge,
        Field(
            description="When profiles become one: profile (it names whom it took in), alias (and"
            " an alias event for each goes before a user's), or tombstone (it does not say)."
            " A tombstone follows under each old key."
        ),
    ] = OnMerge.PROFILE

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, stated: object) -> object:
        """Merges the preset, unless that was done; names the topic, and whom one must name."""
        if isinstance(stated, dict) and stated.get("preset") and not isinstance(stated, Expanded):
            stated = expanded(stated)
        if not isinstance(stated, dict) or not stated.get("name"):
            return stated
        key = destination_key(str(stated["name"]))
        completed = {"opt_in": key in OPT_IN_BY_CONVENTION, **stated}
        completed["topic"] = stated.get("topic") or f"resolved.{key}"
        return completed

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        fields = {rule.to.partition(".")[0] for rule in self.identity.rules}
        for stated in self.requires:
            for one in stated.split("|"):
                section, _, path = one.strip().partition(".")
                if section == "identity" and path.partition(".")[0] not in fields:
                    raise ValueError(f"requires {one.strip()}, but identity has no such field")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which an event's ``integrations`` object may name this destination."""
        return tuple(dict.fromkeys(map(destination_key, (self.name, *self.aliases))))

    def differs_only_in(self, names: Collection[str]) -> bool:
        """Whether everything else is as it is where nothing is stated."""
        return all(
            getattr(self, name) == field.default
            for name, field in type(self).model_fields.items()
            if name not in names
        )

    def audience(self) -> Audience:
        """Who reads its view of a profile."""
        return Audience(self.keys, self.opt_in)

    def takes(self, trait: str) -> bool:
        """Whether a trait may be sent at all."""
        if self.include is not None and trait not in map(canonical_name, self.include):
            return False
        return trait not in map(canonical_name, self.exclude)
