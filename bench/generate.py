"""Identify events as browsers send them, from a seed: the same bytes for every contender."""

import itertools
import json
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

USERS = 100_000
ANONYMOUS_SHARE = 1 / 3
ZIPF_EXPONENT = 1.1
START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: event times start here, ten milliseconds apart."""
PLANS = ("free", "starter", "pro", "enterprise")
PAGES = ("/pricing", "/signup", "/docs/start", "/blog", "/account", "/checkout", "/features")
CITIES = ("Lisbon", "Utrecht", "Graz", "Malmö", "Porto", "Leeds", "Lyon", "Brno")


@dataclass(frozen=True)
class Law:
    """How events spread over users; in ``turns`` each is identified once, then on a new device.

    ``first`` is the number of the first event, and so its time: later than all events before it.
    Without ``context`` no event has one: the difference is what contexts take.
    """

    name: str
    skewed: bool = False
    users: int = USERS
    turns: bool = False
    first: int = 0
    context: bool = True


UNIFORM, SKEWED = Law("uniform"), Law("skewed", skewed=True)


class Generated(NamedTuple):
    """An event: its key (the anonymousId), its JSON, and the number of its user."""

    key: bytes
    value: bytes
    user: int


def generate(count: int, *, skewed: bool, seed: int = 7) -> Iterator[tuple[bytes, bytes]]:
    """``count`` pairs of key (the anonymousId) and JSON event of about 650 bytes."""
    law = SKEWED if skewed else UNIFORM
    return ((event.key, event.value) for event in events_of(count, law, seed))


def events_of(count: int, law: Law, seed: int = 7) -> Iterator[Generated]:
    """``count`` JSON events of about 650 bytes that follow a law."""
    chance = random.Random(seed)
    pick = _picker(law, chance)
    for number in range(count):
        user = pick()
        place = number // law.users if law.turns else chance.randrange(1 + user % 3)
        device = f"{user:08x}-7a3e-4c1d-9b2f-{user % 997:04x}{place:08x}"
        event = _event(chance, law.first + number, user, device)
        if law.turns and "userId" not in event:
            event["userId"] = f"user-{user}"
        if not law.context:
            del event["context"]
        value = json.dumps(event, separators=(",", ":")).encode()
        yield Generated(device.encode(), value, user)


def _picker(law: Law, chance: random.Random) -> Callable[[], int]:
    if law.turns:
        return itertools.cycle(range(law.users)).__next__
    if not law.skewed:
        return lambda: chance.randrange(law.users)
    weights = (1 / rank**ZIPF_EXPONENT for rank in range(1, law.users + 1))
    cumulative = list(itertools.accumulate(weights))
    return lambda: bisect(cumulative, chance.random() * cumulative[-1])


def _event(chance: random.Random, number: int, user: int, device: str) -> dict[str, Any]:
    at = _iso(START_MS + number * 10)
    page = PAGES[number % len(PAGES)]
    event: dict[str, Any] = {
        "type": "identify",
        "messageId": f"ajs-next-{START_MS + number * 10}-{number:012x}",
        "anonymousId": device,
        "timestamp": at,
        "receivedAt": at,
        "context": {
            "ip": f"198.51.100.{user % 256}",
            "locale": "en-GB",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0",
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "page": {"path": page, "url": f"https://shop.example{page}?ref=a"},
            "campaign": {"name": "spring", "source": "newsletter", "medium": "email"},
        },
        "integrations": {},
    }
    if chance.random() < ANONYMOUS_SHARE:
        event["traits"] = {"visits": number % 50, "interest": chance.choice(PLANS)}
    else:
        event["userId"] = f"user-{user}"
        event["traits"] = {
            "email": f"person{user}@mail.example",
            "firstName": "Person",
            "lastName": f"No{user}",
            "plan": chance.choice(PLANS),
            "city": chance.choice(CITIES),
        }
    return event


def _iso(instant_ms: int) -> str:
    seconds, millis = divmod(instant_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    day = 1 + (days - 20_454)
    month = 1
    for length in (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31):
        if day <= length:
            break
        day, month = day - length, month + 1
    hour, minute, second = rest // 3600, rest // 60 % 60, rest % 60
    return f"2026-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{millis:03d}Z"
