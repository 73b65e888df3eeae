"""One raw identify event, read into what it says about whom.

``read_event`` is a pure function of the decoded event and its Kafka position: never of a clock.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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
from resolver.core.values import Event, Position, Statement
from resolver.errors import BadEvent, Fault

CLAMP_WARNED_US = 300_000_000
"""A clock more than five minutes ahead is worth a warning; less is ordinary drift."""
TRAITS_MAX = 500
CONTEXT_FIELDS = (
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
SEEN = "s"
"""The mark of an event that counts as activity; its value is the event's context."""
QUIET = "q"
"""The mark of an identified event that says somebody exists, and is no activity."""
DEVICE = "a"
"""The mark prefix under which an event states its anonymousId (``aanon:…``)."""
OPTIONS = "i"
"""The mark prefix under which an event carries options for one destination (``imixpanel``)."""


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


def read_event(
    raw: dict[str, Any], position: Position, reading: Reading, warned: list[Warned]
) -> Event:
    """The event's meaning; appends to ``warned``; raises BadEvent where nobody is identified."""
    anon, user = _read_ids(raw, reading.illegal, warned)
    traits = _read_traits(raw, warned)
    address = traits.get("email")
    email = identifier_of_address(address, reading.illegal) if address is not None else None
    identity = identifier_of_user(user) if user else ""
    if not identity and email and (not anon or reading.identify_by_email_always):
        identity = email
    if not identity and not anon:
        raise BadEvent(Fault.NO_IDENTIFIER, "no usable userId, anonymousId or email")
    restriction, options, odd = read_integrations(raw.get("integrations"))
    if odd:
        warned.append(Warned.ODD_CONSENT)
    anon = ANON + anon if anon else ""
    marks = _marks(raw, anon, identity, options)
    eff, recv = effective_time(raw, position.timestamp_us, warned, reading.trust_clocks)
    stamp = (eff, recv, position.offset, position.partition, position.topic)
    message_id = raw.get("messageId")
    statement = Statement(
        stamp,
        restriction,
        message_id if type(message_id) is str else "",
        reading.policy.split(traits),
        marks,
    )
    claim = email if email and identity.startswith(USER) else ""
    return Event(anon, identity, claim, statement)


def effective_time(
    raw: dict[str, Any], record_us: int, warned: list[Warned], trust_clocks: bool = False
) -> tuple[int, int]:
    """(eff, recv) in microseconds: when it happened, by the client's corrected clock."""
    recv = _time(raw, "receivedAt", warned)
    if recv is None:
        recv = record_us
    stated = _time(raw, "timestamp", warned)
    original = _time(raw, "originalTimestamp", warned)
    if stated is None:
        stated = original
    if stated is None:
        return recv, recv
    if original is None and not trust_clocks:
        sent = _time(raw, "sentAt", warned)
        if sent is not None and sent >= stated:
            stated = max(recv - (sent - stated), FIRST_US)
    if stated > recv:
        if stated - recv > CLAMP_WARNED_US:
            warned.append(Warned.CLOCK_AHEAD)
        return recv, recv
    return stated, recv


def _time(raw: dict[str, Any], name: str, warned: list[Warned]) -> int | None:
    stated = raw.get(name)
    if stated is None:
        return None
    instant = instant_us(stated)
    if instant is None or instant < OLDEST_US:
        warned.append(Warned.BAD_TIME)
        return None
    return instant


def _read_ids(raw: dict[str, Any], illegal: IllegalValues, warned: list[Warned]) -> tuple[str, str]:
    anon = read_identifier(raw.get("anonymousId"), Kind.ANON, illegal)
    user = read_identifier(raw.get("userId"), kind_of_user(raw.get("userId")), illegal)
    if isinstance(anon, Illegal):
        warned.append(Warned.ILLEGAL_ID)
        anon = None
    if isinstance(user, Illegal):
        warned.append(Warned.ILLEGAL_ID)
        user = None
    if user is not None and user == anon:
        warned.append(Warned.USER_IS_ANONYMOUS_ID)
        user = None
    return anon or "", user or ""


def _read_traits(raw: dict[str, Any], warned: list[Warned]) -> Traits:
    own = _traits_object(raw.get("traits"), warned)
    context = raw.get("context")
    other = context.get("traits") if isinstance(context, dict) else None
    traits, unconverted = normalise_traits(own) if own else ({}, [])
    if other:
        more, unconverted_too = normalise_traits(_traits_object(other, warned))
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


def _marks(
    raw: dict[str, Any], anon: str, identity: str, options: dict[str, Any]
) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    context = raw.get("context")
    if type(context) is not dict:
        context = {}
    if context.get("active") is not False:
        seen = {name: context[name] for name in CONTEXT_FIELDS if name in context}
        if "channel" in raw and "channel" not in seen:
            seen["channel"] = raw["channel"]
        marks[SEEN] = seen
    elif identity:
        marks[QUIET] = None
    if anon and identity:
        marks[DEVICE + anon] = None
    for key, value in options.items():
        marks[OPTIONS + key] = value
    return marks
