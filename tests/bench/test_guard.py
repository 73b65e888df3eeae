"""The resolver does not become slower unnoticed, and the benchmark computes what it says."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.findings import GOALS, Bars, Findings, Goal, goals_table
from bench.generate import UNIFORM, events_of
from bench.guard import FALL_MAX, Verdict, judge, recorded
from bench.latency import SEED, effects, percentile
from bench.outputs import Outputs, Resolved, compared, resolved
from bench.picture import picture
from bench.running import Bench, Plan
from bench.scenarios.bursts import Counts, Course, broken, found_of
from bench.scenarios.memory import Moment, slope_of
from bench.scenarios.memory import found_of as memory_found
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


def test_a_profile_that_differs_in_one_field_does_not_agree() -> None:
    """An agreement that looks at traits alone lets a peer leave out half of the job."""
    at, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    right = Resolved({"plan": "pro"}, {"ip": "::1"}, at, later)
    expected = dict.fromkeys(("same", "older context", "later first", "gone"), right)
    final = {
        "same": right,
        "older context": right._replace(context={}),
        "later first": right._replace(first_seen=later),
    }

    assert compared(final, expected) == {"right": 1, "context": 1, "first_seen": 1, "missing": 1}


def test_peers_and_the_resolver_are_read_alike() -> None:
    """The resolver says times in a section of their own, and leaves trailing zeros out."""
    times = {"firstSeenAt": "2026-01-01T00:00:00.470Z", "lastSeenAt": "2026-01-01T00:00:01.000Z"}
    short = {"firstSeenAt": "2026-01-01T00:00:00.47Z", "lastSeenAt": "2026-01-01T00:00:01Z"}

    peers = resolved({"traits": {"plan": ["pro", "now"]}, "context": {}, **times})

    assert peers == resolved({"traits": {"plan": "pro"}, "context": {}, "profile": short})


def test_a_record_that_comes_twice_is_a_repeat() -> None:
    """The same profile with another revision is none; a tombstone takes a profile back."""
    outputs = Outputs()

    for key, value in [(b"a", b'{"v":1}'), (b"a", b'{"v":2}'), (b"a", b'{"v":1}'), (b"b", b"{}")]:
        outputs.add(key, value, None)
    outputs.add(b"b", None, None)

    assert (outputs.records, outputs.repeated, outputs.profiles) == (5, 1, 4)
    assert outputs.final == {b"a": b'{"v":1}'}


COURSE = Course(30, 0.01, 500, 20, 60, 300, 280)
COUNTS = Counts(1000, 1000, 1000, 0, 900, 900, 0, 0)


def test_a_burst_that_went_well_breaks_nothing() -> None:
    """Otherwise the verdict could only be one."""
    assert broken(COURSE, COUNTS) == []


@pytest.mark.parametrize(
    ("course", "counts"),
    [
        (replace(COURSE, lag_max=10), COUNTS),
        (replace(COURSE, drained_s=None), COUNTS),
        (replace(COURSE, most_mib=501), COUNTS),
        (COURSE, replace(COUNTS, committed=999)),
        (COURSE, replace(COUNTS, processed=1001)),
        (COURSE, replace(COUNTS, buried=1)),
        (COURSE, replace(COUNTS, outputs=899)),
        (COURSE, replace(COUNTS, repeated=1)),
        (COURSE, replace(COUNTS, wrong=1)),
    ],
)
def test_each_fact_of_a_burst_can_break_the_promise(course: Course, counts: Counts) -> None:
    """A verdict that no measurement can turn says nothing."""
    assert len(broken(course, counts)) == 1
    assert found_of(course, counts).measured == {"burst": 0.0}


def moments_of(people: int, mb_per_million: float) -> list[Moment]:
    """A hundred moments of a worker that grows by so much after 200 MB."""
    seen = [people * (one + 1) // 100 for one in range(100)]
    return [Moment(one, int(200_000_000 + mb_per_million * one)) for one in seen]


@pytest.mark.parametrize(
    ("people", "mb_per_million", "verdict"),
    [
        (2_000_000, 0, "goal"),
        (2_000_000, 20, "floor"),
        (2_000_000, 100, "MISSED"),
        (10_000_000, 20, "floor"),
        (10_000_000, 31, "MISSED"),
        (500_000, 0, None),
    ],
)
def test_a_worker_that_grows_is_judged_by_what_it_comes_to(
    people: int, mb_per_million: float, verdict: str | None
) -> None:
    """Two million people in little memory say nothing of ten million if every one is kept."""
    moments = moments_of(people, mb_per_million)

    found = memory_found(moments, people, moments[-1].resident).measured

    judged = GOALS["memory"].verdict(found["memory"]) if "memory" in found else None
    assert judged == verdict


def test_a_warm_up_is_no_growth() -> None:
    """Buffers and the allocator's heap fill once."""
    warming = [Moment(one, 100_000_000 + 100 * one) for one in range(0, 600_000, 20_000)]
    warm = [Moment(one, 160_000_000) for one in range(600_000, 2_000_001, 20_000)]

    assert slope_of(warming + warm, 2_000_000) == pytest.approx(0)


def test_the_picture_shows_every_bar() -> None:
    """What is in the table is in the picture."""
    drawn = picture([Bars("rates", "/s", {"resolver": 200.0, "a < b": 100.0})], "now")

    assert drawn.count("<rect") == 3
    assert "a &lt; b" in drawn
