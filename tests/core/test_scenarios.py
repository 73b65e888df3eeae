"""Worked examples, in every order; and what real SDKs send, every line accounted for."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from resolver.batch import fold_batch
from resolver.core.consent import EVERYTHING, Audience, destination_key
from resolver.core.events import Reading
from resolver.edges.json_codec import JsonDecoder
from resolver.ports import Message
from tests.core.people import START_MS, messages, resolve

DATA = Path(__file__).parent.parent / "data"
SCENARIOS = [json.loads(line) for line in (DATA / "scenarios.jsonl").read_text().splitlines()]
PAYLOADS = sorted(path for path in (DATA / "sdk").glob("*.jsonl") if "meta" not in path.name)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_a_worked_example_holds_in_every_order(scenario: dict[str, Any]) -> None:
    """The rules are easiest to check where somebody worked out the answer by hand."""
    audience = EVERYTHING
    if "destination" in scenario:
        audience = Audience((destination_key(scenario["destination"]),))
    raw = messages(scenario["events"])

    for order in itertools.permutations(raw):
        profiles = resolve(list(order), audience)
        assert {key: one.traits for key, one in profiles.items()} == scenario["profiles"]


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.name)
def test_every_line_of_a_real_sdk_is_accounted_for(path: Path) -> None:
    """A payload that nobody foresaw must be joined, skipped or buried, never lost."""
    lines = path.read_bytes().splitlines()
    raw = [Message("raw", 0, place, START_MS, None, line) for place, line in enumerate(lines)]

    batch = fold_batch(raw, JsonDecoder(), Reading())

    assert batch.joined + sum(batch.skipped.values()) + len(batch.buried) == len(lines)
    assert batch.joined > len(lines) * 0.8
    assert resolve(raw)
