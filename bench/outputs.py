"""What came out, read from outside, and what should have: a fold of the events in their order."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from bench.generate import Generated
from bench.peers.merging import (
    State,
    anonymous_profile,
    device_step,
    profile_of,
    user_step,
)
from bench.stack import PARTITIONS

READ_S, READ_MAX = 0.1, 5_000
DERIVED = {"name"}
"""Traits that no event states and the resolver adds."""


class Resolved(NamedTuple):
    """What everybody must agree on of a person; no two events of a run have the same time."""

    traits: dict[str, Any]
    context: Any
    first_seen: datetime
    last_seen: datetime


Profiles = dict[str, Resolved]
"""By userId, or by anonymousId where nobody logged in."""


@dataclass
class Outputs:
    """The committed records of a topic: how many, how many twice, and each one's last profile."""

    records: int = 0
    repeated: int = 0
    """Records whose key, value and headers were there before."""
    profiles: int = 0
    profile_bytes: int = 0
    final: dict[bytes, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def add(self, key: bytes, value: bytes | None, headers: Any) -> None:
        """Takes in one record; one without a value takes a profile back."""
        self.records += 1
        told = hash((key, value, repr(headers)))
        self.repeated += told in self.seen
        self.seen.add(told)
        if not value:
            self.final.pop(key, None)
            return
        self.profiles += 1
        self.profile_bytes += len(value)
        self.final[key] = value

    def last(self) -> Profiles:
        """The last profile of everybody."""
        found = {}
        for value in self.final.values():
            payload = json.loads(value)
            name = payload["userId"] or section(payload)["anonymousIds"][0]
            found[name] = resolved(payload)
        return found


def read_outputs(brokers: str, topic: str, quiet_s: float) -> Outputs:
    """All committed records, once nothing has come for so many seconds."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"{topic}-outputs",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, one, 0) for one in range(PARTITIONS)])
    outputs = Outputs()
    quiet = 0
    while quiet * READ_S < quiet_s:
        records = [one for one in consumer.consume(READ_MAX, READ_S) if one.error() is None]
        quiet = 0 if records else quiet + 1
        for one in records:
            outputs.add(one.key() or b"", one.value(), one.headers())
    consumer.close()
    return outputs


def folded(events: Iterable[Generated]) -> Profiles:
    """Users, and devices on which nobody logged in; events in the order of their times."""
    devices: dict[str, State] = {}
    users: dict[str, State] = {}
    latest: dict[str, State] = {}
    for one in events:
        event = json.loads(one.value)
        name = event["anonymousId"]
        devices[name], statement = device_step(devices.get(name), event)
        user = statement["userId"]
        if user is not None:
            users[user] = user_step(users.get(user), statement)
        latest[user or name] = statement
    profiles = {name: resolved(profile_of(user, latest[name])) for name, user in users.items()}
    for name, device in devices.items():
        if device["user"] is None:
            profiles[name] = resolved(anonymous_profile(latest[name]))
    return profiles


def resolved(payload: dict[str, Any]) -> Resolved:
    """A peer's profile, or the resolver's, which says the times in a section of their own."""
    times = section(payload)
    seen = (datetime.fromisoformat(times[name]) for name in ("firstSeenAt", "lastSeenAt"))
    return Resolved(plain(payload["traits"]), payload["context"], *seen)


def section(payload: dict[str, Any]) -> dict[str, Any]:
    """The part of a payload that says who it is about and when."""
    found: dict[str, Any] = payload.get("profile", payload)
    return found


def plain(traits: dict[str, Any]) -> dict[str, Any]:
    """Traits without their times, whether a peer writes them as pairs or not at all."""
    return {
        name: one[0] if isinstance(one, list) else one
        for name, one in traits.items()
        if name not in DERIVED
    }


def compared(final: Profiles, expected: Profiles) -> Counter[str]:
    """How many profiles are ``right``, wrong by each field, and ``missing``."""
    found: Counter[str] = Counter()
    for name, right in expected.items():
        one = final.get(name)
        if one is None:
            found["missing"] += 1
            continue
        wrong = [
            field for field in Resolved._fields if getattr(one, field) != getattr(right, field)
        ]
        found.update(wrong or ["right"])
    return found
