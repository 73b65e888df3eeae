"""One raw identify event, read into what it says about whom.

``read_event`` is a pure function of the decoded event and its Kafka position: never of a clock.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, final

from resolver.core.consent import read_integrations
from resolver.core.identifiers import (
    ANON,
    USER,
    Illegal,
    IllegalValues,
    Kind,
    identifier_of_address,
    identifier_of_user,
    kind_of_user,
    read_identifier,
)
from resolver.core.policy import Policy
from resolver.core.times import FIRST_US, OLDEST_US, instant_us
from resolver.core.traits import Traits, normalise_traits
from resolver.core.values import Event, Position, Statement, stamp_of
from resolver.errors import BadEvent, Fault

CLAMP_WARNED_US: Final = 300_000_000
"""A clock more than five minutes ahead is worth a warning; less is ordinary drift."""
TRAITS_MAX: Final = 500
CONTEXT_FIELDS: Final = (
    "ip",
    "locale",
    "userAgent",
    "timezone",
    "channel",
    "campaign",
    "page",
    "device",
    "os",
    "app",
    "library",
)
SEEN: Final = "s"
"""The mark of an event that counts as activity; its value is the event's context, as JSON text:
nobody looks into it on its way, so it is neither taken apart nor put together."""
QUIET: Final = "q"
"""The mark of an event that says somebody exists, and is no activity."""
DEVICE: Final = "a"
"""The mark prefix under which an event states its anonymousId (``aanon:…``)."""
OPTIONS: Final = "i"
"""The mark prefix under which an event carries options for one destination (``imixpanel``)."""

NO_OPTIONS: Final[dict[str, Any]] = {}


class RawEvent(Protocol):
    """An event as a decoder gives it: JSON values as they came, None where a field is absent.

    ``context_traits`` and ``active`` are the context's; ``seen`` is the JSON text of its
    CONTEXT_FIELDS, an object.
    """

    type: str | None
    message_id: Any
    user_id: Any
    anonymous_id: Any
    traits: Any
    context_traits: Any
    active: Any
    seen: bytes
    integrations: Any
    timestamp: Any
    original_timestamp: Any
    received_at: Any
    sent_at: Any


@final
class PlainEvent:
    """A RawEvent from a decoded JSON object: for whatever does not decode straight into one."""

    def __init__(self, event: dict[str, Any]) -> None:
        context = event.get("context")
        if type(context) is not dict:
            context = {}
        seen = {name: context[name] for name in CONTEXT_FIELDS if name in context}
        if isinstance(event.get("channel"), str) and "channel" not in seen:
            seen["channel"] = event["channel"]
        self.type: str | None = event.get("type")
        self.message_id: Any = event.get("messageId")
        self.user_id: Any = event.get("userId")
        self.anonymous_id: Any = event.get("anonymousId")
        self.traits: Any = event.get("traits")
        self.context_traits: Any = context.get("traits")
        self.active: Any = context.get("active")
        self.seen = json.dumps(seen, ensure_ascii=False, separators=(",", ":")).encode()
        self.integrations: Any = event.get("integrations")
        self.timestamp: Any = event.get("timestamp")
        self.original_timestamp: Any = event.get("originalTimestamp")
        self.received_at: Any = event.get("receivedAt")
        self.sent_at: Any = event.get("sentAt")


class Warned(StrEnum):
    """What was mended in an event that was accepted all the same; a closed set, counted."""

    ILLEGAL_ID = "illegal_id"
    USER_IS_ANONYMOUS_ID = "user_is_anonymous_id"
    BAD_TIME = "bad_time"
    CLOCK_AHEAD = "clock_ahead"
    TRAITS_NO_OBJECT = "traits_no_object"
    TRAIT_TYPE = "trait_type"
    ODD_CONSENT = "odd_consent"
    SALVAGED_CONSTANT = "salvaged_constant"
    SALVAGED_SURROGATE = "salvaged_surrogate"
    BIG_INTEGER = "big_integer"


@dataclass(frozen=True)
class Reading:
    """How events are read: the owner's choices that bear on a single event."""

    illegal: IllegalValues = field(default_factory=IllegalValues)
    policy: Policy = field(default_factory=Policy)
    trust_clocks: bool = False
    identify_by_email_always: bool = False
    names: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Spellings of traits met so far, see ``normalise_traits``."""


def read_event(raw: RawEvent, position: Position, reading: Reading, warned: list[Warned]) -> Event:
    """The event's meaning; appends to ``warned``; raises BadEvent where nobody is identified."""
    anon, user = _read_ids(raw, reading.illegal, warned)
    traits = _read_traits(raw, reading.names, warned)
    address = traits.get("email")
    email = identifier_of_address(address, reading.illegal) if address is not None else None
    identity = identifier_of_user(user) if user else ""
    if not identity and email and (not anon or reading.identify_by_email_always):
        identity = email
    if not identity and not anon:
        raise BadEvent(Fault.NO_IDENTIFIER, "no usable userId, anonymousId or email")
    if anon:
        anon = ANON + anon
    restriction, options = "", NO_OPTIONS
    if raw.integrations is not None and raw.integrations != {}:
        restriction, options, odd = read_integrations(raw.integrations)
        if odd:
            warned.append(Warned.ODD_CONSENT)
    eff, recv = effective_time(raw, position.timestamp_us, warned, reading.trust_clocks)
    statement = Statement(
        stamp_of(eff, recv, position.offset, position.partition, position.topic),
        restriction,
        reading.policy.split(traits),
        _marks(raw, anon, identity, options),
    )
    claim = email if email and identity[:5] == USER else ""
    message_id = raw.message_id
    return Event(anon, identity, claim, message_id if type(message_id) is str else "", statement)


