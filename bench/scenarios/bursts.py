"""Twice as much as a worker can take, for a while, and then silence."""

import time
from dataclasses import asdict, dataclass

from bench.backlog import Backlog
from bench.contenders import RESOLVER
from bench.findings import MIB, Findings, Table
from bench.generate import UNIFORM, events_of
from bench.latency import SEED
from bench.load import Load, Order
from bench.outputs import Outputs, compared, folded, read_outputs
from bench.running import BEGIN_S_MAX, Bench
from bench.watched import Watched, memory_of

TIMES = 2
"""The maximum of the worker, measured in the same run, is exceeded so many times."""
OVERLOAD_SHARE = 0.25
"""Of all events, how many must wait at once: with fewer it was no burst, and nothing was shown."""
DRAIN_SHARE = 0.5
"""A backlog that is worked off at less than this share of the maximum does not drain."""
MEMORY_MIB_MAX = 500
"""What a worker may take at most, whatever waits for it."""
LOOK_S, AFTER_S, QUIET_S, DONE_S_MAX = 0.25, 5.0, 2.0, 5.0


@dataclass(frozen=True)
class Course:
    """How a burst went: sender, backlog and memory. ``drained_s`` is None where it did not drain
    in time; it counts from when the last event was sent.
    """

    sent_s: float
    late_s: float
    lag_max: int
    drained_s: float | None
    before_mib: float
    most_mib: float
    after_mib: float


@dataclass(frozen=True)
class Counts:
    """What went in and what came out; all but the profiles are told by the broker or the worker."""

    sent: int
    committed: int
    processed: int
    buried: int
    emitted: int
    outputs: int
    repeated: int
    wrong: int
    """People whose last profile is not the fold of their events, or is missing."""


def burst(bench: Bench) -> Findings:
    """Twice the maximum for a while: does the lag drain, is all there once, is memory bounded?"""
    rate, seconds = bench.maximum(RESOLVER) * TIMES, bench.plan.scaled(30, 5)
    count = int(rate * seconds)
    raw = bench.stack.fill(0, UNIFORM)
    order = Order(bench.stack.brokers, raw.topic, rate, count, asdict(UNIFORM), SEED)
    bench.say(f"burst of {rate:,.0f} events/s for {seconds:.0f} s")
    with bench.stack.store() as redis:
        setup = bench.setup(RESOLVER, raw.topic, redis, events=count)
        load, backlog = Load(order), Backlog(bench.stack.brokers, raw.topic, setup.name)
        try:
            with bench.running(RESOLVER, setup) as watched:
                watched.wait_for("begin", BEGIN_S_MAX)
                course = follow(watched, load, backlog, rate / TIMES)
                bench.say(f"  {course}")
                outputs = read_outputs(bench.stack.brokers, setup.out, QUIET_S)
                counts = counted(watched, backlog, outputs, order)
        finally:
            load.close()
            backlog.close()
    bench.stack.drop(raw.topic)
    return found_of(course, counts)


def follow(watched: Watched, load: Load, backlog: Backlog, maximum: float) -> Course:
    """Looks at backlog and memory until the one is gone, or should have been, and a little on."""
    pid = watched.process.pid
    before, lag_max = memory_of(pid)["VmRSS"], 0
    start = load.start()
    late_s, drained = None, None
    while drained is None:
        watched.said("done", LOOK_S)
        committed, sending = backlog.committed(), load.sending()
        lag = backlog.sent() - committed
        lag_max = max(lag_max, lag)
        now = time.monotonic()
        if sending:
            continue
        if late_s is None:
            late_s = load.finish()
        if lag == 0:
            drained = now - load.ended
        elif now > load.ended + lag_max / (maximum * DRAIN_SHARE):
            break
    time.sleep(AFTER_S)
    memory = memory_of(pid)
    most, after = memory["VmHWM"] / MIB, memory["VmRSS"] / MIB
    return Course(load.ended - start, late_s or 0.0, lag_max, drained, before / MIB, most, after)


def counted(watched: Watched, backlog: Backlog, outputs: Outputs, order: Order) -> Counts:
    """What the broker and the worker say, and profiles compared with a fold of the events."""
    done = watched.samples["done"] if watched.said("done", DONE_S_MAX) else None
    expected = folded(events_of(order.count, UNIFORM, order.seed))
    found = compared(outputs.last(), expected)
    return Counts(
        sent=backlog.sent(),
        committed=backlog.committed(),
        processed=done.events if done else 0,
        buried=int(done.notes["buried"]) if done else 0,
        emitted=sum(done.notes["emitted"].values()) if done else 0,
        outputs=outputs.records,
        repeated=outputs.repeated,
        wrong=len(expected) - found["right"],
    )


def broken(course: Course, counts: Counts) -> list[str]:
    """What was promised and is not so."""
    wrong = {
        f"no burst: a lag of {course.lag_max:,} at most": (
            course.lag_max < counts.sent * OVERLOAD_SHARE
        ),
        f"the lag of {course.lag_max:,} did not drain": course.drained_s is None,
        f"{counts.committed:,} of {counts.sent:,} committed": counts.committed != counts.sent,
        f"{counts.processed:,} of {counts.sent:,} processed": counts.processed != counts.sent,
        f"{counts.buried:,} buried": counts.buried > 0,
        f"{counts.outputs:,} outputs, {counts.emitted:,} of them counted by the worker": (
            counts.outputs != counts.emitted
        ),
        f"{counts.repeated:,} outputs repeated": counts.repeated > 0,
        f"{counts.wrong:,} profiles wrong or missing": counts.wrong > 0,
        f"{course.most_mib:,.0f} MiB of memory": course.most_mib > MEMORY_MIB_MAX,
    }
    return [what for what, is_so in wrong.items() if is_so]


def found_of(course: Course, counts: Counts) -> Findings:
    """The tables and the verdict."""
    rate = f"{counts.sent / course.sent_s:,.0f}"
    drained = "never" if course.drained_s is None else f"{course.drained_s:.1f}"
    memory = [f"{one:,.0f}" for one in (course.before_mib, course.most_mib, course.after_mib)]
    row = [rate, f"{course.sent_s:.0f}", f"{course.lag_max:,}", drained, *memory]
    columns = ["events/s sent", "for s", "greatest lag", "drained after s", "MiB before"]
    columns += ["MiB at most", "MiB after"]
    late = f"The sender was {course.late_s * 1000:,.0f} ms late at worst."
    tables = [Table("A burst at twice the maximum, one worker", columns, [row], [late])]
    names = ["sent", "committed", "processed", "dead letters", "outputs", "by the worker's count"]
    names += ["repeated", "wrong profiles"]
    values = [counts.sent, counts.committed, counts.processed, counts.buried]
    values += [counts.outputs, counts.emitted, counts.repeated, counts.wrong]
    title = "The burst: what went in and what came out"
    tables.append(Table(title, names, [[f"{one:,}" for one in values]]))
    found, wrong = Findings(tables), broken(course, counts)
    remark = (
        f"{course.sent_s:.0f} s at {rate} events/s, lag up to {course.lag_max:,}, drained"
        f" {drained} s after it, {memory[1]} MiB at most"
    )
    found.note("burst", float(not wrong), "; ".join([*wrong, remark]))
    return found
