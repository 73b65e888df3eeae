"""What the store keeps under one key: a record, and what is known of its outputs."""

from typing import NamedTuple

from resolver.core.values import Record

STATE_SCHEMA = 1
"""Version of the encoded form; a release reads its own and the one before."""

GONE = b""
"""The digest of "nothing, where something was shown before"."""


class State(NamedTuple):
    """A record; the tag of the transaction its outputs travel in; whose contribution is under way;
    and per destination the digest of what this version shows there (absent: never anything).
    """

    record: Record
    incarnation: str
    sequence: int
    outbox: list[str]
    shown: dict[str, bytes]
