"""The verb that fills a destination."""

from typing import Annotated

import typer

from resolver.backfill import Account, Backfill
from resolver.cli.app import app
from resolver.cli.console import (
    OK,
    SOME_BAD,
    Brokers,
    ConfigFile,
    RedisUrl,
    counted,
    err,
    progress_bar,
    settings_of,
    told,
)
from resolver.config import Settings

Name = Annotated[
    str, typer.Argument(help="A configured destination; or a removed one, to forget it.")
]


@app.command()
@told
def backfill(
    destination: Name,
    file: ConfigFile = None,
    brokers: Brokers = None,
    redis: RedisUrl = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="From the first record, whatever was done before.")
    ] = False,
) -> int:
    """Send a destination every stored profile as it now is, while workers go on.

    First restart all workers with the destination in their settings. If it is interrupted, run it
    again: it goes on. For a destination that was removed nothing is sent, and what was remembered
    of it is removed from Redis.

    Examples: `resolver backfill mixpanel` · `resolver backfill mixpanel --anew`
    """
    settings = settings_of(file, brokers, redis)
    filling = Backfill(settings, destination, anew=anew)
    _say_how(filling, settings)
    with progress_bar(filling.name, filling.total) as report:
        complete, account = filling.run(report, lambda one: err.print(one, markup=False))
    err.print(_outcome(filling, account), markup=False)
    if complete:
        return OK
    err.print("interrupted: run it again to go on", style="yellow", markup=False)
    return SOME_BAD


def _say_how(filling: Backfill, settings: Settings) -> None:
    if not filling.configured:
        known = ", ".join(one.name for one in settings.destinations) or "none"
        err.print(
            f"no destination of the settings is called {filling.name!r} (there is {known}):"
            " nothing is sent to it, and it is forgotten",
            style="yellow",
            markup=False,
        )
    if filling.resumed:
        whole = filling.resumed + filling.total
        err.print(
            f"going on where the last one was interrupted: {filling.resumed:,} of {whole:,} offsets"
            " are done",
            markup=False,
        )


def _outcome(filling: Backfill, account: Account) -> str:
    looked_at = counted(account.looked_at, "record")
    if not filling.configured:
        return f"{looked_at} looked at"
    return f"{looked_at} looked at, {counted(account.sent, 'message')} sent to {filling.name}"
