"""A ratio that a real loss moves and noise does not: the guard of the continuous integration.

What is compared is the processor time of an event, the passthrough's over the resolver's, against
the ratio on record. Waiting for a busy machine costs no processor time; what being disturbed does
cost (colder caches, a slower clock) only ever adds. So each contender counts by the least of its
rounds, rounds of both alternate, and before the guard says that something was lost it takes as many
rounds again: it is wrong only if every round of the resolver's was half as dear again as a quiet
one, while some round of the passthrough's, in between, was not.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.contenders import PASSTHROUGH, RESOLVER
from bench.generate import UNIFORM
from bench.running import Bench, Plan
from bench.stack import services

NAME = "cpu_ratio_uniform"
RECORD = Path(__file__).parent / "recorded.json"
FALL_MAX = 1 / 3
EVENTS = 15_000
"""Of a round of the resolver's: two batches at least, about two seconds of a processor."""
COPIED = 120_000
"""Of a round of the passthrough's: so many that the ten milliseconds between two ticks of a
process's clock are a fiftieth of it at most."""
ROUNDS, ROUNDS_MAX = 2, 6
WIDTH = 150


@dataclass(frozen=True)
class Verdict:
    """The passthrough's µs of CPU per event, the resolver's, and the ratio on record."""

    passthrough_us: float
    resolver_us: float
    recorded: float

    @property
    def ratio(self) -> float:
        """The passthrough's cost over the resolver's: less is slower."""
        return self.passthrough_us / self.resolver_us

    @property
    def lost(self) -> bool:
        """Whether it fell by more than a third."""
        return self.ratio < self.recorded * (1 - FALL_MAX)

    def __str__(self) -> str:
        return (
            f"CPU per event: passthrough {self.passthrough_us:.2f} µs,"
            f" resolver {self.resolver_us:.1f} µs: ratio {self.ratio:.4f},"
            f" on record {self.recorded:.4f}, least {self.recorded * (1 - FALL_MAX):.4f}"
        )


def recorded() -> float:
    """The ratio on record."""
    return float(json.loads(RECORD.read_text(encoding="utf-8"))[NAME])


def judge(bench: Bench) -> Verdict:
    """Measures until the ratio holds, or until the rounds are used up."""
    on_record = recorded()
    for number, verdict in enumerate(verdicts(bench, on_record), 1):
        bench.say(f"round {number}: {verdict}")
        if number >= ROUNDS and not verdict.lost:
            break
    if verdict.ratio * (1 - FALL_MAX) > on_record:
        bench.say("the ratio on record is old: python -m bench.guard --record")
    return verdict


def verdicts(bench: Bench, on_record: float) -> Iterator[Verdict]:
    """After each round, the least of every contender's runs so far."""
    raw = bench.raw(UNIFORM, COPIED)
    copied, resolved = [], []
    for _ in range(ROUNDS_MAX):
        copied.append(bench.run(PASSTHROUGH, raw).cpu_us)
        resolved.append(bench.run(RESOLVER, raw, events=EVENTS).cpu_us)
        copied.append(bench.run(PASSTHROUGH, raw).cpu_us)
        yield Verdict(min(copied), min(resolved), on_record)


def main() -> int:
    """``python -m bench.guard`` judges; with ``--record`` it keeps what it measured instead."""
    with services() as stack:
        bench = Bench(stack, Plan(), Console(width=WIDTH))
        if "--record" not in sys.argv:
            return int(judge(bench).lost)
        *_, last = verdicts(bench, recorded())
    kept = {**json.loads(RECORD.read_text(encoding="utf-8")), NAME: round(last.ratio, 4)}
    RECORD.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    bench.say(f"on record now: {last.ratio:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
