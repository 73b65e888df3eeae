"""Resolving JSON Lines without Kafka or Redis."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from resolver.config import Settings
from resolver.core.consent import EVERYTHING, Audience
from resolver.core.events import Reading
from resolver.core.times import instant_us
from resolver.destinations.spec import DestinationSpec
from resolver.edges.json_codec import JsonDecoder
from resolver.errors import ConfigError, Fault
from resolver.offline import Account, Line, audience_of, fold_lines, profiles, read_lines

DATA = Path(__file__).parent / "data" / "sdk"
PAYLOADS = sorted(path for path in DATA.glob("*.jsonl") if "meta" not in path.name)
START = "2024-05-01T00:00:00Z"
REQUIRED = {
    "profileId",
    "userId",
    "anonymousIds",
    "emails",
    "traits",
    "firstSeenAt",
    "lastSeenAt",
}


def resolved(
    raw: list[bytes], audience: Audience = EVERYTHING
) -> tuple[list[dict[str, Any]], Account]:
    """The profiles of some lines, and their account."""
    start_us = instant_us(START)
    assert start_us is not None
    lines = (Line("f", number, one) for number, one in enumerate(raw, 1) if one.strip())
    records, account = fold_lines(lines, JsonDecoder(), Reading(), start_us)
    return list(profiles(records, Reading(), audience)), account


def said(**event: Any) -> bytes:
    """An identify call as a line."""
    return json.dumps({"type": "identify", **event}).encode()


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_no_line_of_a_real_sdk_is_unaccounted_for(path: Path) -> None:
    """A line that vanishes is a person who is missing, and nobody would know."""
    raw = path.read_bytes().splitlines(keepends=True)

    found, account = resolved(raw)

    assert account.joined + len(account.bad) + account.skipped == account.lines == len(raw)
    assert account.joined > 0
    assert [one["profileId"] for one in found] == sorted(one["profileId"] for one in found)
    assert all(one.keys() >= REQUIRED for one in found)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_the_same_lines_give_the_same_bytes(path: Path) -> None:
    """Two runs that differ cannot be compared, and comparing is what the command is for."""
    raw = path.read_bytes().splitlines(keepends=True)

    assert json.dumps(resolved(raw)[0]) == json.dumps(resolved(raw)[0])


def test_the_order_of_lines_decides_only_ties() -> None:
    """A sorted dump and a shuffled one hold the same people."""
    raw = [
        said(anonymousId=f"a{n % 5}", userId=None if n % 3 else f"u{n % 4}", traits={"n": n})[:-1]
        + f', "timestamp": "2024-01-01T00:{n:02}:00Z"}}'.encode()
        for n in range(40)
    ]
    shuffled = random.Random(7).sample(raw, len(raw))

    assert resolved(shuffled)[0] == resolved(raw)[0]


def test_of_two_lines_of_one_instant_the_later_line_wins() -> None:
    """A line's place is its Kafka position, and the later call must win."""
    at = "2024-01-01T00:00:00Z"
    first, second = (said(userId="u", traits={"n": n}, timestamp=at) for n in (1, 2))

    assert resolved([first, second])[0][0]["traits"] == {"n": 2}
    assert resolved([second, first])[0][0]["traits"] == {"n": 1}


@pytest.mark.parametrize(
    ("stated", "seen"),
    [
        ({"sentAt": "2024-01-03T00:00:00Z", "timestamp": "2024-01-02T00:00:00Z"}, "2024-01-02"),
        ({"sentAt": "2024-01-03T00:00:00Z"}, "2024-01-03"),
        ({"timestamp": "2024-01-02T00:00:00Z"}, "2024-01-02"),
        ({"timestamp": "yesterday"}, "2024-05-01"),
        ({}, "2024-05-01"),
        ({"receivedAt": "2024-01-04T00:00:00Z", "sentAt": "2024-01-03T00:00:00Z"}, "2024-01-04"),
        ({"receivedAt": "2024-01-01T00:00:00Z", "timestamp": "2024-01-02T00:00:00Z"}, "2024-01-01"),
    ],
)
def test_a_line_that_was_never_received_counts_as_received_when_sent(
    stated: dict[str, str], seen: str
) -> None:
    """Files come from before the collector; now would date every event to today."""
    found, _ = resolved([said(userId="u", **stated)])

    assert found[0]["lastSeenAt"] == f"{seen}T00:00:00Z"


