"""The rules at work on one batch, behind a port: the protocol knows nothing of what they say.

``Pipeline`` goes through the steps; an engine says what a batch means for each record, what must
be swapped, and produces what follows. It speaks to no store and knows no clock.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from resolver.batch import Batch, Delta, fold_batch, touch_batch
from resolver.core.events import Reading
from resolver.emission import Emitter
from resolver.errors import Unavailable
from resolver.joining import Joined, Joiner, Tag, Target
from resolver.ports import Decoder, Digest, Message, Sink, StateCodec, Stored, Swap
from resolver.state import State

Handle = Any
"""What an engine knows the delta of a record by; nobody else looks into it."""


class Engine(Protocol):
    """What a batch says of each record, what becomes of these, and what is emitted of them.

    Records go by handles. A chunk is a list of them, and ``place`` its place in the round.
    """

    def fold(self, messages: Sequence[Message]) -> Batch:
        """Begins a batch and forgets the last one; returns the account of every message."""
        ...

    def devices(self) -> list[Handle]:
        """The devices that the batch concerns."""
        ...

    def leads(self) -> list[Handle]:
        """The leads that it concerns, those included to whom something was delivered so far."""
        ...

    def users(self) -> list[Handle]:
        """The users that it concerns, those included to whom something was delivered so far."""
        ...

    def wanted(self, chunk: list[Handle]) -> list[str]:
        """The keys of a chunk that must be loaded."""
        ...

    def found(self, chunk: list[Handle], stored: Sequence[Stored]) -> None:
        """Hands loaded states to those that wanted them, in the same order."""
        ...

    def doubtful(self, chunk: list[Handle], commits: dict[str, int]) -> list[str]:
        """The incarnations that would leave a record in doubt by these commits, sorted."""
        ...

    def attempt(
        self, place: int, chunk: list[Handle], tag: Tag, now_ms: int, commits: dict[str, int]
    ) -> list[Swap]:
        """Joins a chunk; what stays as it is and is known committed drops out."""
        ...

    def replied(self, place: int, replies: Sequence[Stored | None]) -> list[Handle]:
        """Emits and delivers what was swapped, by the replies to the swaps of that place. Returns
        those that lost: they know what is there instead and must be joined again.
        """
        ...

    def take_back(self) -> None:
        """Produces the tombstones that waited."""
        ...

    def watched(self) -> tuple[list[str], list[int]]:
        """The keys that were emitted, in order, and the version of each that was emitted last."""
        ...

    def emit_again(self, moved: Sequence[int], stored: Sequence[Stored]) -> None:
        """Emits what is stored now of those that have moved, by their places in ``watched``."""
        ...

    def count_outputs(self, batch: Batch) -> None:
        """Writes into the account what was emitted and what was suppressed."""
        ...


class ReferenceEngine:
    """The rules in plain Python. A destination that is being ``filled`` makes it a backfill's."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        reading: Reading,
        codec: StateCodec,
        digest: Digest,
        sink: Sink,
        targets: Sequence[Target],
        changelog_topic: str | None,
        filled: str | None = None,
    ) -> None:
        self.decoder = decoder
        self.reading = reading
        self.codec = codec
        self.joiner = Joiner(targets, reading.policy, digest, filled)
        self.fills = filled is not None
        self.emitter = Emitter(sink, reading.policy, changelog_topic, filled)
        self.batch = Batch()
        self.attempts: dict[int, list[tuple[Delta, Joined]]] = {}

    def fold(self, messages: Sequence[Message]) -> Batch:
        if self.fills:
            self.batch = touch_batch(messages)
        else:
            self.batch = fold_batch(messages, self.decoder, self.reading)
        self.emitter.begin()
        self.attempts.clear()
        return self.batch

    def devices(self) -> list[Delta]:
        return list(self.batch.devices.values())

    def leads(self) -> list[Delta]:
        return list(self.batch.leads.values())

    def users(self) -> list[Delta]:
        return list(self.batch.users.values())

    def wanted(self, chunk: list[Delta]) -> list[str]:
        return [delta.key for delta in chunk if not delta.looked_up]

    def found(self, chunk: list[Delta], stored: Sequence[Stored]) -> None:
        loaded = iter(stored)
        for delta in chunk:
            if not delta.looked_up:
                delta.found(self._decoded(delta.key, next(loaded)))

    def doubtful(self, chunk: list[Delta], commits: dict[str, int]) -> list[str]:
        doubtful: set[str] = set()
        for delta in chunk:
            state = delta.stored
            if state is not None and commits.get(state.incarnation, -1) < state.sequence:
                doubtful.add(state.incarnation)
        return sorted(doubtful)

    def attempt(
        self, place: int, chunk: list[Delta], tag: Tag, now_ms: int, commits: dict[str, int]
    ) -> list[Swap]:
        policy = self.reading.policy
        attempts: list[tuple[Delta, Joined]] = []
        swaps: list[Swap] = []
        for delta in chunk:
            before, said = delta.stored, delta.record(policy)
            settled = before is None or self._settled(before, commits)
            joined = self.joiner.join(
                delta.key, before, said, settled=settled, tag=tag, now_ms=now_ms
            )
            if joined is not None:
                joined.raw = self.codec.encode(joined.state)
                attempts.append((delta, joined))
                swaps.append(swap_of(joined))
        self.attempts[place] = attempts
        return swaps

    def replied(self, place: int, replies: Sequence[Stored | None]) -> list[Delta]:
        lost: list[Delta] = []
        for (delta, joined), current in zip(self.attempts.pop(place), replies, strict=True):
            if current is None:
                self._swapped(joined, delta.caused_by)
            else:
                delta.found(self._decoded(delta.key, current))
                lost.append(delta)
        return lost

    def take_back(self) -> None:
        self.emitter.take_back()

    def watched(self) -> tuple[list[str], list[int]]:
        emitted = self.emitter.emitted
        return [one.key for one in emitted], [one.version for one in emitted]

    def emit_again(self, moved: Sequence[int], stored: Sequence[Stored]) -> None:
        for place, current in zip(moved, stored, strict=True):
            one = self.emitter.emitted[place]
            state = self._decoded(one.key, current)
            if state is None:
                raise Unavailable("a record that was just written is not in the store")
            outputs = self.joiner.project_all(one.key, state.record)
            self.emitter.emit_again(one, state.version, current.state, outputs)

    def count_outputs(self, batch: Batch) -> None:
        batch.emitted, batch.suppressed = Counter(self.emitter.sent), self.emitter.suppressed

    def _swapped(self, joined: Joined, caused_by: str) -> None:
        """What follows from a durable swap: emitted, and delivered to the next rounds."""
        self.emitter.emit(joined, caused_by)
        for receiver, contribution in joined.deliveries:
            person = self.batch.person(receiver)
            person.sources[joined.key] = contribution
            person.caused_by = person.caused_by or caused_by

    def _decoded(self, key: str, stored: Stored) -> State | None:
        if not stored.version:
            return None
        state = self.codec.decode(key, stored.state)
        state.version = stored.version
        return state

    def _settled(self, state: State, commits: dict[str, int]) -> bool:
        """Whether outputs and outbox of what is stored are known to be committed."""
        return commits.get(state.incarnation, -1) >= state.sequence


def swap_of(joined: Joined) -> Swap:
    """The swap that makes a join durable."""
    expected = joined.before.version if joined.before is not None else 0
    return Swap(joined.key, expected, joined.state.version, joined.raw)
