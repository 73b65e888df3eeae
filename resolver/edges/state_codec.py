"""Records as bytes: the states of the store and of the changelog, made to be small.

Redis keeps every one of them in memory. ``core/packing.py`` and ``core/unpacking.py`` say how a
record is written. A state begins with its schema, so that a release can read those of the one
before.
"""

import re
from typing import Final

import msgspec

from resolver.core.identifiers import ANON
from resolver.core.packing import CODE_OF_DESTINATION, DESTINATIONS, Writer
from resolver.core.unpacking import Malformed, Reader
from resolver.core.values import Person
from resolver.errors import ResolverError
from resolver.state import STATE_SCHEMA, State

SCHEMA: Final = 0xF
"""Bits of the first number: the schema;"""
PACKED_INCARNATION: Final = 0x10
"""whether the incarnation is six bytes, which stand for twelve hexadecimal digits;"""
HAS_OUTBOX: Final = 0x20
"""whether there is an outbox;"""
SHOWN: Final = 6
"""and from this bit on, how many destinations are shown something."""
INCARNATION_BYTES: Final = 6
INCARNATION_FORM: Final = re.compile("[0-9a-f]{12}")
"""What a worker calls itself; tests have other names."""
NO_STATE: Final = "a stored state is no state of the resolver: is the key prefix shared?"


class StateCodec:
    """Encodes states; which kind of record a key holds is told by the key."""

    def __init__(self) -> None:
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder().decode

    def encode(self, state: State) -> bytes:
        writer = Writer(self._pack)
        incarnation = state.incarnation
        head = STATE_SCHEMA | len(state.shown) << SHOWN
        if state.outbox:
            head |= HAS_OUTBOX
        if INCARNATION_FORM.fullmatch(incarnation):
            writer.uint(head | PACKED_INCARNATION)
            writer.out += bytes.fromhex(incarnation)
        else:
            writer.uint(head)
            writer.text(incarnation)
        writer.uint(state.sequence)
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
            head = reader.uint()
            if head & SCHEMA != STATE_SCHEMA:
                raise ResolverError(
                    f"a stored state has schema {head & SCHEMA} and this release reads "
                    f"{STATE_SCHEMA}, or it is no state at all: is the key prefix shared?"
                )
            is_packed = head & PACKED_INCARNATION
            incarnation = reader.take(INCARNATION_BYTES).hex() if is_packed else reader.text()
            sequence = reader.uint()
            outbox = reader.identifiers() if head & HAS_OUTBOX else []
            shown: dict[str, bytes] = {}
            for _ in range(head >> SHOWN):
                name = reader.word(DESTINATIONS)
                shown[name] = reader.run()
            record = reader.device() if key.startswith(ANON) else reader.person()
            if reader.at != len(raw):
                raise Malformed
            return State(record, incarnation, sequence, outbox, shown)
        except (Malformed, msgspec.DecodeError, IndexError, ValueError, RecursionError) as error:
            raise ResolverError(NO_STATE) from error
