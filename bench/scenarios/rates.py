"""Events per second, processor time and memory, contenders in turn on the same bytes."""

import statistics

from bench.contenders import (
    KAFKA_STREAMS,
    PASSTHROUGH,
    PASSTHROUGH_SOON,
    RESOLVER,
    RESOLVER_ALO,
    Contender,
)
from bench.findings import MIB, Bars, Findings, Table
from bench.generate import SKEWED, UNIFORM, Law
from bench.running import Bench, Figures, median
from bench.stack import Raw

COLUMNS = [
    "contender",
    "events/s",
    "± %",
    "of passthrough",
    "resolver's rate is",
    "CPU µs/event",
    "resolver's CPU is",
    "Redis CPU µs/event",
    "memory MiB",
    "Redis bytes/user",
]
FEW = (PASSTHROUGH, RESOLVER, KAFKA_STREAMS)
Runs = dict[Contender, list[Figures]]


def throughput(bench: Bench) -> Findings:
    """Both laws, every contender, A B A B; a quick run takes only those of the goals as skewed."""
    found = Findings()
    for law in (UNIFORM, SKEWED):
        raw = bench.raw(law)
        few = bench.plan.quick and law == SKEWED
        taken = [one for one in bench.plan.contenders if one in FEW or not few]
        runs: Runs = {one: [] for one in taken}
        for number in range(bench.plan.rounds):
            bench.say(f"{law.name}, round {number + 1} of {bench.plan.rounds}")
            for contender, figures in runs.items():
                figures.append(bench.run(contender, raw))
        for contender, figures in runs.items():
            bench.rounds[law.name, contender.name] = figures
        found.tables.append(table_of(law, raw, runs))
        rate = {one.label: median(figures, "events_per_s") for one, figures in runs.items()}
        cost = {one.label: median(figures, "cpu_us") for one, figures in runs.items()}
        found.charts.append(Bars(f"events per second, {law.name}", "/s", rate))
        found.charts.append(Bars(f"worker CPU per event, {law.name}", "µs", cost))
        note_goals(found, law, runs)
    return found


def table_of(law: Law, raw: Raw, runs: Runs) -> Table:
    """Medians; each beside the passthrough's and the resolver's of the same run."""
    rows = [row_of(contender, raw, runs) for contender in runs]
    title = f"Throughput: {raw.events:,} events, {law.name} keys, one worker, medians"
    lacks = [f"{one.label}: {one.lacks}." for one in runs if one.lacks]
    return Table(title, COLUMNS, rows, lacks)


def row_of(contender: Contender, raw: Raw, runs: Runs) -> list[str]:
    """One contender's row."""
    figures = runs[contender]
    rate, cost = median(figures, "events_per_s"), median(figures, "cpu_us")
    redis = median(figures, "redis_memory") / raw.users if contender.uses_redis else None
    redis_cpu = median(figures, "redis_cpu_us") if contender.uses_redis else None
    return [
        contender.label,
        f"{rate:,.0f}",
        f"{spread(figures):.0f}",
        ratio(rate, middle(runs, PASSTHROUGH, "events_per_s"), 3),
        ratio(middle(runs, RESOLVER, "events_per_s"), rate),
        f"{cost:.1f}",
        ratio(middle(runs, RESOLVER, "cpu_us"), cost),
        "–" if redis_cpu is None else f"{redis_cpu:.1f}",
        f"{median(figures, 'memory') / MIB:,.0f}",
        "–" if redis is None else f"{redis:,.0f}",
    ]


def spread(figures: list[Figures]) -> float:
    """Half of the distance between the fastest and the slowest round, in percent."""
    rates = [one.events_per_s for one in figures]
    return (max(rates) - min(rates)) / 2 / statistics.median(rates) * 100


def middle(runs: Runs, contender: Contender, measure: str) -> float | None:
    """A contender's median, if it ran."""
    figures = runs.get(contender)
    return median(figures, measure) if figures else None


def ratio(one: float | None, other: float | None, digits: int = 2) -> str:
    """A ratio as text; a dash where one of the two was not measured."""
    return "–" if not one or not other else f"{one / other:.{digits}f}"


def note_goals(found: Findings, law: Law, runs: Runs) -> None:
    """The goals that are ratios of these figures."""
    pairs = {
        f"streams_rate_{law.name}": ("events_per_s", RESOLVER, KAFKA_STREAMS),
        f"ceiling_{law.name}": ("events_per_s", RESOLVER, PASSTHROUGH),
        f"streams_cpu_{law.name}": ("cpu_us", RESOLVER, KAFKA_STREAMS),
    }
    if law == UNIFORM:
        pairs["exactly_once"] = ("events_per_s", RESOLVER, RESOLVER_ALO)
    for goal, (measure, one, other) in pairs.items():
        above, below = middle(runs, one, measure), middle(runs, other, measure)
        if above is not None and below is not None:
            found.note(goal, above / below, beside_ceiling(goal, above, runs))


def beside_ceiling(goal: str, rate: float, runs: Runs) -> str:
    """The same against the passthrough that fetches soon, where the goal is about passthroughs."""
    soon = middle(runs, PASSTHROUGH_SOON, "events_per_s")
    if soon is None or not goal.startswith("ceiling"):
        return ""
    return f"{rate / soon:.2f} of one that fetches as soon again as the resolver's client"
