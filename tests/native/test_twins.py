"""The native engine beside the one in Python: the same states, messages and account.

Whatever is written into the store by one is read by the other, a backfill's is always the one in
Python, and an operator may change from one to the other: any difference is a defect of one.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.generate import generate
from resolver.core.events import Reading
from resolver.core.identifiers import IllegalValues, Kind
from resolver.ports import Message
from tests.core.oracle import Place
from tests.core.test_oracle import History, crowds, histories
from tests.engines import native, reference
from tests.native.twins import SETS, START_MS, batches, check_twins, live

DATA = Path(__file__).parent.parent / "data"
PAYLOADS = sorted(path for path in (DATA / "sdk").glob("*.jsonl") if "meta" not in path.name)
SCENARIOS = [json.loads(line) for line in (DATA / "scenarios.jsonl").read_text().splitlines()]
KINDS = st.sampled_from(sorted(SETS))
SIZES = st.sampled_from([1, 2, 5, 100])
EXAMPLES = 400
MANY = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def lines(values: Sequence[bytes]) -> list[Message]:
    """Values as they lie on three partitions."""
    return [
        Message("raw", number % 3, number, START_MS + number, None, value)
        for number, value in enumerate(values)
    ]


def sent(history: History, *, plain: bool) -> list[Message]:
    """The history's messages; ``plain`` ones have ids and times as most senders write them."""
    return [message(plainly(event) if plain else event, place) for event, place in history]


def message(event: dict[str, Any], place: Place) -> Message:
    """An event at its place, which it is also known by."""
    named = {"messageId": f"m{place.partition}-{place.offset}", **event}
    at_ms = place.timestamp_us // 1000
    return Message(
        place.topic, place.partition, place.offset, at_ms, None, json.dumps(named).encode()
    )


def plainly(event: dict[str, Any]) -> dict[str, Any]:
    """The event with ids so long that the short way of reading takes them."""
    ids = {
        name: f"id-{event[name]}"
        for name in ("anonymousId", "userId")
        if isinstance(event.get(name), str) and 0 < len(event[name]) < 3
    }
    return {**event, **ids}


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Message], list[bool]]:
    """Messages of a history or a crowd, some repeated; and which batches are known committed."""
    history = draw(histories() | crowds())
    messages = sent(history, plain=draw(st.booleans()))
    chance = random.Random(draw(st.integers(0, 10**6)))
    if draw(st.booleans()):
        messages += chance.sample(messages, len(messages))
    return messages, [chance.random() < 0.7 for _ in messages]


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_what_real_sdks_send_comes_to_the_same(path: Path, kind: str) -> None:
    """What real clients send is stranger than what a generator makes up."""
    messages = lines(path.read_bytes().splitlines())

    for size in (1, 7, 1_000):
        check_twins(list(batches(messages, size)), kind, noted=lambda number: number % 3 != 1)


@pytest.mark.parametrize("kind", SETS)
def test_every_scenario_comes_to_the_same(kind: str) -> None:
    """Each of them stands for something that somebody thought could go wrong."""
    for scenario in SCENARIOS:
        messages = lines([json.dumps(event).encode() for event in scenario["events"]])
        for size in (1, 100):
            check_twins(list(batches(messages, size)), kind)


@pytest.mark.parametrize("skewed", [False, True], ids=["uniform", "skewed"])
@pytest.mark.parametrize("kind", SETS)
def test_full_batches_come_to_the_same(kind: str, skewed: bool) -> None:
    """Most of what a worker reads is of this kind, and a batch has several chunks."""
    messages = lines([value for _, value in generate(3_000, skewed=skewed)])

    check_twins(list(batches(messages, 1_200)), kind, noted=lambda number: number != 1)


@MANY
@given(lived=lives(), size=SIZES, kind=KINDS)
def test_any_history_comes_to_the_same(
    lived: tuple[list[Message], list[bool]], size: int, kind: str
) -> None:
    """What nobody thought of as an example is where two implementations part."""
    messages, noted = lived

    check_twins(list(batches(messages, size)), kind, noted=noted.__getitem__)


