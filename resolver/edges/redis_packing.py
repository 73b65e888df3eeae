"""Requests to Redis for records as bytes, and what the replies hold, by hiredis.

A record lies under ``PREFIX{SHARD}identifier``, its version in front of its state.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final
from zlib import crc32

from hiredis import pack_command

from resolver.core.identifiers import packed_uuid
from resolver.ports import ABSENT, Stored, Swap

VERSION_BYTES: Final = 6
"""Versions begin with the clock in milliseconds: six bytes last until the year 10889."""
UUID_SIGN: Final = b"#"
"""Stands between a kind and a UUID's bytes, where other identifiers have a colon."""


class Packer:
    """What packs requests; it speaks to nobody, the store sends them."""

    def __init__(self, homes: list[str]) -> None:
        """``homes`` are what stands in front of an identifier in a key, by its shard."""
        self.homes = homes

    def load(self, keys: Sequence[str]) -> bytes:
        """The request to load records."""
        return packed_command("MGET", *map(self.name, keys))

    def swap(self, script: str, token_name: str, token: bytes, swaps: Sequence[Swap]) -> bytes:
        """The request to swap, by the script; see ``swap.lua``."""
        names = [self.name(one.key) for one in swaps]
        arguments = self.arguments(swaps)
        return packed_command(
            "EVALSHA", script, len(names) + 1, *names, token_name, token, *arguments
        )

    def set_all(self, token_name: str, token: bytes, swaps: Sequence[Swap]) -> bytes:
        """The request to set states and the token, all at once or, if a watched key moved, none."""
        names = [self.name(one.key) for one in swaps]
        pairs = chain(*zip(names, map(_kept, swaps), strict=True))
        setting = packed_command("MSET", token_name, token, *pairs)
        return packed_command("MULTI") + setting + packed_command("EXEC")

    def arguments(self, swaps: Sequence[Swap]) -> list[bytes]:
        """The expected versions as one, then each new version with its state."""
        expected = b"".join([one.expected.to_bytes(VERSION_BYTES, "big") for one in swaps])
        return [expected, *map(_kept, swaps)]

    def name(self, key: str) -> bytes:
        """Where a record lies: its identifier behind what its shard's keys begin with. A UUID is
        its sixteen bytes, behind a sign that is in no identifier's kind.
        """
        text = key.encode()
        home = self.homes[crc32(text) % len(self.homes)].encode()
        kind, _, value = key.partition(":")
        packed = packed_uuid(value)
        return home + (kind.encode() + UUID_SIGN + packed if packed else text)

    def records(self, reply: Sequence[bytes | None]) -> list[Stored]:
        """The records of a reply; ``ABSENT`` where there is none."""
        return [_stored(raw) for raw in reply]


def packed_command(*command: Any) -> bytes:
    """A command as Redis reads it."""
    whole: Any = command
    packed: bytes = pack_command(whole)
    return packed


def _kept(swap: Swap) -> bytes:
    return swap.version.to_bytes(VERSION_BYTES, "big") + swap.state


def _stored(raw: bytes | None) -> Stored:
    if not raw:
        return ABSENT
    return Stored(int.from_bytes(raw[:VERSION_BYTES], "big"), raw[VERSION_BYTES:])
