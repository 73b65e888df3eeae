"""One batch's way: fold, then per kind of record load, join, shape and swap; then produce.

Read ``Pipeline.run`` first. The order of its steps is the protocol: a batch's states are durable
before its outputs are produced, its outputs are in the log before they are re-checked, and
nothing counts as sent until the transaction that carried it is known to be committed.
"""

from collections.abc import Iterable, Sequence

from resolver import __version__
from resolver.batch import Batch, Buried, DeviceDelta, PersonDelta, fold_batch
from resolver.core.events import Reading
from resolver.core.values import Contribution, Record
from resolver.emission import Emitter
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Joined, Joiner, Known, Tag, Target
from resolver.ports import (
    Clock,
    Decoder,
    Headers,
    Message,
    Sink,
    StateCodec,
    Store,
    Stored,
    Swap,
)

SWAP_TRIES_MAX = 50
"""Lost swaps in a row before waiting: each one means that another worker made progress."""
RECHECKS_MAX = 50
"""Looks at moving versions before the batch is given up and taken again."""
CACHE_SIZE = 20_000
"""Decoded records remembered, a few KiB each: tens of MiB."""
COMMITS_SIZE = 10_000
"""Incarnations whose commits are remembered: one per start or abort of any worker."""


class Pipeline:
    """Resolves batches; one instance is one worker's and lives as long as its assignment."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        reading: Reading,
        codec: StateCodec,
        store: Store,
        sink: Sink,
        clock: Clock,
        targets: Sequence[Target],
        changelog_topic: str | None,
    ) -> None:
        self.decoder = decoder
        self.reading = reading
        self.codec = codec
        self.store = store
        self.sink = sink
        self.clock = clock
        self.joiner = Joiner(targets, reading.policy)
        self.emitter = Emitter(sink, reading.policy, changelog_topic)
        self.commits: dict[str, int] = {}
        self.cache: dict[str, Known] = {}
        self.batch = Batch()
        self.generation = store.generation

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        """Everything up to the commit. On return all outputs of the batch are in the log and
        newest; raises TransactionAborted or Unavailable, after which the batch is taken again.
        """
        batch = self.batch = fold_batch(messages, self.decoder, self.reading)
        if self._store_changed():
            self.forget()
        cached = bool(self.cache)
        self.emitter.begin()
        for buried in batch.buried:
            self.sink.bury(buried.message, letter_headers(buried))
        rounds: list[list[tuple[Joined, bytes, bool]]] = []
        for deltas in (batch.devices, batch.leads, batch.users):
            rounds.append(self._settle(deltas, tag))
            self._deliver(batch, (joined for joined, _, _ in rounds[-1]))
        for swapped in rounds[::-1]:
            for joined, raw, settled in swapped:
                caused_by = batch.caused_by.get(joined.key, "")
                self.emitter.emit(joined, raw, settled=settled, caused_by=caused_by)
        self.sink.flush()
        self._recheck()
        if self._store_changed() and cached:
            raise Unavailable("the store was connected to anew while records were remembered")
        batch.emitted, batch.suppressed = self.emitter.sent, self.emitter.suppressed
        return batch

    def note_committed(self, tag: Tag) -> None:
        """To be called once the transaction of ``tag`` is known to be committed."""
        self.commits[tag.incarnation] = tag.sequence
        self.store.note_commit(tag.incarnation, tag.sequence)

    def forget(self) -> None:
        """Drops what is remembered of the store: after partitions went or the store changed."""
        self.cache.clear()

    def _store_changed(self) -> bool:
        """Whether what is remembered may be of a store that has lost it."""
        before, self.generation = self.generation, self.store.generation
        return before != self.generation

    def _settle(
        self, deltas: dict[str, DeviceDelta] | dict[str, PersonDelta], tag: Tag
    ) -> list[tuple[Joined, bytes, bool]]:
        """Joins deltas into the stored records; durable on return."""
        pending: dict[str, Record] = {key: self._record(delta) for key, delta in deltas.items()}
        swapped: list[tuple[Joined, bytes, bool]] = []
        for _ in range(SWAP_TRIES_MAX):
            if not pending:
                return swapped
            attempts = self._attempt(pending, tag)
            pending = self._swap(attempts, pending)
            swapped += [one for one in attempts if one[0].key not in pending]
        raise Unavailable(f"{len(pending)} records kept moving for {SWAP_TRIES_MAX} swaps")

    def _record(self, delta: DeviceDelta | PersonDelta) -> Record:
        if isinstance(delta, DeviceDelta):
            return delta.record()
        return delta.record(self.reading)

    def _attempt(self, pending: dict[str, Record], tag: Tag) -> list[tuple[Joined, bytes, bool]]:
        """Loads and joins; what stays as it is and is settled drops out."""
        known = self._load(pending)
        self._read_commits(known.values())
        now_ms = self.clock.now_ms()
        attempts = []
        for key, delta in pending.items():
            before = known[key]
            settled = self._settled(before)
            joined = self.joiner.join(key, before, delta, settled=settled, tag=tag, now_ms=now_ms)
            if joined is not None:
                attempts.append((joined, self.codec.encode(joined.state), settled))
        return attempts

    def _swap(
        self, attempts: list[tuple[Joined, bytes, bool]], pending: dict[str, Record]
    ) -> dict[str, Record]:
        """Swaps; returns the deltas that lost and must be joined again."""
        swaps = [Swap(one.key, one.expected, one.version, raw) for one, raw, _ in attempts]
        lost: dict[str, Record] = {}
        replies = self.store.swap(swaps) if swaps else []
        for (joined, _, _), current in zip(attempts, replies, strict=True):
            if current is None:
                self._remember(joined.key, Known(joined.version, joined.state))
            else:
                self.cache[joined.key] = self._known(joined.key, current)
                lost[joined.key] = pending[joined.key]
        self.batch.swaps_lost += len(lost)
        return lost

    def _load(self, keys: Iterable[str]) -> dict[str, Known]:
        """The records under keys, from memory where it has them: stale at worst, never wrong."""
        known: dict[str, Known] = {}
        missing: list[str] = []
        for key in keys:
            cached = self.cache.get(key)
            if cached is None:
                missing.append(key)
            else:
                known[key] = cached
        if missing:
            for key, stored in zip(missing, self.store.load(missing), strict=True):
                known[key] = self._known(key, stored)
        return known

    def _known(self, key: str, stored: Stored) -> Known:
        if not stored.version:
            return Known(0, None)
        return Known(stored.version, self.codec.decode(key, stored.state))

    def _remember(self, key: str, known: Known) -> None:
        if len(self.cache) >= CACHE_SIZE:
            for old in list(self.cache)[: CACHE_SIZE // 4]:
                del self.cache[old]
        self.cache[key] = known

    def _settled(self, known: Known) -> bool:
        """Whether outputs and outbox of what is stored are known to be committed."""
        state = known.state
        if state is None:
            return True
        return self.commits.get(state.incarnation, -1) >= state.sequence

    def _read_commits(self, known: Iterable[Known]) -> None:
        """Asks once for the incarnations that would leave a record in doubt."""
        doubtful = {one.state.incarnation for one in known if one.state and not self._settled(one)}
        if not doubtful:
            return
        if len(self.commits) > COMMITS_SIZE:
            self.commits.clear()
        self.commits.update(self.store.commits(sorted(doubtful)))

    def _deliver(self, batch: Batch, swapped: Iterable[Joined]) -> None:
        """Puts contributions into the deltas of the rounds that follow."""
        for joined in swapped:
            for receiver, contribution in joined.deliveries.items():
                deliver(batch, receiver, joined.key, contribution)

    def _recheck(self) -> None:
        """Emits again what has moved since it was swapped, until nothing has."""
        watched = list(self.emitter.emitted)
        for _ in range(RECHECKS_MAX):
            versions = self.store.versions(watched) if watched else []
            moved = [
                key
                for key, version in zip(watched, versions, strict=True)
                if version != self.emitter.emitted[key][0]
            ]
            if not moved:
                return
            self._emit_moved(moved)
            self.sink.flush()
        raise TransactionAborted(f"records kept moving for {RECHECKS_MAX} looks")

    def _emit_moved(self, moved: list[str]) -> None:
        for key, stored in zip(moved, self.store.load(moved), strict=True):
            known = self._known(key, stored)
            if known.state is None:
                raise Unavailable("a record that was just written is not in the store")
            self.cache[key] = known
            outputs = self.joiner.project_all(key, known.state.record)
            self.emitter.emit_again(key, known, stored.state, outputs)


def deliver(batch: Batch, receiver: str, source: str, contribution: Contribution) -> None:
    """Adds a contribution to the receiver's delta; a change nobody sent has no cause of its own."""
    batch.person(receiver).sources[source] = contribution
    if receiver not in batch.caused_by and source in batch.caused_by:
        batch.caused_by[receiver] = batch.caused_by[source]


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
