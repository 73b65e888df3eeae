"""Records as msgpack: the states of the store and of the changelog.

A state is an array whose first element is the schema version, so that a release can read the
states of the one before.
"""

from typing import Any

import msgspec

from resolver.core.identifiers import ANON
from resolver.core.values import Contribution, Device, Layer, Person, Statement
from resolver.errors import ResolverError
from resolver.state import STATE_SCHEMA, State

Traits = dict[str, Any]
StoredStatement = tuple[bytes, str, str, Traits, Traits]
StoredLayer = tuple[list[StoredStatement], dict[str, int]]
StoredContribution = tuple[int, StoredLayer, StoredLayer]
StoredPerson = tuple[StoredLayer, dict[str, StoredContribution], tuple[bytes, str] | None]
StoredDevice = tuple[list[StoredStatement], list[tuple[int, str, int]], list[str]]
Tagged = tuple[int, str, int, list[str], dict[str, bytes]]


class _Head(msgspec.Struct, array_like=True, frozen=True):
    schema: int


class StateCodec:
    """Encodes states; which kind of record a key holds is told by the key."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._device = msgspec.msgpack.Decoder(tuple[Tagged, StoredDevice]).decode
        self._person = msgspec.msgpack.Decoder(tuple[Tagged, StoredPerson]).decode
        self._head = msgspec.msgpack.Decoder(tuple[_Head, Any]).decode

    def encode(self, state: State) -> bytes:
        record = state.record
        tagged = (STATE_SCHEMA, state.incarnation, state.sequence, state.outbox, state.shown)
        if isinstance(record, Person):
            sources = {
                source: (one.version, _stored_layer(one.identified), _stored_layer(one.anonymous))
                for source, one in record.sources.items()
            }
            return self._encode((tagged, (_stored_layer(record.own), sources, record.claim)))
        points = [(bucket, name, eff) for (bucket, name), eff in sorted(record.points.items())]
        statements = [_stored_statement(one) for one in record.statements]
        return self._encode((tagged, (statements, points, record.linked)))

    def decode(self, key: str, raw: bytes) -> State:
        try:
            if key.startswith(ANON):
                tagged, device = self._device(raw)
                record: Device | Person = _device(device)
            else:
                tagged, person = self._person(raw)
                record = _person(person)
        except msgspec.DecodeError as error:
            raise ResolverError(self._fault(raw)) from error
        schema, incarnation, sequence, outbox, shown = tagged
        if schema != STATE_SCHEMA:
            raise ResolverError(self._fault(raw))
        return State(record, incarnation, sequence, outbox, shown)

    def _fault(self, raw: bytes) -> str:
        try:
            head, _ = self._head(raw)
        except msgspec.DecodeError:
            return "a stored state is no state of the resolver: is the key prefix shared?"
        return f"a stored state has schema {head.schema}; this release reads {STATE_SCHEMA}"


def _stored_statement(one: Statement) -> StoredStatement:
    return one.stamp, one.restriction, one.message_id, one.traits, one.marks


def _stored_layer(layer: Layer) -> StoredLayer:
    return [_stored_statement(one) for one in layer.statements], layer.first


def _statements(stored: list[StoredStatement]) -> list[Statement]:
    return [
        Statement(stamp, restriction, message_id, traits, marks)
        for stamp, restriction, message_id, traits, marks in stored
    ]


def _layer(stored: StoredLayer) -> Layer:
    statements, first = stored
    return Layer(_statements(statements), first)


def _device(stored: StoredDevice) -> Device:
    statements, points, linked = stored
    placed = {(bucket, name): eff for bucket, name, eff in points}
    return Device(_statements(statements), placed, linked)


def _person(stored: StoredPerson) -> Person:
    own, sources, claim = stored
    contributions = {
        source: Contribution(version, _layer(identified), _layer(anonymous))
        for source, (version, identified, anonymous) in sources.items()
    }
    return Person(_layer(own), contributions, claim)
