"""What the store keeps under one key: a record, and what is known of its outputs."""

from typing import Final, final

from resolver.core.values import Record

STATE_SCHEMA: Final = 3
"""Version of the encoded form; a release reads its own and the one before."""

GONE: Final = b""
"""The digest of "nothing, where something was shown before"."""


@final
class State:
    """A record; the tag of the transaction its outputs travel in; whose contribution is under way;
    and per destination the digest of what this version shows there (absent: never anything).

    ``version`` is the store's, beside the state's bytes and not among them.
    """

    __slots__ = ("incarnation", "outbox", "record", "sequence", "shown", "version")

    def __init__(
        self,
        record: Record,
        incarnation: str,
        sequence: int,
        outbox: list[str],
        shown: dict[str, bytes],
        version: int = 0,
    ) -> None:
        self.record = record
        self.incarnation = incarnation
        self.sequence = sequence
        self.outbox = outbox
        self.shown = shown
        self.version = version

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, State)
            and self.record == other.record
            and (self.incarnation, self.sequence) == (other.incarnation, other.sequence)
            and self.outbox == other.outbox
            and self.shown == other.shown
            and self.version == other.version
        )
