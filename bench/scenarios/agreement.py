"""Whether everybody does the same job: final profiles compared with a fold of the events."""

from bench.contenders import COPIES
from bench.findings import Findings, Table
from bench.generate import UNIFORM, events_of
from bench.outputs import Resolved, compared, folded, read_outputs
from bench.running import BEGIN_S_MAX, SLOWEST, Bench

EVENTS = 20_000
QUIET_S = 8.0
"""Longer than any contender waits between two commits."""


def agreement(bench: Bench) -> Findings:
    """Reads each contender's committed outputs: everybody's last profile must be right."""
    raw = bench.raw(UNIFORM, EVENTS)
    expected = folded(events_of(EVENTS, UNIFORM))
    fields = ("right", *Resolved._fields, "missing")
    rows = []
    for contender in bench.plan.contenders:
        if contender in COPIES:
            continue
        with bench.stack.store() as redis:
            setup = bench.setup(contender, raw.topic, redis, events=raw.events)
            with bench.running(contender, setup) as watched:
                watched.wait_for("done", BEGIN_S_MAX + EVENTS / SLOWEST)
                outputs = read_outputs(bench.stack.brokers, setup.out, QUIET_S)
        found = compared(outputs.last(), expected)
        each = outputs.profile_bytes / max(1, outputs.profiles)
        rows.append([contender.label, *(f"{found[one]:,}" for one in fields), f"{each:,.0f}"])
        bench.say(f"  {contender.name}: {found['right']:,} right of {len(expected):,}")
    title = f"Agreement: profiles of {len(expected):,} people after {EVENTS:,} events"
    wrong = [f"wrong {name}".replace("_", " ") for name in Resolved._fields]
    columns = ["contender", "right", *wrong, "missing", "bytes of a profile"]
    note = "People: users, and devices on which nobody logged in."
    return Findings([Table(title, columns, rows, [note])])
