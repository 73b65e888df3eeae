"""Verbs for events in files: resolving them here, sending them."""

import sys
from typing import Annotated

import typer

from resolver import wiring
from resolver.cli.app import app
from resolver.cli.console import (
    Brokers,
    ConfigFile,
    Files,
    accounted,
    counted,
    err,
    progress_bar,
    settings_of,
    told,
    told_bad,
)


@app.command()
@told
def resolve(
    files: Files = None,
    destination: Annotated[
        str | None,
        typer.Option(help="Fold as it sees them: a configured one, or any integration's name."),
    ] = None,
    file: ConfigFile = None,
) -> int:
    """Resolve JSON Lines offline, without Kafka or Redis; profiles go to standard output.

    Bad lines are named on standard error, the good ones resolved all the same.

    Examples: `resolver resolve events.jsonl` · `zcat *.gz | resolver resolve --destination Braze`
    """
    lines, account = wiring.resolve(settings_of(file), files or [], destination)
    for line in lines:
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
    return told_bad(account)


@app.command()
@told
def send(files: Files = None, file: ConfigFile = None, brokers: Brokers = None) -> int:
    """Send JSON Lines to the first raw topic, keyed so that a device's events stay in order.

    Example: `resolver send events.jsonl --brokers localhost:9092`
    """
    settings = settings_of(file, brokers)
    refused: list[str] = []
    total = wiring.count_lines(files or []) if err.is_terminal else None
    with progress_bar("sent", total) as report:
        count = wiring.send(settings, files or [], report, refused.append)
    return accounted(f"{counted(count, 'event')} sent to {settings.inputs[0].topic}", refused)
