"""How records are read from the bytes that ``packing`` writes."""

from collections.abc import Callable
from typing import Any, Final, final

from resolver.core.events import DEVICE, SEEN
from resolver.core.identifiers import UUID_BYTES, uuid_text
from resolver.core.ownership import BUCKET_US
from resolver.core.packing import (
    AT_ONCE,
    DEVICE_MARK,
    KINDS,
    MANY_ADDRESSES,
    NAMES,
    NONE_FIRST,
    OTHER,
    SAME_TOPIC,
    SEVERAL_FIRST,
    TIME_FROM_US,
    UNRESTRICTED,
    USUAL_FIRST,
)
from resolver.core.phrases import lengthen
from resolver.core.values import (
    EMPTY,
    SIGN,
    Contribution,
    Device,
    Layer,
    Person,
    Statement,
    eff_of,
    stamp_of,
)

UINT_END: Final = 1 << 64
PARTITIONS_END: Final = 1 << 32
DEPTH_MAX: Final = 64
"""Levels of a value, more than any event may have: what reads one recurses."""
SCALARS: Final = {
    **{0xC2: 0, 0xC3: 0, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8},
    **{0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},
}
"""Bytes that follow the first one of a truth value or a number in MessagePack."""
TEXTS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes of the length of a long text,"""
LISTS: Final = {0xDC: 2, 0xDD: 4}
"""of a long list,"""
MAPS: Final = {0xDE: 2, 0xDF: 4}
"""and of a long map."""


class Malformed(Exception):
    """Bytes that no ``Writer`` has written."""


@final
class Reader:
    """Reads the parts of one state; ``at`` is where the next one begins."""

    def __init__(self, raw: bytes, unpack: Callable[[bytes], Any]) -> None:
        self.raw = raw
        self.at = 0
        self.unpack = unpack
        self.time = TIME_FROM_US
        self.topic = ""
        self.has_topic = False

    def uint(self) -> int:
        byte = self.raw[self.at]
        self.at += 1
        if byte < 0x80:
            return byte
        number, shift = byte & 0x7F, 7
        while True:
            byte = self.raw[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise Malformed
        if number >= UINT_END:
            raise Malformed
        return number

    def sint(self) -> int:
        number = self.uint()
        return -(number + 1) // 2 if number & 1 else number // 2

    def take(self, length: int) -> bytes:
        """So many bytes."""
        end = self.at + length
        if end > len(self.raw):
            raise Malformed
        taken = self.raw[self.at : end]
        self.at = end
        return taken

    def run(self) -> bytes:
        return self.take(self.uint())

    def text(self) -> str:
        return self.run().decode()

    def instant(self) -> int:
        twice = self.sint()
        self.time += twice >> 1 if twice & 1 else (twice >> 1) * 1_000
        if not -SIGN <= self.time < SIGN:
            raise Malformed
        return self.time

    def word(self, words: tuple[str, ...]) -> str:
        return self.word_of(self.uint(), words)

    def word_of(self, code: int, words: tuple[str, ...]) -> str:
        """The text of a number, or what lies here."""
        if code >= OTHER:
            return self.take(code - OTHER).decode()
        if not code:
            raise Malformed
        return words[code - 1]

    def identifiers(self) -> list[str]:
        return [self.identifier() for _ in range(self.uint())]

    def identifier(self) -> str:
        head = self.uint()
        kind = KINDS[head & 3]
        if kind and head < 4:
            return kind + uuid_text(self.take(UUID_BYTES))
        return kind + self.take(head >> 2).decode()

    def device(self) -> Device:
        head = self.uint()
        statements = self.statements(self.uint()) if head & 1 else []
        addresses = head >> 1 & 3
        if addresses == MANY_ADDRESSES:
            addresses = self.uint()
        linked = [self.identifier() for _ in range(addresses)]
        points: dict[tuple[int, str], int] = {}
        for _ in range(head >> 3):
            who = self.identifier()
            eff = self.instant()
            points[eff // BUCKET_US, who] = eff
        return Device(statements, points, linked)

    def person(self) -> Person:
        own = self.layer()
        claim: tuple[bytes, str] | None = None
        head = self.uint()
        if head > AT_ONCE + SAME_TOPIC + 1:
            raise Malformed
        if head:
            stamp = self.stamp(head - 1)
            claim = stamp, self.identifier()
        sources: dict[str, Contribution] = {}
        for _ in range(self.uint()):
            source, version = self.identifier(), self.sint()
            identified = self.layer()
            sources[source] = Contribution(version, identified, self.layer())
        return Person(own, sources, claim)

    def layer(self) -> Layer:
        head = self.uint()
        if not head:
            return EMPTY
        form = head & 3
        statements = self.statements(head >> 2)
        if statements:
            self.time = eff_of(statements[0].stamp)
        if form == NONE_FIRST:
            return Layer(statements, {})
        if form == USUAL_FIRST:
            return Layer(statements, {"": self.instant()})
        if form != SEVERAL_FIRST:
            raise Malformed
        first: dict[str, int] = {}
        for _ in range(self.uint()):
            restriction = self.text()
            first[restriction] = self.instant()
        return Layer(statements, first)

    def statements(self, count: int) -> list[Statement]:
        return [self.statement() for _ in range(count)]

    def statement(self) -> Statement:
        head = self.uint()
        stamp = self.stamp(head)
        restriction = "" if head & UNRESTRICTED else self.text()
        traits: dict[str, Any] = {}
        for _ in range(head >> 3):
            name = self.word(NAMES)
            traits[name] = self.value()
        marks: dict[str, Any] = {}
        for _ in range(self.uint()):
            code = self.uint()
            if code == DEVICE_MARK:
                marks[DEVICE + self.identifier()] = None
            else:
                mark = self.word_of(code, NAMES)
                marks[mark] = self.context() if mark == SEEN else self.value()
        return Statement(stamp, restriction, traits, marks)

    def context(self) -> bytes:
        """A context, which is text like all that events hold."""
        text = lengthen(self.run())
        if not text.isascii():
            text.decode()
        return text

    def stamp(self, kept: int) -> bytes:
        """A stamp of which something may be left out."""
        eff = self.instant()
        recv = eff if kept & AT_ONCE else eff + self.sint()
        offset, partition = self.uint(), self.uint()
        if not -SIGN <= recv < SIGN or partition >= PARTITIONS_END:
            raise Malformed
        if not kept & SAME_TOPIC:
            self.topic, self.has_topic = self.text(), True
        elif not self.has_topic:
            raise Malformed
        return stamp_of(eff, recv, offset, partition, self.topic)

    def value(self) -> Any:
        """A value; texts up to 31 bytes and nulls, which most of them are, without its decoder."""
        start = self.at
        first = self.raw[start]
        self.at += 1
        if first & 0xE0 == 0xA0:
            return self.take(first & 0x1F).decode()
        if first == 0xC0:
            return None
        self.at = start
        self.skip(DEPTH_MAX)
        return self.unpack(self.raw[start : self.at])

    def skip(self, levels: int) -> None:
        """Passes over one value of MessagePack with whatever is in it."""
        first = self.take(1)[0]
        if first < 0x80 or first >= 0xE0 or first == 0xC0:
            return
        if first & 0xE0 == 0xA0:
            self.take(first & 0x1F)
        elif first in SCALARS:
            self.take(SCALARS[first])
        elif first in TEXTS:
            self.take(self.count(TEXTS[first]))
        elif first < 0x90 or first in MAPS:
            self.skip_members(self.count(MAPS[first]) if first in MAPS else first & 0xF, levels)
        elif first < 0xA0 or first in LISTS:
            if not levels:
                raise Malformed
            for _ in range(self.count(LISTS[first]) if first in LISTS else first & 0xF):
                self.skip(levels - 1)
        else:
            raise Malformed

    def skip_members(self, count: int, levels: int) -> None:
        """So many names, which are texts, and values."""
        if not levels:
            raise Malformed
        for _ in range(count):
            name = self.raw[self.at]
            if name & 0xE0 != 0xA0 and name not in TEXTS:
                raise Malformed
            self.skip(levels - 1)
            self.skip(levels - 1)

    def count(self, size: int) -> int:
        """A number of so many bytes, big-endian."""
        return int.from_bytes(self.take(size), "big")
