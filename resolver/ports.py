"""What the work needs from the world: source, decoder, codec, store, sink, clock.

Contracts only. Every implementation raises ``Unavailable`` while its service is away.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, final

from resolver.core.events import RawEvent, Warned
from resolver.core.profiles import Profile
from resolver.state import State

Headers = list[tuple[str, bytes]]
Offsets = dict[tuple[str, int], int]
"""By (topic, partition): the next offset to read."""


@final
class Message:
    """A record of a raw topic as it lies there; ``timestamp_ms`` is the broker's or producer's."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp_ms", "topic", "value")

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.key = key
        self.value = value
        self.headers = headers

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and (self.topic, self.partition, self.offset)
            == (other.topic, other.partition, other.offset)
            and self.timestamp_ms == other.timestamp_ms
            and (self.key, self.value, self.headers) == (other.key, other.value, other.headers)
        )


@final
class Swap:
    """Replace the state under ``key`` if its version is still ``expected`` (0: there is none)."""

    __slots__ = ("expected", "key", "state", "version")

    def __init__(self, key: str, expected: int, version: int, state: bytes) -> None:
        self.key = key
        self.expected = expected
        self.version = version
        self.state = state


@final
class Stored:
    """A state as the store has it."""

    __slots__ = ("state", "version")

    def __init__(self, version: int, state: bytes) -> None:
        self.version = version
        self.state = state

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stored)
            and self.version == other.version
            and self.state == other.state
        )

    def __repr__(self) -> str:
        return f"Stored({self.version}, {self.state!r})"


ABSENT: Final = Stored(0, b"")

Decide = Callable[[int, list[Stored]], list[Swap]]
"""What to swap, from a chunk's place and the states that were loaded for it."""


class Store(Protocol):
    """Profiles' records and the table of commits. Every verb takes a batch, in one round trip."""

    overlaps: bool
    """Whether it works on one request of ``exchange`` while the caller works on another's reply."""

    def exchange(
        self, loads: Sequence[Sequence[str]], decide: "Decide"
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        """Loads the keys of each chunk, and swaps what ``decide`` makes of them.

        Calls ``decide(place, states)`` for every chunk in turn, the states in its keys' order, and
        yields (place, replies): for each swap None if it was done, else what is there instead.
        Requests of other chunks may be under way meanwhile. A swap is durable once its reply is
        there. A chunk may be empty; there is nothing to load for it.
        """
        ...

    def load(self, keys: Sequence[str]) -> list[Stored]:
        """The states in the keys' order; ``ABSENT`` where there is none."""
        ...

    def versions(self, keys: Sequence[str]) -> list[int]:
        """The versions in the keys' order; 0 where there is none."""
        ...

    def watch(self) -> None:
        """Begins to notice whether others swap. Until it is called again, whoever swaps expects
        versions that were loaded since: so a store that sees nobody else need not compare them.
        """
        ...

    def alone(self) -> bool:
        """Whether nobody else has swapped anything since the first own swap after ``watch``: then
        nothing has moved. May say no where it cannot tell.
        """
        ...

    def commits(self, incarnations: Sequence[str]) -> Mapping[str, int]:
        """The highest committed sequence of each incarnation that is known."""
        ...

    def note_commit(self, incarnation: str, sequence: int) -> None:
        """Everything tagged up to ``sequence`` by this incarnation is committed. Everybody knows by
        the time the next request of this store is answered; whether it failed is told then.
        """
        ...


class Sink(Protocol):
    """Where outputs go. ``flush`` returns once everything produced is in the log."""

    def produce(
        self, topic: str, key: str, value: bytes | None, headers: Headers | None = None
    ) -> None: ...

    def bury(self, message: Message, headers: Headers) -> None:
        """Produces a dead letter: the message's own bytes, key and headers, plus these headers."""
        ...

    def flush(self) -> None: ...


class Decoder(Protocol):
    """Raw bytes to an event as it was sent."""

    def decode(self, topic: str, value: bytes, warned: list[Warned]) -> RawEvent:
        """The event; appends what was mended to ``warned``; raises BadEvent."""
        ...


class StateCodec(Protocol):
    """Records to bytes and back; reads the last release's states too."""

    def encode(self, state: State) -> bytes: ...

    def decode(self, key: str, raw: bytes) -> State: ...


UNTOLD: Final[list[str]] = []
"""Whom a profile took in, where it does not say."""


@final
class Revision:
    """What a payload says about its own change; ``changed`` is None where that is unknown."""

    __slots__ = ("caused_by", "changed", "merged", "removed", "version")

    def __init__(
        self,
        version: int,
        merged: list[str],
        changed: list[str] | None = None,
        removed: list[str] | None = None,
        caused_by: str = "",
    ) -> None:
        self.version = version
        self.merged = merged
        self.changed = changed
        self.removed = removed
        self.caused_by = caused_by


Revise = Callable[
    [Profile, list[str] | None, list[str] | None],
    tuple[dict[str, Any] | None, dict[str, Any]],
]
"""From a profile with what changed and was removed: the payload where it is not the stable one,
and members that follow it."""

Announce = Callable[[Profile, list[str], int, str], list[dict[str, Any]]]
"""From a profile with who became part of it, its version and the event that caused it: the alias
events to be sent first."""

Names = Callable[[list[str] | None], list[str] | None]
"""From names of traits to those of the fields a destination has for them."""


Digest = Callable[[bytes], bytes]
"""From a payload to a few bytes that tell it from every other."""


class Formatter(Protocol):
    """A destination's payloads as bytes."""

    def stable(self, profile: Profile) -> bytes | None:
        """All of the payload that a digest covers; None where nothing belongs under the key."""
        ...

    def finish(self, stable: bytes, profile: Profile, revision: Revision) -> bytes:
        """The message: the stable part with the revision."""
        ...

    def aliases(self, profile: Profile, revision: Revision) -> list[bytes]:
        """The messages that go before it where the revision tells of a merge; perhaps none."""
        ...


class Clock(Protocol):
    """The only source of time of the pipeline."""

    def now_ms(self) -> int: ...
