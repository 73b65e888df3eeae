"""The rules of a profile once more: slow, plain, over the whole history at once.

Nothing here is shared with the resolver, so that a mistake in one shows as a difference. An
answer is evaluated from all events together; there are no joins, records or increments.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

Json = Any
"""A decoded JSON value."""
Stamp = tuple[int, int, int, int, str]
"""Effective time, received, offset, partition, topic: a greater one is later."""

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
WORDS = """anonymous anon guest visitor unknown undefined null nil none n/a na void true false id
userid user_id anonymousid anonymous_id distinctid distinct_id email not_authenticated not_set
lmy47d {} [] <nil> -1"""
ILLEGAL = {*WORDS.split(), "(not set)", "[object object]"}
TEMPLATE = re.compile(r"\{\{.+\}\}|\$\{.+\}|%s|<.+>")
TEXTS = "avatar description email firstName gender id lastName name phone title username website"
RESERVED = [*TEXTS.split(), "address", "age", "birthday", "company", "createdAt"]
ADDRESS_PARTS = ["city", "country", "postalCode", "state", "street"]
COMPANY_PARTS = ["name", "id", "industry", "employee_count", "plan"]
CONTEXT = "ip locale userAgent timezone channel campaign page device os app library"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_2000_US = 946_684_800_000_000
BUCKET_US = 300_000_000
KEPT_MAX = 128
TRAITS_MAX = 500


class Place(NamedTuple):
    """Where an event lies in Kafka, and the timestamp of its record."""

    topic: str
    partition: int
    offset: int
    timestamp_us: int


@dataclass(frozen=True)
class Rules:
    """What the configuration decides."""

    precedence: str = "identified"
    traits: dict[str, str] = field(default_factory=dict)
    deep: frozenset[str] = frozenset()
    trust_clocks: bool = False
    email_always: bool = False
    illegal: dict[str, tuple[str, ...]] = field(default_factory=dict)
    illegal_patterns: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Reader(NamedTuple):
    """Who looks: a destination by its names, or without names everybody."""

    names: tuple[str, ...] = ()
    opt_in: bool = False


@dataclass(frozen=True)
class Said:
    """One event, understood: an event with an identity belongs to it, another to its device."""

    stamp: Stamp
    anon: str | None
    identity: str | None
    traits: dict[str, Json]
    address: str | None
    integrations: Json
    active: bool
    context: dict[str, Json]


def resolve(
    history: Iterable[tuple[dict[str, Json], Place]], rules: Rules, reader: Reader
) -> dict[str, dict[str, Json]]:
    """Every profile that the reader may see, by its identifier."""
    read = {place: understand(event, place, rules) for event, place in history}
    said = [one for one in read.values() if one is not None]
    owners = lead_owners(said)
    members: dict[str, list[Said]] = {}
    kept = kept_of_devices(said)
    for one in said:
        if one.identity is None and one.stamp not in kept:
            continue
        whose = one.identity or device_owner(one, said)
        members.setdefault(owners.get(whose, whose), []).append(one)
    visible = {
        key: [one for one in events if may_see(reader, one.integrations)]
        for key, events in members.items()
    }
    return {key: profile(key, events, rules, kept) for key, events in visible.items() if events}


def understand(event: dict[str, Json], place: Place, rules: Rules) -> Said | None:
    """The event as a statement; None if it is no identify or has nobody to belong to."""
    if event.get("type") not in (None, "identify"):
        return None
    traits = traits_of(event)
    anon = identifier(event.get("anonymousId"), ("anon",), rules)
    user = identifier(event.get("userId"), ("email", "user"), rules)
    if user is not None and text_id(event["userId"]) == anon:
        user = None
    address = email_of(traits, rules)
    identity = user and (f"email:{user.lower()}" if ADDRESS.fullmatch(user) else f"user:{user}")
    if identity is None and address and (anon is None or rules.email_always):
        identity = f"email:{address}"
    if (identity is None and anon is None) or len(traits) > TRAITS_MAX:
        return None
    eff, recv = times(event, place, rules)
    context = {"channel": event["channel"]} if isinstance(event.get("channel"), str) else {}
    context |= event["context"] if isinstance(event.get("context"), dict) else {}
    return Said(
        stamp=(eff, recv, place.offset, place.partition, place.topic),
        anon=anon,
        identity=identity,
        traits=traits,
        address=address,
        integrations=event.get("integrations"),
        active=context.get("active") is not False,
        context={name: value for name, value in context.items() if name in CONTEXT.split()},
    )


def text_id(stated: Json) -> str | None:
    """An id as clean text; None for what cannot be one."""
    if isinstance(stated, bool):
        return None
    if isinstance(stated, int) or (isinstance(stated, float) and stated.is_integer()):
        stated = str(int(stated))
    if not isinstance(stated, str):
        return None
    return unicodedata.normalize("NFC", stated.strip())


def identifier(stated: Json, kinds: tuple[str, ...], rules: Rules) -> str | None:
    """A legal id of the first kind that it looks like, else None."""
    text = text_id(stated)
    if not text:
        return None
    kind = kinds[0] if kinds[0] != "email" or ADDRESS.fullmatch(text) else kinds[-1]
    quoted = re.fullmatch(r"(['\"])(.*)\1", text, re.DOTALL)
    stripped = quoted[2] if quoted else text
    bare = stripped.lower()
    wrong = (
        bare in ILLEGAL
        or bare in [one.strip().lower() for one in rules.illegal.get(kind, ())]
        or stripped in ("", "NaN")
        or re.fullmatch("[0-]+", bare)
        or TEMPLATE.search(text)
        or any(unicodedata.category(one) == "Cc" for one in text)
        or len(text.encode()) > 255
        or any(re.fullmatch(one, bare) for one in rules.illegal_patterns.get(kind, ()))
    )
    return None if wrong else text


def email_of(traits: dict[str, Json], rules: Rules) -> str | None:
    """The legal address that the traits state, in lower case."""
    stated = traits.get("email")
    if not isinstance(stated, str) or not ADDRESS.fullmatch(text_id(stated) or ""):
        return None
    address = identifier(stated, ("email",), rules)
    return address and address.lower()


def times(event: dict[str, Json], place: Place, rules: Rules) -> tuple[int, int]:
    """Effective time and time of receipt."""
    recv = moment(event.get("receivedAt"))
    if recv is None:
        recv = place.timestamp_us
    original, sent = moment(event.get("originalTimestamp")), moment(event.get("sentAt"))
    stated = moment(event.get("timestamp"))
    if stated is None:
        stated = original
    if stated is None:
        return recv, recv
    if not rules.trust_clocks and original is None and sent is not None and sent >= stated:
        return min(recv - (sent - stated), recv), recv
    return min(stated, recv), recv


def moment(stated: Json) -> int | None:
    """Microseconds of a time an event states, if it can be believed."""
    found = instant(stated)
    return None if found is None or micros(found) < YEAR_2000_US else micros(found)


def instant(stated: Json) -> datetime | None:
    """ISO 8601 or a number of seconds or milliseconds, with the offset it was stated with."""
    try:
        if isinstance(stated, str):
            return in_a_zone(datetime.fromisoformat(stated.strip()))
        if isinstance(stated, bool) or not isinstance(stated, int | float):
            return None
        seconds = stated if stated < 1e11 else stated / 1000
        return EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
    except (ValueError, OverflowError):
        return None


def micros(when: datetime) -> int:
    """Microseconds since the epoch."""
    return (when - EPOCH) // timedelta(microseconds=1)


def iso(when: datetime) -> str:
    """ISO 8601 in UTC, a fraction only if there is one."""
    text = when.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def traits_of(event: dict[str, Json]) -> dict[str, Json]:
    """What the event states, under canonical names, with the types of reserved traits."""
    context = event.get("context")
    beside = context.get("traits") if isinstance(context, dict) else None
    traits: dict[str, Json] = {}
    for stated in (beside, event.get("traits")):
        if isinstance(stated, dict):
            traits.update(canonical(stated, RESERVED))
    for name, inner in (("address", ADDRESS_PARTS), ("company", COMPANY_PARTS)):
        if isinstance(traits.get(name), dict):
            traits[name] = canonical(traits[name], inner)
    return {name: typed(name, value) for name, value in traits.items()}


def canonical(stated: dict[str, Json], reserved: list[str]) -> dict[str, Json]:
    """Keys that spell a reserved name get it; the canonical spelling wins, else the first."""
    found: dict[str, Json] = {}
    for key, value in stated.items():
        name = canonical_name(key, reserved)
        if name not in stated or name == key:
            found.setdefault(name, value)
    return found


def canonical_name(key: str, reserved: Iterable[str] = tuple(RESERVED)) -> str:
    """The reserved name a key spells, else the key."""
    letters = re.sub("[-_ ]", "", key.lower())
    return next((name for name in reserved if name.lower().replace("_", "") == letters), key)


def typed(name: str, value: Json) -> Json:
    """A reserved trait in its type; what cannot be converted as it came."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in TEXTS.split() and number:
        return text_id(value) if float(value).is_integer() else repr(value)
    if name == "age" and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value.strip()):
        return float(value) if "." in value else int(value)
    if name in ("createdAt", "birthday"):
        when = instant(value) or rfc_date(value)
        if when is not None:
            return iso(when) if name == "createdAt" else when.date().isoformat()
    return value