@MANY
@given(lived=lives(), size=SIZES, kind=KINDS)
def test_what_moves_under_a_worker_comes_to_the_same(
    lived: tuple[list[Message], list[bool]], size: int, kind: str
) -> None:
    """A lost swap is joined again and what has moved is emitted again, by the same rules."""
    messages, noted = lived
    ours, theirs = messages[::2], messages[1::2]

    check_twins(list(batches(ours, size)), kind, noted=noted.__getitem__, rival=theirs)


def test_swaps_are_lost_and_records_move_where_that_is_tested() -> None:
    """A rival that never disturbs anybody would prove nothing."""
    values = [
        json.dumps({"userId": f"user-{number // 2 % 2}", "traits": {f"n{number}": 1}}).encode()
        for number in range(80)
    ]
    messages = lines(values)

    lived = check_twins(list(batches(messages[::2], 5)), "plain", rival=messages[1::2])

    assert sum(account[1] for account in lived.accounts) > 3
    assert lived.produced.count("flushed") > len(lived.accounts) + 3


@MANY
@given(lived=lives(), size=SIZES, kind=KINDS)
def test_engines_that_take_turns_come_to_the_same(
    lived: tuple[list[Message], list[bool]], size: int, kind: str
) -> None:
    """Workers of both kinds share a store while an operator changes from one to the other."""
    messages, noted = lived
    work = list(batches(messages, size))

    turns = live([native, reference], work, kind, noted=noted.__getitem__)

    assert turns == live([reference], work, kind, noted=noted.__getitem__)


@pytest.mark.parametrize(
    "reading",
    [
        Reading(trust_clocks=True),
        Reading(identify_by_email_always=True),
        Reading(IllegalValues(literals={Kind.USER: frozenset({"id-u", "v"})})),
        Reading(IllegalValues(patterns={Kind.EMAIL: ("e.*",)})),
    ],
    ids=["clocks are trusted", "an email identifies", "ids are listed", "patterns are listed"],
)
@settings(MANY, max_examples=100)
@given(lived=lives(), size=SIZES)
def test_the_owners_choices_come_to_the_same(
    reading: Reading, lived: tuple[list[Message], list[bool]], size: int
) -> None:
    """They decide how an event is read, which is done in two places."""
    check_twins(list(batches(lived[0], size)), "plain", reading=reading)


@pytest.mark.parametrize("logins", [0.02, 0.8], ids=["many writes", "many points"])
def test_what_a_device_may_forget_is_the_same(logins: float) -> None:
    """A kiosk writes for years; where its bounds lie decides who owns the remainder."""
    chance = random.Random(7)
    values = []
    for number in range(700):
        event = {
            "anonymousId": "kiosk",
            "userId": chance.choice(["uu", "vv", "w@x.io"]) if chance.random() < logins else None,
            "traits": {chance.choice("pq"): number, f"at{number // 50}": number},
            "integrations": chance.choice([None, {"Mix Panel": False}]),
            "context": {"active": chance.random() < 0.8},
            "timestamp": START_MS - 1_000 * chance.randrange(200_000),
        }
        values.append(json.dumps(event).encode())

    for size in (40, 1_000):
        check_twins(list(batches(lines(values), size)), "plain", noted=lambda number: number != 3)


def test_restrictions_beyond_the_bound_are_forgotten_equally() -> None:
    """Junk of some sender's must not make two engines write two states."""
    chance = random.Random(7)
    values = []
    for number in range(300):
        event = {
            "anonymousId": chance.choice(["d1", "d2", None]),
            "userId": chance.choice(["uu", None, "e@x.io"]),
            "traits": {chance.choice("pqr"): number, "email": chance.choice(["e@x.io", None])},
            "integrations": {"All": chance.random() < 0.5, f"k{chance.randrange(45)}": False},
            "timestamp": START_MS - 1_000 * chance.randrange(20_000),
        }
        values.append(json.dumps(event).encode())

    for size in (9, 1_000):
        check_twins(list(batches(lines(values), size)), "plain")
