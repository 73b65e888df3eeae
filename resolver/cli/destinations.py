"""Verbs about destinations: which there are, what they are, what they would receive."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resolver import targets
from resolver.cli.app import app, destinations
from resolver.cli.console import OK, ConfigFile, err, out, settings_of, told, told_bad

Name = Annotated[str, typer.Argument(help="A configured destination, or a preset.")]


@app.command()
@told
def explain(
    name: Name,
    files: Annotated[
        list[Path] | None, typer.Argument(help="JSON Lines; none or - reads standard input.")
    ] = None,
    file: ConfigFile = None,
) -> int:
    """Explain what a destination would receive of events, field by field, and why.

    Needs no Kafka and no Redis. A table on a terminal, else a JSON object per profile.

    Example: `resolver explain mixpanel events.jsonl`
    """
    settings = settings_of(file)
    explained, account = targets.explain_lines(
        settings, targets.spec_named(settings, name), files or []
    )
    for one in explained:
        if out.is_terminal:
            show_profile(one)
        else:
            lines = [line._asdict() for line in one.lines]
            print(json.dumps(one._asdict() | {"lines": lines}, ensure_ascii=False))
    return told_bad(account)


def show_profile(one: targets.Explained) -> None:
    """One profile as a table for people."""
    title = f"{one.profile}: {'sent' if one.sent else 'not sent: ' + one.why}"
    table = Table(title=title, title_justify="left")
    table.add_column("trait", style="dim")
    table.add_column("field", style="bold")
    table.add_column("value", overflow="fold")
    table.add_column("why", style="yellow", overflow="fold")
    for line in one.lines:
        value = json.dumps(line.value, ensure_ascii=False) if line.field else ""
        table.add_row(
            *(cell.replace("[", "\\[") for cell in (line.trait, line.field, value, line.why))
        )
    out.print(table)


@destinations.command("list")
@told
def destinations_list(file: ConfigFile = None) -> int:
    """List the configured destinations with their topics, then the presets there are.

    Example: `resolver destinations list`
    """
    settings = settings_of(file)
    for spec in settings.destinations:
        print(f"{spec.name}\t{spec.topic}\t{spec.preset or '-'}")
    err.print(f"presets: {', '.join(targets.preset_names(settings.presets))}", markup=False)
    return OK


@destinations.command("show")
@told
def destinations_show(
    name: Name,
    file: ConfigFile = None,
    avro: Annotated[bool, typer.Option("--avro", help="The Avro contract of its topic.")] = False,
) -> int:
    """Show the effective specification of a destination or a preset, as YAML.

    Examples: `resolver destinations show mixpanel` · `resolver destinations show crm --avro`
    """
    spec = targets.spec_named(settings_of(file), name)
    if avro:
        print(json.dumps(json.loads(targets.payload_contract(spec).text), indent=2))
    else:
        print(targets.spec_text(spec), end="")
    return OK