def rfc_date(stated: Json) -> datetime | None:
    """A date of RFC 2822."""
    try:
        return in_a_zone(parsedate_to_datetime(stated)) if isinstance(stated, str) else None
    except ValueError:
        return None


def in_a_zone(when: datetime) -> datetime:
    """Without a zone it is UTC."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def lead_owners(said: list[Said]) -> dict[str, str]:
    """The user of each address: who claimed it earliest."""
    owners: dict[str, str] = {}
    for one in sorted(said, key=lambda one: one.stamp):
        if one.identity and one.identity.startswith("user:") and one.address:
            owners.setdefault(f"email:{one.address}", one.identity)
    return owners


def device_owner(write: Said, said: list[Said]) -> str:
    """Who an anonymous write belongs to: the next login, else the only one, else nobody."""
    logins = [one for one in said if one.anon == write.anon and one.identity]
    points = bindings(logins)
    later = [point for point in points if point[0] >= write.stamp[0]]
    if later:
        return min(later)[1]
    stated = {f"email:{one.address}" for one in logins if str(one.identity).startswith("user:")}
    bound = {who for _, who in points} - stated
    return bound.pop() if len(bound) == 1 else f"anon:{write.anon}"


def bindings(logins: list[Said]) -> list[tuple[int, str]]:
    """Points of a device: the earliest per person and five minutes, within bounds."""
    earliest: dict[tuple[str, int], int] = {}
    for one in logins:
        place = (str(one.identity), one.stamp[0] // BUCKET_US)
        earliest[place] = min(earliest.get(place, one.stamp[0]), one.stamp[0])
    points = sorted((eff, who) for (who, _), eff in earliest.items())
    first = {who: eff for eff, who in reversed(points)}
    return [one for one in points if one in points[-KEPT_MAX:] or one[0] == first[one[1]]]


def kept_of_devices(said: list[Said]) -> dict[Stamp, set[str]]:
    """What each anonymous event still holds: of a device and trait the latest 128 writes.

    ``seen`` is a name like a trait's, and the earliest is held for ever.
    """
    writes: dict[tuple[str, str], list[Stamp]] = {}
    for one in said:
        if one.identity is None:
            presence = "seen" if one.active else "idle"
            for name in [presence, *(f"trait {name}" for name in one.traits)]:
                writes.setdefault((str(one.anon), name), []).append(one.stamp)
    kept: dict[Stamp, set[str]] = {}
    for (_, name), stamps in writes.items():
        latest = sorted(stamps)[-KEPT_MAX:]
        for stamp in [*latest, min(stamps)] if name == "seen" else latest:
            kept.setdefault(stamp, set()).add(name)
    return kept


def may_see(reader: Reader, integrations: Json) -> bool:
    """Whether an event's ``integrations`` lets the reader see what it said."""
    if not reader.names:
        return True
    stated = integrations if isinstance(integrations, dict) else {}
    switches = {re.sub(r"[\W_]", "", key.lower()): value for key, value in stated.items()}
    named = [switches[name] for name in reader.names if name in switches]
    if named:
        return named[0] is not False
    return not reader.opt_in and switches.get("all", True) is not False


