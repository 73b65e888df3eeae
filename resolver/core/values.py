"""The values that records are made of: what a store keeps and a batch folds.

Plain classes with explicit fields rather than tuples: compiled, one is made in 25 ns where a named
tuple takes 215, and its fields are read without a look-up. None of them is changed once made.
"""

from struct import Struct
from typing import Any, Final, NamedTuple, final

Stamp = bytes
"""When a write happened, as bytes that compare in the order of (eff_us, recv_us, offset,
partition, topic): the greater one is later. One object instead of six to store and to compare."""

Points = dict[tuple[int, str], int]
"""When an identifier was stated on a device: (bucket, identifier) → earliest eff_us there."""

Claim = tuple[Stamp, str]
"""When a user stated an address as their own, and which user."""

SIGN: Final = 1 << 60
"""Added to instants in stamps, so that years before 1970 sort before those after it; small enough
for sums that are no big integers."""
NUMBERS: Final = Struct(">QQQI")
PACK_NUMBERS: Final = NUMBERS.pack
READ_EFF: Final = Struct(">Q").unpack_from


class Instants(NamedTuple):
    """A stamp taken apart, for people."""

    eff_us: int
    recv_us: int
    offset: int
    partition: int
    topic: str


def stamp_of(eff_us: int, recv_us: int, offset: int, partition: int, topic: str) -> Stamp:
    """The stamp of a write: 28 bytes and the topic's name."""
    return PACK_NUMBERS(eff_us + SIGN, recv_us + SIGN, offset, partition) + topic.encode()


def eff_of(stamp: Stamp) -> int:
    """The effective time of a stamp in microseconds."""
    eff_us: int = READ_EFF(stamp)[0]
    return eff_us - SIGN


def read_stamp(stamp: Stamp) -> Instants:
    """All that a stamp says."""
    eff_us, recv_us, offset, partition = NUMBERS.unpack_from(stamp)
    return Instants(eff_us - SIGN, recv_us - SIGN, offset, partition, stamp[28:].decode())


@final
class Position:
    """Where an event lies: what breaks exact ties, and when the broker received it."""

    __slots__ = ("offset", "partition", "timestamp_us", "topic")

    def __init__(self, topic: str, partition: int, offset: int, timestamp_us: int) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp_us = timestamp_us


@final
class Statement:
    """What one event said: traits, and marks (``SEEN``, ``QUIET``, ``DEVICE…``, ``OPTIONS…``)."""

    __slots__ = ("marks", "restriction", "stamp", "traits")

    def __init__(
        self,
        stamp: Stamp,
        restriction: str,
        traits: dict[str, Any],
        marks: dict[str, Any],
    ) -> None:
        self.stamp = stamp
        self.restriction = restriction
        self.traits = traits
        self.marks = marks

    def holding(self, traits: dict[str, Any], marks: dict[str, Any]) -> "Statement":
        """The same statement with these registers."""
        return Statement(self.stamp, self.restriction, traits, marks)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Statement)
            and self.stamp == other.stamp
            and self.restriction == other.restriction
            and self.traits == other.traits
            and self.marks == other.marks
        )

    def __repr__(self) -> str:
        when = read_stamp(self.stamp)
        said = (self.restriction, self.traits, self.marks)
        return f"Statement({when!r}, {said!r})"


@final
class Event:
    """An accepted event: who said what. Empty strings stand for "nobody"."""

    __slots__ = ("anon", "claim", "identity", "message_id", "statement")

    def __init__(
        self, anon: str, identity: str, claim: str, message_id: str, statement: Statement
    ) -> None:
        self.anon = anon
        self.identity = identity
        self.claim = claim
        self.message_id = message_id
        self.statement = statement


@final
class Layer:
    """Statements in ascending stamp order, and per restriction when it was first active (µs)."""

    __slots__ = ("first", "statements")

    def __init__(self, statements: list[Statement], first: dict[str, int]) -> None:
        self.statements = statements
        self.first = first

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Layer)
            and self.statements == other.statements
            and self.first == other.first
        )

    def __repr__(self) -> str:
        return f"Layer({self.statements!r}, {self.first!r})"


@final
class Device:
    """``anon:a``: what was said anonymously, who was stated together with it, and when.

    ``linked`` are the addresses that were stated here as a user's ``email`` trait, sorted.
    """

    __slots__ = ("linked", "points", "statements")

    def __init__(self, statements: list[Statement], points: Points, linked: list[str]) -> None:
        self.statements = statements
        self.points = points
        self.linked = linked

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Device)
            and self.statements == other.statements
            and self.points == other.points
            and self.linked == other.linked
        )

    def __repr__(self) -> str:
        return f"Device({self.statements!r}, {self.points!r}, {self.linked!r})"


@final
class Contribution:
    """What another record shows through this one, stamped with that record's own version."""

    __slots__ = ("anonymous", "identified", "version")

    def __init__(self, version: int, identified: Layer, anonymous: Layer) -> None:
        self.version = version
        self.identified = identified
        self.anonymous = anonymous

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Contribution)
            and self.version == other.version
            and self.identified == other.identified
            and self.anonymous == other.anonymous
        )

    def __repr__(self) -> str:
        return f"Contribution({self.version}, {self.identified!r}, {self.anonymous!r})"


@final
class Person:
    """``email:e`` or ``user:u``: own writes, contributions by source, the earliest claim."""

    __slots__ = ("claim", "own", "sources")

    def __init__(self, own: Layer, sources: dict[str, Contribution], claim: Claim | None) -> None:
        self.own = own
        self.sources = sources
        self.claim = claim

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Person)
            and self.own == other.own
            and self.sources == other.sources
            and self.claim == other.claim
        )

    def __repr__(self) -> str:
        return f"Person({self.own!r}, {self.sources!r}, {self.claim!r})"


Record = Device | Person

EMPTY: Final = Layer([], {})
NO_DEVICE: Final = Device([], {}, [])
NO_PERSON: Final = Person(EMPTY, {}, None)
