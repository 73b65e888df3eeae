"""What goes out: more destinations, presets, and Avro."""

from typing import Any

from bench.contenders import RESOLVER
from bench.findings import Findings, Table
from bench.generate import UNIFORM
from bench.running import Bench, Figures, median
from resolver.destinations.spec import DestinationSpec

ONE: list[dict[str, Any]] = [{"name": "profiles"}]
MORE = 3
PRESET = "mixpanel"
Runs = dict[str, list[Figures]]


def destinations(bench: Bench) -> Findings:
    """Four destinations against one, in turn: what one more costs per profile it is sent."""
    shapes = {"one": ONE, "four": [*ONE, *({"name": f"copy {one}"} for one in range(MORE))]}
    has_presets = "preset" in DestinationSpec.model_fields
    if has_presets:
        presets = [{"name": f"preset {one}", "preset": PRESET} for one in range(MORE)]
        shapes["one, three presets"] = [*ONE, *presets]
    runs = in_turn(bench, shapes)
    found = Findings()
    found.tables.append(table_of("Destinations, JSON out", bench, runs))
    found.note("destination", cost_each(runs["one"], runs["four"]))
    if has_presets:
        found.note("preset", cost_each(runs["one"], runs["one, three presets"]))
    else:
        found.remarks["preset"] = "this version has no presets"
    return found


def avro(bench: Bench) -> Findings:
    """One destination in Avro against the same in JSON."""
    runs = in_turn(bench, {"JSON": ONE, "Avro": [{"name": "profiles", "format": "avro"}]})
    found = Findings()
    found.tables.append(table_of("The form of what goes out", bench, runs))
    rates = [median(runs[one], "events_per_s") for one in ("Avro", "JSON")]
    found.note("avro", rates[0] / rates[1])
    return found


def in_turn(bench: Bench, shapes: dict[str, list[dict[str, Any]]]) -> Runs:
    """Every shape once a round, on the same bytes."""
    raw = bench.raw(UNIFORM)
    runs: Runs = {name: [] for name in shapes}
    for number in range(bench.plan.rounds):
        bench.say(f"{', '.join(shapes)}: round {number + 1} of {bench.plan.rounds}")
        for name, specs in shapes.items():
            runs[name].append(bench.run(RESOLVER, raw, destinations=specs))
    return runs


def cost_each(few: list[Figures], many: list[Figures]) -> float:
    """Worker's microseconds per profile emitted to the additional destinations."""
    before, after = few[0].notes["emitted"], many[0].notes["emitted"]
    more = sum(after.values()) - sum(before.values())
    return (least(many) - least(few)) * few[0].events / max(1.0, float(more))


def least(figures: list[Figures]) -> float:
    """The least processor time of the rounds: others on the machine only ever add to it."""
    return min(one.cpu_us for one in figures)


def table_of(title: str, bench: Bench, runs: Runs) -> Table:
    """Medians of each shape."""
    rows = []
    for name, figures in runs.items():
        emitted = sum(figures[0].notes["emitted"].values())
        rate, cost = median(figures, "events_per_s"), median(figures, "cpu_us")
        rows.append([name, f"{rate:,.0f}", f"{cost:.1f}", f"{least(figures):.1f}", f"{emitted:,}"])
    columns = ["out", "events/s", "CPU µs/event", "at least", "records emitted"]
    return Table(f"{title}: {bench.plan.events:,} uniform events", columns, rows)
