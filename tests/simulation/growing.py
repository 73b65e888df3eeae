"""A history in which one destination is removed, another added and filled beside the workers."""

from collections.abc import Callable, Sequence
from typing import Any

from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import OnMerge
from resolver.edges.memory import (
    ABORTED,
    OPEN,
    MemoryKafka,
    MemorySink,
    MemorySource,
    Place,
    Step,
    no_step,
)
from resolver.edges.state_codec import StateCodec
from resolver.filling import Filling
from resolver.ports import Message, Offsets
from resolver.worker import Limits, Worker
from tests.simulation.scheduler import Task
from tests.simulation.world import CHANGELOG, DEAD, PARTITIONS, SPECS, Nobody, Rules, Steady, World

FILL = "fill"
OLD = DestinationSpec(name="old")
LATE = DestinationSpec(name="late", topic="out.late", exclude=("q",), on_merge=OnMerge.ALIAS)


class WholeTopic(MemorySource):
    """Reads committed records of the changelog's partitions, as nobody's member."""

    def __init__(self, kafka: MemoryKafka, name: str, step: Step = no_step) -> None:
        super().__init__(kafka, name, step)
        self.ends: Offsets = {}

    def subscribe(self, on_revoke: Callable[[list[Place]], None]) -> None:
        for partition in range(PARTITIONS):
            place = (CHANGELOG, partition)
            self.assigned.add(place)
            self.positions[place] = self.kafka.offsets.get(place, 0)

    def poll(self, wait_s: float, messages_max: int) -> list[Message]:
        self.step("source.poll")
        found: list[Message] = []
        for place in sorted(self.assigned):
            found += self._read(place, messages_max - len(found))
        return found

    def _read(self, place: Place, wanted: int) -> list[Message]:
        """Up to the first record of an open transaction, those of aborted ones left out."""
        log = self.kafka.logs.get(place, [])
        found: list[Message] = []
        at = self.positions[place]
        while at < len(log) and len(found) < wanted:
            number = log[at].transaction
            outcome = None if number is None else self.kafka.transactions[number]
            if outcome == OPEN:
                break
            if outcome != ABORTED:
                found.append(Message(*place, at, 0, log[at].key, log[at].value))
            at += 1
        self.positions[place] = self.ends[place] = at
        return found

    def heartbeat(self) -> None:
        self.step("source.heartbeat")

    def check(self) -> None:
        """There is no membership that could be lost."""


class Growing(World):
    """A world whose destinations change while it lives."""

    def __init__(self, seed: int, rules: Rules, *, exactly_once: bool = True) -> None:
        super().__init__(seed, rules, exactly_once=exactly_once)
        self.specs = (*SPECS, OLD)
        self.filled = False
        self.fills: list[tuple[Task, Worker]] = []
        self.later = self._hold_back()

    def _hold_back(self) -> list[tuple[Place, list[Any]]]:
        """Takes some of the raw events away, to arrive while the backfill runs."""
        held = []
        for place, log in self.kafka.logs.items():
            keep = self.random.randrange(len(log) + 1)
            held.append((place, log[keep:]))
            del log[keep:]
        return held

    def meddle(self, names: Sequence[str]) -> None:
        """Trouble, other destinations, a backfill in trouble; then calm, until all is done."""
        self.trouble(names, self.random.randrange(0, 4))
        self.idle(self.random.randrange(5, 200))
        self.specs = (*SPECS, LATE)
        for name in names:
            self.crash(name)
        self.idle(self.random.randrange(0, 60))
        self.fill()
        for place, log in self.later:
            self.kafka.logs[place] += log
        self.trouble([*names, FILL], self.random.randrange(1, 7))
        self.settle_down(names)

    def trouble(self, names: Sequence[str], times: int) -> None:
        for _ in range(times):
            self.idle(self.random.randrange(5, 60))
            name = self.random.choice(names)
            if name == FILL:
                self.random.choice((self.crash_fill, self.pause_fill, self.expire))(name)
            else:
                acts = (self.crash, self.crash, self.pause, self.expire, self.shuffle)
                self.random.choice(acts)(name)

    def settle_down(self, names: Sequence[str]) -> None:
        """Calm, and whoever ended is started again until nothing is left to do."""
        self.calm = True
        for name in (*names, FILL):
            self.expire(name)
        while not (self.committed() and self.filled):
            self.idle(20)
            for name in names:
                if self.workers[name][0].ended:
                    self.restart(name)
            if self.fills[-1][0].ended and not self.filled:
                self.expire(FILL)
                self.fill()
        for _, worker in [*self.workers.values(), *self.fills]:
            worker.stop()

    def fill(self) -> None:
        """A new process of the backfill, towards the changelog's end as it is now."""
        source = WholeTopic(self.kafka, FILL, self.step)
        sink = MemorySink(source, DEAD, FILL if self.exactly_once else None, self.step)
        places = [(CHANGELOG, partition) for partition in range(PARTITIONS)]
        filling = Filling(
            source,
            begins={one: self.kafka.offsets.get(one, 0) for one in places},
            goals={one: len(self.kafka.logs.get(one, [])) for one in places},
            advanced=lambda _: None,
            exhausted=lambda: worker.stop(),
        )
        pipeline = self.pipeline(self.rules.filler, sink, LATE.name)
        limits = Limits(self.random.choice((1, 2, 4)))
        worker = self.rules.worker(filling, sink, pipeline, Nobody(), limits, Steady())

        def run() -> None:
            worker.run()
            self.filled = self.filled or filling.done

        self.fills.append((self.scheduler.spawn(FILL, run), worker))

    def crash_fill(self, _: str) -> None:
        """kill -9 of the backfill, and somebody who starts it again."""
        self.fills[-1][0].doomed = True
        producer = self.kafka.producers.get(FILL)
        if producer is not None and producer.offsets:
            producer.ending = self.random.random() < 0.5
        if self.random.random() < 0.5:
            self.expire(FILL)
        if not self.filled:
            self.fill()

    def pause_fill(self, _: str) -> None:
        """A backfill that stands still; perhaps somebody starts it once more beside it."""
        self.fills[-1][0].wakes_at = self.scheduler.steps + self.random.randrange(20, 300)
        if self.random.random() < 0.5 and not self.filled:
            self.fill()

    def differences(self) -> list[str]:
        found = super().differences()
        codec = StateCodec()
        for key, stored in self.redis.records.items():
            if OLD.name in codec.decode(key, stored.state).shown:
                found.append(f"{key} still remembers the removed destination")
        return found


def grow(seed: int, rules: Rules, *, exactly_once: bool = True) -> tuple[Growing, list[str]]:
    """A history from its seed, and where its end is not the fold of its events."""
    world = Growing(seed, rules, exactly_once=exactly_once)
    world.run(workers=2)
    return world, world.differences()
