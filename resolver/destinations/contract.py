"""A destination's Avro contract, derived from its specification.

It is the contract of a resolved profile with more in it: ``fields`` holds every field that the
specification names and whose type is known, each with null as its default, so that a trait added
to the specification is a compatible change. What else there is stays in ``traits``, as any JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from resolver.core.traits import INNER_NAMES, STRING_TRAITS
from resolver.destinations.aliases import ALIAS
from resolver.destinations.rules import FieldRule
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Form, OnMerge, Removed

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
FIELDS, IDENTITY, PROFILE, PREVIOUS = "fields", "identity", "profile", "previousId"
OF_ALIASES = ("type", "timestamp", "userId", PREVIOUS, IDENTITY, PROFILE, "messageId")
OF_THEIR_PROFILES = ("id", "version", "merged", "causedBy")
"""What an alias event says; the rest of its record is empty."""
LONGS = {Form.EPOCH_S, Form.EPOCH_MS, Form.EPOCH_US, Form.MIDNIGHT_MS}
TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "long": (int,), "double": (float, int)}
DATES = {"createdAt", "birthday"}


class Typed(NamedTuple):
    """A field of the contract: its name there, its path among the traits, its Avro type."""

    name: str
    path: tuple[str, ...]
    type: str


class PayloadContract:
    """A destination's payloads in Avro: the contract, and the way there and back."""

    def __init__(self, spec: DestinationSpec, generic: str) -> None:
        """``generic`` is the contract of a resolved profile, as published."""
        self.typed = list(typed_fields(spec))
        self.more = not is_canonical(spec)
        self.text = json.dumps(_extended(json.loads(generic), self.typed)) if self.more else generic

    def pack(self, payload: dict[str, Any] | None) -> dict[str, Any] | None:
        """A payload as the contract has it."""
        if payload is None or not self.more:
            return payload
        traits = _copied(payload["traits"])
        fields = {one.name: _taken(traits, one) for one in self.typed}
        identity = payload.get(IDENTITY, {})
        return payload | {"traits": traits, FIELDS: fields, IDENTITY: identity}

    def unpack(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a record that was read by the contract: a profile or an alias event."""
        payload = dict(record)
        if payload["type"] == ALIAS:
            return _alias_of(payload)
        payload.pop(PREVIOUS, None)
        traits = payload["traits"] = dict(payload.get("traits") or {})
        fields = payload.pop(FIELDS, None) or {}
        for name, path, _ in self.typed:
            if fields.get(name) is not None:
                _put(traits, path, fields[name])
        return payload


def is_canonical(spec: DestinationSpec) -> bool:
    """Whether the contract of a resolved profile says all there is."""
    named = spec.traits or spec.also or spec.defaults or spec.identity.rules
    return not named and spec.removed is Removed.OMIT and spec.on_merge is not OnMerge.ALIAS


def typed_fields(spec: DestinationSpec) -> Iterator[Typed]:
    """Every named field whose type is known; one that two types would fill is not among them."""
    types: dict[str, set[str | None]] = {}
    for path, kind in _named(spec):
        types.setdefault(path, set()).add(kind)
    names: set[str] = set()
    for path, kinds in types.items():
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            continue
        name = _avro_name(path, names)
        names.add(name)
        yield Typed(name, tuple(path.split(".")), kind)


def _named(spec: DestinationSpec) -> Iterator[tuple[str, str | None]]:
    """(path, Avro type or None) of everything that the specification names."""
    for trait, rule in spec.traits.items():
        hashed = trait in spec.hash
        for path in rule.to:
            yield path, "string" if hashed else _type_of(rule, trait, trait in INNER_NAMES)
        for inner, part in rule.parts.items():
            known = inner in INNER_NAMES.get(trait, ()) and inner != "employee_count"
            for path in part.to:
                kind = _type_of(part, "name" if known else inner, not known)
                yield path, "string" if hashed else kind
    for path, also in spec.also.items():
        is_time = also.source in ("first_seen", "last_seen")
        yield path, "long" if also.form in LONGS else "string" if is_time else None


def _type_of(rule: FieldRule, trait: str, free: bool) -> str | None:
    """The type of a field's values; None where it may be any."""
    form = rule.form[-1] if rule.form else Form.KEEP
    if form in LONGS:
        return "long"
    if form is Form.LIST:
        return None
    if form is Form.NUMBER or (form is Form.KEEP and trait == "age"):
        return "double"
    if form is not Form.KEEP:
        return "string"
    return "string" if not free and trait in STRING_TRAITS | DATES else None


def _avro_name(path: str, taken: set[str]) -> str:
    name = NOT_IN_NAMES.sub("_", path)
    name = f"_{name}" if name[0].isdigit() else name
    while name in taken:
        name += "_"
    return name


def _extended(whole: dict[str, Any], typed: list[Typed]) -> dict[str, Any]:
    """The published contract with ids and fields before the profile, and what is told after it."""
    listed = [
        {"name": one.name, "type": ["null", one.type], "default": None, "doc": ".".join(one.path)}
        for one in typed
    ]
    before = [
        {"name": IDENTITY, "type": {"type": "map", "values": "Json"}, "default": {}},
        {
            "name": FIELDS,
            "type": ["null", {"type": "record", "name": "Fields", "fields": listed}],
            "default": None,
        },
    ]
    after = [
        {"name": "unset", "type": {"type": "array", "items": "string"}, "default": []},
        {
            "name": PREVIOUS,
            "type": ["null", "string"],
            "default": None,
            "doc": "Of an alias event (type is alias): who became part of the user.",
        },
    ]
    fields = whole["fields"]
    at = [field["name"] for field in fields].index(PROFILE)
    return whole | {"fields": [*fields[:at], *before, *fields[at:], *after]}


def _alias_of(record: dict[str, Any]) -> dict[str, Any]:
    """An alias event without the members that only profiles have."""
    event = {name: record[name] for name in OF_ALIASES}
    event[PROFILE] = {name: record[PROFILE][name] for name in OF_THEIR_PROFILES}
    return event


def _copied(traits: dict[str, Any]) -> dict[str, Any]:
    """A copy whose objects can be emptied."""
    return {
        name: _copied(value) if type(value) is dict else value for name, value in traits.items()
    }


def _taken(traits: dict[str, Any], field: Typed) -> Any:
    """Takes a field's value out of the traits; None where it is not there, or of another type."""
    holder: Any = traits
    for name in field.path[:-1]:
        holder = holder.get(name)
        if type(holder) is not dict:
            return None
    value = holder.get(field.path[-1])
    if type(value) not in TYPES[field.type]:
        return None
    del holder[field.path[-1]]
    for depth in range(len(field.path) - 1, 0, -1):
        _drop_empty(traits, field.path[:depth])
    return float(value) if field.type == "double" else value


def _drop_empty(traits: dict[str, Any], path: tuple[str, ...]) -> None:
    """Removes an object that has nothing left in it."""
    holder = traits
    for name in path[:-1]:
        holder = holder[name]
    if holder.get(path[-1]) == {}:
        del holder[path[-1]]


def _put(traits: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        traits = traits.setdefault(name, {})
    traits[path[-1]] = value
