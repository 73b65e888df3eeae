"""What the demo shows at its end, as tables for a terminal."""

import json
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from resolver.demo import Outcome

IDS_SHOWN = 8
"""Characters of an anonymousId that tell it from the others of the sample."""
VALUE_MAX = 28
NEXT = """\
Try it on your own events, without Kafka or Redis:
  {resolver} resolve events.jsonl
or on your own Kafka:
  {resolver} config check --brokers localhost:9092 --redis redis://localhost:6379
  {resolver} topics create && {resolver} run"""


def show_outcome(outcome: Outcome, console: Console) -> None:
    """Prints who turned out to be whom, what every destination holds, and what was buried."""
    tables = [people_table(outcome), topics_table(outcome)]
    person = telling_person(outcome)
    if person:
        tables.append(person_table(outcome, person))
    for table in tables:
        console.print()
        console.print(table)
    console.print()
    tally = outcome.tally
    console.print(
        f"{outcome.sent} events: {tally.joined} resolved, {tally.skipped} skipped (no identify"
        f" events), {len(tally.buried)} dead letters, in {outcome.seconds * 1000:.0f} ms.",
    )
    for reason in sorted(set(tally.buried)):
        console.print(f"  {tally.buried.count(reason)} dead letters: {reason}", style="yellow")
    console.print()
    console.print(NEXT.format(resolver=command()), style="dim")


def command() -> str:
    """How this installation's ``resolver`` is called from here."""
    if shutil.which("resolver"):
        return "resolver"
    beside = Path(sys.executable).with_name("resolver")
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m resolver"


def people_table(outcome: Outcome) -> Table:
    """Who was anonymous and who they turned out to be."""
    table = Table(
        title="Who was anonymous, and who they turned out to be",
        title_justify="left",
        caption="Said before the login, now part of the person's profile.",
        caption_justify="left",
    )
    table.add_column("anonymousId", style="dim", no_wrap=True)
    table.add_column("userId", style="bold")
    table.add_column("name or e-mail")
    table.add_column("said anonymously", style="green")
    said = anonymous_traits(outcome)
    for profile in outcome.topics["profiles"].profiles.values():
        user_id, traits = profile["userId"], profile["traits"]
        anonymous_ids = profile["profile"]["anonymousIds"]
        if not user_id or not anonymous_ids:
            continue
        kept = {
            name: value
            for one in anonymous_ids
            for name, value in said[one].items()
            if traits.get(name) == value
        }
        devices = "\n".join(one[:IDS_SHOWN] + "…" for one in anonymous_ids)
        who = str(traits.get("name") or traits.get("email") or "")
        table.add_row(devices, user_id, who, short(kept) if kept else "-")
    return table


def anonymous_traits(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What was said under each anonymousId without a userId."""
    said: dict[str, dict[str, Any]] = defaultdict(dict)
    for event in (json.loads(message.value or b"null") for message in outcome.raw):
        if event.get("type") == "identify" and not event.get("userId"):
            said[event.get("anonymousId") or ""].update(event.get("traits") or {})
    return said


def topics_table(outcome: Outcome) -> Table:
    """What every destination's topic received."""
    table = Table(title="What each destination received", title_justify="left")
    table.add_column("destination", style="bold")
    table.add_column("topic")
    for name in ("records", "profiles", "taken back"):
        table.add_column(name, justify="right")
    for destination, topic in outcome.topics.items():
        counts = (topic.records, len(topic.profiles), topic.tombstones)
        table.add_row(destination, topic.name, *map(str, counts))
    return table


def telling_person(outcome: Outcome) -> str:
    """The identified person whom destinations see most differently; empty if there is nobody."""
    everything = outcome.topics["profiles"].profiles

    def difference(key: str) -> tuple[int, int]:
        views = [topic.profiles.get(key) for topic in outcome.topics.values()]
        known = [len(view["traits"]) for view in views if view is not None]
        return max(known) - min(known), max(known)

    return max((key for key in everything if everything[key]["userId"]), key=difference, default="")


def person_table(outcome: Outcome, key: str) -> Table:
    """One person as every destination sees them: its own names, what it may see."""
    table = Table(
        title=f"One person, {key}, as each destination sees them",
        title_justify="left",
        caption="withheld: the event that said it excluded this destination.",
        caption_justify="left",
    )
    rows: dict[str, dict[str, str]] = {}
    for destination, topic in outcome.topics.items():
        table.add_column(destination, overflow="fold")
        profile = topic.profiles.get(key) or {"traits": {}}
        for name, value in profile["traits"].items():
            cell = f"[dim]{name}[/] {short(value)}"
            rows.setdefault(plain(name), {})[destination] = cell
    for cells in rows.values():
        table.add_row(*(cells.get(one, "[red]withheld[/]") for one in outcome.topics))
    return table


def plain(name: str) -> str:
    """A trait's name without its destination's spelling: first_name, $firstName → firstname."""
    return "".join(filter(str.isalnum, name)).lower()


def short(value: Any) -> str:
    """A value as a person reads it, cut to fit a cell; an object without its outer braces."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        text = ", ".join(f"{name}: {short(one)}" for name, one in value.items())
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = text.replace("[", "\\[")
    return text if len(text) <= VALUE_MAX * 3 else text[: VALUE_MAX * 3 - 1] + "…"
