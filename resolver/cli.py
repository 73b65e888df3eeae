"""The command line: verbs and exit codes. Parses, then calls wiring.

Exit codes: 0 done · 1 done, but some input was bad · 2 wrong usage or settings · 3 a service
cannot be reached · 4 another worker took this one's place, or the client cannot go on.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from resolver import __version__, demo_page, wiring
from resolver.config import Settings, load_settings
from resolver.demo import run_demo
from resolver.errors import ConfigError, Fenced, ResolverError, Unavailable

OK, SOME_BAD, USAGE, UNREACHABLE, REPLACED = range(5)
DEFAULT_FILE = Path("resolver.yaml")

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
topics = typer.Typer(help="The topics that the settings name.", no_args_is_help=True)
dlq = typer.Typer(help="Dead letters: what could never be resolved.", no_args_is_help=True)
config = typer.Typer(help="The settings.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(dlq, name="dlq")
app.add_typer(config, name="config")

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
        except ConfigError as error:
            code = _say(error, USAGE)
        except Unavailable as error:
            code = _say(error, UNREACHABLE)
        except (Fenced, ResolverError) as error:
            code = _say(error, REPLACED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except KeyboardInterrupt:
            code = OK
        raise typer.Exit(code)

    return run


def _say(error: Exception, code: int) -> int:
    err.print(str(error), style="red", markup=False)
    return code


def _settings(path: Path | None, brokers: str | None = None, redis: str | None = None) -> Settings:
    chosen = path or Path(os.environ.get("RESOLVER_CONFIG", DEFAULT_FILE))
    if path is None and "RESOLVER_CONFIG" not in os.environ and not chosen.exists():
        return load_settings(None, kafka={"brokers": brokers}, redis={"url": redis})
    return load_settings(chosen, kafka={"brokers": brokers}, redis={"url": redis})


@app.command()
@told
def run(
    file: ConfigFile = None,
    brokers: Brokers = None,
    redis: RedisUrl = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the group to run here.")] = 1,
) -> int:
    """Run the worker: raw topics in, resolved profiles out, until SIGTERM.

    Examples: `resolver run -c resolver.yaml` · `resolver run --workers 4`
    """
    settings = _settings(file, brokers, redis)
    if workers == 1:
        wiring.run_worker(settings, wiring.member_name(settings))
        return OK
    given = {"--config": file, "--brokers": brokers, "--redis": redis}
    arguments = [text for name, value in given.items() if value for text in (name, str(value))]
    return wiring.run_workers(workers, arguments)


@app.command()
@told
def resolve(
    files: Files = None,
    destination: Annotated[
        str | None, typer.Option(help="Fold as this destination sees it.")
    ] = None,
    file: ConfigFile = None,
) -> int:
    """Resolve JSON Lines offline, without Kafka or Redis; profiles go to standard output.

    Examples: `resolver resolve events.jsonl` · `zcat *.gz | resolver resolve --destination X`
    """
    lines, account = wiring.resolve(_settings(file), wiring.read_lines(files or []), destination)
    for line in lines:
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
    for bad in account.bad:
        where = f"{bad.line.file}:{bad.line.number}"
        err.print(f"{where}: {bad.fault}", style="yellow", markup=False)
    err.print(
        f"{account.lines} lines: {account.joined} resolved, {account.skipped} skipped,"
        f" {len(account.bad)} bad",
        markup=False,
    )
    return SOME_BAD if account.bad else OK


@app.command()
@told
def send(files: Files = None, file: ConfigFile = None, brokers: Brokers = None) -> int:
    """Send JSON Lines to the first raw topic, keyed so that a device's events stay in order.

    Example: `resolver send events.jsonl --brokers localhost:9092`
    """
    settings = _settings(file, brokers)
    with _progress("sent") as report:
        count = wiring.send(settings, files or [], report)
    err.print(f"{count} events sent to {settings.inputs[0].topic}")
    return OK


@app.command()
@told
def tail(
    destination: Annotated[str, typer.Argument(help="A configured destination.")],
    file: ConfigFile = None,
    brokers: Brokers = None,
    follow: Annotated[bool, typer.Option(help="Wait for more.")] = True,
    from_start: Annotated[bool, typer.Option(help="Begin with the oldest record.")] = False,
) -> int:
    """Print what a destination receives: key, tab, value; `null` takes the key back.

    Example: `resolver tail profiles --from-start --no-follow`
    """
    settings = _settings(file, brokers)
    for line in wiring.tail(settings, destination, follow=follow, from_start=from_start):
        print(line, flush=follow)
    return OK


@app.command()
@told
def show(
    identifier: Annotated[str, typer.Argument(help="user:…, email:…, anon:…, or the bare value.")],
    file: ConfigFile = None,
    redis: RedisUrl = None,
) -> int:
    """Show a person by any of their identifiers: every trait, who said it, and what lost.

    Examples: `resolver show 97980cfea0067` · `resolver show anon:0b6e…`
    """
    found = wiring.show(_settings(file, None, redis), identifier)
    if not found:
        err.print(f"nobody is known as {identifier!r}", markup=False)
        return SOME_BAD
    if out.is_terminal:
        out.print_json(json.dumps(found, ensure_ascii=False))
    else:
        print(json.dumps(found, ensure_ascii=False))
    return OK


@topics.command("create")
@told
def topics_create(
    file: ConfigFile = None,
    brokers: Brokers = None,
    partitions: Annotated[int, typer.Option(min=1)] = 12,
    replication: Annotated[int, typer.Option(min=1)] = 1,
) -> int:
    """Create the missing topics with the settings correctness needs (compaction among them).

    Example: `resolver topics create --partitions 24 --replication 3`
    """
    made = wiring.create_topics(_settings(file, brokers), partitions, replication)
    for name, new in made.items():
        out.print(f"{'created' if new else 'was there'}  {name}", markup=False)
    return OK


@dlq.command("list")
@told
def dlq_list(file: ConfigFile = None, brokers: Brokers = None) -> int:
    """List dead letters: where each lay, its fault, the reason. No trait values.

    Example: `resolver dlq list`
    """
    for letter in wiring.dead_letters(_settings(file, brokers)):
        about = {name: value.decode(errors="replace") for name, value in letter.headers or []}
        place = f"{about.get('resolver.topic')}[{about.get('resolver.partition')}]"
        print(f"{place}@{about.get('resolver.offset')}\t{about.get('resolver.reason')}")
    return OK


@dlq.command("replay")
@told
def dlq_replay(
    file: ConfigFile = None,
    brokers: Brokers = None,
    fault: Annotated[str | None, typer.Option(help="Only letters with this fault.")] = None,
) -> int:
    """Send dead letters back to the topics they came from.

    Example: `resolver dlq replay --fault undecodable`
    """
    with _progress("replayed") as report:
        count = wiring.replay_dead_letters(_settings(file, brokers), fault, report)
    err.print(f"{count} dead letters sent back")
    return OK


@config.command("check")
@told
def config_check(file: ConfigFile = None, brokers: Brokers = None, redis: RedisUrl = None) -> int:
    """Check the file, then Redis (it must not evict), Kafka, and every topic.

    Example: `resolver config check -c resolver.yaml`
    """
    settings = _settings(file, brokers, redis)
    out.print("the settings are valid")
    wrong = 0
    for subject, fault in wiring.check(settings):
        wrong += fault is not None
        mark = "ok   " if fault is None else "WRONG"
        style = "green" if fault is None else "red"
        out.print(f"{mark} {subject}{f': {fault}' if fault else ''}", style=style, markup=False)
    return UNREACHABLE if wrong else OK


@app.command()
@told
def demo() -> int:
    """Run the main job once on an embedded broker and store, and show what came of it.

    Needs no Kafka, Redis or Docker. Example: `resolver demo`
    """
    demo_page.show_outcome(run_demo(lambda step: err.print(f"· {step}", style="dim")), out)
    return OK


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


class _progress:
    """A counter on a terminal, nothing elsewhere; yields a function that adds to it."""

    def __init__(self, verb: str) -> None:
        self.progress = Progress(
            TextColumn(f"{verb} {{task.completed:,.0f}}"),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> Callable[[int], None]:
        self.progress.start()
        task = self.progress.add_task("", total=None)
        return lambda count: self.progress.advance(task, count)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def main() -> None:
    """The installed command."""
    app()
