"""The parts of a destination's specification: fields, identity, names, values, limits."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from resolver.destinations.vocabulary import (
    Beyond,
    Deeper,
    Form,
    Hash,
    Lists,
    Objects,
    Scalar,
    Unit,
)

SOURCES = (
    "user_id",
    "database_id",
    "email",
    "phone",
    "anonymous_id",
    "first_seen",
    "last_seen",
)
"""What of a profile may be an id; ``database_id`` is a userId that is no e-mail address."""


def checked_source(stated: str) -> str:
    """One of ``SOURCES``, or a path into the context."""
    if stated in SOURCES or re.fullmatch(r"context(\.[^.]+)+", stated):
        return stated
    raise ValueError(f"{stated!r} is none of {', '.join(SOURCES)}, context.<path>")


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


def _one_or_many(stated: Any) -> Any:
    return [stated] if isinstance(stated, str) else stated


def _field(stated: Any) -> Any:
    """A field that is only named."""
    return {"to": [stated]} if isinstance(stated, str) else stated


def _bound(stated: Any) -> Any:
    return {"max": stated} if isinstance(stated, int) and not isinstance(stated, bool) else stated


class Alone:
    """Says in the JSON Schema that a value alone will do."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": self.kind}, handler(core_schema)]}


Source = Annotated[str, AfterValidator(checked_source)]
Pattern = Annotated[str, AfterValidator(_regular)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Alone("string")]
Forms = Annotated[tuple[Form, ...], BeforeValidator(_one_or_many), Alone("string")]


class Part(BaseModel):
    """A section of the specification; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldRule(Part):
    """Where a trait goes, and in which form. A name alone stands for ``{to: name}``."""

    to: Annotated[
        Paths, Field(description="Its field, or a list of fields; a '.' leads into an object.")
    ] = ()
    form: Annotated[
        Forms, Field(alias="as", description="The form of the value, or several in turn.")
    ] = ()
    max: Annotated[
        int | None, Field(ge=1, description="The most characters; longer text is cut.")
    ] = None
    parts: Annotated[
        dict[str, Annotated["FieldRule", Alone("string")]],
        Field(description="The field of each member, where the value is an object."),
    ] = {}
    rest: Annotated[
        bool, Field(description="Whether members without a field are sent as a custom trait.")
    ] = False
    drop: Annotated[bool, Field(description="The destination has no place for it.")] = False

    @model_validator(mode="before")
    @classmethod
    def _named(cls, stated: Any) -> Any:
        return _field(stated)

    @model_validator(mode="after")
    def _has_one_fate(self) -> Self:
        if self.drop and (self.to or self.parts):
            raise ValueError("it cannot both be dropped and have a field")
        return self


class IdentityRule(Part):
    """One id: its field, and what of the profile fills it."""

    to: Annotated[str, Field(min_length=1, description="Its field; a '.' leads into an object.")]
    source: Annotated[Source, Field(alias="from", description="What fills it.")]
    form: Annotated[Forms, Field(alias="as", description="The form of the value.")] = ()
    hash: Annotated[Hash | None, Field(description="Send a hash instead, in hexadecimal.")] = None
    starts: Annotated[
        str, Field(description="Only a value that starts so, sent without that start.")
    ] = ""
    prefix: Annotated[str, Field(description="What is put before the value.")] = ""
    max: Annotated[int | None, Field(ge=1, description="The most bytes; longer: no id.")] = None
    beside: Annotated[dict[str, str], Field(description="Fields with fixed text beside it.")] = {}


class IdentityRules(Part):
    """The vendor's own ids, in order."""

    first_only: Annotated[
        bool, Field(description="Stop at the first rule that finds something.")
    ] = False
    rules: Annotated[
        tuple[IdentityRule, ...],
        Field(description="In order; of several for one field the first to find something counts."),
    ] = ()