def effective_time(
    raw: RawEvent, record_us: int, warned: list[Warned], trust_clocks: bool = False
) -> tuple[int, int]:
    """(eff, recv) in microseconds: when it happened, by the client's corrected clock."""
    recv = _time(raw.received_at, warned)
    if recv is None:
        recv = record_us
    stated = _time(raw.timestamp, warned)
    original = _time(raw.original_timestamp, warned)
    if stated is None:
        stated = original
    if stated is None:
        return recv, recv
    if original is None and not trust_clocks:
        sent = _time(raw.sent_at, warned)
        if sent is not None and sent >= stated:
            stated = max(recv - (sent - stated), FIRST_US)
    if stated > recv:
        if stated - recv > CLAMP_WARNED_US:
            warned.append(Warned.CLOCK_AHEAD)
        return recv, recv
    return stated, recv


def _time(stated: Any, warned: list[Warned]) -> int | None:
    if stated is None:
        return None
    instant = instant_us(stated)
    if instant is None or instant < OLDEST_US:
        warned.append(Warned.BAD_TIME)
        return None
    return instant


def _read_ids(raw: RawEvent, illegal: IllegalValues, warned: list[Warned]) -> tuple[str, str]:
    anon = _legal(read_identifier(raw.anonymous_id, Kind.ANON, illegal), warned)
    stated = raw.user_id
    if stated is None:
        return anon, ""
    user = _legal(read_identifier(stated, kind_of_user(stated), illegal), warned)
    if user and user == anon:
        warned.append(Warned.USER_IS_ANONYMOUS_ID)
        user = ""
    return anon, user


def _legal(read: str | Illegal | None, warned: list[Warned]) -> str:
    """A legal identifier's value; an illegal one is stripped with a warning."""
    if isinstance(read, Illegal):
        warned.append(Warned.ILLEGAL_ID)
        return ""
    return read or ""


def _read_traits(raw: RawEvent, names: dict[str, str], warned: list[Warned]) -> Traits:
    own = _traits_object(raw.traits, warned)
    other = raw.context_traits
    traits, unconverted = normalise_traits(own, names) if own else ({}, [])
    if other:
        more, unconverted_too = normalise_traits(_traits_object(other, warned), names)
        traits = more | traits
        unconverted += unconverted_too
    if len(traits) > TRAITS_MAX:
        raise BadEvent(Fault.TOO_LARGE, f"more than {TRAITS_MAX} traits")
    if unconverted:
        warned.append(Warned.TRAIT_TYPE)
    return traits


def _traits_object(stated: Any, warned: list[Warned]) -> Traits:
    if type(stated) is dict:
        return stated
    if stated is not None:
        warned.append(Warned.TRAITS_NO_OBJECT)
    return {}


def _marks(raw: RawEvent, anon: str, identity: str, options: dict[str, Any]) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    if raw.active is not False:
        marks[SEEN] = raw.seen
    else:
        marks[QUIET] = None
    if anon and identity:
        marks[DEVICE + anon] = None
    for key, value in options.items():
        marks[OPTIONS + key] = value
    return marks
