"""One batch's way: fold, then per kind of record load, join, shape and swap; then produce.

Read ``Pipeline.run`` first. The order of its steps is the protocol: a batch's states are durable
before its outputs are produced, its outputs are in the log before they are re-checked, and
nothing counts as sent until the transaction that carried it is known to be committed.
"""

from collections.abc import Iterable, Mapping, Sequence

from resolver import __version__
from resolver.batch import Batch, Buried, DeviceDelta, PersonDelta, fold_batch
from resolver.core.events import Reading
from resolver.core.values import Contribution
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
CACHE_HALF = 10_000
"""Decoded records remembered in each of two halves, a few KiB each: tens of MiB."""
CHUNK = 500
"""Records in one request of the store; see its edge."""
UNKNOWN = Known(0, None)
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
        self.young: dict[str, Known] = {}
        self.old: dict[str, Known] = {}
        self.batch = Batch()
        self.generation = store.generation

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        """Everything up to the commit. On return all outputs of the batch are in the log and
        newest; raises TransactionAborted or Unavailable, after which the batch is taken again.
        """
        batch = self.batch = fold_batch(messages, self.decoder, self.reading)
        if self._store_changed():
            self.forget()
        remembered = bool(self.young or self.old)
        self.emitter.begin()
        for buried in batch.buried:
            self.sink.bury(buried.message, letter_headers(buried))
        for deltas in (batch.devices, batch.leads, batch.users):
            self._settle(deltas, tag)
        self.emitter.take_back()
        self.sink.flush()
        self._recheck()
        if self._store_changed() and remembered:
            raise Unavailable("the store was connected to anew while records were remembered")
        batch.emitted, batch.suppressed = self.emitter.sent, self.emitter.suppressed
        return batch

    def note_committed(self, tag: Tag) -> None:
        """To be called once the transaction of ``tag`` is known to be committed."""
        self.commits[tag.incarnation] = tag.sequence
        self.store.note_commit(tag.incarnation, tag.sequence)

    def forget(self) -> None:
        """Drops what is remembered of the store: after partitions went or the store changed."""
        self.young, self.old = {}, {}

    def _store_changed(self) -> bool:
        """Whether what is remembered may be of a store that has lost it."""
        before, self.generation = self.generation, self.store.generation
        return before != self.generation

    def _settle(
        self, deltas: Mapping[str, DeviceDelta] | Mapping[str, PersonDelta], tag: Tag
    ) -> None:
        """Joins deltas into the stored records: swapped, emitted and delivered on return."""
        pending: dict[str, DeviceDelta | PersonDelta] = dict(deltas)
        for _ in range(SWAP_TRIES_MAX):
            if not pending:
                return
            pending = self._round(pending, tag)
        raise Unavailable(f"{len(pending)} records kept moving for {SWAP_TRIES_MAX} swaps")

    def _round(
        self, pending: dict[str, DeviceDelta | PersonDelta], tag: Tag
    ) -> dict[str, DeviceDelta | PersonDelta]:
        """One try for each delta; returns those that lost their swap and must be joined again."""
        keys = list(pending)
        chunks = [keys[at : at + CHUNK] for at in range(0, len(keys), CHUNK)]
        known = [self._recall(chunk) for chunk in chunks]
        loads = [
            [key for key in chunk if key not in recalled]
            for chunk, recalled in zip(chunks, known, strict=True)
        ]
        attempts: dict[int, list[tuple[Joined, bytes]]] = {}

        def decide(place: int, stored: list[Stored]) -> list[Swap]:
            for key, one in zip(loads[place], stored, strict=True):
                known[place][key] = self._known(key, one)
            attempts[place] = self._attempt(chunks[place], known[place], pending, tag)
            return [Swap(one.key, one.expected, one.version, raw) for one, raw in attempts[place]]

        lost: dict[str, DeviceDelta | PersonDelta] = {}
        for place, replies in self.store.exchange(loads, decide):
            for (joined, raw), current in zip(attempts.pop(place), replies, strict=True):
                if current is None:
                    self._swapped(joined, raw)
                else:
                    self.young[joined.key] = self._known(joined.key, current)
                    lost[joined.key] = pending[joined.key]
        self.batch.swaps_lost += len(lost)
        return lost

    def _attempt(
        self,
        keys: Sequence[str],
        known: Mapping[str, Known],
        pending: Mapping[str, DeviceDelta | PersonDelta],
        tag: Tag,
    ) -> list[tuple[Joined, bytes]]:
        """Joins a chunk; what stays as it is and is settled drops out."""
        self._read_commits(known.values())
        now_ms = self.clock.now_ms()
        join, encode, reading = self.joiner.join, self.codec.encode, self.reading
        attempts = []
        for key in keys:
            before = known[key]
            delta = pending[key].record(reading)
            settled = self._settled(before)
            joined = join(key, before, delta, settled=settled, tag=tag, now_ms=now_ms)
            if joined is not None:
                attempts.append((joined, encode(joined.state)))
        return attempts

    def _swapped(self, joined: Joined, raw: bytes) -> None:
        """What follows from a durable swap: remembered, emitted, delivered to the next rounds."""
        key = joined.key
        self._remember(key, Known(joined.version, joined.state))
        self.emitter.emit(joined, raw, self.batch.caused_by.get(key, ""))
        for receiver, contribution in joined.deliveries.items():
            deliver(self.batch, receiver, key, contribution)

    def _recall(self, keys: Sequence[str]) -> dict[str, Known]:
        """What memory has of the records: stale at worst, never wrong."""
        young, old = self.young, self.old
        recalled: dict[str, Known] = {}
        for key in keys:
            known = young.get(key) or old.get(key)
            if known is not None:
                recalled[key] = known
        return recalled

    def _known(self, key: str, stored: Stored) -> Known:
        if not stored.version:
            return UNKNOWN
        return Known(stored.version, self.codec.decode(key, stored.state))

    def _remember(self, key: str, known: Known) -> None:
        """Two halves, the older one dropped as a whole: no bookkeeping per record."""
        if len(self.young) >= CACHE_HALF:
            self.old, self.young = self.young, {}
        self.young[key] = known

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
            self.young[key] = known
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
