"""``python -m bench.profile``: where the worker's time goes, as a table and a flame graph.

py-spy looks at the worker from outside while it resolves the benchmark's events; only moments in
which the worker was on a processor are counted, so that shares of samples are shares of its time.
"""

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from bench.contenders import RESOLVER, environments
from bench.findings import Table
from bench.flame import Frame, by_function, flame, read_stacks
from bench.generate import SKEWED, UNIFORM
from bench.report import commit, machine, show
from bench.running import BEGIN_S_MAX, SLOWEST, Bench, Figures, Plan, figures_of
from bench.stack import services

SAMPLES_S = 200
FUNCTIONS = 40
SPY_S_MAX = 60.0


def main() -> int:
    """Profiles one run and keeps the picture."""
    made = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    made.add_argument("--events", type=int, default=200_000)
    made.add_argument("--skewed", action="store_true")
    made.add_argument("--delivery", default="exactly_once")
    made.add_argument("--output", type=Path, help="the picture; else under .bench/results")
    stated = made.parse_args()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        print("py-spy is missing: pip install -e '.[bench]', or make profile", file=sys.stderr)
        return 2
    law = SKEWED if stated.skewed else UNIFORM
    with services() as stack:
        bench = Bench(stack, Plan(events=stated.events), Console(width=150))
        root, figures = watch(bench, spy, bench.raw(law).topic, stated.events, stated.delivery)
    caption = f"{law.name} keys, {figures.cpu_us:.1f} µs of CPU per event, {commit()}, {machine()}"
    folder = environments() / "results"
    folder.mkdir(exist_ok=True)
    output = stated.output or folder / f"profile-{law.name}.svg"
    output.write_text(flame(root, caption), encoding="utf-8")
    show(bench.console, table_of(root, figures))
    bench.say(f"kept in {output}")
    return 0


def watch(bench: Bench, spy: str, topic: str, events: int, delivery: str) -> tuple[Frame, Figures]:
    """The stacks of a worker from its first event to its last, and what the run took."""
    stacks = environments() / "stacks.txt"
    command = [
        spy,
        "record",
        "--format",
        "raw",
        "--function",
        "--rate",
        str(SAMPLES_S),
        "--duration",
        "3600",
    ]
    with bench.stack.store() as redis:
        setup = bench.setup(RESOLVER, topic, redis, events=events, delivery=delivery)
        with bench.running(RESOLVER, setup) as watched:
            begin = watched.wait_for("begin", BEGIN_S_MAX)
            looking = subprocess.Popen(
                [*command, "--output", str(stacks), "--pid", str(watched.process.pid)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            done = watched.wait_for("done", BEGIN_S_MAX + events / SLOWEST)
            looking.send_signal(signal.SIGINT)
            looking.wait(SPY_S_MAX)
    return read_stacks(stacks.read_text().splitlines()), figures_of(begin, done, 0)


def table_of(root: Frame, figures: Figures) -> Table:
    """Functions by what they took with all that they called, in microseconds per event."""
    each = figures.cpu_us / max(1, root.total)
    found = sorted(by_function(root).items(), key=lambda one: -one[1][1])[:FUNCTIONS]
    rows = [[name, f"{total * each:.2f}", f"{own * each:.2f}"] for name, (own, total) in found]
    note = (
        f"{figures.events:,} events, {figures.events_per_s:,.0f} events/s while looked at."
        " The time of the Kafka client's own threads is spread over all of it."
    )
    return Table("µs of CPU per event", ["function", "with callees", "alone"], rows, [note])


if __name__ == "__main__":
    sys.exit(main())
