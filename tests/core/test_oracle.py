"""The resolver against an independent reading of the same rules."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.batch import fold_batch
from resolver.config import PolicySettings, Settings
from resolver.destinations.spec import DestinationSpec
from resolver.edges.json_codec import JsonDecoder
from resolver.errors import BadEvent
from resolver.offline import Line, audience_of, fold_lines, profiles, settle
from resolver.ports import Message
from tests.core.oracle import Place, Reader, Rules, canonical_name, moment, resolve

DATA = Path(__file__).parent.parent / "data"
SCENARIOS = [json.loads(line) for line in (DATA / "scenarios.jsonl").read_text().splitlines()]
PAYLOADS = sorted(path for path in (DATA / "sdk").glob("*.jsonl") if "meta" not in path.name)
START_S = 1_700_000_100
DESTINATIONS = (
    DestinationSpec(name="Mix Panel", aliases=("mp",)),
    DestinationSpec(name="Warehouse", opt_in=True),
)
READERS = {
    None: Reader(),
    "Mix Panel": Reader(("mixpanel", "mp")),
    "Warehouse": Reader(("warehouse",), opt_in=True),
}
EXAMPLES = 300
History = list[tuple[dict[str, Any], Place]]

# A small world: few people, many collisions, and now and then what nobody should send


def mostly(*usual: Any, rarely: Iterable[Any] = ()) -> st.SearchStrategy[Any]:
    """One of the usual values, now and then an unusual one."""
    unusual = list(rarely)
    return st.integers(0, 7).flatmap(
        lambda n: st.sampled_from(unusual if unusual and n == 7 else list(usual))
    )


ANONS = mostly(
    *("a", "b", "c", None, "a", "b"),
    rarely=["", "  ", " a ", "null", "Anonymous", 7, 7.0, "7", True, "00-0", "-1", "u", "a\u0001"],
)
USERS = mostly(
    *("u", "v", "e@x.io", None, None, None, None, "w"),
    rarely=[
        *("E@X.io", "f@x.io", " u", "None", "'null'", "NaN", "nan", "a", 12, 12.0, "12", 1.5, {}),
        *(False, "{{id}}", "${u}", "<nil>", "a@b", "x" * 256, "é", "e\u0301", "blocked", "", "U"),
    ],
)
ADDRESSES = mostly(
    *("e@x.io", "E@x.io", "f@x.io"), rarely=[None, "", "none", 5, " e@x.io", "blocked@x.io"]
)
PLAIN = mostly(1, 2, "x", None, rarely=["", 0, 2.5, [], [1, None], {"k": None}, {}, True, "é"])
TREES = st.recursive(
    mostly(1, 2, None, "x", rarely=[[1], False]),
    lambda inner: st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
    max_leaves=4,
)
NUMBERS = mostly(*range(-2, 7), rarely=[None])
PLACES = st.dictionaries(
    mostly("city", "City", "postal_code", "postalCode", rarely=["Postal Code", "zip"]),
    mostly("A", "B", 5, None),
    max_size=3,
)
DATES = mostly(
    *("2019-08-24T14:15:22Z", 1_566_656_122, 1_566_656_122_500, "2019-08-24"),
    rarely=[
        *("Sat, 24 Aug 2019 14:15:22 +0200", "2019-08-24T14:15:22.120+05:30", "soon", None, True),
        *(-86_400, 0.25, {}, "2019-08-24 14:15", 10**18),
    ],
)
TRAITS: dict[str, st.SearchStrategy[Any]] = {
    "p": PLAIN,
    "q": PLAIN,
    "tree": TREES,
    "n": NUMBERS,
    "m": NUMBERS,
    "": PLAIN,
    "email": ADDRESSES,
    "E-mail": ADDRESSES,
    "firstName": mostly("A", "B", "", None, 5),
    "first_name": mostly("C", None),
    "First Name": mostly("D", None),
    "lastName": mostly("L", " ", None),
    "name": mostly("N", "", None),
    "age": mostly(30, "42", "4.5", None, rarely=["old", True, " 7 ", 1.0]),
    "phone": mostly("1", 5551234, 1.5, None, rarely=[7.0, False, [1]]),
    "createdAt": DATES,
    "birthday": DATES,
    "address": PLACES | mostly("Main St", None),
    "company": st.dictionaries(mostly("Name", "employeeCount", "plan"), PLAIN, max_size=2),
}


@st.composite
def traits(draw: st.DrawFn) -> dict[str, Any]:
    """A few traits, reserved ones in several spellings."""
    names = draw(st.lists(st.sampled_from(list(TRAITS)), unique=True, max_size=3))
    return {name: draw(TRAITS[name]) for name in names}


INTEGRATIONS = mostly(
    *(None, None, {}, {"All": False}, {"Mix Panel": False}, {"Warehouse": True}),
    rarely=[
        *({"all": False, "mixpanel": True}, {"ALL": True}, {"All": None}, {"All": 0}, [], "no"),
        *({"All": False, "mix-panel": {"id": 1}}, {"MP": False}, {"warehouse": False}),
        *({"warehouse": []}, {"Warehouse": None, "mp": 0}, {"All": False, "MP": "false"}),
    ],
)


@st.composite
def instants(draw: st.DrawFn) -> Any:
    """A time within a quarter of an hour, in one of the ways clients write it."""
    seconds = START_S + 30 * draw(st.integers(0, 30))
    shape = draw(st.integers(0, 9))
    if shape < 6:
        return seconds * 1000 + (250 if shape == 5 else 0)
    if shape == 6:
        return seconds + 0.5
    if shape == 7:
        return draw(
            st.sampled_from([None, "", "soon", True, -5, 10**18, "1999-12-31", {}, 946684800])
        )
    zone = draw(st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), None]))
    text = datetime.fromtimestamp(seconds, zone or UTC).replace(tzinfo=zone).isoformat()
    return text.replace("+00:00", draw(st.sampled_from(["Z", ".25Z", ".1234567Z", "+00:00"])))


CONTEXTS = mostly(
    *(None, None, {}, {"ip": "1"}, {"ip": "2", "page": {"url": "/"}, "foo": 1}, {"active": False}),
    rarely=[[], "x", {"active": None, "locale": None}, {"active": False, "ip": "3"}],
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """One call as it comes out of JSON."""
    event: dict[str, Any] = {
        "type": draw(mostly("identify", rarely=[None, "track"])),
        "anonymousId": draw(ANONS),
        "userId": draw(USERS),
        "traits": draw(traits() | mostly({}, rarely=[None, [], "x"])),
        "context": draw(CONTEXTS),
        "integrations": draw(INTEGRATIONS),
        "timestamp": draw(instants()),
    }
    if draw(st.integers(0, 9)) == 0:
        event["channel"] = draw(mostly("server", rarely=[None, ["web"]]))
    for name in ("receivedAt", "sentAt", "originalTimestamp"):
        if draw(st.integers(0, 2)) == 0:
            event[name] = draw(instants())
    if draw(st.integers(0, 5)) == 0:
        stated = event["context"]
        inner = draw(traits() | mostly(None, []))
        event["context"] = {**(stated if isinstance(stated, dict) else {}), "traits": inner}
    absent = draw(st.sets(st.sampled_from(sorted(event)), max_size=2))
    return {name: value for name, value in event.items() if name not in absent}


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Calls on a few partitions; some came twice, at their place or at another."""
    history: History = []
    for offset in range(draw(st.integers(1, 9))):
        event = draw(events())
        if history and draw(st.integers(0, 9)) == 0:
            event = draw(st.sampled_from(history))[0]
        second = START_S + 30 * draw(st.integers(0, 40))
        topic, partition = draw(st.sampled_from([("t", 0), ("t", 1), ("s", 0)]))
        history.append((event, Place(topic, partition, offset // 2, second * 1_000_000)))
    if draw(st.booleans()):
        history.append(draw(st.sampled_from(history)))
    there = {place[:3]: (event, place) for event, place in history}
    return [there[place[:3]] for _, place in history]


@st.composite
def crowds(draw: st.DrawFn) -> History:
    """Many short calls of a few people on two devices, minutes and seconds apart."""
    calls = st.tuples(
        st.sampled_from(["a", "a", "b", None]),
        st.sampled_from(["u", "v", "e@x.io", "f@x.io", None, None, None]),
        st.sampled_from([None, None, None, "e@x.io", "f@x.io"]),
        st.sampled_from([None, None, {"All": False}, {"Mix Panel": False}, {"Warehouse": {}}]),
        st.integers(0, 40),
        st.sampled_from(["p", "q", None]),
        st.sampled_from([{}, {}, {"active": False}]),
    )
    history: History = []
    for place, (anon, user, email, seen_by, half_minutes, trait, context) in enumerate(
        draw(st.lists(calls, min_size=2, max_size=25))
    ):
        stated = {"email": email} if email else {}
        event = {
            "anonymousId": anon,
            "userId": user,
            "traits": {**stated, trait: place} if trait else stated,
            "integrations": seen_by,
            "context": {**context, "ip": str(place)},
        }
        at_us = (START_S + 30 * half_minutes) * 1_000_000
        history.append((event, Place("t", place % 2, place // 2, at_us)))
    return history


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """A section ``policies`` of the settings."""
    if draw(st.booleans()):
        return {}
    named = st.sampled_from(["identified", "latest", "first"])
    return {
        "precedence": draw(st.sampled_from(["identified", "latest"])),
        "traits": {
            **draw(st.dictionaries(st.sampled_from(["p", "First-Name", "email"]), named)),
            **draw(st.dictionaries(st.sampled_from("nm"), st.sampled_from(["max", "min"]))),
        },
        "merge": dict.fromkeys(draw(st.sets(st.sampled_from(["tree", "address"]))), "deep"),
        "clock_skew": draw(st.sampled_from(["correct", "trust"])),
        "identify_by_email_trait": draw(st.sampled_from(["without_anonymous_id", "always"])),
        "illegal_ids": draw(
            st.sampled_from(
                [{}, {"email": ("f@x.io",)}, {"user": ("u", "e@x.io")}, of_people("Blocked ")]
            )
        ),
        "illegal_id_patterns": draw(
            st.sampled_from([{}, {"anon": ("^c$",)}, of_people("^f.*"), of_people("[uv]")])
        ),
    }


YEAR_2000_US = 946_684_800_000_000


def of_people(illegal: str) -> dict[str, tuple[str]]:
    """What is illegal for whoever is named, by address or not."""
    return dict.fromkeys(("user", "email"), (illegal,))


def told(stated: dict[str, Any]) -> tuple[Settings, Rules]:
    """The same policies for the resolver and for the oracle."""
    rules = Rules(
        precedence=stated.get("precedence", "identified"),
        traits={canonical_name(name): rule for name, rule in stated.get("traits", {}).items()},
        deep=frozenset(stated.get("merge", {})),
        trust_clocks=stated.get("clock_skew") == "trust",
        email_always=stated.get("identify_by_email_trait") == "always",
        illegal=stated.get("illegal_ids", {}),
        illegal_patterns=stated.get("illegal_id_patterns", {}),
    )
    section = PolicySettings.model_validate(stated)
    return Settings(policies=section, destinations=DESTINATIONS), rules


def exact(found: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Profiles as text by identifier: 1, 1.0 and true are not the same."""
    return {one["profileId"]: json.dumps(one, sort_keys=True) for one in found}


def check_streamed(history: History, policy: dict[str, Any]) -> None:
    """Asserts that messages of any partitions resolve as the oracle says, for every reader."""
    configured, rules = told(policy)
    reading = configured.reading()
    raw = [
        Message(
            place.topic,
            place.partition,
            place.offset,
            place.timestamp_us // 1000,
            None,
            json.dumps(event).encode(),
        )
        for event, place in history
    ]
    records = settle(fold_batch(raw, JsonDecoder(), reading), reading)

    for name, reader in READERS.items():
        resolved = profiles(records, reading, audience_of(configured, name))
        assert exact(resolved) == exact(resolve(history, rules, reader).values()), name


def check_lines(lines: list[bytes]) -> None:
    """Asserts that lines of a file resolve as the oracle says, for every reader."""
    configured, rules = told({})
    reading = configured.reading()
    numbered = [Line("f", number, line) for number, line in enumerate(lines, 1)]
    records, _ = fold_lines(numbered, JsonDecoder(), reading, START_S * 1_000_000)
    history = []
    for place, line in enumerate(lines):
        event = decoded(line)
        if event is not None:
            history.append((event, Place("lines", 0, place, received(event))))

    for name, reader in READERS.items():
        resolved = profiles(records, reading, audience_of(configured, name))
        assert exact(resolved) == exact(resolve(history, rules, reader).values()), name


def decoded(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None for what is a dead letter before any rule applies."""
    try:
        return JsonDecoder().plain(line, [])
    except BadEvent:
        return None


def received(event: dict[str, Any]) -> int:
    """When a line counts as received, if it does not say so itself."""
    stated = (moment(event.get(name)) for name in ("sentAt", "timestamp"))
    believed = (one for one in stated if one is not None and one >= YEAR_2000_US)
    return next(believed, START_S * 1_000_000)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_the_oracle_agrees_with_every_worked_example(scenario: dict[str, Any]) -> None:
    """An oracle that contradicts what somebody worked out by hand proves nothing."""
    destination = scenario.get("destination")
    reader = Reader((destination.lower(),) if destination else ())
    history = [
        (event, Place("raw", 0, place, START_S * 1_000_000))
        for place, event in enumerate(scenario["events"])
    ]

    found = resolve(history, Rules(), reader)

    assert {key: one["traits"] for key, one in found.items()} == scenario["profiles"]
    check_streamed(history, {})


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(history=histories(), policy=policies())
def test_any_history_resolves_as_the_rules_say(history: History, policy: dict[str, Any]) -> None:
    """What nobody thought of as an example is where two readings of the rules part."""
    check_streamed(history, policy)


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(history=crowds(), policy=policies())
def test_any_crowd_resolves_as_the_rules_say(history: History, policy: dict[str, Any]) -> None:
    """Who owns what a shared device said shows only where logins lie close together."""
    check_streamed(history, policy)


@pytest.mark.parametrize("logins", [0.02, 0.8], ids=["many_writes", "many_points"])
def test_what_a_device_may_forget_is_what_the_rules_say(logins: float) -> None:
    """A kiosk writes for years; where its bounds lie decides who owns the remainder."""
    chance = random.Random(7)
    history: History = []
    for place in range(500):
        event = {
            "anonymousId": "a",
            "userId": chance.choice("uvwx") if chance.random() < logins else None,
            "traits": {chance.choice("pq"): place, f"at{place // 50}": place},
            "integrations": chance.choice([None, {"Mix Panel": False}]),
            "context": {"active": chance.random() < 0.8},
        }
        second = START_S + chance.randrange(100_000)
        history.append((event, Place("t", 0, place, second * 1_000_000)))

    check_streamed(history, {})


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(history=st.lists(events(), min_size=1, max_size=8))
def test_any_file_resolves_as_the_rules_say(history: list[dict[str, Any]]) -> None:
    """Times that a file does not state are the offline command's own to fill in."""
    check_lines([json.dumps(event).encode() for event in history])


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_line_of_a_real_sdk_resolves_as_the_rules_say(path: Path) -> None:
    """What real clients send is stranger than what a generator makes up."""
    for line in path.read_bytes().splitlines():
        check_lines([line])


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_file_of_a_real_sdk_resolves_as_the_rules_say(path: Path) -> None:
    """The same people over hundreds of lines: merges, returns and shared devices."""
    lines = path.read_bytes().splitlines()

    check_lines(lines)
    check_lines(lines[::-1])
