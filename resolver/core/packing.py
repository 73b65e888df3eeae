"""How records are written as bytes, made to be small; ``unpacking`` reads them.

Numbers are varints, instants are differences, what is usual takes one byte, identifiers that are
UUIDs take sixteen, and contexts are shortened. See "What is in Redis" in ``docs/architecture.md``
for the layout.
"""

from collections.abc import Callable, Collection
from typing import Any, Final, final

from resolver.core.events import DEVICE, QUIET, SEEN
from resolver.core.identifiers import ANON, EMAIL, USER, packed_uuid
from resolver.core.phrases import shorten
from resolver.core.values import NUMBERS, SIGN, Device, Layer, Person, Statement, eff_of

NAMES: Final = (
    *(SEEN, QUIET, "address", "age", "avatar", "birthday", "company", "createdAt", "description"),
    *("email", "firstName", "gender", "id", "lastName", "name", "phone", "title", "username"),
    *("website", "plan", "city", "country"),
)
"""Marks and traits that have a number of their own, from 1 on: none is ever removed or moved within
a schema of states, here and below."""
DEVICE_MARK: Final = 0
"""The number of the marks that say on which device something was stated."""
DESTINATIONS: Final = (
    *("profiles", "activecampaign", "amplitude", "bigquery", "braze", "customerio", "facebook"),
    *("ga4", "hubspot", "intercom", "iterable", "klaviyo", "mixpanel", "onesignal", "pipedrive"),
    *("postgres", "redshift", "salesforce", "segment", "snowflake", "warehouse", "webhook"),
    "zendesk",
)
"""Destinations that have a number of their own, from 1 on: what most are called."""
OTHER: Final = 32
"""Added to the length of a name that has no number."""
CODE_OF_NAME: Final = {name: place for place, name in enumerate(NAMES, 1)}
CODE_OF_DESTINATION: Final = {name: place for place, name in enumerate(DESTINATIONS, 1)}
KINDS: Final = ("", USER, EMAIL, ANON)
"""Kinds of identifiers by their number; nought: the text as it is."""
AT_ONCE: Final = 1
"""Said of a stamp: received when it happened;"""
SAME_TOPIC: Final = 2
"""of the topic of the stamp before;"""
UNRESTRICTED: Final = 4
"""and of a statement: without a restriction."""
MANY_ADDRESSES: Final = 3
"""So many addresses of a device, or more, are counted on their own."""
NONE_FIRST: Final = 0
"""A layer that was never active;"""
USUAL_FIRST: Final = 1
"""one whose first activity nothing restricted;"""
SEVERAL_FIRST: Final = 2
"""and one that has a first activity for each of several restrictions."""
TIME_FROM_US: Final = 1_893_456_000_000_000
"""2030-01-01, from which the first instant is counted: nine years around it take seven bytes."""


