"""How long one event takes: at half of the maximum, on a trickle, and after a burst."""

import time
from dataclasses import asdict

from bench.contenders import PASSTHROUGH, PASSTHROUGH_ALO, RESOLVER, RESOLVER_ALO, Contender
from bench.findings import MIB, Bars, Findings, Table
from bench.generate import UNIFORM
from bench.latency import SEED, Latency, Reader, effects, measure
from bench.load import Load, Order
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.watched import Watched

TRICKLE = 20.0
MEMORY_MIB_MAX = 500
"""What a worker may take at most, whatever waits for it."""
DRAIN_QUIET_READS = 20
"""Empty reads of 0.1 s after which an output topic counts as read to its end."""


def latency(bench: Bench) -> Findings:
    """Half of each one's own maximum, 20 events a second, the passthrough at the same rates.

    A quick run has the resolver alone, and at least once only the trickle.
    """
    plan = bench.plan
    runners = [one for one in plan.contenders if one not in (PASSTHROUGH, PASSTHROUGH_ALO)]
    if plan.quick:
        runners = [RESOLVER, RESOLVER_ALO]
    found, rows, p99 = Findings(), [], {}
    for contender in runners:
        ceiling = PASSTHROUGH if contender.delivery == "exactly_once" else PASSTHROUGH_ALO
        if plan.quick and contender == RESOLVER_ALO:
            trickle(bench, contender)
            continue
        rate = bench.maximum(contender) / 2
        bench.say(f"latency of {contender.name} at {rate:,.0f} events/s")
        own, under = half(bench, contender, rate), None
        if contender in (RESOLVER, RESOLVER_ALO):
            under = half(bench, ceiling, rate)
            rows.append([f"{ceiling.label}, same rate", *cells(under), *trickle(bench, ceiling)])
        rows.append([contender.label, *cells(own), *trickle(bench, contender)])
        p99[contender.label] = own.p99_ms
        if contender == RESOLVER and under is not None:
            found.note("latency_half", own.p99_ms / under.p99_ms, f"{own} against {under}")
    for goal, contender in (("trickle", RESOLVER), ("trickle_alo", RESOLVER_ALO)):
        if contender.name in bench.trickles:
            found.note(f"latency_{goal}", bench.trickles[contender.name])
    columns = [
        "contender",
        "events/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "lost",
        "late ms",
        "p50 at 20/s",
    ]
    title = "Latency at half of the own maximum, from when an event was due (open loop)"
    notes = ["late: by how much the sender itself was behind at worst; it is in the figures."]
    found.tables.append(Table(title, columns, rows, notes))
    found.charts.append(Bars("p99 latency at half of the own maximum", "ms", p99))
    return found


def half(bench: Bench, contender: Contender, rate: float) -> Latency:
    """At a steady rate, after a warm-up."""
    seconds, warm_s = bench.plan.scaled(20, 4), bench.plan.scaled(8, 2)
    return measure(bench, contender, rate, seconds, warm_s)


def trickle(bench: Bench, contender: Contender) -> list[str]:
    """The median at 20 events a second, as a cell."""
    found = measure(bench, contender, TRICKLE, bench.plan.scaled(20, 5), 2)
    bench.trickles[contender.name] = found.p50_ms
    return [f"{found.p50_ms:.1f}"]


def cells(one: Latency) -> list[str]:
    """A latency's figures."""
    shares = [f"{part:,.1f}" for part in (one.p50_ms, one.p99_ms, one.p999_ms)]
    return [f"{one.rate:,.0f}", *shares, f"{one.lost}", f"{one.late_ms:.0f}"]


def burst(bench: Bench) -> Findings:
    """Twice the maximum for a while: does the lag drain, is all there, is memory bounded?"""
    rate, seconds = bench.maximum(RESOLVER) * 2, bench.plan.scaled(30, 5)
    count = int(rate * seconds)
    raw = bench.stack.fill(0, UNIFORM)
    order = Order(bench.stack.brokers, raw.topic, rate, count, asdict(UNIFORM), SEED)
    bench.say(f"burst of {rate:,.0f} events/s for {seconds:.0f} s")
    with bench.stack.store() as redis:
        setup = bench.setup(RESOLVER, raw.topic, redis, events=count)
        load = Load(order)
        try:
            with bench.running(RESOLVER, setup) as watched:
                figures = drain(watched, load, count)
                lost = count_lost(bench.stack.brokers, setup.out, count)
        finally:
            load.close()
    sent_s, drained_s, memory, buried = figures
    found = Findings()
    row = [f"{rate:,.0f}", f"{sent_s:.0f}", f"{drained_s:.1f}", f"{lost}", f"{memory:,.0f}"]
    columns = ["events/s sent", "for s", "drained after s", "lost", "memory MiB at most"]
    found.tables.append(Table("A burst at twice the maximum, one worker", columns, [row]))
    kept = not lost and not buried and memory < MEMORY_MIB_MAX
    found.note(
        "burst", float(kept), f"drained {drained_s:.1f} s after it, {memory:.0f} MiB at most"
    )
    return found


def drain(watched: Watched, load: Load, count: int) -> tuple[float, float, float, int]:
    """Seconds of sending, seconds until all was done, MiB at most, dead letters."""
    watched.wait_for("begin", BEGIN_S_MAX)
    start = load.start()
    load.finish()
    ended = time.monotonic()
    done = watched.wait_for("done", BEGIN_S_MAX + count / SLOWEST)
    buried = int(done.notes.get("buried", 0))
    return ended - start, max(0.0, done.at - ended), done.rss_max / MIB, buried


def count_lost(brokers: str, topic: str, count: int) -> int:
    """Events whose effect is in no committed output."""
    reader = Reader(brokers, topic)
    quiet = 0
    while quiet < DRAIN_QUIET_READS:
        quiet = 0 if reader.read(0.1) else quiet + 1
    reader.close()
    return effects(reader.seen, [0.0] * count, UNIFORM)[1]
