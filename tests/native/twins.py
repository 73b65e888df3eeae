"""Both engines over one history, and all that the world sees of it."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from resolver.batch import Batch
from resolver.core.events import Reading
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import OnMerge
from resolver.edges.memory import MemoryRedis, MemoryStore
from resolver.joining import Tag, Target
from resolver.pipeline import Pipeline
from resolver.ports import Headers, Message, Stored, Swap
from resolver.targets import build_target, preset_names
from tests.destinations.profiles import spec_of
from tests.engines import Build, native, reference

START_MS = 1_767_225_600_000
CHANGELOG = "changelog"
ONE = (DestinationSpec(name="profiles", topic="out.profiles"),)
PLAIN = (
    *ONE,
    DestinationSpec(name="Mix Panel", aliases=("mp",), topic="out.mp"),
    DestinationSpec(name="crm", topic="out.crm", on_merge=OnMerge.ALIAS),
    DestinationSpec(name="told", topic="out.told", on_merge=OnMerge.TOMBSTONE),
    DestinationSpec(name="Warehouse", topic="out.warehouse", opt_in=True),
)
MAPPED = (
    spec_of("mixpanel", topic="out.mixpanel"),
    spec_of("customerio", topic="out.customerio"),
    DestinationSpec.model_validate({"name": "nulls", "topic": "out.nulls", "removed": "as_null"}),
    DestinationSpec.model_validate(
        {"name": "changes", "topic": "out.changes", "payload": "changes", "on_merge": "alias"}
    ),
    DestinationSpec.model_validate({"name": "avro", "topic": "out.avro", "format": "avro"}),
    DestinationSpec(name="Mix Panel", topic="out.plain"),
)
PRESETS = tuple(spec_of(name, topic=f"out.{name}") for name in preset_names())
SETS = {"one": ONE, "plain": PLAIN, "mapped": MAPPED, "presets": PRESETS}
Noted = Callable[[int], bool]


class Clock:
    """Time that passes by being looked at."""

    def __init__(self) -> None:
        self.now = START_MS

    def now_ms(self) -> int:
        self.now += 7
        return self.now


class Tape:
    """A sink that keeps everything, in order."""

    def __init__(self) -> None:
        self.produced: list[Any] = []

    def produce(
        self, topic: str, key: str, value: bytes | None, headers: Headers | None = None
    ) -> None:
        self.produced.append((topic, key, value, headers))

    def bury(self, message: Message, headers: Headers) -> None:
        self.produced.append((message.topic, message.partition, message.offset, headers))

    def flush(self) -> None:
        self.produced.append("flushed")


class Contested(MemoryStore):
    """A store on which a rival swaps now and then: before swaps, which may lose then, and before
    somebody looks whether what was emitted has moved.
    """

    def __init__(self, shared: MemoryRedis, rival: Callable[[], None], seed: int) -> None:
        super().__init__(shared)
        self.rival = rival
        self.chance = random.Random(seed)

    def swap(self, swaps: Sequence[Swap]) -> list[Stored | None]:
        self._meddle()
        return super().swap(swaps)

    def alone(self) -> bool:
        self._meddle()
        return super().alone()

    def versions(self, keys: Sequence[str]) -> list[int]:
        self._meddle()
        return super().versions(keys)

    def _meddle(self) -> None:
        if self.chance.random() < 0.5:
            self.rival()


class Lived(NamedTuple):
    """What a history came to: messages in their order, what is stored, the account per batch."""

    produced: list[Any]
    stored: dict[str, tuple[int, bytes]]
    accounts: list[tuple[Any, ...]]


@cache
def _compiled(kind: str) -> list[Target]:
    return [build_target(one) for one in SETS[kind]]


def targets(kind: str | list[Target]) -> list[Target]:
    """The destinations of a set, compiled once; or those that are given."""
    return _compiled(kind) if isinstance(kind, str) else kind


def batches(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    """The messages in batches of at most so many."""
    return (messages[at : at + size] for at in range(0, len(messages), size))


def account_of(batch: Batch) -> tuple[Any, ...]:
    """All that a batch says of itself."""
    counts: list[Any] = [batch.skipped, batch.warned, batch.emitted, batch.suppressed]
    buried = [(one.message.offset, one.fault.fault, str(one.fault)) for one in batch.buried]
    return batch.joined, batch.swaps_lost, buried, *[dict(one) for one in counts]


def live(
    builds: Sequence[Build],
    work: Sequence[Sequence[Message]],
    kind: str | list[Target] = "one",
    *,
    noted: Noted = lambda _: True,
    reading: Reading | None = None,
    rival: Sequence[Message] = (),
) -> Lived:
    """Runs the batches, the engines taking turns; ``noted`` says which are known committed.

    The messages of the ``rival`` arrive one by one at another worker on the same store.
    """
    shared, tape = MemoryRedis(), Tape()
    other = Pipeline(
        engine=reference(Tape(), targets(kind)),
        store=MemoryStore(shared),
        sink=Tape(),
        clock=Clock(),
    )
    arriving = enumerate(rival)

    def meddle() -> None:
        for number, message in arriving:
            other.run([message], Tag("rival", number))
            return

    store = Contested(shared, meddle, len(work)) if rival else MemoryStore(shared)
    clock = Clock()
    pipelines = [
        Pipeline(
            engine=build(tape, targets(kind), CHANGELOG, reading),
            store=store,
            sink=tape,
            clock=clock,
        )
        for build in builds
    ]
    accounts = []
    for number, messages in enumerate(work):
        pipeline, tag = pipelines[number % len(pipelines)], Tag("worker", number)
        accounts.append(account_of(pipeline.run(messages, tag)))
        if noted(number):
            pipeline.note_committed(tag)
    stored = {key: (one.version, one.state) for key, one in shared.records.items()}
    return Lived(tape.produced, stored, accounts)


def check_twins(work: Sequence[Sequence[Message]], kind: str = "one", **how: Any) -> Lived:
    """Asserts that both engines live these batches equally; returns how."""
    expected = live([reference], work, kind, **how)
    found = live([native], work, kind, **how)
    assert found.accounts == expected.accounts
    assert found.stored == expected.stored
    assert found.produced == expected.produced
    return expected
