"""One benchmark: raw topics filled once, contenders run on them, figures kept."""

import shutil
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from bench.contenders import Contender, environments
from bench.generate import UNIFORM, Law
from bench.protocol import Setup
from bench.stack import PARTITIONS, Raw, Stack, StoreMeter
from bench.watched import Sample, Watched, memory_of
from resolver.wiring import partitions_of_changelog

BEGIN_S_MAX = 90.0
"""A JVM and its group need seconds; more than this means that something is wrong."""
SLOWEST = 500.0
"""Events per second: who is slower than this is given up."""


@dataclass(frozen=True)
class Figures:
    """What one run took, from the first event to the last one's end."""

    events: int
    events_per_s: float
    cpu_us: float
    redis_cpu_us: float
    memory: int
    redis_memory: int
    notes: dict[str, Any]
    resident: tuple[int, ...] = ()
    """The worker's memory, second by second."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    events: int = 400_000
    rounds: int = 3
    quick: bool = False
    contenders: tuple[Contender, ...] = ()
    profiles: int = 1_000_000
    people: int = 2_000_000

    def scaled(self, full: float, quick: float) -> float:
        """A size or a time, by how much is measured."""
        return quick if self.quick else full


@dataclass
class Bench:
    """What the scenarios share."""

    stack: Stack
    plan: Plan
    console: Console
    raws: dict[tuple[str, int], Raw] = field(default_factory=dict)
    rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    trickles: dict[str, float] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Progress, for whoever waits."""
        self.console.print(line, highlight=False, markup=False)

    def raw(self, law: Law, events: int | None = None) -> Raw:
        """The topic of a law with so many events; made once."""
        count = self.plan.events if events is None else events
        place = (repr(law), count)
        if place not in self.raws:
            self.raws[place] = self.stack.fill(count, law)
        return self.raws[place]

    def setup(self, contender: Contender, raw: str, redis: str, **changed: Any) -> Setup:
        """Fresh names for one run."""
        name = f"run-{uuid.uuid4().hex[:10]}"
        stated: dict[str, Any] = {
            "name": name,
            "prefix": f"{name}:",
            "delivery": contender.delivery,
            "options": contender.options,
            "folder": str(environments() / "runs" / name),
            **changed,
        }
        return Setup(brokers=self.stack.brokers, redis=redis, raw=raw, **stated)

    @contextmanager
    def running(self, contender: Contender, setup: Setup) -> Iterator[Watched]:
        """A contender's process with its topics; what it made is removed at the end."""
        command = contender.command()
        self.stack.create(setup.topics())
        self.stack.create({setup.changelog: True}, partitions_of_changelog(PARTITIONS))
        logs = environments() / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        watched = Watched(command, setup, logs / f"{setup.name}-{setup.member}.txt")
        try:
            yield watched
        finally:
            watched.stop()
            shutil.rmtree(setup.folder, ignore_errors=True)
            self.stack.drop(setup.name)

    def run(self, contender: Contender, raw: Raw, **changed: Any) -> Figures:
        """Reads a raw topic to its end once, on an empty Redis."""
        with self.stack.store() as redis:
            setup = self.setup(contender, raw.topic, redis, **{"events": raw.events, **changed})
            return self.finish(contender, setup)

    def finish(self, contender: Contender, setup: Setup) -> Figures:
        """Runs a contender until it has done its events."""
        store = StoreMeter(setup.redis)
        before = store.memory()
        with self.running(contender, setup) as watched:
            begin = watched.wait_for("begin", BEGIN_S_MAX)
            resident = watch_memory(watched, BEGIN_S_MAX + setup.events / SLOWEST)
            done = watched.wait_for("done", 1)
        figures = figures_of(begin, done, store.memory() - before, resident)
        store.close()
        self.say(
            f"  {contender.name}: {figures.events_per_s:,.0f} events/s,"
            f" {figures.cpu_us:.1f} µs CPU per event"
        )
        return figures

    def maximum(self, contender: Contender, law: Law = UNIFORM) -> float:
        """A contender's events per second: the median so far, or one run's."""
        known = self.rounds.setdefault((law.name, contender.name), [])
        if not known:
            known.append(self.run(contender, self.raw(law)))
        return statistics.median(one.events_per_s for one in known)

    def maximum_now(self, contender: Contender) -> float:
        """What it is in this minute: one run's, whatever was measured before."""
        return self.run(contender, self.raw(UNIFORM)).events_per_s


def watch_memory(watched: Watched, seconds: float) -> tuple[int, ...]:
    """Bytes resident, second by second, until it says ``done`` or the time is over."""
    resident = []
    deadline = time.monotonic() + seconds
    while not watched.said("done", 1.0) and time.monotonic() < deadline:
        resident.append(memory_of(watched.process.pid)["VmRSS"])
    return tuple(resident)


def figures_of(
    begin: Sample, done: Sample, redis_memory: int, resident: tuple[int, ...] = ()
) -> Figures:
    """The differences, per event."""
    return Figures(
        events=done.events,
        events_per_s=done.events / (done.at - begin.at),
        cpu_us=(done.cpu_s - begin.cpu_s) / done.events * 1e6,
        redis_cpu_us=(done.redis_cpu_s - begin.redis_cpu_s) / done.events * 1e6,
        memory=done.rss_max,
        redis_memory=redis_memory,
        notes=done.notes,
        resident=resident,
    )


def median(figures: Sequence[Figures], measure: str) -> float:
    """The middle one of a contender's rounds."""
    values: list[float] = [getattr(one, measure) for one in figures]
    return statistics.median(values)
