"""The command line: verbs and exit codes. Parses, then calls wiring."""

from resolver.cli import backfill, destinations, lines, topics, worker
from resolver.cli.app import app
from resolver.cli.console import BROKEN, OK, REPLACED, SOME_BAD, UNREACHABLE, USAGE

__all__ = [
    "BROKEN",
    "OK",
    "REPLACED",
    "SOME_BAD",
    "UNREACHABLE",
    "USAGE",
    "app",
    "backfill",
    "destinations",
    "lines",
    "main",
    "topics",
    "worker",
]


def main() -> None:
    """The installed command."""
    app()
