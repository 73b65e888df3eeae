"""Whether everybody does the same job: final profiles compared with a fold of the events."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from bench.contenders import PASSTHROUGH, PASSTHROUGH_ALO
from bench.findings import Findings, Table
from bench.generate import UNIFORM, events_of
from bench.peers.merging import State, device_step, profile_of, user_step
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.stack import PARTITIONS

EVENTS = 20_000
QUIET_READS = 80
"""Empty reads of 0.1 s in a row: longer than any contender waits between two commits."""
DERIVED = {"name"}
"""Traits that no event states and the resolver adds."""


class Resolved(NamedTuple):
    """What everybody must agree on of a user; no two events of a run have the same time."""

    traits: dict[str, Any]
    context: Any
    first_seen: datetime
    last_seen: datetime


Profiles = dict[str, Resolved]


def agreement(bench: Bench) -> Findings:
    """Reads each contender's committed outputs: the last profile of every user must be right."""
    raw = bench.raw(UNIFORM, EVENTS)
    expected = folded(EVENTS)
    rows = []
    for contender in bench.plan.contenders:
        if contender in (PASSTHROUGH, PASSTHROUGH_ALO):
            continue
        with bench.stack.store() as redis:
            setup = bench.setup(contender, raw.topic, redis, events=raw.events)
            with bench.running(contender, setup) as watched:
                watched.wait_for("done", BEGIN_S_MAX + EVENTS / SLOWEST)
                final, each = last_profiles(bench.stack.brokers, setup.out)
        counts = [f"{one:,}" for one in compared(final, expected)]
        rows.append([contender.label, *counts, f"{each:,.0f}"])
        bench.say(f"  {contender.name}: {rows[-1][1]} right of {len(expected):,}")
    title = f"Agreement: profiles of {len(expected):,} users after {EVENTS:,} events"
    wrong = [f"wrong {name}".replace("_", " ") for name in Resolved._fields]
    columns = ["contender", "right", *wrong, "missing", "bytes of a profile"]
    return Findings([Table(title, columns, rows)])


def compared(final: Profiles, expected: Profiles) -> Iterator[int]:
    """How many profiles are right, how many are wrong by each field, and how many are missing."""
    found: Counter[str] = Counter()
    for user, right in expected.items():
        one = final.get(user)
        if one is None:
            found["missing"] += 1
            continue
        wrong = [name for name in Resolved._fields if getattr(one, name) != getattr(right, name)]
        found.update(wrong or ["right"])
    return (found[name] for name in ("right", *Resolved._fields, "missing"))


def folded(count: int) -> Profiles:
    """Profiles by user, events in the order of their times, each device's share delivered."""
    devices: dict[str, State] = {}
    users: dict[str, State] = {}
    statements: dict[str, State] = {}
    for one in events_of(count, UNIFORM):
        event = json.loads(one.value)
        name = event["anonymousId"]
        devices[name], statement = device_step(devices.get(name), event)
        user = statement["userId"]
        if user is not None:
            users[user] = user_step(users.get(user), statement)
            statements[user] = statement
    return {name: resolved(profile_of(user, statements[name])) for name, user in users.items()}


def resolved(payload: dict[str, Any]) -> Resolved:
    """A peer's profile, or the resolver's, which says the times in a section of their own."""
    times = payload.get("profile", payload)
    seen = (datetime.fromisoformat(times[name]) for name in ("firstSeenAt", "lastSeenAt"))
    return Resolved(plain(payload["traits"]), payload["context"], *seen)


def plain(traits: dict[str, Any]) -> dict[str, Any]:
    """Traits without their times, whether a peer writes them as pairs or not at all."""
    return {
        name: one[0] if isinstance(one, list) else one
        for name, one in traits.items()
        if name not in DERIVED
    }


def last_profiles(brokers: str, topic: str) -> tuple[Profiles, float]:
    """Profiles by user in the last committed record of each, once nothing more comes; and how many
    bytes a profile has in the mean.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"{topic}-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, one, 0) for one in range(PARTITIONS)])
    final: Profiles = {}
    sizes: list[int] = []
    quiet = 0
    while quiet < QUIET_READS:
        record = consumer.poll(0.1)
        if record is None or record.error() is not None:
            quiet += 1
            continue
        quiet = 0
        value = record.value()
        if not value:
            continue
        sizes.append(len(value))
        payload = json.loads(value)
        if payload["userId"] is not None:
            final[payload["userId"]] = resolved(payload)
    consumer.close()
    return final, sum(sizes) / max(1, len(sizes))
