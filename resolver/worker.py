"""The loop: polls a batch, runs it through the pipeline, commits, and waits out trouble.

One batch is one transaction. It holds whatever lies there, up to a bound: under load it grows,
on a trickle it is a single event.
"""

import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from resolver.batch import Batch, first_offsets, next_offsets
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from resolver.ports import Message, Offsets

POLL_S = 0.2
"""How long an idle worker waits for a message before it looks at its duties again."""
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.1, 5.0
"""Between two tries while a service is away; doubled each time, jittered."""
INCARNATION_BYTES = 6
"""Random ones: of the ten thousand incarnations of a busy month two are the same once in five
million months, and every record carries one."""


class Source(Protocol):
    """Where batches come from; see the Kafka edge."""

    assigned: set[tuple[str, int]]

    def subscribe(self, on_revoke: Callable[[list[tuple[str, int]]], None]) -> None: ...
    def poll(self, wait_s: float, messages_max: int) -> list[Message]: ...
    def heartbeat(self) -> None: ...
    def rewind(self, offsets: Offsets) -> None: ...
    def lag(self) -> int: ...
    def close(self) -> None: ...


class Transactions(Protocol):
    """The life of a transaction around a batch; see the Kafka edge."""

    def prepare(self) -> None: ...
    def begin(self) -> None: ...
    def commit_offsets(self, offsets: Offsets) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class Observer(Protocol):
    """Told what happens, per batch; metrics and logs live behind it."""

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None: ...
    def waiting(self, reason: str) -> None: ...
    def aborted(self, reason: str) -> None: ...
    def assigned(self, partitions: int) -> None: ...


@dataclass(frozen=True)
class Limits:
    """The bounds of a batch."""

    messages_max: int = 10_000


class Pace:
    """The passing of time as the loop sees it."""

    def monotonic(self) -> float:
        """Seconds from some start."""
        return monotonic()

    def jitter(self) -> float:
        """Between a half and one, so that workers do not wait in step."""
        return random.uniform(0.5, 1.0)


class Worker:
    """Runs until ``stop``; every exception but the expected ones ends it, offsets uncommitted."""

    def __init__(
        self,
        source: Source,
        transactions: Transactions,
        pipeline: Pipeline,
        observer: Observer,
        limits: Limits,
        pace: Pace | None = None,
    ) -> None:
        self.source = source
        self.transactions = transactions
        self.pipeline = pipeline
        self.observer = observer
        self.limits = limits
        self.pace = pace or Pace()
        self.tag = new_tag()
        self.stopping = False
        self.revoked: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """Finishes the batch under way, commits it and returns from ``run``."""
        self.stopping = True

    def run(self) -> None:
        """The loop."""
        with suppress(Unavailable):
            self.transactions.prepare()
        self.source.subscribe(self._on_revoke)
        partitions = -1
        while not self.stopping:
            messages = self.source.poll(POLL_S, self.limits.messages_max)
            if len(self.source.assigned) != partitions:
                partitions = len(self.source.assigned)
                self.observer.assigned(partitions)
            if messages:
                self._take(messages)
        self.source.close()
        self.transactions.close()

    def _take(self, messages: Sequence[Message]) -> None:
        """One batch, again and again until it is committed or its partitions are gone."""
        backoff_s = BACKOFF_S_FIRST
        self.revoked.clear()
        started = self.pace.monotonic()
        while True:
            try:
                batch = self._attempt(messages)
            except (TransactionAborted, Unavailable) as trouble:
                self._give_up(trouble)
                if not self._wait(backoff_s, messages):
                    return
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
                continue
            self.observer.batch_done(batch, self.pace.monotonic() - started, self.source.lag())
            return

    def _attempt(self, messages: Sequence[Message]) -> Batch:
        self.transactions.begin()
        batch = self.pipeline.run(messages, self.tag)
        self.transactions.commit_offsets(next_offsets(messages))
        try:
            self.pipeline.note_committed(self.tag)
        except Unavailable as trouble:
            self.observer.waiting(str(trouble))
        self.tag = Tag(self.tag.incarnation, self.tag.sequence + 1)
        return batch

    def _give_up(self, trouble: TransactionAborted | Unavailable) -> None:
        """After an abort or an unknown outcome nothing of this incarnation's is believed."""
        self.transactions.abort()
        self.tag = new_tag()
        if isinstance(trouble, Unavailable):
            self.observer.waiting(str(trouble))
        else:
            self.observer.aborted(str(trouble))

    def _wait(self, seconds: float, messages: Sequence[Message]) -> bool:
        """Waits, heartbeats going on; False if the batch must not be tried again as it is."""
        until = self.pace.monotonic() + seconds * self.pace.jitter()
        while self.pace.monotonic() < until:
            self.source.heartbeat()
            if self.stopping:
                return False
        if self.revoked:
            first = first_offsets(messages)
            self.source.rewind({place: first[place] for place in first.keys() - self.revoked})
            return False
        return True

    def _on_revoke(self, partitions: list[tuple[str, int]]) -> None:
        """Partitions go only between batches, or while one waits: then it is not tried again."""
        self.revoked.update(partitions)


def new_tag() -> Tag:
    """The first transaction of a new incarnation."""
    return Tag(secrets.token_hex(INCARNATION_BYTES), 0)
