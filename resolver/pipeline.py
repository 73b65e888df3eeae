"""One batch's way: fold, then per kind of record load, join, shape and swap; then produce.

Read ``Pipeline.run`` first. The order of its steps is the protocol: a batch's states are durable
before its outputs are produced, its outputs are in the log before they are re-checked, and
nothing counts as sent until the transaction that carried it is known to be committed. What the
steps do to records and messages is the engine's.
"""

from collections.abc import Sequence
from typing import Final

from resolver import __version__
from resolver.batch import Batch, Buried
from resolver.engine import Engine, Handle
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Tag
from resolver.ports import Clock, Headers, Message, Sink, Store, Stored, Swap

SWAP_TRIES_MAX: Final = 50
"""Lost swaps in a row before waiting: each one means that another worker made progress."""
RECHECKS_MAX: Final = 50
"""Looks at moving versions before the batch is given up and taken again."""
CHUNK_MIN: Final = 100
CHUNK: Final = 500
"""Records in one request of the store, at least and at most; see its edge."""
REQUESTS: Final = 8
"""Requests that a round is made of where it has records enough for them: the store works on one
while the worker works on the reply to another.
"""
COMMITS_SIZE: Final = 10_000
"""Incarnations whose commits are remembered: one per start or abort of any worker."""


class Pipeline:
    """Resolves batches; one instance is one worker's and lives as long as its assignment.

    The engine produces to the same sink.
    """

    def __init__(self, *, engine: Engine, store: Store, sink: Sink, clock: Clock) -> None:
        self.engine = engine
        self.store = store
        self.sink = sink
        self.clock = clock
        self.chunk = CHUNK
        self.commits: dict[str, int] = {}
        self.batch = Batch()

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        """Everything up to the commit. On return all outputs of the batch are in the log and
        newest; raises TransactionAborted or Unavailable, after which the batch is taken again.
        """
        batch = self.batch = self.engine.fold(messages)
        self.store.watch()
        for buried in batch.buried:
            self.sink.bury(buried.message, letter_headers(buried))
        self._settle(self.engine.devices(), tag)
        self._settle(self.engine.leads(), tag)
        self._settle(self.engine.users(), tag)
        self.engine.take_back()
        self.sink.flush()
        self._recheck()
        self.engine.count_outputs(batch)
        return batch

    def note_committed(self, tag: Tag) -> None:
        """To be called once the transaction of ``tag`` is known to be committed."""
        self.commits[tag.incarnation] = tag.sequence
        self.store.note_commit(tag.incarnation, tag.sequence)

    def _settle(self, pending: list[Handle], tag: Tag) -> None:
        """Joins deltas into the stored records: swapped, emitted and delivered on return."""
        for _ in range(SWAP_TRIES_MAX):
            if not pending:
                return
            pending = self._round(pending, tag)
        raise Unavailable(f"{len(pending)} records kept moving for {SWAP_TRIES_MAX} swaps")

    def _round(self, pending: list[Handle], tag: Tag) -> list[Handle]:
        """One try for each delta; returns those that lost their swap and must be joined again."""
        size = chunk_for(len(pending)) if self.store.overlaps else CHUNK
        chunks = chunks_of(pending, min(self.chunk, size))

        def decide(place: int, stored: list[Stored]) -> list[Swap]:
            chunk = chunks[place]
            self.engine.found(chunk, stored)
            self._read_commits(chunk)
            return self.engine.attempt(place, chunk, tag, self.clock.now_ms(), self.commits)

        lost: list[Handle] = []
        loads = [self.engine.wanted(chunk) for chunk in chunks]
        for place, replies in self.store.exchange(loads, decide):
            lost += self.engine.replied(place, replies)
        self.batch.swaps_lost += len(lost)
        return lost

    def _read_commits(self, chunk: list[Handle]) -> None:
        """Asks once for the incarnations that would leave a record in doubt."""
        doubtful = self.engine.doubtful(chunk, self.commits)
        if not doubtful:
            return
        if len(self.commits) > COMMITS_SIZE:
            self.commits.clear()
        self.commits.update(self.store.commits(doubtful))

    def _recheck(self) -> None:
        """Emits again what has moved since it was swapped, until nothing has.

        While nobody else swaps there is nothing to look at: one question spares a version each.
        """
        if self.store.alone():
            return
        for _ in range(RECHECKS_MAX):
            if not self._emit_moved():
                return
        raise TransactionAborted(f"records kept moving for {RECHECKS_MAX} looks")

    def _emit_moved(self) -> bool:
        """One look at the versions; whether something had moved. It was then emitted again."""
        keys, emitted = self.engine.watched()
        versions = self.store.versions(keys) if keys else []
        seen = enumerate(zip(emitted, versions, strict=True))
        moved = [place for place, (known, version) in seen if version != known]
        if not moved:
            return False
        self.engine.emit_again(moved, self.store.load([keys[place] for place in moved]))
        self.sink.flush()
        return True


def chunk_for(pending: int) -> int:
    """How many records each request of a round carries, of a store that overlaps."""
    return min(CHUNK, max(CHUNK_MIN, -(-pending // REQUESTS)))


def chunks_of(pending: list[Handle], size: int) -> list[list[Handle]]:
    """What one request of the store carries, each."""
    return [pending[at : at + size] for at in range(0, len(pending), size)]


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