@final
class Writer:
    """Appends the parts of one state; remembers the instant and the topic that were last."""

    def __init__(self, pack: Callable[[Any], bytes]) -> None:
        self.out = bytearray()
        self.pack = pack
        self.time = TIME_FROM_US
        self.topic: bytes | None = None

    def uint(self, number: int) -> None:
        """Seven bits a byte, the lowest first; a byte from 0x80 on is not the last."""
        while number > 0x7F:
            self.out.append(number & 0x7F | 0x80)
            number >>= 7
        self.out.append(number)

    def sint(self, number: int) -> None:
        """Signs go last: 0, -1, 1, -2 are 0, 1, 2, 3."""
        self.uint(number * 2 if number >= 0 else -number * 2 - 1)

    def run(self, run: bytes) -> None:
        """Bytes behind their length."""
        self.uint(len(run))
        self.out += run

    def text(self, text: str) -> None:
        """So texts."""
        self.run(text.encode())

    def instant(self, time: int) -> None:
        """The difference to the instant before it: twice the milliseconds where it is whole ones,
        else twice the microseconds and one.
        """
        since = time - self.time
        millis = since // 1_000
        self.sint(millis * 2 if millis * 1_000 == since else since * 2 + 1)
        self.time = time

    def word(self, text: str, codes: dict[str, int]) -> None:
        """The number of a text that has one, or its length and the text."""
        code = codes.get(text)
        if code is not None:
            self.uint(code)
            return
        plain = text.encode()
        self.uint(len(plain) + OTHER)
        self.out += plain

    def identifiers(self, identifiers: Collection[str]) -> None:
        """How many, and each."""
        self.uint(len(identifiers))
        for one in identifiers:
            self.identifier(one)

    def identifier(self, text: str) -> None:
        """The length times four and the kind's number; no length: sixteen bytes of a UUID."""
        for kind in (1, 2, 3):
            if text.startswith(KINDS[kind]) and len(text) > len(KINDS[kind]):
                self._value(text[len(KINDS[kind]) :], kind)
                return
        whole = text.encode()
        self.uint(len(whole) * 4)
        self.out += whole

    def _value(self, value: str, kind: int) -> None:
        packed = packed_uuid(value)
        if packed:
            self.uint(kind)
            self.out += packed
            return
        plain = value.encode()
        self.uint(len(plain) * 4 + kind)
        self.out += plain

    def device(self, device: Device) -> None:
        """The number of points times eight, of addresses times two where they are fewer than three,
        and whether there are statements; statements, addresses, points in their order.
        """
        statements, linked, points = device.statements, device.linked, device.points
        addresses = min(len(linked), MANY_ADDRESSES)
        self.uint(len(points) * 8 + addresses * 2 + (1 if statements else 0))
        if statements:
            self.uint(len(statements))
            for one in statements:
                self.statement(one)
        if addresses == MANY_ADDRESSES:
            self.uint(len(linked))
        for address in linked:
            self.identifier(address)
        for place in sorted(points):
            self.identifier(place[1])
            self.instant(points[place])

    def person(self, person: Person) -> None:
        """The own layer, the claim, contributions by source."""
        self.layer(person.own)
        claim = person.claim
        if claim is None:
            self.uint(0)
        else:
            kept = self.kept(claim[0])
            self.uint(1 + kept)
            self.stamp(claim[0], kept)
            self.identifier(claim[1])
        self.uint(len(person.sources))
        for source, one in person.sources.items():
            self.identifier(source)
            self.sint(one.version)
            self.layer(one.identified)
            self.layer(one.anonymous)

    def layer(self, layer: Layer) -> None:
        """The number of statements times four and the form of ``first``, then both; the first
        statement is most often the first activity, so that is what it is counted from.
        """
        statements, first = layer.statements, layer.first
        form = SEVERAL_FIRST
        if len(first) == 1 and "" in first:
            form = USUAL_FIRST
        elif not first:
            form = NONE_FIRST
        self.uint(len(statements) * 4 + form)
        for one in statements:
            self.statement(one)
        if statements:
            self.time = eff_of(statements[0].stamp)
        if form == SEVERAL_FIRST:
            self.uint(len(first))
        for restriction, eff in first.items():
            if form == SEVERAL_FIRST:
                self.text(restriction)
            self.instant(eff)

    def statement(self, one: Statement) -> None:
        """The number of traits times eight and what is left out; stamp, restriction, both pairs."""
        kept = self.kept(one.stamp)
        head = kept if one.restriction else kept | UNRESTRICTED
        self.uint(len(one.traits) * 8 + head)
        self.stamp(one.stamp, kept)
        if one.restriction:
            self.text(one.restriction)
        for name, value in one.traits.items():
            self.word(name, CODE_OF_NAME)
            self.out += self.pack(value)
        self.uint(len(one.marks))
        for name, value in one.marks.items():
            self.mark(name, value)

    def kept(self, stamp: bytes) -> int:
        """What of a stamp is left out."""
        numbers = NUMBERS.size
        kept = AT_ONCE if stamp[:8] == stamp[8:16] else 0
        return kept | SAME_TOPIC if stamp[numbers:] == self.topic else kept

    def stamp(self, stamp: bytes, kept: int) -> None:
        """Its numbers and the topic, but for what is left out."""
        eff, recv, offset, partition = NUMBERS.unpack_from(stamp)
        self.instant(eff - SIGN)
        if not kept & AT_ONCE:
            self.sint(recv - eff)
        self.uint(offset)
        self.uint(partition)
        if not kept & SAME_TOPIC:
            self.topic = stamp[NUMBERS.size :]
            self.run(self.topic)

    def mark(self, name: str, value: Any) -> None:
        """A device's mark is its identifier; a context is in its short form."""
        if value is None and name[:1] == DEVICE and name.startswith(ANON, 1):
            self.uint(DEVICE_MARK)
            self.identifier(name[1:])
            return
        self.word(name, CODE_OF_NAME)
        if name == SEEN:
            self.run(shorten(value))
        else:
            self.out += self.pack(value)
