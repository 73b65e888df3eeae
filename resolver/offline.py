"""Resolving JSON Lines without Kafka or Redis: the same rules, folded in one pass."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, final

from resolver.batch import Batch
from resolver.config import Settings
from resolver.core.consent import (
    EVERYTHING,
    OPT_IN_BY_CONVENTION,
    Audience,
    destination_key,
)
from resolver.core.events import RawEvent, Reading, Warned, read_event
from resolver.core.profiles import Profile, project
from resolver.core.times import OLDEST_US, instant_us
from resolver.core.values import Contribution, Event, Position, Record
from resolver.destinations.spec import DestinationSpec
from resolver.errors import BadEvent, ConfigError
from resolver.joining import join_records, shares_of
from resolver.ports import Decoder

TOPIC: Final = "lines"
IDENTIFY: Final = (None, "identify")
STDIN: Final = Path("-")


@final
class Line:
    """A line and where it stands; ``number`` counts from 1 within its file."""

    __slots__ = ("file", "number", "raw")

    def __init__(self, file: str, number: int, raw: bytes) -> None:
        self.file = file
        self.number = number
        self.raw = raw


class BadLine(NamedTuple):
    """A line that can never be resolved, and why."""

    line: Line
    fault: BadEvent


@dataclass
class Account:
    """What became of every line that was not blank: joined + skipped + bad = lines."""

    lines: int = 0
    joined: int = 0
    skipped: int = 0
    bad: list[BadLine] = field(default_factory=list)


def read_lines(paths: list[Path]) -> Iterator[Line]:
    """Lines of files in turn, or of standard input (no path, or ``-``), blank ones left out.

    Raises ConfigError before the first line if a file cannot be read.
    """
    for path in paths:
        if path != STDIN:
            _opened(path).close()
    return chain.from_iterable(map(_lines_of, paths or [STDIN]))


def count_lines(paths: list[Path]) -> int | None:
    """How many lines there are to read; None where standard input is among them."""
    if not paths or STDIN in paths:
        return None
    return sum(1 for _ in read_lines(paths))


def _lines_of(path: Path) -> Iterator[Line]:
    """A file's lines without their ends, but for blank ones."""
    name, file = ("stdin", sys.stdin.buffer) if path == STDIN else (str(path), _opened(path))
    try:
        for number, raw in enumerate(file, 1):
            if not raw.isspace():
                yield Line(name, number, raw.rstrip(b"\r\n"))
    finally:
        if path != STDIN:
            file.close()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


@final
class LineReader:
    """Reads lines that may hold anything; keeps the account of those that hold no event.

    A line's place is its Kafka position. Without ``receivedAt`` it counts as received at its
    ``sentAt``, else its ``timestamp``, else ``start_us``.
    """

    def __init__(self, decoder: Decoder, reading: Reading, start_us: int) -> None:
        self.decoder = decoder
        self.reading = reading
        self.start_us = start_us
        self.account = Account()

    def read(self, line: Line, place: int) -> Event | None:
        """The event of a line; None where it has none: then the account says why."""
        warned: list[Warned] = []
        try:
            raw = self.decoder.decode(TOPIC, line.raw, warned)
            if raw.type not in IDENTIFY:
                self.account.skipped += 1
                return None
            position = Position(TOPIC, 0, place, _received_us(raw, self.start_us))
            event = read_event(raw, position, self.reading, warned)
        except BadEvent as fault:
            self.account.bad.append(BadLine(line, fault))
            return None
        self.account.joined += 1
        return event


def fold_lines(
    lines: Iterable[Line], decoder: Decoder, reading: Reading, start_us: int
) -> tuple[dict[str, Record], Account]:
    """Every record the lines fold to, and the account of the lines."""
    batch, reader = Batch(), LineReader(decoder, reading, start_us)
    for place, line in enumerate(lines):
        reader.account.lines += 1
        event = reader.read(line, place)
        if event is not None:
            batch.add(event)
    return settle(batch, reading), reader.account


def settle(batch: Batch, reading: Reading) -> dict[str, Record]:
    """The records of a batch that is all there is, contributions delivered."""
    records: dict[str, Record] = {}

    def join(key: str, delta: Record) -> None:
        record = records[key] = join_records(None, delta, reading.policy)
        for receiver, share in shares_of(record, key, reading.policy).items():
            batch.person(receiver).sources[key] = Contribution(1, *share)

    for key, device in batch.devices.items():
        join(key, device.record(reading.policy))
    for key, lead in batch.leads.items():
        join(key, lead.record(reading.policy))
    for key, user in batch.users.items():
        join(key, user.record(reading.policy))
    return records


def profiles(
    records: dict[str, Record],
    reading: Reading,
    audience: Audience = EVERYTHING,
    context: Callable[[bytes], Any] = json.loads,
) -> Iterator[dict[str, Any]]:
    """Final profiles as an audience sees them, sorted by ``profileId``; ``context`` makes a JSON
    value of a context's text.
    """
    for key in sorted(records):
        profile = project(records[key], key, audience, reading.policy)
        if profile is not None:
            yield as_line(profile, context)


def resolve_natively(
    native: Any,
    lines: Iterable[Line],
    decoder: Decoder,
    reading: Reading,
    start_us: int,
    audience: Audience,
) -> tuple[Iterator[bytes], Account]:
    """The profiles of ``fold_lines`` as JSON, and the account; ``native`` is the class ``Lines`` of
    ``resolver.edges._native``.
    """
    reader = LineReader(decoder, reading, start_us)
    folded = native(reading=reading, start_us=start_us, audience=audience, read_line=reader.read)
    count, joined, skipped = folded.fold(lines)
    account = reader.account
    account.lines = count
    account.joined += joined
    account.skipped += skipped
    found = map(folded.profile, folded.settle())
    return (line for line in found if line is not None), account


def audience_of(settings: Settings, destination: str | None) -> Audience:
    """A configured destination's, or that of any integration name; without one, everything."""
    if destination is None:
        return EVERYTHING
    key = destination_key(destination)
    if not key:
        raise ConfigError(f"{destination!r} names no destination")
    for spec in settings.destinations:
        if key in spec.keys:
            return spec.audience()
    return Audience((key,), key in OPT_IN_BY_CONVENTION)


def spec_of(settings: Settings, destination: str) -> DestinationSpec:
    """A configured destination by name or alias."""
    for spec in settings.destinations:
        if destination_key(destination) in spec.keys:
            return spec
    known = ", ".join(spec.name for spec in settings.destinations)
    raise ConfigError(f"there is no destination {destination!r}; configured: {known}")


def as_line(profile: Profile, context: Callable[[bytes], Any] = json.loads) -> dict[str, Any]:
    """A profile as the offline command prints it."""
    return {
        "profileId": profile.id,
        "userId": profile.user_id,
        "anonymousIds": profile.anonymous_ids,
        "emails": profile.emails,
        "traits": profile.traits,
        "firstSeenAt": profile.first_seen_at,
        "lastSeenAt": profile.last_seen_at,
        "context": context(profile.context),
    }


def _received_us(event: RawEvent, start_us: int) -> int:
    """When the line counts as received, if it does not say so itself."""
    for stated in (event.sent_at, event.timestamp):
        instant = instant_us(stated)
        if instant is not None and instant >= OLDEST_US:
            return instant
    return start_us
