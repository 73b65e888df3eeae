"""The command and its groups of verbs."""

from typing import Annotated

import typer

from resolver import __version__

HELP = """Resolve identify events into profiles: who is who, across devices, addresses and logins.

Exit codes:

* 0: done
* 1: done, but some input was bad, or nobody was found; or a backfill was interrupted
* 2: wrong usage or settings, a missing topic, a Redis that evicts
* 3: Kafka, Redis or the schema registry cannot be reached
* 4: another worker took this one's place, or the client cannot go on
* 5: a fault of the resolver's own

Example: `resolver config check && resolver topics create && resolver run`
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
TOPICS = "The topics that the settings name. Example: `resolver topics create`"
DLQ = "Dead letters: what could never be resolved. Example: `resolver dlq list`"
DESTINATIONS = "Who receives profiles, and how. Example: `resolver destinations list`"
CONFIG = "The settings. Example: `resolver config check -c resolver.yaml`"
topics = typer.Typer(help=TOPICS, no_args_is_help=True)
dlq = typer.Typer(help=DLQ, no_args_is_help=True)
destinations = typer.Typer(help=DESTINATIONS, no_args_is_help=True)
config = typer.Typer(help=CONFIG, no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(dlq, name="dlq")
app.add_typer(config, name="config")
app.add_typer(destinations, name="destinations")


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of no verb."""
