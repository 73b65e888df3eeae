"""Records as msgpack: the states of the store and of the changelog.

A state is one flat array whose first element is the schema version, so that a release can read
the states of the one before. Flat, because every array within it is an object to be made and
freed: decoding and encoding take four fifths of the instructions of nested ones.
"""

from typing import Any, Final

import msgspec

from resolver.core.identifiers import ANON
from resolver.core.values import EMPTY, Contribution, Device, Layer, Person, Statement
from resolver.errors import ResolverError
from resolver.state import STATE_SCHEMA, State

HEAD: Final = 5
"""Elements before the record's own: schema, incarnation, sequence, outbox, shown."""
STATEMENT: Final = 4
"""Elements of a statement: stamp, restriction, traits, marks."""
POINT: Final = 3
"""Elements of a point: bucket, identifier, effective time."""
SOURCE: Final = 6
"""Elements of a contribution: source, version, the identified layer's two, the anonymous one's."""

StoredFirst = int | dict[str, int] | None
"""When a layer was first active; the number alone where nothing was restricted."""


class StateCodec:
    """Encodes states; which kind of record a key holds is told by the key."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Any]).decode

    def encode(self, state: State) -> bytes:
        record = state.record
        flat: list[Any] = [
            STATE_SCHEMA,
            state.incarnation,
            state.sequence,
            state.outbox,
            state.shown,
        ]
        if isinstance(record, Person):
            _add_layer(flat, record.own)
            flat.append(record.claim)
            for source, one in record.sources.items():
                flat.append(source)
                flat.append(one.version)
                _add_layer(flat, one.identified)
                _add_layer(flat, one.anonymous)
            return self._encode(flat)
        flat.append(_stored_statements(record.statements))
        flat.append(record.linked)
        points = record.points
        for place in sorted(points):
            flat.append(place[0])
            flat.append(place[1])
            flat.append(points[place])
        return self._encode(flat)

    def decode(self, key: str, raw: bytes) -> State:
        try:
            flat: list[Any] = self._decode(raw)
            if type(flat[0]) is not int:
                raise TypeError("a state begins with a number")
            if flat[0] != STATE_SCHEMA:
                raise ResolverError(
                    f"a stored state has schema {flat[0]!r}; this release reads {STATE_SCHEMA}"
                )
            record: Device | Person = _device(flat) if key.startswith(ANON) else _person(flat)
            return State(record, flat[1], flat[2], flat[3], flat[4])
        except (msgspec.DecodeError, IndexError, TypeError, ValueError, RecursionError) as error:
            raise ResolverError(
                "a stored state is no state of the resolver: is the key prefix shared?"
            ) from error


def _add_layer(flat: list[Any], layer: Layer) -> None:
    """A layer's statements and first; None twice for the empty one."""
    if not layer.statements and not layer.first:
        flat.append(None)
        flat.append(None)
        return
    flat.append(_stored_statements(layer.statements))
    flat.append(_stored_first(layer.first))


def _stored_first(first: dict[str, int]) -> StoredFirst:
    if len(first) == 1 and "" in first:
        return first[""]
    return first


def _stored_statements(statements: list[Statement]) -> list[Any]:
    stored: list[Any] = []
    for one in statements:
        stored.append(one.stamp)
        stored.append(one.restriction)
        stored.append(one.traits)
        stored.append(one.marks)
    return stored


def _statements(stored: list[Any]) -> list[Statement]:
    return [
        Statement(stored[at], stored[at + 1], stored[at + 2], stored[at + 3])
        for at in range(0, len(stored), STATEMENT)
    ]


def _layer(statements: list[Any] | None, first: StoredFirst) -> Layer:
    if statements is None:
        return EMPTY
    if isinstance(first, int):
        return Layer(_statements(statements), {"": first})
    return Layer(_statements(statements), first or {})


def _device(flat: list[Any]) -> Device:
    points: dict[tuple[int, str], int] = {}
    for at in range(HEAD + 2, len(flat), POINT):
        points[flat[at], flat[at + 1]] = flat[at + 2]
    return Device(_statements(flat[HEAD]), points, flat[HEAD + 1])


def _person(flat: list[Any]) -> Person:
    sources: dict[str, Contribution] = {}
    for at in range(HEAD + 3, len(flat), SOURCE):
        identified = _layer(flat[at + 2], flat[at + 3])
        anonymous = _layer(flat[at + 4], flat[at + 5])
        sources[flat[at]] = Contribution(flat[at + 1], identified, anonymous)
    claim = flat[HEAD + 2]
    own = _layer(flat[HEAD], flat[HEAD + 1])
    return Person(own, sources, None if claim is None else (claim[0], claim[1]))
