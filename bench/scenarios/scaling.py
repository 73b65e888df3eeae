"""Two workers against one, and the offline command on one core."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from bench.backlog import Backlog
from bench.contenders import RESOLVER, environments
from bench.findings import Findings, Table
from bench.generate import UNIFORM, Generated, events_of
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.slices import Slices, paused
from bench.watched import TICK_S, ContenderError, Watched, cpu_s_of
from tests.stack.services import ROOT

LOOK_S = 0.05
FULL_SHARE = 0.9
"""A machine that is busier than this is what bounds two workers on it, not they."""


@dataclass(frozen=True)
class Group:
    """What a group of workers did; microseconds are processor time per event, of all workers.

    ``share`` is the part of the time that each of them could run; ``busy`` that of the machine's
    cores which were in use by anybody. ``broker_us`` is None where the broker is not ours.
    """

    workers: int
    events_per_s: float
    share: float
    worker_us: float
    redis_us: float
    broker_us: float | None
    busy: float

    def rate(self) -> float:
        """Events in a second in which each of them could run."""
        return self.events_per_s / self.share


@dataclass(frozen=True)
class Spent:
    """Clock and processor seconds so far: of the workers, Redis, the broker, and of everybody."""

    at: float
    workers: float
    redis: float
    broker: float
    busy: float
    all: float


def workers(bench: Bench) -> Findings:
    """One worker and two of one group: freely, and then each in slices of time of its own."""
    events = list(events_of(bench.plan.events, UNIFORM))
    cases = [(count, sliced) for sliced in (False, True) for count in (1, 2)]
    runs: dict[tuple[int, bool], list[Group]] = {case: [] for case in cases}
    for number in range(bench.plan.rounds):
        bench.say(f"one worker and two: round {number + 1} of {bench.plan.rounds}")
        for count, sliced in cases:
            runs[count, sliced].append(group_of(bench, events, count, sliced=sliced))
    middle = [sorted(runs[case], key=Group.rate)[bench.plan.rounds // 2] for case in cases]
    return found_of(middle[:2], middle[2:], os.cpu_count() or 1)


def group_of(bench: Bench, events: list[Generated], count: int, *, sliced: bool) -> Group:
    """Resolves all events by a group whose members have their partitions before they begin."""
    raw = bench.stack.fill(0, UNIFORM)
    with bench.stack.store() as redis, ExitStack() as stack:
        first = bench.setup(RESOLVER, raw.topic, redis)
        watched = []
        for number in range(count):
            setup = replace(first, member=f"bench-{number}")
            watched.append(stack.enter_context(bench.running(RESOLVER, setup)))
        for one in watched:
            one.wait_for("begin", BEGIN_S_MAX)
        group = stack.enter_context(closing(Backlog(bench.stack.brokers, raw.topic, first.name)))
        pids = [one.process.pid for one in watched]
        with paused(pids):
            bench.stack.pour(raw.topic, events)
        with Slices(pids) if sliced else nullcontext() as slices:
            before = spent(watched, bench.stack.broker_pid)
            wait_until_done(group, len(events))
            after = spent(watched, bench.stack.broker_pid)
            share = slices.share() if slices else 1.0
    bench.stack.drop(raw.topic)
    each = 1e6 / len(events)
    done = Group(
        workers=count,
        events_per_s=len(events) / (after.at - before.at),
        share=share,
        worker_us=(after.workers - before.workers) * each,
        redis_us=(after.redis - before.redis) * each,
        broker_us=(after.broker - before.broker) * each if bench.stack.broker_pid else None,
        busy=(after.busy - before.busy) / (after.all - before.all),
    )
    how = "in slices" if sliced else "freely"
    bench.say(f"  {count} {how}: {done.events_per_s:,.0f} events/s, {done.busy:.0%} busy")
    return done


def spent(watched: Sequence[Watched], broker_pid: int | None) -> Spent:
    """What has been spent so far."""
    samples = [one.sample() for one in watched]
    ticks = [int(one) for one in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return Spent(
        at=samples[-1].at,
        workers=sum(one.cpu_s for one in samples),
        redis=samples[0].redis_cpu_s,
        broker=cpu_s_of(broker_pid) if broker_pid else 0.0,
        busy=(sum(ticks) - ticks[3] - ticks[4]) * TICK_S,
        all=sum(ticks) * TICK_S,
    )


def found_of(free: Sequence[Group], sliced: Sequence[Group], cores: int) -> Findings:
    """The table, the ratio that is judged, and what would be full next."""
    freely = free[1].events_per_s / free[0].events_per_s
    in_slices = sliced[1].rate() / sliced[0].rate()
    full = free[1].busy > FULL_SHARE
    figure = in_slices if full else freely
    how = (
        f"in slices of time of their own, as {cores} cores were {free[1].busy:.0%} busy with two;"
        f" freely {freely:.2f} ×"
        if full
        else f"freely, {cores} cores were {free[1].busy:.0%} busy with two; in slices"
        f" {in_slices:.2f} ×"
    )
    if full and sliced[1].busy > FULL_SHARE:
        how += "; others kept the machine full in slices too: measure again"
    rows = [row_of(one) for one in (*free, *sliced)]
    columns = ["workers", "each may run", "events/s", "workers' CPU µs/event", "Redis", "broker"]
    notes = [
        f"Freely {freely:.2f} ×; in slices {in_slices:.2f} × by the time that each could run; by"
        f" processor time alone {2 * sliced[0].worker_us / sliced[1].worker_us:.2f} ×.",
        bottleneck(free[0], sliced[1]),
    ]
    found = Findings([Table("Two workers against one", [*columns, "machine busy"], rows, notes)])
    found.note("workers", figure, how)
    return found


def row_of(one: Group) -> list[str]:
    """A group's row."""
    name = "one worker" if one.workers == 1 else f"{one.workers} workers"
    broker = "–" if one.broker_us is None else f"{one.broker_us:.1f}"
    costs = [f"{one.worker_us:.1f}", f"{one.redis_us:.1f}", broker]
    return [name, f"{one.share:.0%}", f"{one.events_per_s:,.0f}", *costs, f"{one.busy:.0%}"]


