"""The values that records are made of: what a store keeps and a batch folds.

All of them are plain tuples, so that they encode as short arrays.
"""

from typing import Any, NamedTuple

Stamp = tuple[int, int, int, int, str]
"""(eff_us, recv_us, offset, partition, topic): the greater one is later."""

Points = dict[tuple[int, str], int]
"""When an identifier was stated on a device: (bucket, identifier) → earliest eff_us there."""

Claim = tuple[Stamp, str]
"""When a user stated an address as their own, and which user."""


class Position(NamedTuple):
    """Where an event lies: what breaks exact ties, and when the broker received it."""

    topic: str
    partition: int
    offset: int
    timestamp_us: int


class Statement(NamedTuple):
    """What one event said: traits, and marks (``SEEN``, ``QUIET``, ``DEVICE…``, ``OPTIONS…``)."""

    stamp: Stamp
    restriction: str
    message_id: str
    traits: dict[str, Any]
    marks: dict[str, Any]


class Event(NamedTuple):
    """An accepted event: who said what. Empty strings stand for "nobody"."""

    anon: str
    identity: str
    claim: str
    statement: Statement


class Layer(NamedTuple):
    """Statements in ascending stamp order, and per restriction when it was first active (µs)."""

    statements: list[Statement]
    first: dict[str, int]


class Device(NamedTuple):
    """``anon:a``: what was said anonymously, who was stated together with it, and when."""

    statements: list[Statement]
    points: Points
    linked: list[str]


class Contribution(NamedTuple):
    """What another record shows through this one, stamped with that record's own version."""

    version: int
    identified: Layer
    anonymous: Layer


class Person(NamedTuple):
    """``email:e`` or ``user:u``: own writes, contributions by source, the earliest claim."""

    own: Layer
    sources: dict[str, Contribution]
    claim: Claim | None


Record = Device | Person

EMPTY = Layer([], {})
NO_DEVICE = Device([], {}, [])
NO_PERSON = Person(EMPTY, {}, None)
