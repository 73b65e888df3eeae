"""The worker's memory while ever new people pass, each seen once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.backlog import Backlog
from bench.contenders import RESOLVER
from bench.findings import Findings, Table
from bench.generate import Law
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.watched import ContenderError, Watched, memory_of

MB = 1_000_000
LOOK_S = 0.5
WARM_SHARE = 1 / 3
"""Of all people: until then buffers, batches and the allocator's heap find their size."""
FLAT_MB = 5.0
"""Megabytes per million people: a slope up to it adds less than a tenth of what is allowed."""
SAMPLES_MIN = 20
"""Moments after the warm-up without which a slope is noise."""
JUDGED_MIN = 1_000_000
"""With fewer people the goal counts as not measured."""
MANY = 10_000_000
"""The people that the goal speaks of."""
MARKS = 10
"""Parts of the run; the table has a row where each ends, but for the last."""


@dataclass(frozen=True)
class Moment:
    """How many people had passed, and the worker's resident bytes."""

    people: int
    resident: int


def memory(bench: Bench) -> Findings:
    """Pours so many people, one event each, and looks at the worker all the while."""
    people = bench.plan.people
    bench.say(f"{people:,} people, one event each")
    raw = bench.stack.fill(people, Law("once", users=people, turns=True))
    with bench.stack.store() as redis:
        setup = bench.setup(RESOLVER, raw.topic, redis, events=raw.events)
        backlog = Backlog(bench.stack.brokers, raw.topic, setup.name)
        try:
            with bench.running(RESOLVER, setup) as watched:
                moments = follow(watched, backlog, people)
                most = memory_of(watched.process.pid)["VmHWM"]
        finally:
            backlog.close()
    bench.stack.drop(raw.topic)
    return found_of(moments, people, most)


def follow(watched: Watched, backlog: Backlog, people: int) -> list[Moment]:
    """A moment every half second while people pass; an idle worker gives memory back."""
    watched.wait_for("begin", BEGIN_S_MAX)
    deadline = time.monotonic() + BEGIN_S_MAX + people / SLOWEST
    moments = []
    while not watched.said("done", LOOK_S):
        resident = memory_of(watched.process.pid)["VmRSS"]
        moments.append(Moment(backlog.committed(), resident))
        if time.monotonic() > deadline:
            raise ContenderError(f"{moments[-1].people:,} of {people:,} people passed in time")
    return moments


def slope_of(moments: Sequence[Moment], people: int) -> float | None:
    """Megabytes per million people after the warm-up, by least squares; None: too few moments."""
    warm = [one for one in moments if one.people >= people * WARM_SHARE]
    if len(warm) < SAMPLES_MIN:
        return None
    middle = sum(one.people for one in warm) / len(warm)
    level = sum(one.resident for one in warm) / len(warm)
    spread = sum((one.people - middle) ** 2 for one in warm)
    shared = sum((one.people - middle) * (one.resident - level) for one in warm)
    return shared / spread if spread else None


def judged(people: int, most: int, slope: float | None) -> tuple[float | None, str]:
    """The figure of the goal in MB and how it is known; without one where too little was seen."""
    measured = most / MB
    if slope is None or people < JUDGED_MIN:
        return None, f"{measured:.0f} MB after {people:,} people: too few to tell how it goes on"
    grown = f"{people:,} seen, {measured:.0f} MB at most, {slope:+.1f} MB per million people"
    if people >= MANY:
        return measured, grown
    if slope <= FLAT_MB:
        return measured, f"{grown}: flat"
    extrapolated = measured + slope * (MANY - people) / 1_000_000
    return extrapolated, f"{grown}: growing, extrapolated to {MANY:,}"


def found_of(moments: Sequence[Moment], people: int, most: int) -> Findings:
    """The course as a table, its slope, and the verdict where enough was seen."""
    slope = slope_of(moments, people)
    marks = [people * one / MARKS for one in range(1, MARKS)]
    passed = [next((one for one in moments if one.people >= mark), None) for mark in marks]
    shown = [one for one in dict.fromkeys(passed) if one is not None]
    rows = [[f"{one.people:,}", f"{one.resident / MB:,.0f}"] for one in shown]
    figure, how = judged(people, most, slope)
    title = f"Worker memory while {people:,} people pass"
    found = Findings([Table(title, ["people seen", "MB resident"], rows, [f"{how}."])])
    if figure is not None:
        found.note("memory", figure, how)
    return found
