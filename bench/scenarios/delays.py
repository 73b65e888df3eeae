"""How long one event takes: at half of the maximum, with less to do, and on a trickle."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from bench.backlog import Backlog
from bench.contenders import COPIES, PASSTHROUGH, PASSTHROUGH_ALO, RESOLVER, RESOLVER_ALO, Contender
from bench.findings import Bars, Findings, Table
from bench.generate import UNIFORM
from bench.latency import SEED, Latency, measure
from bench.load import Load, Order
from bench.running import BEGIN_S_MAX, Bench

TRICKLE = 20.0
WARM_RATE = 15_000.0
WARM_S = 45.0
"""How long the broker passes events on as they come, by either of two contenders, before anything
counts. Its code is slow until it is compiled: at 18,000 events/s the broker took 0.76 cores at
first, 0.45 a minute later and about 0.4 from then on. Whoever came first would pay.
"""
WARM_SHARE = 0.3
"""Of the events of a steady rate, how many go first and do not count."""
FLOODED_S = 15.0
"""For how long more events arrive than can be taken in, to see how many are."""
LOOK_S = 0.25
COLUMNS = ["contender", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "lost", "late ms"]


def latency(bench: Bench) -> Findings:
    """Half of each one's own maximum, 20 events a second, the passthrough at the same rates; for
    the resolver also a quarter of it, and half of what it takes in while events arrive.

    A quick run has the resolver alone, and at least once only the trickle.
    """
    plan = bench.plan
    runners = [one for one in plan.contenders if one not in COPIES]
    if plan.quick:
        runners = [RESOLVER, RESOLVER_ALO]
    else:
        warm(bench)
    found, rows, p99 = Findings(), [], {}
    for contender in runners:
        ceiling = PASSTHROUGH if contender.delivery == "exactly_once" else PASSTHROUGH_ALO
        if plan.quick and contender == RESOLVER_ALO:
            trickle(bench, contender)
            continue
        compared = contender in (RESOLVER, RESOLVER_ALO)
        beside = [contender, ceiling] if compared else [contender]
        rounds = in_turn(bench, beside, halves(bench, contender))
        own, *under = middle(rounds)
        for one in under:
            rows.append([f"{ceiling.label}, same rate", *cells(one), trickle(bench, ceiling)])
        rows.append([contender.label, *cells(own), trickle(bench, contender)])
        p99[contender.label] = own.p99_ms
        if contender == RESOLVER:
            remark = f"{own} against {under[0]}; p99 by round {spread_of(rounds)}"
            found.note("latency_half", times(own, *under), remark)
            if not plan.quick:
                found.tables.append(calmer(bench, beside, own.rate * 2))
    for goal, contender in (("trickle", RESOLVER), ("trickle_alo", RESOLVER_ALO)):
        if contender.name in bench.trickles:
            found.note(f"latency_{goal}", bench.trickles[contender.name])
    title = "Latency at half of the own maximum, from when an event was due (open loop)"
    notes = [
        "Each round at half of the maximum of its minute. Of several rounds the one with the middle"
        " p99, as many times the passthrough's where that ran beside it.",
        "late: by how much the sender itself was behind at worst; it is in the figures.",
    ]
    found.tables.insert(0, Table(title, [*COLUMNS, "p50 at 20/s"], rows, notes))
    found.charts.append(Bars("p99 latency at half of the own maximum", "ms", p99))
    return found


def warm(bench: Bench) -> None:
    """Until the broker's code for events that pass as they come is compiled."""
    bench.say(f"warming the broker up, {2 * WARM_S:.0f} s")
    for contender in (RESOLVER, PASSTHROUGH):
        measure(bench, contender, WARM_RATE, WARM_S, 0)


def halves(bench: Bench, contender: Contender) -> Iterator[float]:
    """For each round, when it begins, half of that minute's maximum, for maxima swing with the
    machine; a quick run takes what it has measured.
    """
    maximum = bench.maximum if bench.plan.quick else bench.maximum_now
    for _ in range(bench.plan.rounds):
        yield maximum(contender) / 2


