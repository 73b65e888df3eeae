"""One batch's way: fold, then per kind of record load, join, shape and swap; then produce.

Read ``Pipeline.run`` first. The order of its steps is the protocol: a batch's states are durable
before its outputs are produced, its outputs are in the log before they are re-checked, and
nothing counts as sent until the transaction that carried it is known to be committed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from resolver import __version__
from resolver.batch import Batch, Buried, Delta, fold_batch, touch_batch
from resolver.core.events import Reading
from resolver.emission import Emitted, Emitter
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Joined, Joiner, Tag, Target
from resolver.ports import (
    Clock,
    Decoder,
    Digest,
    Headers,
    Message,
    Sink,
    StateCodec,
    Store,
    Stored,
    Swap,
)
from resolver.state import State

SWAP_TRIES_MAX: Final = 50
"""Lost swaps in a row before waiting: each one means that another worker made progress."""
RECHECKS_MAX: Final = 50
"""Looks at moving versions before the batch is given up and taken again."""
CHUNK: Final = 500
"""Records in one request of the store; see its edge."""
COMMITS_SIZE: Final = 10_000
"""Incarnations whose commits are remembered: one per start or abort of any worker."""


class Pipeline:
    """Resolves batches; one instance is one worker's and lives as long as its assignment."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        reading: Reading,
        codec: StateCodec,
        digest: Digest,
        store: Store,
        sink: Sink,
        clock: Clock,
        targets: Sequence[Target],
        changelog_topic: str | None,
        filled: str | None = None,
    ) -> None:
        self.decoder = decoder
        self.reading = reading
        self.codec = codec
        self.store = store
        self.sink = sink
        self.clock = clock
        self.joiner = Joiner(targets, reading.policy, digest, filled)
        self.fills = filled is not None
        self.emitter = Emitter(sink, reading.policy, changelog_topic, filled)
        self.commits: dict[str, int] = {}
        self.batch = Batch()

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        """Everything up to the commit. On return all outputs of the batch are in the log and
        newest; raises TransactionAborted or Unavailable, after which the batch is taken again.
        """
        if self.fills:
            batch = touch_batch(messages)
        else:
            batch = fold_batch(messages, self.decoder, self.reading)
        self.batch = batch
        self.emitter.begin()
        self.store.watch()
        for buried in batch.buried:
            self.sink.bury(buried.message, letter_headers(buried))
        self._settle(batch.devices.values(), tag)
        self._settle(batch.leads.values(), tag)
        self._settle(batch.users.values(), tag)
        self.emitter.take_back()
        self.sink.flush()
        self._recheck()
        batch.emitted, batch.suppressed = Counter(self.emitter.sent), self.emitter.suppressed
        return batch

    def note_committed(self, tag: Tag) -> None:
        """To be called once the transaction of ``tag`` is known to be committed."""
        self.commits[tag.incarnation] = tag.sequence
        self.store.note_commit(tag.incarnation, tag.sequence)

    def _settle(self, deltas: Iterable[Delta], tag: Tag) -> None:
        """Joins deltas into the stored records: swapped, emitted and delivered on return."""
        pending = list(deltas)
        for _ in range(SWAP_TRIES_MAX):
            if not pending:
                return
            pending = self._round(pending, tag)
        raise Unavailable(f"{len(pending)} records kept moving for {SWAP_TRIES_MAX} swaps")

    def _round(self, pending: list[Delta], tag: Tag) -> list[Delta]:
        """One try for each delta; returns those that lost their swap and must be joined again."""
        chunks = chunks_of(pending)
        attempts: dict[int, list[tuple[Delta, Joined]]] = {}

        def decide(place: int, stored: list[Stored]) -> list[Swap]:
            self._found(chunks[place], stored)
            self._read_commits(chunks[place])
            joins = attempts[place] = self._attempt(chunks[place], tag)
            return [swap_of(joined) for _, joined in joins]

        lost: list[Delta] = []
        for place, replies in self.store.exchange([self._wanted(one) for one in chunks], decide):
            for (delta, joined), current in zip(attempts.pop(place), replies, strict=True):
                if current is None:
                    self._swapped(joined, delta.caused_by)
                else:
                    delta.found(self._decoded(delta.key, current))
                    lost.append(delta)
        self.batch.swaps_lost += len(lost)
        return lost

    def _wanted(self, chunk: list[Delta]) -> list[str]:
        """The keys of a chunk that must be loaded."""
        return [delta.key for delta in chunk if not delta.looked_up]

    def _found(self, chunk: list[Delta], stored: Sequence[Stored]) -> None:
        """Hands loaded states to those that wanted them, in the same order."""
        loaded = iter(stored)
        for delta in chunk:
            if not delta.looked_up:
                delta.found(self._decoded(delta.key, next(loaded)))

    def _attempt(self, chunk: list[Delta], tag: Tag) -> list[tuple[Delta, Joined]]:
        """Joins a chunk; what stays as it is and is settled drops out."""
        now_ms = self.clock.now_ms()
        policy = self.reading.policy
        attempts: list[tuple[Delta, Joined]] = []
        for delta in chunk:
            before, said = delta.stored, delta.record(policy)
            settled = before is None or self._settled(before)
            joined = self.joiner.join(
                delta.key, before, said, settled=settled, tag=tag, now_ms=now_ms
            )
            if joined is not None:
                joined.raw = self.codec.encode(joined.state)
                attempts.append((delta, joined))
        return attempts

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

    def _settled(self, state: State) -> bool:
        """Whether outputs and outbox of what is stored are known to be committed."""
        return self.commits.get(state.incarnation, -1) >= state.sequence

    def _read_commits(self, chunk: list[Delta]) -> None:
        """Asks once for the incarnations that would leave a record in doubt."""
        doubtful: set[str] = set()
        for delta in chunk:
            state = delta.stored
            if state is not None and self.commits.get(state.incarnation, -1) < state.sequence:
                doubtful.add(state.incarnation)
        if not doubtful:
            return
        if len(self.commits) > COMMITS_SIZE:
            self.commits.clear()
        self.commits.update(self.store.commits(sorted(doubtful)))

    def _recheck(self) -> None:
        """Emits again what has moved since it was swapped, until nothing has.

        While nobody else swaps there is nothing to look at: one question spares a version each.
        """
        if self.store.alone():
            return
        watched = self.emitter.emitted
        keys = [one.key for one in watched]
        for _ in range(RECHECKS_MAX):
            versions = self.store.versions(keys) if keys else []
            moved = [
                one
                for one, version in zip(watched, versions, strict=True)
                if version != one.version
            ]
            if not moved:
                return
            self._emit_moved(moved)
            self.sink.flush()
        raise TransactionAborted(f"records kept moving for {RECHECKS_MAX} looks")

    def _emit_moved(self, moved: list[Emitted]) -> None:
        stored = self.store.load([one.key for one in moved])
        for one, current in zip(moved, stored, strict=True):
            state = self._decoded(one.key, current)
            if state is None:
                raise Unavailable("a record that was just written is not in the store")
            outputs = self.joiner.project_all(one.key, state.record)
            self.emitter.emit_again(one, state.version, current.state, outputs)


def chunks_of(deltas: list[Delta]) -> list[list[Delta]]:
    """What one request of the store carries, each."""
    return [deltas[at : at + CHUNK] for at in range(0, len(deltas), CHUNK)]


def swap_of(joined: Joined) -> Swap:
    """The swap that makes a join durable."""
    expected = joined.before.version if joined.before is not None else 0
    return Swap(joined.key, expected, joined.state.version, joined.raw)


def letter_headers(buried: Buried) -> Headers:
    """Why and from where a message was buried; holds no trait value."""
    message, fault = buried
    return [
        ("resolver.fault", fault.fault.encode()),
        ("resolver.reason", fault.sentence.encode()),
        ("resolver.topic", message.topic.encode()),
        ("resolver.partition", str(message.partition).encode()),
        ("resolver.offset", str(message.offset).encode()),
        ("resolver.timestamp", str(message.timestamp_ms).encode()),
        ("resolver.version", __version__.encode()),
    ]
