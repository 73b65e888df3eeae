"""Verbs that run the resolver: the worker, the demo."""

import os
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer

from resolver import __version__, demo_page, wiring
from resolver.cli.app import app
from resolver.cli.console import (
    OK,
    REPLACED,
    Brokers,
    ConfigFile,
    RedisUrl,
    err,
    out,
    settings_of,
    told,
)
from resolver.demo import run_demo

LOOK_S = 0.2  # how often a group of workers looks whether one of them has ended


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
    settings = settings_of(file, brokers, redis)
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
