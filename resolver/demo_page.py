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
from resolver.destinations.shape import Shape
from resolver.destinations.vocabulary import Reason

IDS_SHOWN = 8
"""Characters of an anonymousId that tell it from the others of the sample."""
VALUE_MAX = 28
WITHHELD = "[red]withheld[/]"
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
    for name in ("records", "profiles", "taken back", "alias events"):
        table.add_column(name, justify="right")
    for destination, topic in outcome.topics.items():
        counts = (topic.records, len(topic.profiles), topic.tombstones, topic.aliases)
        table.add_row(destination, topic.name, *map(str, counts))
    return table


def telling_person(outcome: Outcome) -> str:
    """The identified person of whom most is withheld; empty if there is nobody."""
    everything = outcome.topics["profiles"].profiles
    shapes = shapes_of(outcome)

    def withheld(key: str) -> tuple[int, int]:
        rows = rows_of(outcome, shapes, key)
        return sum(row.count(WITHHELD) for row in rows if len(set(row)) > 1), len(rows)

    def is_known(key: str) -> bool:
        return all(key in topic.profiles for topic in outcome.topics.values())

    return max(filter(is_known, everything), key=withheld, default="")


def shapes_of(outcome: Outcome) -> dict[str, Shape]:
    """What makes each destination's payloads."""
    return {name: Shape(topic.spec) for name, topic in outcome.topics.items()}


def person_table(outcome: Outcome, key: str) -> Table:
    """One person as every destination sees them: its own names and formats, what it may see."""
    table = Table(
        title=f"One person, {key}, as each destination sees them",
        title_justify="left",
        caption="withheld: the event that said it excluded this destination.\n"
        "no place: the destination has none; `resolver explain NAME FILE` tells of each field.",
        caption_justify="left",
    )
    for destination in outcome.topics:
        table.add_column(destination, overflow="fold")
    for row in rows_of(outcome, shapes_of(outcome), key):
        table.add_row(*row)
    return table


def rows_of(outcome: Outcome, shapes: dict[str, Shape], key: str) -> list[list[str]]:
    """A row for each trait of a person, a cell for each destination."""
    stated = outcome.topics["profiles"].profiles[key]["traits"]
    return [
        [
            cell_of(shapes[name], trait, value, topic.profiles.get(key))
            for name, topic in outcome.topics.items()
        ]
        for trait, value in stated.items()
    ]


def cell_of(shape: Shape, trait: str, value: Any, profile: dict[str, Any] | None) -> str:
    """A trait where and as a destination received it, or why it did not."""
    lines = []
    for path, made in shape.trace(trait, value):
        if type(made) is Reason:
            continue
        there, received = found_at(profile["traits"] if profile else {}, path)
        if not there:
            return WITHHELD
        lines.append(f"[dim]{'.'.join(path)}[/] {short(received)}")
    return "\n".join(lines) or "[yellow]no place[/]"


def found_at(traits: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    """Whether there is a field, and its value."""
    for name in path:
        if not isinstance(traits, dict) or name not in traits:
            return False, None
        traits = traits[name]
    return True, traits


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