def test_bad_lines_are_named_and_the_good_ones_resolved() -> None:
    """One broken line must not cost the other million."""
    raw = [
        said(userId="u", traits={"n": 1}),
        b"{no json\n",
        b"\n",
        b"[1]\n",
        said(traits={"x": 1}),
        b'{"type": "track", "userId": "u"}\n',
        said(userId="v", traits={"s": "y" * 300_000}),
        b"\xff\xfe\n",
    ]

    found, account = resolved(raw)

    assert [one["profileId"] for one in found] == ["user:u"]
    assert [(bad.line.number, bad.fault.fault) for bad in account.bad] == [
        (2, Fault.UNDECODABLE),
        (4, Fault.NOT_AN_EVENT),
        (5, Fault.NO_IDENTIFIER),
        (7, Fault.TOO_LARGE),
        (8, Fault.UNDECODABLE),
    ]
    assert (account.lines, account.joined, account.skipped) == (7, 1, 1)


def test_a_profile_has_the_promised_fields() -> None:
    """Scripts are written against these names."""
    found, _ = resolved(
        [
            said(anonymousId="a", traits={"src": "ads"}, timestamp="2024-01-01T00:00:00Z"),
            said(anonymousId="a", userId="Ann@X.io", timestamp="2024-01-01T00:01:00Z"),
            said(
                userId="u",
                traits={"email": "ann@x.io", "first_name": "Ann"},
                timestamp="2024-01-01T00:02:00Z",
            ),
        ]
    )

    assert found == [
        {
            "profileId": "user:u",
            "userId": "u",
            "anonymousIds": ["a"],
            "emails": ["ann@x.io"],
            "traits": {"src": "ads", "email": "ann@x.io", "firstName": "Ann"},
            "firstSeenAt": "2024-01-01T00:00:00Z",
            "lastSeenAt": "2024-01-01T00:02:00Z",
            "context": {},
        }
    ]


def test_a_destination_is_found_by_name_alias_or_as_any_integration() -> None:
    """People ask for the name that stands in their events, however they write it."""
    spec = DestinationSpec(name="Customer.io", aliases=("cio",), opt_in=True)
    told = Settings(destinations=(spec,))

    assert audience_of(told, "CUSTOMER IO") == audience_of(told, "cio")
    assert audience_of(told, "cio").opt_in
    assert audience_of(told, "Mixpanel") == Audience(("mixpanel",), False)
    assert audience_of(told, "Salesforce") == Audience(("salesforce",), True)
    with pytest.raises(ConfigError, match="'!' names no destination"):
        audience_of(told, "!")


def test_a_destination_sees_only_what_it_may() -> None:
    """What the offline command shows must be what the destination would get."""
    raw = [
        said(anonymousId="a", traits={"h": 1}, integrations={"All": False, "Warehouse": True}),
        said(anonymousId="a", userId="u", traits={"n": 1}),
    ]

    assert resolved(raw, Audience(("warehouse",)))[0][0]["traits"] == {"h": 1, "n": 1}
    assert resolved(raw, Audience(("mixpanel",)))[0][0]["traits"] == {"n": 1}
    assert resolved(raw, Audience(("salesforce",), True))[0] == []


def test_files_are_looked_at_before_the_first_line_is_read(tmp_path: Path) -> None:
    """Half a job done before a typing error in the last name is half a job to undo."""
    (tmp_path / "a").write_bytes(b"1\n\n2\n")

    assert [one.number for one in read_lines([tmp_path / "a"])] == [1, 3]
    with pytest.raises(ConfigError, match="b: cannot be read: No such file"):
        read_lines([tmp_path / "a", tmp_path / "b"])
