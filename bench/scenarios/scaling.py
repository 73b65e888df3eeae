"""Two workers against one, and the offline command on one core."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

from bench.backlog import Backlog
from bench.contenders import RESOLVER, environments
from bench.findings import Findings, Table
from bench.generate import UNIFORM, Generated, events_of
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.watched import ContenderError
from tests.stack.services import ROOT

LOOK_S = 0.05


def workers(bench: Bench) -> Findings:
    """One worker, then two of one group; with what two would do on cores of their own."""
    bench.say("one worker, then two")
    events = list(events_of(bench.plan.events, UNIFORM))
    (alone, alone_us), (both, both_us) = (group_of(bench, events, count) for count in (1, 2))
    cores = os.cpu_count() or 1
    model = 2 * alone_us / both_us
    rows = [
        ["one worker", f"{alone:,.0f}", f"{alone_us:.1f}"],
        ["two workers", f"{both:,.0f}", f"{both_us:.1f}"],
    ]
    note = (
        f"Measured {both / alone:.2f} × on {cores} cores that broker, store and harness share."
        f" A worker is bound by its own core; two with a core each do 2 × {alone_us:.1f} /"
        f" {both_us:.1f} = {model:.2f} × while broker and Redis keep up."
    )
    found = Findings()
    columns = ["workers", "events/s", "CPU µs/event"]
    found.tables.append(Table("Two workers against one", columns, rows, [note]))
    found.note("workers", both / alone, f"on {cores} shared cores; {model:.2f} × by the model")
    return found


def group_of(bench: Bench, events: list[Generated], count: int) -> tuple[float, float]:
    """Events per second of a group whose members all have partitions before the first event comes,
    and the processor time of an event.
    """
    raw = bench.stack.fill(0, UNIFORM)
    with bench.stack.store() as redis, ExitStack() as stack:
        first = bench.setup(RESOLVER, raw.topic, redis)
        watched = []
        for number in range(count):
            setup = replace(first, member=f"bench-{number}")
            watched.append(stack.enter_context(bench.running(RESOLVER, setup)))
        for one in watched:
            one.wait_for("begin", BEGIN_S_MAX)
        group = Backlog(bench.stack.brokers, raw.topic, first.name)
        spent, started = [one.sample() for one in watched], time.monotonic()
        bench.stack.pour(raw.topic, events)
        wait_until_done(group, len(events))
        seconds = time.monotonic() - started
        pairs = zip(watched, spent, strict=True)
        cpu_s = sum(one.sample().cpu_s - then.cpu_s for one, then in pairs)
        group.close()
    bench.stack.drop(raw.topic)
    bench.say(f"  {count}: {len(events) / seconds:,.0f} events/s")
    return len(events) / seconds, cpu_s / len(events) * 1e6


def wait_until_done(group: Backlog, events: int) -> None:
    """Returns once the group has committed so many events."""
    deadline = time.monotonic() + BEGIN_S_MAX + events / SLOWEST
    while group.committed() < events:
        if time.monotonic() > deadline:
            raise ContenderError(f"the group committed {group.committed():,} of {events:,} events")
        time.sleep(LOOK_S)


def offline(bench: Bench) -> Findings:
    """``resolver resolve`` on a file, start-up and output included."""
    count = int(bench.plan.scaled(400_000, 30_000))
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
