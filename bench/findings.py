"""What scenarios find: tables, and the figures that the goals are about."""

from collections.abc import Callable
from dataclasses import dataclass, field

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Table:
    """A titled table; the first column is text, all others are figures."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """As it stands in the results."""
        head = "|".join(["", *self.columns, ""])
        rule = "|---|" + "---:|" * (len(self.columns) - 1)
        body = ["|".join(["", *row, ""]) for row in self.rows]
        notes = [f"\n{one}" for one in self.notes]
        return "\n".join([f"**{self.title}**\n", head, rule, *body, *notes])


@dataclass(frozen=True)
class Bars:
    """One chart: a bar per contender."""

    title: str
    unit: str
    values: dict[str, float]


@dataclass
class Findings:
    """Of one scenario, or of several joined."""

    tables: list[Table] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    charts: list[Bars] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Takes in another scenario's."""
        self.tables += other.tables
        self.measured |= other.measured
        self.remarks |= other.remarks
        self.charts += other.charts

    def note(self, goal: str, figure: float, remark: str = "") -> None:
        """A figure for a goal, with what must be said beside it."""
        self.measured[goal] = figure
        if remark:
            self.remarks[goal] = remark


@dataclass(frozen=True)
class Goal:
    """A row of the goals: a floor to be met and a goal to be reached, or not to be exceeded."""

    measure: str
    floor: float | None
    goal: float
    at_most: bool = False
    show: Callable[[float], str] = "{:.2f}".format

    def meets(self, figure: float, bound: float | None) -> bool:
        """Whether a figure is on the right side of a bound."""
        if bound is None:
            return True
        return figure <= bound if self.at_most else figure >= bound

    def verdict(self, figure: float | None) -> str:
        """``goal``, ``floor``, ``MISSED``, ``not measured``, or below a goal without a floor."""
        if figure is None:
            return "not measured"
        if self.meets(figure, self.goal):
            return "goal"
        if self.floor is None:
            return "below the goal"
        return "floor" if self.meets(figure, self.floor) else "MISSED"

    def bound(self, figure: float | None) -> str:
        """A bound as text."""
        return "–" if figure is None else ("≤ " if self.at_most else "") + self.show(figure)


def times(figure: float) -> str:
    """A ratio."""
    return f"{figure:.2f} ×"


def us(figure: float) -> str:
    """Microseconds."""
    return f"{figure:.1f} µs"


def ms(figure: float) -> str:
    """Milliseconds."""
    return f"{figure:.1f} ms"


def whole(figure: float) -> str:
    """Whole numbers."""
    return f"{figure:,.0f}"


def kept(figure: float) -> str:
    """A promise."""
    return "kept" if figure >= 1 else "broken"


GOALS: dict[str, Goal] = {
    "streams_rate_uniform": Goal("events/s against Kafka Streams, uniform", 1.75, 2.5, show=times),
    "streams_rate_skewed": Goal("events/s against Kafka Streams, skewed", 2, 3, show=times),
    "ceiling_uniform": Goal("events/s against passthrough, uniform", 0.2, 0.3),
    "ceiling_skewed": Goal("events/s against passthrough, skewed", 0.4, 0.6),
    "streams_cpu_uniform": Goal("worker CPU against Kafka Streams', uniform", 0.45, 0.3, True),
    "streams_cpu_skewed": Goal("worker CPU against Kafka Streams', skewed", 0.35, 0.22, True),
    "exactly_once": Goal("exactly-once against own at-least-once", 0.85, 0.95),
    "destination": Goal("one more JSON destination, per emitted profile", 6, 4, True, us),
    "preset": Goal("one more destination with a preset, per emitted profile", 10, 6, True, us),
    "avro": Goal("Avro out against JSON out", 0.6, 0.75),
    "latency_half": Goal("p99 at half of own maximum, against passthrough", 3, 1.5, True, times),
    "latency_trickle": Goal("p50 at 20 events/s, exactly once", 20, 12, True, ms),
    "latency_trickle_alo": Goal("p50 at 20 events/s, at least once", 8, 5, True, ms),
    "burst": Goal(
        "a burst of 30 s at twice the maximum: lag drains, nothing lost, memory bounded",
        1,
        1,
        show=kept,
    ),
    "redis": Goal("GiB of Redis per million profiles", 0.75, 0.55, True),
    "memory": Goal("worker memory in MB, 10 million profiles seen", 500, 300, True, whole),
    "store_size": Goal("events/s with many profiles in Redis against few", 0.8, 0.9),
    "replay": Goal("a replay that changes nothing, against the first pass", 1.5, 2.5, show=times),
    "workers": Goal("two workers against one", None, 1.9, show=times),
    "offline": Goal("resolver resolve, lines/s", 40_000, 80_000, show=whole),
}


def goals_table(found: Findings, *, complete: bool) -> Table:
    """Every goal beside what was measured; unless complete, those alone that were."""
    rows = []
    for name, goal in GOALS.items():
        figure = found.measured.get(name)
        if figure is None and not complete:
            continue
        shown = "–" if figure is None else goal.show(figure)
        bounds = [goal.bound(goal.floor), goal.bound(goal.goal)]
        rows.append([goal.measure, shown, *bounds, goal.verdict(figure)])
    said = [f"{GOALS[name].measure}: {remark}" for name, remark in found.remarks.items()]
    return Table("Goals", ["measure", "measured", "floor", "goal", "verdict"], rows, said)
