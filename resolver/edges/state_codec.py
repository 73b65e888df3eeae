"""Records as bytes: the states of the store and of the changelog, made to be small.

Redis keeps every one of them in memory. ``core/packing.py`` and ``core/unpacking.py`` say how a
record is written. A state begins with its schema, so that a release can read those of the one
before.
"""

from typing import Final

import msgspec

from resolver.core.identifiers import ANON
from resolver.core.packing import CODE_OF_DESTINATION, DESTINATIONS, Writer
from resolver.core.unpacking import Malformed, Reader
from resolver.core.values import Person
from resolver.errors import ResolverError
from resolver.state import STATE_SCHEMA, State

SCHEMAS_END: Final = 16
"""No schema will be that high: what begins with more was written by somebody else."""
NO_STATE: Final = "a stored state is no state of the resolver: is the key prefix shared?"


class StateCodec:
    """Encodes states; which kind of record a key holds is told by the key."""

    def __init__(self) -> None:
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder().decode

    def encode(self, state: State) -> bytes:
        writer = Writer(self._pack)
        writer.uint(STATE_SCHEMA)
        writer.incarnation(state.incarnation)
        writer.uint(state.sequence)
        writer.uint(len(state.shown) * 2 + (1 if state.outbox else 0))
        if state.outbox:
            writer.identifiers(state.outbox)
        for name, digest in state.shown.items():
            writer.word(name, CODE_OF_DESTINATION)
            writer.run(digest)
        record = state.record
        if isinstance(record, Person):
            writer.person(record)
        else:
            writer.device(record)
        return bytes(writer.out)

    def decode(self, key: str, raw: bytes) -> State:
        try:
            reader = Reader(raw, self._unpack)
            schema = reader.uint()
            if schema != STATE_SCHEMA and 0 < schema < SCHEMAS_END:
                raise ResolverError(
                    f"a stored state has schema {schema}; this release reads {STATE_SCHEMA}"
                )
            if schema != STATE_SCHEMA:
                raise Malformed
            incarnation, sequence = reader.incarnation(), reader.uint()
            head = reader.uint()
            outbox = reader.identifiers() if head & 1 else []
            shown: dict[str, bytes] = {}
            for _ in range(head >> 1):
                name = reader.word(DESTINATIONS)
                shown[name] = reader.run()
            record = reader.device() if key.startswith(ANON) else reader.person()
            if reader.at != len(raw):
                raise Malformed
            return State(record, incarnation, sequence, outbox, shown)
        except (Malformed, msgspec.DecodeError, IndexError, ValueError, RecursionError) as error:
            raise ResolverError(NO_STATE) from error