def profile(
    key: str, events: list[Said], rules: Rules, kept: dict[Stamp, set[str]]
) -> dict[str, Json]:
    """A profile of the events that belong to it and may be seen."""
    events = sorted(events, key=lambda one: one.stamp)
    seen = [one for one in events if one.active and (one.identity or "seen" in kept[one.stamp])]
    leads = [one.identity for one in events if one.identity and one.identity.startswith("email:")]
    traits: dict[str, Json] = {}
    for name in {name for one in events for name in one.traits}:
        held = [one for one in events if one.identity or f"trait {name}" in kept[one.stamp]]
        value = evaluate(name, [one for one in held if name in one.traits], rules)
        if value is not None:
            traits[name] = value
    parts = [traits.get("firstName"), traits.get("lastName")]
    if "name" not in traits and all(isinstance(one, str) and one.strip() for one in parts):
        traits["name"] = " ".join(map(str, parts))
    if "email" not in traits and leads:
        traits["email"] = leads[-1].removeprefix("email:")
    return {
        "profileId": key,
        "userId": None if key.startswith("anon:") else key.partition(":")[2],
        "anonymousIds": sorted({one.anon for one in events if one.anon is not None}),
        "emails": sorted({one.removeprefix("email:") for one in leads}),
        "traits": traits,
        "firstSeenAt": iso(EPOCH + timedelta(microseconds=seen[0].stamp[0])) if seen else None,
        "lastSeenAt": iso(EPOCH + timedelta(microseconds=seen[-1].stamp[0])) if seen else None,
        "context": seen[-1].context if seen else {},
    }


def evaluate(name: str, writes: list[Said], rules: Rules) -> Json:
    """The value that wins among the writes of a trait; None if it was removed."""
    rule = rules.traits.get(name, rules.precedence)
    values = [one.traits[name] for one in writes if one.traits[name] is not None]
    if rule == "first":
        return values[0] if values else None
    if rule in ("max", "min"):
        values = values[::-1]
        return (max(values) if rule == "max" else min(values)) if values else None
    if rule == "identified":
        writes = sorted(writes, key=lambda one: (one.identity is not None, one.stamp))
    merged: Json = None
    for one in writes:
        value = one.traits[name]
        merged = merge(merged, value) if name in rules.deep else value
    return merged


def merge(older: Json, newer: Json) -> Json:
    """Key by key where the newer is an object; a null key removes, anything else replaces."""
    if not isinstance(newer, dict):
        return newer
    merged = dict(older) if isinstance(older, dict) else {}
    for key, value in newer.items():
        inner = merge(merged.get(key), value)
        if inner is None:
            merged.pop(key, None)
        else:
            merged[key] = inner
    return merged
