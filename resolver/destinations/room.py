"""What goes from a payload that is larger than the vendor's call may be.

A payload's size is that of ``traits`` and ``identity`` as compact JSON in UTF-8, whatever format
the topic has. Custom traits go before fields that the specification names, the largest first,
equal ones by name. Ids and what ``requires`` names never go.
"""

from collections.abc import Collection
from typing import Any

from resolver.destinations.forms import json_text
from resolver.destinations.plans import Places
from resolver.destinations.spec import DestinationSpec

Path = tuple[str, ...]
"""A field's way among the traits, object by object."""
Fields = dict[str, Any]

LONGER_MAX = 2
"""How many times as long a payload may be here as another writer of JSON has it: a number, by a
sign in its exponent."""
ESCAPE_BYTES = 6
"""The most bytes that a character has in JSON: those of an escape."""
PLAIN_BYTES = 26
"""The most bytes of a number, a boolean or null."""
BESIDE_BYTES = 4
"""Quotes, colon and comma of a member."""


class Room:
    """The bound on one destination's payloads.

    ``objects`` are the paths of the objects among the traits, ``named`` those of the fields that
    the specification names, ``required`` those of ``requires``.
    """

    def __init__(
        self, most: int, objects: set[Path], named: set[Path], required: list[Path]
    ) -> None:
        self.most = most
        self.objects = objects
        self.named = named
        self.required = required

    def surplus(
        self, sent: Fields, identity: Fields | None, spared: Collection[Path] = ()
    ) -> list[Path] | None:
        """The fields that must go, in the order in which they do; None: even that is not enough.

        ``spared`` go after all others.
        """
        if most_bytes(sent) + most_bytes(identity) <= self.most:
            return []
        over = size_of(sent) - self.most
        if identity is not None:
            over += size_of(identity)
        if over <= 0:
            return []
        weighed: list[tuple[bool, bool, int, Path]] = []
        members: dict[Path, int] = {}
        self._weigh(sent, (), weighed, members)
        weighed = [(path in spared, named, size, path) for _, named, size, path in weighed]
        going: list[Path] = []
        for _, _, size, path in sorted(weighed):
            going.append(path)
            over -= saved_by(path, -size, members)
            if over <= 0:
                return going
        return None

    def _weigh(
        self,
        fields: Fields,
        at: Path,
        weighed: list[tuple[bool, bool, int, Path]],
        members: dict[Path, int],
    ) -> None:
        """Lists every field that may go, and how many members each object has."""
        members[at] = len(fields)
        for name, value in fields.items():
            path = (*at, name)
            if path in self.objects and type(value) is dict and value:
                self._weigh(value, path, weighed, members)
            elif not self._stays(path):
                size = size_of(name) + 1 + size_of(value)
                weighed.append((False, path in self.named, -size, path))

    def _stays(self, path: Path) -> bool:
        """Whether a field is required, or lies in or around what is."""
        return any(path[: len(one)] == one or one[: len(path)] == path for one in self.required)


def room_of(spec: DestinationSpec, places: Places, named: set[tuple[int, str]]) -> Room | None:
    """The bound of a specification, whose fields are ``named``; None where there is none."""
    most = spec.limits.payload_bytes
    if most is None:
        return None
    fields = {(*places.paths[at], name) for at, name in named}
    stated = [one.strip().split(".") for required in spec.requires for one in required.split("|")]
    required = [tuple(path[1:]) for path in stated if path[0] == "traits"]
    return Room(most, set(places.paths[1:]), fields, required)


def without(sent: Fields, going: Collection[Path]) -> Fields:
    """The fields but for some; an object that is left empty goes with its last field."""
    holders = {path[:depth] for path in going for depth in range(1, len(path))}
    return _without(sent, (), frozenset(going), holders)


def _without(fields: Fields, at: Path, going: Collection[Path], holders: set[Path]) -> Fields:
    kept: Fields = {}
    for name, value in fields.items():
        path = (*at, name)
        if path in going:
            continue
        if path in holders and type(value) is dict:
            value = _without(value, path, going, holders)
            if not value:
                continue
        kept[name] = value
    return kept


def saved_by(path: Path, size: int, members: dict[Path, int]) -> int:
    """The bytes that are saved if a member goes, and an object that had no other with it."""
    saved = size
    for depth in range(len(path) - 1, -1, -1):
        holder = path[:depth]
        members[holder] -= 1
        if members[holder]:
            return saved + len(",")
        if depth:
            saved += size_of(holder[-1]) + len(":{}")
    return saved


def size_of(value: Any) -> int:
    """The bytes of a value as compact JSON."""
    return len(json_text(value).encode())


def most_bytes(value: Any) -> int:
    """What a value as compact JSON has at most, without writing it."""
    if isinstance(value, str):
        return ESCAPE_BYTES * len(value) + 2
    if isinstance(value, dict):
        inside = 2
        for name, member in value.items():
            inside += ESCAPE_BYTES * len(name) + BESIDE_BYTES + most_bytes(member)
        return inside
    if isinstance(value, list):
        inside = 2
        for member in value:
            inside += 1 + most_bytes(member)
        return inside
    return PLAIN_BYTES
