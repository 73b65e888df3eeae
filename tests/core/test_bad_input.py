"""Bad input: a clear fault, the partition flows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.batch import Batch, fold_batch
from resolver.core.events import Reading, Warned
from resolver.core.identifiers import Illegal, IllegalValues, Kind, read_identifier
from resolver.core.policy import Policy
from resolver.core.values import Device
from resolver.edges.json_codec import JsonDecoder
from resolver.errors import Fault
from resolver.ports import Message
from tests.core.people import START_MS, resolve


def fold_one(value: bytes | None) -> Batch:
    return fold_batch([message(value)], JsonDecoder(), Reading())


def message(value: bytes | None) -> Message:
    return Message("raw", 0, 0, START_MS, b"key", value)


def identify(**fields: Any) -> bytes:
    return json.dumps({"type": "identify", **fields}).encode()


def nested(levels: int) -> bytes:
    return b'{"userId":"u","traits":{"x":' + b"[" * levels + b"]" * levels + b"}}"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", Fault.UNDECODABLE),
        (b"{", Fault.UNDECODABLE),
        (b"\xff\xfe", Fault.UNDECODABLE),
        (b"[]", Fault.NOT_AN_EVENT),
        (b'"text"', Fault.NOT_AN_EVENT),
        (b"null", Fault.NOT_AN_EVENT),
        (identify(userId="u") + b"garbage", Fault.UNDECODABLE),
        (json.dumps({"type": 7, "userId": "u"}).encode(), Fault.NOT_AN_EVENT),
        (identify(userId="u", traits={"x": "y" * 262_144}), Fault.TOO_LARGE),
        (nested(40), Fault.TOO_LARGE),
        (nested(1_000), Fault.TOO_LARGE),
        (nested(100_000), Fault.TOO_LARGE),
        (
            identify(userId="u", traits={"o": dict.fromkeys(map(str, range(1_001)))}),
            Fault.TOO_LARGE,
        ),
        (identify(userId="u", traits=dict.fromkeys(map(str, range(501)), 1)), Fault.TOO_LARGE),
        (identify(), Fault.NO_IDENTIFIER),
        (identify(userId="undefined", anonymousId=None), Fault.NO_IDENTIFIER),
        (identify(userId=True, anonymousId={"a": 1}), Fault.NO_IDENTIFIER),
    ],
)
def test_what_can_never_be_resolved_is_buried(value: bytes, fault: Fault) -> None:
    """An operator reads the fault and knows whom to ask."""
    batch = fold_one(value)

    assert [buried.fault.fault for buried in batch.buried] == [fault]
    assert batch.buried[0].message.value == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "tombstone"), (identify(userId="u").replace(b"identify", b"track"), "another_type")],
)
def test_what_is_no_identify_is_skipped_and_counted(value: bytes | None, reason: str) -> None:
    """Raw topics carry other calls too; they are no fault."""
    assert fold_one(value).skipped == {reason: 1}


@pytest.mark.parametrize(
    ("value", "traits", "warning"),
    [
        (b'{"userId":"u","traits":{"x":NaN,"y":1}}', {"y": 1}, Warned.SALVAGED_CONSTANT),
        (b'{"userId":"u","traits":{"x":[-Infinity],"y":1}}', {"y": 1}, Warned.SALVAGED_CONSTANT),
        (b'{"userId":"u","traits":{"x":"\\ud800"}}', {"x": "\ufffd"}, Warned.SALVAGED_SURROGATE),
        (
            b'{"userId":"u","traits":{"x":18446744073709551616}}',
            {"x": "18446744073709551616"},
            "big_integer",
        ),
        (b'{"userId":"u","traits":[1]}', {}, Warned.TRAITS_NO_OBJECT),
        (b'{"userId":"u","traits":{"age":"old"}}', {"age": "old"}, Warned.TRAIT_TYPE),
        (b'{"userId":"u","timestamp":"yesterday"}', {}, Warned.BAD_TIME),
        (b'{"userId":"u","anonymousId":"null"}', {}, Warned.ILLEGAL_ID),
        (b'{"userId":"u","integrations":{"X":"yes"}}', {}, Warned.ODD_CONSENT),
    ],
)
def test_what_can_be_mended_is_accepted_with_a_warning(
    value: bytes, traits: dict[str, Any], warning: Warned
) -> None:
    """Real SDKs send such things; dropping the whole event would lose a customer."""
    batch = fold_one(value)

    assert batch.joined == 1
    assert batch.warned == {warning: 1}
    assert resolve([message(value)])["user:u"].traits == traits


def test_the_last_of_duplicate_keys_wins() -> None:
    """As every JSON reader does."""
    value = b'{"userId":"u","traits":{"x":1,"x":2}}'

    assert resolve([message(value)])["user:u"].traits == {"x": 2}


@pytest.mark.parametrize(
    "literal",
    [
        "undefined",
        " NULL ",
        "'anonymous'",
        '"none"',
        "0000-00",
        "00000000-0000-0000-0000-000000000000",
        "-1",
        "{{user.id}}",
        "${id}",
        "%s",
        "<user>",
        "a\x00b",
        "NaN",
        "x" * 256,
        "[object Object]",
    ],
)
def test_a_placeholder_never_identifies_anybody(literal: str) -> None:
    """One bad literal otherwise merges thousands of people into one."""
    batch = fold_one(identify(userId=literal, anonymousId="device-1"))

    assert not batch.users
    assert list(batch.devices) == ["anon:device-1"]
    assert batch.warned == {Warned.ILLEGAL_ID: 1}


@pytest.mark.parametrize("legal", ["nan", "Nancy", "0a", "null-island", "42", "id-7"])
def test_an_unusual_id_is_still_an_id(legal: str) -> None:
    """A rule that strips real people is as bad as one that merges them."""
    assert list(fold_one(identify(userId=legal)).users) == [f"user:{legal}"]


@given(value=st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(value: bytes) -> None:
    """Whatever lies on a topic, the worker goes on."""
    batch = fold_one(value)

    assert batch.joined + len(batch.buried) + sum(batch.skipped.values()) == 1


def test_an_anonymous_record_is_bounded() -> None:
    """A device that talks for years must not grow without end."""
    raw = [
        Message(
            "raw",
            0,
            place,
            START_MS + place,
            None,
            identify(anonymousId="a-1", traits={"n": place}),
        )
        for place in range(300)
    ]
    batch = fold_batch(raw, JsonDecoder(), Reading())

    profile = resolve(raw)["anon:a-1"]

    assert isinstance(batch.devices["anon:a-1"].record(Policy()), Device)
    assert profile.traits == {"n": 299}
    assert profile.first_seen_us == START_MS * 1000


def test_an_owners_pattern_forbids_an_id_in_any_case() -> None:
    """Ids are compared in lower case; a pattern in capitals must not be dead letter itself."""
    illegal = IllegalValues(patterns={Kind.USER: ("TEST-.*",)})

    for stated in ("TEST-1", "test-1", "Test-1"):
        assert isinstance(read_identifier(stated, Kind.USER, illegal), Illegal)
    assert read_identifier("TEST-1", Kind.ANON, illegal) == "TEST-1"


def test_more_restrictions_than_are_kept_still_resolve() -> None:
    """A sender that names a new destination in every event must not stop a worker."""
    said = [
        {
            "userId": "u",
            "traits": {"p": at},
            "timestamp": START_MS + at,
            "receivedAt": START_MS + at,
            "integrations": {f"D{at}": False},
        }
        for at in range(40)
    ]

    profiles = resolve([message(identify(**one)) for one in said])

    assert profiles["user:u"].traits == {"p": 39}


def test_an_owners_list_of_addresses_forbids_a_user_id_that_is_one() -> None:
    """A shared mailbox must not become a person, wherever it is stated."""
    illegal = IllegalValues(literals={Kind.EMAIL: frozenset(["f@x.io"])})
    stated = identify(userId="f@x.io", anonymousId="a", traits={"p": 1})

    profiles = resolve([message(stated)], reading=Reading(illegal=illegal))

    assert list(profiles) == ["anon:a"]


@pytest.mark.parametrize("sent_at", [1_700_000_000_123_456, "9999-01-01T00:00:00Z", 10**18])
def test_a_clock_beyond_any_calendar_still_leaves_a_first_activity(sent_at: object) -> None:
    """Microseconds where milliseconds belong are a common mistake."""
    stated = identify(userId="u", timestamp=START_MS, receivedAt=START_MS, sentAt=sent_at)

    assert resolve([message(stated)])["user:u"].first_seen_us is not None


def test_an_empty_object_takes_nothing_from_a_trait_that_merges_by_key() -> None:
    """It names no key, so it states nothing about any."""
    policy = Policy(deep=frozenset(["p"]))
    said = [{"p": {"a": {"x": 1}}}, {"p": {}}, {"p": {"a": {}}}]
    raw = [
        message(identify(userId="u", traits=traits, receivedAt=START_MS + at))
        for at, traits in enumerate(said)
    ]

    assert resolve(raw, reading=Reading(policy=policy))["user:u"].traits == said[0]