class CustomTraits(Part):
    """Where traits without a field of their own go."""

    into: Annotated[str, Field(description="The object that holds them; empty: the traits.")] = ""
    wrap: Annotated[str, Field(description="Send {<wrap>: value} instead of the value.")] = ""
    drop: Annotated[bool, Field(description="They are not sent.")] = False


class NameRules(Part):
    """What the name of a custom trait may be; ``case`` is applied before these."""

    forbidden: Annotated[
        Pattern | None, Field(description="Regular expression of what may not be in a name.")
    ] = None
    replacement: Annotated[str, Field(description="What is put in its place.")] = "_"
    prefix: Annotated[str, Field(description="What is put before each name.")] = ""
    suffix: Annotated[str, Field(description="What is put after each name.")] = ""
    pattern: Annotated[
        Pattern | None, Field(description="What a whole name must match to be sent.")
    ] = None
    reserved: Annotated[
        tuple[str, ...], Field(description="Names that are not sent, whatever their case.")
    ] = ()
    reserved_prefixes: Annotated[
        tuple[str, ...], Field(description="Names that start so are not sent.")
    ] = ()
    escaped: Annotated[
        tuple[str, ...], Field(description="Names that get a '_' before them, whatever their case.")
    ] = ()


class ValueRules(Part):
    """What becomes of values of custom traits, by their type."""

    date_time: Annotated[
        Form, Field(description="Text that is an ISO 8601 date and time; at any depth.")
    ] = Form.KEEP
    date: Annotated[Form, Field(description="Text that is an ISO 8601 date; at any depth.")] = (
        Form.KEEP
    )
    text: Annotated[Form, Field(description="Other text.")] = Form.KEEP
    number: Scalar = Scalar.KEEP
    boolean: Scalar = Scalar.KEEP
    list: Lists = Lists.KEEP
    object: Objects = Objects.KEEP
    join: Annotated[str, Field(description="What stands between entries of a joined list.")] = ";"
    join_ends: Annotated[bool, Field(description="And before the first and after the last.")] = (
        False
    )
    separator: Annotated[str, Field(description="Between the names of a flattened object.")] = "_"
    empty: Annotated[bool, Field(description="Whether empty text is sent.")] = True


class Bound(Part):
    """A length, and what becomes of what is longer. A number alone stands for ``{max: …}``."""

    max: Annotated[int, Field(ge=1)]
    unit: Unit = Unit.CHARACTERS
    beyond: Beyond = Beyond.DROP

    @model_validator(mode="before")
    @classmethod
    def _number(cls, stated: Any) -> Any:
        return _bound(stated)


class DepthBound(Part):
    """How deep a value nests (an object of plain values is 1), and what becomes of deeper ones."""

    max: Annotated[int, Field(ge=1)]
    beyond: Deeper = Deeper.DROP

    @model_validator(mode="before")
    @classmethod
    def _number(cls, stated: Any) -> Any:
        return _bound(stated)


Length = Annotated[Bound, Alone("integer")]


class Limits(Part):
    """Bounds of custom traits; null: none. Those of text and of the whole payload hold for fields
    of their own as well.
    """

    name: Annotated[Length | None, Field(description="The length of a name.")] = None
    text: Annotated[Length | None, Field(description="The length of text, at any depth.")] = None
    list: Annotated[Length | None, Field(description="The entries of a list, at any depth.")] = None
    keys: Annotated[
        int | None, Field(ge=1, description="The members of an object, at any depth.")
    ] = None
    depth: Annotated[
        Annotated[DepthBound, Alone("integer")] | None, Field(description="How deep a value nests.")
    ] = None
    value_bytes: Annotated[
        int | None, Field(ge=1, description="The bytes of a list or object as JSON.")
    ] = None
    traits: Annotated[
        int | None,
        Field(ge=1, description="How many names the object that holds custom traits has."),
    ] = None
    payload_bytes: Annotated[
        int | None,
        Field(
            ge=1,
            description="The bytes of traits and identity together, as compact JSON. Beyond it"
            " custom traits are left out, then fields of their own, the largest first.",
        ),
    ] = None
