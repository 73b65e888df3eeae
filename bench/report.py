"""Findings printed, and kept with the machine, the date, the commit and the command."""

import json
import os
import platform
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from bench.contenders import environments
from bench.findings import Findings, Table, goals_table
from bench.picture import picture
from tests.stack.services import ROOT, redis_binary

HERE = Path(__file__).parent
CHARTS_OF_ALL = 2
"""Charts of a throughput run: what measures less does not replace its picture."""
RESULTS, PICTURE = HERE / "RESULTS.md", HERE / "results.svg"


def show(console: Console, table: Table) -> None:
    """A table on the terminal."""
    grid = Grid(title=table.title, title_justify="left")
    for place, column in enumerate(table.columns):
        grid.add_column(column, justify="right" if place else "left")
    for row in table.rows:
        grid.add_row(*row)
    console.print(grid)
    for note in table.notes:
        console.print(note, highlight=False, markup=False)


def report(
    console: Console, found: Findings, command: list[str], *, complete: bool, recorded: bool
) -> Path:
    """Prints everything and keeps it under ``.bench/results``; recorded also in the repository."""
    goals = goals_table(found, complete=complete)
    for table in [*found.tables, goals]:
        if table.rows:
            show(console, table)
    now = datetime.now(UTC)
    caption = f"{now:%Y-%m-%d}, {machine()}, commit {commit()}"
    text = "\n\n".join(
        [
            f"## {caption}",
            f"`{shlex.join(['python', '-m', 'bench', *command])}`",
            *(table.markdown() for table in [goals, *found.tables] if table.rows),
        ]
    )
    folder = environments() / "results"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{now:%Y%m%d-%H%M%S}.md"
    kept.write_text(f"{text}\n", encoding="utf-8")
    drawing = picture(found.charts, caption)
    kept.with_suffix(".svg").write_text(drawing, encoding="utf-8")
    figures = {"measured": found.measured, "remarks": found.remarks}
    kept.with_suffix(".json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if recorded:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
        if len(found.charts) >= CHARTS_OF_ALL:
            PICTURE.write_text(drawing, encoding="utf-8")
    return kept


def machine() -> str:
    """Cores, processor and Python."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    busy = os.getloadavg()[2]
    python = platform.python_version()
    redis = Path(redis_binary()).name
    return (
        f"{os.cpu_count()} cores ({model}), Python {python}, {redis} ({allocator()}),"
        f" load {busy:.1f} over 15 min"
    )


def allocator() -> str:
    """The version of the Redis server and what it allocates memory with."""
    told = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True)
    words = dict(word.split("=", 1) for word in told.stdout.split() if "=" in word)
    return f"{words.get('v', '?')}, {words.get('malloc', '?')}"


def commit() -> str:
    """The commit, marked where the tree differs from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
