"""What is rarely sent, and then must neither stop a worker nor say something wrong."""

import json
import time
from typing import Any

import pytest

from resolver.batch import fold_batch
from resolver.core.consent import Audience
from resolver.core.events import Reading
from resolver.core.identifiers import kind_of_user
from resolver.core.policy import Policy, Precedence
from resolver.core.profiles import Profile
from resolver.core.times import instant_us, read_date, read_date_time
from resolver.edges.json_codec import JsonDecoder
from resolver.ports import Message
from tests.core.people import START_MS, messages, resolve

SLOW_S = 2.0
"""Linear reading takes milliseconds; what was quadratic took twenty seconds."""


def lines(*events: bytes) -> list[Message]:
    """Raw values as they lie on one partition."""
    return [Message("raw", 0, place, START_MS, None, raw) for place, raw in enumerate(events)]


def at(minute: int, **event: Any) -> dict[str, Any]:
    """An event of a minute, received then."""
    instant = START_MS + minute * 60_000
    return {"timestamp": instant, "receivedAt": instant, **event}


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1e18", "123456789012345678"])
@pytest.mark.parametrize("name", ["timestamp", "sentAt", "receivedAt"])
def test_a_time_beyond_any_calendar_is_no_time(name: str, number: str) -> None:
    """One such number must not end every worker that reads its partition."""
    raw = f'{{"userId":"u","{name}":{number},"traits":{{"createdAt":{number}}}}}'

    batch = fold_batch(lines(raw.encode()), JsonDecoder(), Reading())

    assert batch.joined == 1
    assert resolve(lines(raw.encode()))["user:u"].traits["createdAt"] == json.loads(number)


def test_a_long_text_that_is_nearly_an_address_is_read_in_linear_time() -> None:
    """A pattern that looks back would hold the partition for minutes."""
    started = time.process_time()

    kind_of_user("a@" + "." * 200_000 + " x")

    assert time.process_time() - started < SLOW_S


def test_brackets_before_an_unfinished_string_are_counted_in_linear_time() -> None:
    """The same for the depth of what is no JSON at all."""
    raw = b"[" * 33 + b'"' + b'\\"' * 100_000
    started = time.process_time()

    batch = fold_batch(lines(raw), JsonDecoder(), Reading())

    assert [one.fault.fault for one in batch.buried] == ["too_large"]
    assert time.process_time() - started < SLOW_S


def test_an_empty_object_does_not_bring_back_what_null_removed() -> None:
    """Deep traits merge key by key; what was removed as a whole stays removed."""
    reading = Reading(policy=Policy(deep=frozenset({"address"})))
    history = [
        at(1, userId="u", traits={"address": {"city": "A", "geo": {"lat": 1}}}),
        at(2, userId="u", traits={"address": None}),
        at(3, userId="u", traits={"address": {}}),
        at(4, userId="u", traits={"address": {"geo": {}}}),
    ]

    before, after = (resolve(messages(history[:size]), reading=reading) for size in (3, 4))

    assert before["user:u"].traits == {"address": {}}
    assert after["user:u"].traits == {"address": {"geo": {}}}


def test_quiet_anonymous_events_make_the_same_profile_however_many_they_are() -> None:
    """Beyond the bound on writes a profile would otherwise vanish, or not, by their batches."""
    few, many = ([at(1, anonymousId="a", context={"active": False})] * count for count in (1, 300))

    assert resolve(messages(few)).keys() == resolve(messages(many)).keys() == {"anon:a"}


@pytest.mark.parametrize(
    "stated",
    [
        "Sat Aug 24 2019 14:15:22 GMT+0200 (CEST)",
        "January 8, 2019 10:00:00 PM",
        "Sat, 24 Aug 2019 14:15:22 CEST",
        "24 Aug 2019 14:15:22 Europe/Berlin",
        "2023-11-14C22:13:20",
        "2023-11-14T22:13:20.380122\ufffd+00:00",
    ],
)
def test_a_date_that_would_be_read_wrong_is_not_read(stated: str) -> None:
    """Kept as it came it can be mended; a wrong hour cannot be told from a right one."""
    assert read_date_time(stated) is None
    assert read_date(stated) is None


@pytest.mark.parametrize(
    ("stated", "instant"),
    [
        ("Sat, 24 Aug 2019 14:15:22 +0200", "2019-08-24T12:15:22Z"),
        ("24 Aug 2019 14:15:22 GMT", "2019-08-24T14:15:22Z"),
        ("Sat, 24 Aug 2019 14:15 EST (winter)", "2019-08-24T19:15:00Z"),
        ("2019-08-24T14:15:22z", "2019-08-24T14:15:22Z"),
        ("20190824T141522Z", "2019-08-24T14:15:22Z"),
        ("7026-11-23T16:26:56.33Z", "7026-11-23T16:26:56.33Z"),
    ],
)
def test_a_date_in_a_known_form_is_read_exactly(stated: str, instant: str) -> None:
    """ISO 8601 in both of its forms, and what mail headers have."""
    assert read_date_time(stated) == instant


@pytest.mark.parametrize("stated", ["20191001", "1569888000", "2019", "20191001120000"])
def test_digits_alone_are_never_a_date(stated: str) -> None:
    """An order number must not become the year 1569."""
    assert instant_us(stated) is None


@pytest.mark.parametrize("integrations", ['{"All":false,"all":true}', '{"all":true,"All":false}'])
def test_of_two_spellings_of_all_the_one_that_withholds_counts(integrations: str) -> None:
    """In doubt a destination is not told."""
    raw = f'{{"userId":"u","integrations":{integrations}}}'

    assert resolve(lines(raw.encode()), Audience(("mixpanel",))) == {}


def test_options_are_those_of_the_latest_event_whatever_name_it_used() -> None:
    """An alias is the same destination; an empty object takes earlier options back."""
    history = [
        at(1, userId="u", integrations={"Mixpanel": {"a": 1}}),
        at(2, userId="u", integrations={"Mixpanel (Actions)": {"b": 2}}),
        at(3, userId="u", integrations={"Mixpanel": {}}),
    ]
    by_name: list[Profile] = [
        resolve(messages(history[:size]))["user:u"] for size in range(1, len(history) + 1)
    ]

    assert [list(one.options.items())[-1] for one in by_name] == [
        ("mixpanel", {"a": 1}),
        ("mixpanelactions", {"b": 2}),
        ("mixpanel", {}),
    ]


def test_a_device_that_came_through_a_lead_is_among_those_merged() -> None:
    """A tombstone follows under its key: readers must be told where it went."""
    history = [
        at(1, anonymousId="a", traits={"x": 1}),
        at(2, anonymousId="a", userId="ann@x.io"),
        at(3, userId="db7", traits={"email": "ann@x.io"}),
    ]

    owner = resolve(messages(history))["user:db7"]

    assert owner.merged == ["anon:a", "email:ann@x.io"]


def test_the_least_of_a_trait_is_a_number_where_there_is_one() -> None:
    """Junk beside it must lose in both directions."""
    for rule in (Precedence.MIN, Precedence.MAX):
        reading = Reading(policy=Policy(named={"score": rule}))
        history = [
            at(minute, userId="u", traits={"score": value})
            for minute, value in enumerate([5, "", {}, "low", True])
        ]

        assert resolve(messages(history), reading=reading)["user:u"].traits == {"score": 5}
