"""Whether everybody does the same job: final profiles compared with a fold of the events."""

import json
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.contenders import PASSTHROUGH, PASSTHROUGH_ALO
from bench.findings import Findings, Table
from bench.generate import UNIFORM, events_of
from bench.peers.merging import State, device_step, user_step
from bench.running import BEGIN_S_MAX, SLOWEST, Bench
from bench.stack import PARTITIONS

EVENTS = 20_000
QUIET_READS = 80
"""Empty reads of 0.1 s in a row: longer than any contender waits between two commits."""
DERIVED = {"name"}
"""Traits that no event states and the resolver adds."""
Profiles = dict[str, dict[str, Any]]


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
                final = last_profiles(bench.stack.brokers, setup.out)
        right = sum(final.get(user) == traits for user, traits in expected.items())
        missing = len(expected.keys() - final.keys())
        wrong = len(expected) - right - missing
        bench.say(f"  {contender.name}: {right:,} right, {wrong} wrong, {missing} missing")
        rows.append([contender.label, f"{right:,}", f"{wrong}", f"{missing}"])
    title = f"Agreement: traits of {len(expected):,} users after {EVENTS:,} events"
    return Findings([Table(title, ["contender", "right", "wrong", "missing"], rows)])


def folded(count: int) -> Profiles:
    """Traits by user, events in the order of their times, each device's share delivered."""
    devices: dict[str, State] = {}
    users: dict[str, State] = {}
    for one in events_of(count, UNIFORM):
        event = json.loads(one.value)
        name = event["anonymousId"]
        devices[name], statement = device_step(devices.get(name), event)
        user = statement["userId"]
        if user is not None:
            users[user] = user_step(users.get(user), statement)
    return {user: plain(state["traits"]) for user, state in users.items()}


def plain(traits: dict[str, Any]) -> dict[str, Any]:
    """Traits without their times, whether a peer writes them as pairs, as objects or not at all."""
    return {
        name: one[0] if isinstance(one, list) else valued(one)
        for name, one in traits.items()
        if name not in DERIVED
    }


def valued(one: Any) -> Any:
    """A value, or what an object of value and time holds."""
    return one["value"] if isinstance(one, dict) else one


def last_profiles(brokers: str, topic: str) -> Profiles:
    """Traits by user in the last committed record of each, once nothing more comes."""
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
    quiet = 0
    while quiet < QUIET_READS:
        record = consumer.poll(0.1)
        if record is None or record.error() is not None:
            quiet += 1
            continue
        quiet = 0
        profile = json.loads(record.value() or b"{}")
        if profile.get("userId") is not None:
            final[profile["userId"]] = plain(profile["traits"])
    consumer.close()
    return final
