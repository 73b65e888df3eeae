"""The resolver does not become slower unnoticed, and the benchmark computes what it says."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.findings import GOALS, Bars, Findings, Goal, goals_table
from bench.generate import UNIFORM, events_of
from bench.guard import FALL_MAX, Verdict, judge, recorded
from bench.latency import SEED, effects, percentile
from bench.picture import picture
from bench.running import Bench, Plan
from bench.stack import Stack


def test_the_resolver_keeps_its_ratio_to_a_passthrough(
    kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that costs a third of the speed is a decision, not an accident."""
    monkeypatch.setenv("RESOLVER_BENCH_DIR", str(tmp_path))
    bench = Bench(Stack(kafka.bootstrap), Plan(), Console())

    verdict = judge(bench)

    assert not verdict.lost, str(verdict)


def test_only_a_fall_of_more_than_a_third_is_a_loss() -> None:
    """The bound is the promise; a little less must pass, a little more must not."""
    on_record = recorded()
    bound = on_record * (1 - FALL_MAX)

    assert not Verdict(bound * 1.001, 1.0, on_record).lost
    assert Verdict(bound * 0.999, 1.0, on_record).lost


def test_events_folded_together_count_at_the_record_of_their_user() -> None:
    """A batch emits a profile once; the events in it have all arrived then, none is lost."""
    users = [event.user for event in events_of(4_000, UNIFORM, SEED)]
    first, second = next(
        (one, later)
        for one in range(len(users))
        for later in range(one + 1, len(users))
        if users[one] == users[later]
    )
    seen = {number: number + 5.0 for number in range(len(users)) if number != first}

    times, lost = effects(seen, [float(number) for number in range(len(users))], UNIFORM)

    assert times[first] == second + 5.0
    assert lost == 0


def test_an_event_whose_effect_never_came_is_lost() -> None:
    """A percentile over what came back would hide it."""
    seen = {number: 1.0 for number in range(10) if number != 3}

    times, lost = effects(seen, [0.0] * 10, UNIFORM)

    assert times[3] is None
    assert lost == 1


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """Between two values nothing was seen."""
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.99) == 4


def test_goals_say_what_is_missed_and_what_was_not_measured() -> None:
    """A table that leaves misses out is an advertisement."""
    found = Findings(measured={"redis": 0.6, "avro": 0.5})

    rows = {row[0]: row[-1] for row in goals_table(found, complete=True).rows}

    assert rows[GOALS["redis"].measure] == "floor"
    assert rows[GOALS["avro"].measure] == "MISSED"
    assert rows[GOALS["offline"].measure] == "not measured"
    assert Goal("at most", 2, 1, at_most=True).verdict(0.5) == "goal"


def test_the_picture_shows_every_bar() -> None:
    """What is in the table is in the picture."""
    drawn = picture([Bars("rates", "/s", {"resolver": 200.0, "a < b": 100.0})], "now")

    assert drawn.count("<rect") == 3
    assert "a &lt; b" in drawn
