"""A batch folded in memory: one delta per record, whatever the number of events.

Folding needs no store: a hot profile costs one read and one write however many of its events
are in the batch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from resolver.core.events import Reading, Warned, read_event
from resolver.core.layers import layer_of
from resolver.core.ownership import BUCKET_US
from resolver.core.values import (
    EMPTY,
    Claim,
    Contribution,
    Device,
    Event,
    Person,
    Points,
    Position,
    Statement,
)
from resolver.errors import BadEvent
from resolver.ports import Decoder, Message

SKIPPED_TYPE = "another_type"
SKIPPED_TOMBSTONE = "tombstone"


class Buried(NamedTuple):
    """A message that can never be resolved, and why."""

    message: Message
    fault: BadEvent


@dataclass(slots=True)
class DeviceDelta:
    """What a batch says about one device."""

    statements: list[Statement] = field(default_factory=list)
    points: Points = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)

    def record(self, reading: Reading) -> Device:
        """The delta as a record of its kind."""
        return Device(self.statements, self.points, sorted(self.linked))


@dataclass(slots=True)
class PersonDelta:
    """What a batch says about one lead or user."""

    statements: list[Statement] = field(default_factory=list)
    sources: dict[str, Contribution] = field(default_factory=dict)
    claim: Claim | None = None

    def record(self, reading: Reading) -> Person:
        """The delta as a record of its kind."""
        own = layer_of(self.statements, reading.policy) if self.statements else EMPTY
        return Person(own, self.sources, self.claim)


@dataclass(slots=True)
class Batch:
    """Deltas by identifier, and the account of every message: joined, skipped or buried."""

    devices: dict[str, DeviceDelta] = field(default_factory=dict)
    leads: dict[str, PersonDelta] = field(default_factory=dict)
    users: dict[str, PersonDelta] = field(default_factory=dict)
    buried: list[Buried] = field(default_factory=list)
    joined: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    warned: Counter[Warned] = field(default_factory=Counter)
    caused_by: dict[str, str] = field(default_factory=dict)
    emitted: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    swaps_lost: int = 0

    def person(self, identity: str) -> PersonDelta:
        """The delta of a lead or user, made when first asked for."""
        people = self.users if identity[0] == "u" else self.leads
        delta = people.get(identity)
        if delta is None:
            delta = people[identity] = PersonDelta()
        return delta

    def device(self, anon: str) -> DeviceDelta:
        """The delta of a device, made when first asked for."""
        delta = self.devices.get(anon)
        if delta is None:
            delta = self.devices[anon] = DeviceDelta()
        return delta

    def add(self, event: Event) -> None:
        """Joins one event into the deltas of the records it concerns."""
        statement = event.statement
        self.joined += 1
        if not event.identity:
            self.device(event.anon).statements.append(statement)
            self.caused_by[event.anon] = statement.message_id
            return
        self.caused_by[event.identity] = statement.message_id
        self.person(event.identity).statements.append(statement)
        if event.anon:
            self._bind(event)
        if event.claim:
            lead = self.person(event.claim)
            claim = (statement.stamp, event.identity)
            lead.claim = claim if lead.claim is None else min(lead.claim, claim)

    def _bind(self, event: Event) -> None:
        device = self.device(event.anon)
        eff = event.statement.stamp[0]
        place = (eff // BUCKET_US, event.identity)
        known = device.points.get(place)
        if known is None or eff < known:
            device.points[place] = eff
        if event.claim:
            device.linked.add(event.claim)


def fold_batch(messages: Sequence[Message], decoder: Decoder, reading: Reading) -> Batch:
    """Decodes and folds messages; nothing is lost: joined + skipped + buried = messages."""
    batch = Batch()
    warned: list[Warned] = []
    for message in messages:
        if message.value is None:
            batch.skipped[SKIPPED_TOMBSTONE] += 1
            continue
        try:
            raw = decoder.decode(message.topic, message.value, warned)
            if raw.get("type", "identify") not in ("identify", None):
                batch.skipped[SKIPPED_TYPE] += 1
                continue
            position = Position(
                message.topic, message.partition, message.offset, message.timestamp_ms * 1000
            )
            batch.add(read_event(raw, position, reading, warned))
        except BadEvent as fault:
            batch.buried.append(Buried(message, fault))
    batch.warned.update(warned)
    return batch
