"""Records as msgpack: the states of the store and of the changelog.

A state is an array whose first element is the schema version, so that a release can read the
states of the one before.
"""

import msgspec

from resolver.core.identifiers import ANON
from resolver.core.values import Device, Person, Statement
from resolver.errors import ResolverError
from resolver.state import STATE_SCHEMA, State


class _Head(msgspec.Struct, array_like=True, frozen=True):
    schema: int


class _DeviceState(_Head, array_like=True, frozen=True):
    incarnation: str
    sequence: int
    outbox: list[str]
    shown: dict[str, bytes]
    statements: list[Statement]
    points: list[tuple[int, str, int]]
    linked: list[str]


class _PersonState(_Head, array_like=True, frozen=True):
    incarnation: str
    sequence: int
    outbox: list[str]
    shown: dict[str, bytes]
    record: Person


class StateCodec:
    """Encodes states; which kind of record a key holds is told by the key."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._device = msgspec.msgpack.Decoder(_DeviceState).decode
        self._person = msgspec.msgpack.Decoder(_PersonState).decode
        self._head = msgspec.msgpack.Decoder(_Head).decode

    def encode(self, state: State) -> bytes:
        record = state.record
        head = (STATE_SCHEMA, state.incarnation, state.sequence, state.outbox, state.shown)
        if isinstance(record, Person):
            return self._encode((*head, record))
        points = [(bucket, name, eff) for (bucket, name), eff in sorted(record.points.items())]
        return self._encode((*head, record.statements, points, record.linked))

    def decode(self, key: str, raw: bytes) -> State:
        try:
            stored = self._device(raw) if key.startswith(ANON) else self._person(raw)
        except msgspec.DecodeError as error:
            raise ResolverError(self._fault(raw)) from error
        if stored.schema != STATE_SCHEMA:
            raise ResolverError(self._fault(raw))
        if isinstance(stored, _DeviceState):
            return _device_state(stored)
        return State(
            stored.record, stored.incarnation, stored.sequence, stored.outbox, stored.shown
        )

    def _fault(self, raw: bytes) -> str:
        try:
            schema = self._head(raw).schema
        except msgspec.DecodeError:
            return "a stored state is no state of the resolver: is the key prefix shared?"
        return f"a stored state has schema {schema}; this release reads {STATE_SCHEMA}"


def _device_state(stored: _DeviceState) -> State:
    points = {(bucket, name): eff for bucket, name, eff in stored.points}
    device = Device(stored.statements, points, stored.linked)
    return State(device, stored.incarnation, stored.sequence, stored.outbox, stored.shown)
