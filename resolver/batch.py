"""A batch folded in memory: one delta per record, whatever the number of events.

Folding needs no store: a hot profile costs one read and one write however many of its events
are in the batch.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, final

from resolver.core.events import Reading, Warned, read_event
from resolver.core.identifiers import ANON, EMAIL, USER
from resolver.core.layers import in_order, layer_of
from resolver.core.ownership import BUCKET_US
from resolver.core.policy import Policy
from resolver.core.times import END_US, FIRST_US
from resolver.core.values import (
    EMPTY,
    Claim,
    Contribution,
    Device,
    Event,
    Person,
    Points,
    Position,
    Record,
    Statement,
    eff_of,
)
from resolver.errors import BadEvent
from resolver.ports import Decoder, Message, Offsets
from resolver.state import State

SKIPPED_TYPE: Final = "another_type"
SKIPPED_TOMBSTONE: Final = "tombstone"


class Buried(NamedTuple):
    """A message that can never be resolved, and why."""

    message: Message
    fault: BadEvent


class Delta(ABC):
    """What a batch says about one record, and what the store has under its key.

    ``caused_by`` is the messageId that said it last. ``stored`` means something once ``looked_up``:
    None is "nothing is stored".
    """

    __slots__ = ("caused_by", "key", "looked_up", "statements", "stored")

    def __init__(self, key: str) -> None:
        self.key = key
        self.statements: list[Statement] = []
        self.caused_by = ""
        self.stored: State | None = None
        self.looked_up = False

    def found(self, stored: State | None) -> None:
        """The store was asked, and this is what it has."""
        self.stored = stored
        self.looked_up = True

    @abstractmethod
    def record(self, policy: Policy) -> Record:
        """What the batch says as a record of its kind."""


@final
class DeviceDelta(Delta):
    """What a batch says about one device."""

    __slots__ = ("linked", "points")

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.points: Points = {}
        self.linked: set[str] = set()

    def record(self, policy: Policy) -> Record:
        return Device(in_order(self.statements), self.points, sorted(self.linked))

    def bind(self, identity: str, eff: int) -> None:
        """Somebody was stated together with the device."""
        place = (eff // BUCKET_US, identity)
        known = self.points.get(place)
        if known is None or eff < known:
            self.points[place] = eff


@final
class PersonDelta(Delta):
    """What a batch says about one lead or user."""

    __slots__ = ("claim", "sources")

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.sources: dict[str, Contribution] = {}
        self.claim: Claim | None = None

    def record(self, policy: Policy) -> Record:
        own = layer_of(self.statements, policy) if self.statements else EMPTY
        return Person(own, self.sources, self.claim)

    def add_claim(self, claim: Claim) -> None:
        """A user stated the address; the earliest one counts."""
        if self.claim is None or claim < self.claim:
            self.claim = claim


class Batch:
    """Deltas by identifier, and the account of every message: joined, skipped or buried."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceDelta] = {}
        self.leads: dict[str, PersonDelta] = {}
        self.users: dict[str, PersonDelta] = {}
        self.buried: list[Buried] = []
        self.joined = 0
        self.skipped: Counter[str] = Counter()
        self.warned: Counter[Warned] = Counter()
        self.emitted: Counter[str] = Counter()
        self.suppressed: Counter[str] = Counter()
        self.swaps_lost = 0

    def person(self, identity: str) -> PersonDelta:
        """The delta of a lead or user, made when first asked for."""
        people = self.users if identity[0] == "u" else self.leads
        delta = people.get(identity)
        if delta is None:
            delta = people[identity] = PersonDelta(identity)
        return delta

    def device(self, anon: str) -> DeviceDelta:
        """The delta of a device, made when first asked for."""
        delta = self.devices.get(anon)
        if delta is None:
            delta = self.devices[anon] = DeviceDelta(anon)
        return delta

    def add(self, event: Event) -> None:
        """Joins one event into the deltas of the records it concerns."""
        statement = event.statement
        self.joined += 1
        if not event.identity:
            device = self.device(event.anon)
            device.statements.append(statement)
            device.caused_by = event.message_id
            return
        person = self.person(event.identity)
        person.statements.append(statement)
        person.caused_by = event.message_id
        if event.anon:
            device = self.device(event.anon)
            device.bind(event.identity, eff_of(statement.stamp))
            if event.claim:
                device.linked.add(event.claim)
        if event.claim:
            self.person(event.claim).add_claim((statement.stamp, event.identity))


def touch_batch(messages: Sequence[Message]) -> Batch:
    """A batch that says nothing of the records that a changelog's messages are about."""
    batch = Batch()
    for message in messages:
        key = (message.key or b"").decode(errors="replace")
        if key.startswith(ANON):
            batch.device(key)
        elif key.startswith((EMAIL, USER)):
            batch.person(key)
        batch.joined += 1
    return batch


def fold_batch(messages: Sequence[Message], decoder: Decoder, reading: Reading) -> Batch:
    """Decodes and folds messages; nothing is lost: joined + skipped + buried = messages."""
    batch = Batch()
    warned: list[Warned] = []
    for message in messages:
        event = read_message(message, decoder, reading, batch, warned)
        if event is not None:
            batch.add(event)
    batch.warned.update(warned)
    return batch


def read_message(
    message: Message, decoder: Decoder, reading: Reading, batch: Batch, warned: list[Warned]
) -> Event | None:
    """The event of a message; None where it has none: then the account says why."""
    value = message.value
    if value is None:
        batch.skipped[SKIPPED_TOMBSTONE] += 1
        return None
    try:
        raw = decoder.decode(message.topic, value, warned)
        if raw.type is not None and raw.type != "identify":
            batch.skipped[SKIPPED_TYPE] += 1
            return None
        position = Position(
            message.topic, message.partition, message.offset, received_us(message.timestamp_ms)
        )
        return read_event(raw, position, reading, warned)
    except BadEvent as fault:
        batch.buried.append(Buried(message, fault))
        return None


def received_us(timestamp_ms: int) -> int:
    """When the broker has a message from, within the calendar: a producer may state any number."""
    return min(max(timestamp_ms * 1000, FIRST_US), END_US - 1)


def next_offsets(messages: Sequence[Message]) -> Offsets:
    """Where to read on after these messages."""
    offsets: Offsets = {}
    for message in messages:
        place = (message.topic, message.partition)
        if message.offset >= offsets.get(place, 0):
            offsets[place] = message.offset + 1
    return offsets


def first_offsets(messages: Sequence[Message]) -> Offsets:
    """Where these messages begin."""
    offsets: Offsets = {}
    for message in messages:
        place = (message.topic, message.partition)
        offsets[place] = min(message.offset, offsets.get(place, message.offset))
    return offsets
