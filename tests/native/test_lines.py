"""Lines resolved natively beside the same in Python: the same bytes and the same account."""

import gc
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver import wiring
from resolver.config import Settings
from resolver.core.consent import EVERYTHING, Audience
from resolver.core.events import Reading
from resolver.core.identifiers import IllegalValues, Kind
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.native import NATIVE_LINES
from resolver.errors import ConfigError
from resolver.offline import Account, Line, fold_lines, profiles, resolve_natively
from tests.core.test_oracle import crowds, histories
from tests.native.strange import events
from tests.native.test_twins import PAYLOADS, SCENARIOS, plainly

START_US = 1_767_225_600_000_000
AUDIENCES = (EVERYTHING, Audience(("mixpanel", "mp")), Audience(("warehouse",), True))
READINGS = (
    Reading(),
    Reading(identify_by_email_always=True, trust_clocks=True),
    Reading(IllegalValues(literals={Kind.USER: frozenset({"user-1", "v"})})),
)
BUSY_LINES = 5_000
MANY = settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def in_python(
    raw: Sequence[bytes], reading: Reading, audience: Audience
) -> tuple[list[bytes], Account]:
    """The profiles of some lines, and their account."""
    records, account = fold_lines(numbered(raw), JsonDecoder(), reading, START_US)
    found = profiles(records, reading, audience, msgspec.Raw)
    return [msgspec.json.encode(one) for one in found], account


def natively(
    raw: Sequence[bytes], reading: Reading, audience: Audience
) -> tuple[list[bytes], Account]:
    """The same, by the other form."""
    assert NATIVE_LINES is not None, "the form under test has no native engine"
    found, account = resolve_natively(
        NATIVE_LINES, numbered(raw), JsonDecoder(), reading, START_US, audience
    )
    return list(found), account


def numbered(raw: Sequence[bytes]) -> list[Line]:
    """Lines as a file has them."""
    return [Line("f", number, one) for number, one in enumerate(raw, 1)]


def told(account: Account) -> tuple[Any, ...]:
    """All that an account says."""
    bad = [(one.line.number, one.fault.fault, str(one.fault)) for one in account.bad]
    return account.lines, account.joined, account.skipped, bad


def check(
    raw: Sequence[bytes], reading: Reading = READINGS[0], audience: Audience = EVERYTHING
) -> list[bytes]:
    """Asserts that both forms make the same of the lines; returns the profiles."""
    expected, account = in_python(raw, reading, audience)
    found, theirs = natively(raw, reading, audience)
    assert told(theirs) == told(account)
    assert found == expected
    return found


@pytest.mark.parametrize("audience", AUDIENCES, ids=str)
@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_what_real_sdks_send_comes_to_the_same(path: Path, audience: Audience) -> None:
    """What real clients send is stranger than what a generator makes up."""
    check(path.read_bytes().splitlines(), audience=audience)


@pytest.mark.parametrize("reading", READINGS, ids=range(len(READINGS)))
def test_every_scenario_comes_to_the_same(reading: Reading) -> None:
    """Each of them stands for something that somebody thought could go wrong."""
    for scenario in SCENARIOS:
        for audience in AUDIENCES:
            check([json.dumps(event).encode() for event in scenario["events"]], reading, audience)


@MANY
@given(
    history=histories() | crowds(),
    plain=st.booleans(),
    reading=st.sampled_from(READINGS),
    audience=st.sampled_from(AUDIENCES),
)
def test_any_history_comes_to_the_same(
    history: list[Any], plain: bool, reading: Reading, audience: Audience
) -> None:
    """What nobody thought of as an example is where two implementations part."""
    said = [plainly(event) if plain else event for event, _ in history]

    check([json.dumps(event).encode() for event in said], reading, audience)


@settings(MANY, max_examples=1_000)
@given(raw=st.lists(events(), min_size=1, max_size=4), reading=st.sampled_from(READINGS))
def test_whatever_bytes_come_are_read_the_same(raw: list[bytes], reading: Reading) -> None:
    """A file holds what somebody exported, and every line of it is accounted for."""
    check(raw, reading)


TIMES = ("2026-01-02T03:04:05Z", 1_767_225_600_123, "2026-01-02", "soon", 7, None, "1999-01-01")


@MANY
@given(
    stated=st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from(TIMES)
            for name in ("sentAt", "timestamp", "originalTimestamp", "receivedAt")
        },
    ),
    reading=st.sampled_from(READINGS),
)
def test_a_line_counts_as_received_when_the_other_form_says(
    stated: dict[str, Any], reading: Reading
) -> None:
    """Who was first decides whose a device's history is."""
    check([json.dumps({"userId": "user-2", "traits": {"n": 1}, **stated}).encode()], reading)


@pytest.mark.parametrize("seed", range(4))
def test_one_busy_person_and_device_come_to_the_same(seed: int) -> None:
    """What is said of them is joined as it comes, and the bounds hold whatever the order."""
    chance = random.Random(seed)
    raw = []
    for _ in range(BUSY_LINES):
        minute = chance.randrange(60 * 24 * 20)
        event: dict[str, Any] = {
            "timestamp": START_US // 1_000 + minute * 60_000,
            "anonymousId": chance.choice(["kiosk", "kiosk", "kiosk", f"device-{minute % 50}"]),
            "traits": {f"n{chance.randrange(40)}": minute},
        }
        if chance.random() < 0.5:
            event["userId"] = chance.choice(["busy", "busy", f"user-{chance.randrange(200)}"])
            if chance.random() < 0.2:
                event["traits"]["email"] = f"{event['userId']}@example.org"
        elif chance.random() < 0.2:
            event["userId"] = chance.choice(["busy@example.org", "other@example.org"])
        if chance.random() < 0.3:
            event["integrations"] = {
                chance.choice(["Mixpanel", "Warehouse"]): chance.random() < 0.5
            }
        raw.append(json.dumps(event).encode())

    for audience in AUDIENCES:
        assert len(check(raw, audience=audience)) > 50


def test_the_setting_chooses_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both print the same; who asks for the one that cannot do it hears so."""
    monkeypatch.setattr(gc, "disable", lambda: None)
    path = tmp_path / "a.jsonl"
    path.write_bytes(PAYLOADS[0].read_bytes())
    printed = {
        engine: list(wiring.resolve(Settings(engine=engine), [path], None)[0])
        for engine in ("auto", "native", "reference")
    }
    merging = {"policies": {"merge": {"address": "deep"}}, "engine": "native"}

    assert printed["native"] == printed["auto"] == printed["reference"] != []
    with pytest.raises(ConfigError, match="knows no policies"):
        wiring.resolve(Settings.model_validate(merging), [path], None)
