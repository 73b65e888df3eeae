"""Verbs that look into Kafka and Redis: topics, dead letters, people, settings."""

import json
from typing import Annotated

import typer

from resolver import wiring
from resolver.cli.app import app, config, dlq, topics
from resolver.cli.console import (
    OK,
    SOME_BAD,
    UNREACHABLE,
    USAGE,
    Brokers,
    ConfigFile,
    RedisUrl,
    accounted,
    counted,
    err,
    file_of,
    out,
    progress_bar,
    settings_of,
    told,
)
from resolver.errors import Unavailable


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
    settings = settings_of(file, brokers)
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
    found = wiring.show(settings_of(file, None, redis), identifier)
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
    changelog_partitions: Annotated[
        int | None, typer.Option(min=1, help="Of the changelog; a quarter if not said.")
    ] = None,
    replication: Annotated[
        int, typer.Option(min=1, help="Brokers that hold each new topic; 3 in production.")
    ] = 1,
) -> int:
    """Create the missing topics with the settings correctness needs (compaction among them).

    Example: `resolver topics create --partitions 24 --replication 3`
    """
    settings = settings_of(file, brokers)
    made = wiring.create_topics(settings, partitions, replication, changelog_partitions)
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
    for letter in wiring.dead_letters(settings_of(file, brokers)):
        print(f"{letter.place}\t{letter.fault}\t{letter.reason}")
        listed += 1
    err.print(counted(listed, "dead letter"), markup=False)
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
    with progress_bar("replayed", None) as report:
        settings = settings_of(file, brokers)
        count = wiring.replay_dead_letters(settings, fault, report, refused.append)
    return accounted(f"{counted(count, 'dead letter')} sent back", refused)


@config.command("check")
@told
def config_check(file: ConfigFile = None, brokers: Brokers = None, redis: RedisUrl = None) -> int:
    """Check the file, then Redis (it must not evict), Kafka, and every topic.

    Example: `resolver config check -c resolver.yaml`
    """
    settings = settings_of(file, brokers, redis)
    out.print(f"ok    {file_of(file) or 'no file: the defaults'}", style="green", markup=False)
    worst = OK
    for subject, fault in wiring.check(settings):
        if fault is None:
            out.print(f"ok    {subject}", style="green", markup=False)
        else:
            out.print(f"WRONG {fault}", style="red", markup=False)
            worst = max(worst, UNREACHABLE if isinstance(fault, Unavailable) else USAGE)
    return worst
