"""The command line: verbs and exit codes. Parses, then calls wiring."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from resolver import __version__, demo_page, wiring
from resolver.config import Settings, load_settings
from resolver.demo import run_demo
from resolver.errors import BadEvent, ConfigError, ResolverError, Unavailable

OK, SOME_BAD, USAGE, UNREACHABLE, REPLACED, BROKEN = range(6)
DEFAULT_FILE = Path("resolver.yaml")
LOOK_S = 0.2  # how often a group of workers looks whether one of them has ended
HELP = """Resolve identify events into profiles: who is who, across devices, addresses and logins.

Exit codes:

* 0: done
* 1: done, but some input was bad, or nobody was found
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
CONFIG = "The settings. Example: `resolver config check -c resolver.yaml`"
topics = typer.Typer(help=TOPICS, no_args_is_help=True)
dlq = typer.Typer(help=DLQ, no_args_is_help=True)
config = typer.Typer(help=CONFIG, no_args_is_help=True)
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
        except Exception:
            traceback.print_exc()
            code = BROKEN
        raise typer.Exit(code)

    return run


def _say(error: Exception, code: int) -> int:
    err.print(str(error), style="red", markup=False)
    return code


def _settings(path: Path | None, brokers: str | None = None, redis: str | None = None) -> Settings:
    return load_settings(_file(path), kafka={"brokers": brokers}, redis={"url": redis})


def _file(path: Path | None) -> Path | None:
    """The file to read: the flag's, the environment's, the one that lies here, or none."""
    stated = os.environ.get("RESOLVER_CONFIG")
    if path is not None or stated:
        return path or Path(str(stated))
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


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
    wiring.check_services(settings).close()
    given = {"--config": file, "--brokers": brokers, "--redis": redis}
    return _run_group(workers, [f"{name}={value}" for name, value in given.items() if value])


def _run_group(count: int, arguments: list[str]) -> int:
    """Runs so many processes of the group; ends all when one ends; returns the worst code."""
    command = [sys.executable, "-m", "resolver", "run", *arguments]
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    processes = [
        subprocess.Popen(command, env={**os.environ, wiring.WORKER: str(place)}, process_group=0)
        for place in range(count)
    ]
    while not stopped and all(process.poll() is None for process in processes):
        time.sleep(LOOK_S)
    for process in processes:
        process.terminate()
    codes = [process.wait() for process in processes]
    return max(OK if code == -signal.SIGTERM else code if code >= 0 else REPLACED for code in codes)


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
    lines, account = wiring.resolve(_settings(file), files or [], destination)
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
    refused: list[str] = []
    total = wiring.count_lines(files or []) if err.is_terminal else None
    with _progress("sent", total) as report:
        count = wiring.send(settings, files or [], report, refused.append)
    return _accounted(f"{_counted(count, 'event')} sent to {settings.inputs[0].topic}", refused)


def _accounted(sentence: str, refused: list[str]) -> int:
    """Says what went and what did not; the exit code."""
    for one in refused:
        err.print(one, style="yellow", markup=False)
    err.print(f"{sentence}, {len(refused)} refused" if refused else sentence, markup=False)
    return SOME_BAD if refused else OK


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@app.command()
@told
def tail(
    destination: Annotated[str, typer.Argument(help="A configured destination.")],
    file: ConfigFile = None,
    brokers: Brokers = None,
    follow: Annotated[
        bool, typer.Option(help="Wait for more; else print what is there, and end.")
    ] = True,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest record.")
    ] = False,
) -> int:
    """Print what a destination receives: key, tab, value; `null` takes the key back.

    Examples: `resolver tail profiles` · `resolver tail profiles --no-follow | cut -f2 | jq .`
    """
    settings = _settings(file, brokers)
    begin = from_start or not follow
    for line in wiring.tail(settings, destination, follow=follow, from_start=begin):
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
        err.print(f"nobody is known as {identifier!r} in this Redis", markup=False)
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
    partitions: Annotated[int, typer.Option(min=1, help="Of each new topic.")] = 12,
    replication: Annotated[
        int, typer.Option(min=1, help="Brokers that hold each new topic; 3 in production.")
    ] = 1,
) -> int:
    """Create the missing topics with the settings correctness needs (compaction among them).

    Example: `resolver topics create --partitions 24 --replication 3`
    """
    made = wiring.create_topics(_settings(file, brokers), partitions, replication)
    for name, new in made.items():
        out.print(f"{'created  ' if new else 'was there'}  {name}", markup=False)
    return OK


@dlq.command("list")
@told
def dlq_list(file: ConfigFile = None, brokers: Brokers = None) -> int:
    """List dead letters: where each lay, tab, its fault, tab, the reason. No trait values.

    Example: `resolver dlq list`
    """
    listed = 0
    for letter in wiring.dead_letters(_settings(file, brokers)):
        print(f"{letter.place}\t{letter.fault}\t{letter.reason}")
        listed += 1
    err.print(_counted(listed, "dead letter"), markup=False)
    return OK


@dlq.command("replay")
@told
def dlq_replay(
    file: ConfigFile = None,
    brokers: Brokers = None,
    fault: Annotated[str | None, typer.Option(help="Only letters with this fault.")] = None,
) -> int:
    """Send dead letters back to the topics they came from, each once, with its first timestamp.

    What is still bad comes back as a dead letter.

    Example: `resolver dlq replay --fault undecodable`
    """
    refused: list[str] = []
    with _progress("replayed", None) as report:
        settings = _settings(file, brokers)
        count = wiring.replay_dead_letters(settings, fault, report, refused.append)
    return _accounted(f"{_counted(count, 'dead letter')} sent back", refused)


@config.command("check")
@told
def config_check(file: ConfigFile = None, brokers: Brokers = None, redis: RedisUrl = None) -> int:
    """Check the file, then Redis (it must not evict), Kafka, and every topic.

    Example: `resolver config check -c resolver.yaml`
    """
    settings = _settings(file, brokers, redis)
    out.print(f"ok    {_file(file) or 'no file: the defaults'}", style="green", markup=False)
    worst = OK
    for subject, fault in wiring.check(settings):
        if fault is None:
            out.print(f"ok    {subject}", style="green", markup=False)
        else:
            out.print(f"WRONG {fault}", style="red", markup=False)
            worst = max(worst, UNREACHABLE if isinstance(fault, Unavailable) else USAGE)
    return worst


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
    """Print the version.

    Example: `resolver version`
    """
    print(__version__)


class _progress:
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


def main() -> None:
    """The installed command."""
    app()
