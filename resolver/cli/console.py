"""What all verbs share: exit codes, consoles, options, and mistakes told in one sentence."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from resolver.config import Settings, load_settings
from resolver.errors import BadEvent, ConfigError, ResolverError, Unavailable
from resolver.offline import Account

OK, SOME_BAD, USAGE, UNREACHABLE, REPLACED, BROKEN = range(6)
DEFAULT_FILE = Path("resolver.yaml")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file; default $RESOLVER_CONFIG or ./resolver.yaml.",
    ),
]
Brokers = Annotated[str | None, typer.Option(help="Kafka brokers, host:port,…")]
RedisUrl = Annotated[str | None, typer.Option("--redis", help="Redis URL.")]
Files = Annotated[
    list[Path] | None, typer.Argument(help="JSON Lines; none or - reads standard input.")
]


def told(verb: Callable[..., int | None]) -> Callable[..., None]:
    """Turns what the resolver raises on purpose into one sentence and an exit code."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = verb(*args, **kwargs) or OK
            sys.stdout.flush()
        except ConfigError as error:
            code = _say(error, USAGE)
        except Unavailable as error:
            code = _say(error, UNREACHABLE)
        except BadEvent as error:
            code = _say(error, SOME_BAD)
        except ResolverError as error:
            code = _say(error, REPLACED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except KeyboardInterrupt:
            code = OK
        except SystemExit:
            raise
        except BaseException:  # a panic of native code is no Exception
            traceback.print_exc()
            code = BROKEN
        raise typer.Exit(code)

    return run


def _say(error: Exception, code: int) -> int:
    err.print(str(error), style="red", markup=False)
    return code


def settings_of(
    path: Path | None, brokers: str | None = None, redis: str | None = None
) -> Settings:
    return load_settings(file_of(path), kafka={"brokers": brokers}, redis={"url": redis})


def file_of(path: Path | None) -> Path | None:
    """The file to read: the flag's, the environment's, the one that lies here, or none."""
    stated = os.environ.get("RESOLVER_CONFIG")
    if path is not None or stated:
        return path or Path(str(stated))
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def accounted(sentence: str, refused: list[str]) -> int:
    """Says what went and what did not; the exit code."""
    for one in refused:
        err.print(one, style="yellow", markup=False)
    err.print(f"{sentence}, {len(refused)} refused" if refused else sentence, markup=False)
    return SOME_BAD if refused else OK


def told_bad(account: Account) -> int:
    """Names the bad lines of an input and sums it up; the exit code."""
    for bad in account.bad:
        where = f"{bad.line.file}:{bad.line.number}"
        err.print(f"{where}: {bad.fault}", style="yellow", markup=False)
    err.print(
        f"{account.lines} lines: {account.joined} resolved, {account.skipped} skipped,"
        f" {len(account.bad)} bad",
        markup=False,
    )
    return SOME_BAD if account.bad else OK


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class progress_bar:
    """A bar on a terminal, nothing elsewhere; yields a function that adds to it."""

    def __init__(self, verb: str, total: int | None) -> None:
        self.total = total
        self.progress = Progress(
            TextColumn(verb),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> Callable[[int], None]:
        self.progress.start()
        task = self.progress.add_task("", total=self.total)
        return lambda count: self.progress.advance(task, count)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