def bottleneck(alone: Group, both: Group) -> str:
    """What would be full first on a machine with cores for everybody."""
    redis_rate = 1e6 / both.redis_us
    own = alone.events_per_s * alone.worker_us / both.worker_us
    said = (
        f"With more cores: a worker of a group does about {own:,.0f} events/s; Redis, which"
        f" executes on one thread, is full at {redis_rate:,.0f} events/s, so at"
        f" {redis_rate / own:.1f} workers"
    )
    if both.broker_us is None:
        return f"{said}."
    return f"{said}; the broker then needs {redis_rate * both.broker_us / 1e6:.1f} cores."


def wait_until_done(group: Backlog, events: int) -> None:
    """Returns once the group has committed so many events."""
    deadline = time.monotonic() + BEGIN_S_MAX + events / SLOWEST
    while group.committed() < events:
        if time.monotonic() > deadline:
            raise ContenderError(f"the group committed {group.committed():,} of {events:,} events")
        time.sleep(LOOK_S)


def offline(bench: Bench) -> Findings:
    """``resolver resolve`` on a file, start-up and output included."""
    count = int(bench.plan.scaled(400_000, 200_000))
    path = environments() / "offline.jsonl"
    with path.open("wb") as file:
        for one in events_of(count, UNIFORM):
            file.write(one.value + b"\n")
    bench.say(f"resolver resolve, {count:,} lines")
    started, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "resolver", "resolve", str(path)]
    subprocess.run(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    seconds, after = time.monotonic() - started, os.times()
    path.unlink()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    found = Findings()
    row = [f"{count:,}", f"{count / seconds:,.0f}", f"{spent / count * 1e6:.1f}"]
    found.tables.append(Table("resolver resolve", ["lines", "lines/s", "CPU µs/line"], [row]))
    found.note("offline", count / seconds)
    return found
