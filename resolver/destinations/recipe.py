"""A destination's form as data, for who writes its payloads without Python's objects.

What ``Shape`` does to a profile, a ``Recipe`` says: where each trait goes, which values stay as
they are, and what becomes of the others, one by one. What is not in it is left to ``Shape``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from resolver.destinations.derive import Deriver
from resolver.destinations.forms import KEEPS_ALL, Convert, Keeps, chain, converter_of
from resolver.destinations.identity import Identity, OfTraits
from resolver.destinations.plans import ROOT, Places, Plan, Plans, Spread
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import (
    Anonymous,
    Emails,
    Format,
    Payload,
    Reason,
    Removed,
)

CONTEXT: Final = "context."
"""Sources that begin so are left to ``Shape``."""
DEPTH_MAX: Final = 2
"""Names in the path of an id."""
UNBOUNDED: Final = 1 << 30
Field = tuple[int, str, bytes]
"""An object's number, a name there, and a value as JSON."""
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]
IdPath = tuple[str, ...]
IdOf = tuple[IdPath, str, Convert | None, list[tuple[IdPath, bytes]]]
"""An id: its path, source and conversion, and what goes beside it."""


class Recipe:
    """What there is to know of a form; fields are (object, name), objects by their numbers.

    ``encode`` makes JSON of a value, ``unpack`` a value of MessagePack.
    """

    def __init__(self, spec: DestinationSpec, shape: Shape, encode: Encode, unpack: Decode) -> None:
        self._encode = encode
        self._unpack = unpack
        self.name = spec.name
        self.keys = spec.keys
        self.left_out = shape.left_out
        self.names = shape.names if shape.renames else None
        self.drops_anonymous = spec.anonymous is Anonymous.DROP
        self.email_user_id = spec.email_user_id.value
        self.sends_context = spec.context == "send"
        self.sends_emails = spec.emails is not Emails.DROP
        self.only_changes = spec.payload is Payload.CHANGES
        self.tells_removed = spec.removed is not Removed.OMIT
        self.ample_bytes = UNBOUNDED if shape.ample_bytes is None else shape.ample_bytes
        self.derived = derived_of(spec)
        self.identity = ids_of(spec, encode) if spec.identity.rules else None
        self.first_only = spec.identity.first_only
        self.requires = [
            [tuple(one.strip().split(".")) for one in stated.split("|")] for stated in spec.requires
        ]
        self._inside: Counter[Reason] = Counter()
        self._places = Places()
        self._plans = Plans(spec, self._places, self._inside)
        self.also = also_of(spec, self._places)
        self.defaults = [
            (*self._places.target(path), encode(value)) for path, value in spec.defaults.items()
        ]
        self.parents = self._places.parents()
        self.bucket = self._plans.bucket
        self.bucket_most = UNBOUNDED if spec.limits.traits is None else spec.limits.traits
        self._as_it_is = not shape.renames

    def plan(self, trait: str) -> tuple[int, str, Keeps]:
        """Where a trait goes, and which values go there as they are."""
        plan = self._plan(trait)
        return plan.place, plan.name, KEEPS_ALL if plan.convert is None else plan.keeps

    def placed(self, trait: str, packed: bytes) -> tuple[list[Field], list[tuple[str, int]]]:
        """The fields of a trait's value, which comes as MessagePack, and what of it was left out:
        reasons, and how often each.
        """
        place, name, convert, _ = self._plan(trait)
        value = self._unpack(packed)
        made = value if convert is None else convert(value)
        fields = made.fields if type(made) is Spread else [(place, name, made)]
        inside = self._inside
        found: list[Field] = []
        for at, field, one in fields:
            if type(one) is Reason:
                inside[one] += 1
            else:
                found.append((at, field, self._encode(one)))
        reasons = [(reason.value, count) for reason, count in inside.items()]
        inside.clear()
        return found, reasons

    def identify(self, rule: int, value: str) -> bytes | None:
        """An id as a rule makes it, as JSON; None where it is none."""
        assert self.identity is not None
        return self._made(self.identity[rule][2], value)

    def complement(self, rule: int, value: str) -> bytes | None:
        """What is no trait as a rule of ``also`` makes it, as JSON; None where it is nothing."""
        return self._made(self.also[rule][3], value)

    def count(self, reason: str, times: int) -> None:
        """Something was left out so often."""
        self.left_out[Reason(reason)] += times

    def _made(self, convert: Convert | None, value: str) -> bytes | None:
        made: Any = value if convert is None else convert(value)
        return None if type(made) is Reason else self._encode(made)

    def _plan(self, trait: str) -> Plan:
        if self._as_it_is:
            return Plan(ROOT, trait, None, KEEPS_ALL)
        return self._plans.plans.get(trait) or self._plans.plan(trait)


def recipe_of(spec: DestinationSpec, shape: Shape, encode: Encode, unpack: Decode) -> Recipe | None:
    """The recipe of a form, where one says all of it; see ``Recipe``."""
    hashed = spec.emails is Emails.SHA256 or (spec.emails is Emails.SEND and "email" in spec.hash)
    if spec.format is not Format.JSON or hashed:
        return None
    sources = [rule.source for rule in spec.identity.rules]
    sources += [rule.source for rule in spec.also.values()]
    if any(one.startswith(CONTEXT) for one in sources):
        return None
    ids = [path_of(one) for rule in spec.identity.rules for one in (rule.to, *rule.beside)]
    inner = {path[0] for path in ids if len(path) > 1}
    if any(len(path) > DEPTH_MAX or (path == path[:1] and path[0] in inner) for path in ids):
        return None
    for stated in spec.requires:
        if any(one.count(".") != 1 for one in stated.split("|")):
            return None
    return Recipe(spec, shape, encode, unpack)


def path_of(dotted: str) -> IdPath:
    """The names of a path."""
    return tuple(dotted.split("."))


def derived_of(spec: DestinationSpec) -> list[tuple[str, tuple[str, ...]]]:
    """Traits that are made where they are missing, and of which others."""
    return [(name, of) for name, (_, of) in Deriver(spec).rules.items()]


def ids_of(spec: DestinationSpec, encode: Encode) -> list[IdOf]:
    """The rules of identity that may find something."""
    return [
        (
            path_of(rule.to),
            rule.source,
            _chained(_hashing(rule.source, spec), convert),
            [(path_of(one), encode(text)) for one, text in beside.items()],
        )
        for rule, (_, _, convert, beside) in zip(
            spec.identity.rules, Identity(spec).rules, strict=True
        )
        if _is_open(rule.source, spec)
    ]


def also_of(spec: DestinationSpec, places: Places) -> list[tuple[int, str, str, Convert | None]]:
    """(object, name, source, conversion) of what is no trait and may be sent.

    Objects of what may not be have their numbers too: by these objects are nested.
    """
    targets = list(map(places.target, spec.also))
    return [
        (
            *target,
            rule.source,
            _chained(_hashing(rule.source, spec), converter_of((rule.form,))),
        )
        for target, rule in zip(targets, spec.also.values(), strict=True)
        if _is_open(rule.source, spec)
    ]


def _is_open(source: str, spec: DestinationSpec) -> bool:
    """Whether a source may be sent at all."""
    return source not in OfTraits or spec.takes(source)


def _hashing(source: str, spec: DestinationSpec) -> Convert | None:
    """What becomes of a source that leaves only as a hash."""
    hashed = spec.hash.get(source) if source in OfTraits else None
    return None if hashed is None else converter_of((), hashed)


def _chained(*steps: Convert | None) -> Convert | None:
    return chain([one for one in steps if one is not None])
