"""How long one event takes: at half of the maximum, and on a trickle."""

from bench.contenders import COPIES, PASSTHROUGH, PASSTHROUGH_ALO, RESOLVER, RESOLVER_ALO, Contender
from bench.findings import Bars, Findings, Table
from bench.latency import Latency, measure
from bench.running import Bench

TRICKLE = 20.0


def latency(bench: Bench) -> Findings:
    """Half of each one's own maximum, 20 events a second, the passthrough at the same rates.

    A quick run has the resolver alone, and at least once only the trickle.
    """
    plan = bench.plan
    runners = [one for one in plan.contenders if one not in COPIES]
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