def in_turn(
    bench: Bench, contenders: Sequence[Contender], rates: Iterable[float]
) -> list[list[Latency]]:
    """Round by round, what each took at a steady rate after a warm-up; every other round in the
    opposite order.

    As many events are sent as maxima are measured with: the more is known of people, the more an
    event costs, and half of a maximum is that of the same job.
    """
    taken: list[list[Latency]] = []
    for turn, rate in enumerate(rates):
        seconds = bench.plan.events / rate
        warm_s = seconds * WARM_SHARE
        bench.say(f"latency at {rate:,.0f} events/s, round {turn + 1}")
        found: dict[str, Latency] = {}
        for contender in reversed(contenders) if turn % 2 else contenders:
            found[contender.name] = measure(bench, contender, rate, seconds - warm_s, warm_s)
        taken.append([found[contender.name] for contender in contenders])
    return taken


def calmer(bench: Bench, contenders: Sequence[Contender], maximum: float) -> Table:
    """The resolver and the passthrough with less to do."""
    taken_in = sustained(bench, contenders[0], maximum)
    bench.say(f"{contenders[0].name} takes in {taken_in:,.0f} events/s while events arrive")
    rounds = in_turn(bench, contenders, (taken_in / 2, maximum / 4))
    rows = [
        [who.label, *cells(one)]
        for taken in rounds
        for who, one in zip(contenders, taken, strict=True)
    ]
    title = "Latency at half of what the resolver takes in while events arrive, and at a quarter"
    note = (
        f"It took in {taken_in:,.0f} events/s while {maximum:,.0f} arrived, its maximum on a full"
        " topic with nobody sending; the quarter is that of the maximum. One round."
    )
    return Table(f"{title} of its maximum", COLUMNS, rows, [note])


def sustained(bench: Bench, contender: Contender, rate: float) -> float:
    """Events a second that it commits while so many arrive, which should be more than it can."""
    raw = bench.stack.fill(0, UNIFORM)
    order = Order(
        bench.stack.brokers, raw.topic, rate, int(rate * FLOODED_S), asdict(UNIFORM), SEED
    )
    looks: list[tuple[float, int]] = []
    with bench.stack.store() as redis:
        setup = bench.setup(contender, raw.topic, redis)
        load, backlog = Load(order), Backlog(bench.stack.brokers, raw.topic, setup.name)
        try:
            with bench.running(contender, setup) as watched:
                watched.wait_for("begin", BEGIN_S_MAX)
                load.start()
                while load.sending():
                    time.sleep(LOOK_S)
                    looks.append((time.monotonic(), backlog.committed()))
        finally:
            load.close()
            backlog.close()
    bench.stack.drop(raw.topic)
    (began, before), (ended, after) = looks[int(len(looks) * WARM_SHARE)], looks[-1]
    return (after - before) / (ended - began)


def middle(rounds: Sequence[list[Latency]]) -> list[Latency]:
    """The round with the middle p99, as many times that of whom it is compared with."""
    ordered = sorted(rounds, key=lambda taken: times(*taken))
    return ordered[len(ordered) // 2]


def times(own: Latency, other: Latency | None = None) -> float:
    """How many times another's p99 one is; the p99 itself where there is no other."""
    return own.p99_ms / (other.p99_ms if other else 1)


def spread_of(rounds: Sequence[list[Latency]]) -> str:
    """The two p99 of each round and its rate, in their order."""
    told = [
        f"{own.p99_ms:,.0f} : {other.p99_ms:,.0f} ms at {own.rate:,.0f}/s" for own, other in rounds
    ]
    return ", ".join(told)


def trickle(bench: Bench, contender: Contender) -> str:
    """The median at 20 events a second, as a cell."""
    found = measure(bench, contender, TRICKLE, bench.plan.scaled(20, 5), 2)
    bench.trickles[contender.name] = found.p50_ms
    return f"{found.p50_ms:.1f}"


def cells(one: Latency) -> list[str]:
    """A latency's figures."""
    shares = [f"{part:,.1f}" for part in (one.p50_ms, one.p99_ms, one.p999_ms)]
    return [f"{one.rate:,.0f}", *shares, f"{one.lost}", f"{one.late_ms:.0f}"]
