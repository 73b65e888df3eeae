"""What the benchmark concludes from what it measured can turn out either way."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import pytest

from bench.findings import GOALS
from bench.latency import Latency
from bench.outputs import Outputs, Resolved, compared, resolved
from bench.scenarios.bursts import Counts, Course, broken, found_of
from bench.scenarios.delays import middle
from bench.scenarios.memory import Moment, slope_of
from bench.scenarios.memory import found_of as memory_found
from bench.scenarios.scaling import Group
from bench.scenarios.scaling import found_of as workers_found
from bench.slices import Slices, paused
from tests.stack.services import wait_for

STATE_S_MAX = 20.0


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


def test_the_middle_round_is_that_of_the_ratio() -> None:
    """A slow minute makes both slow: its round is not the worst for that."""
    p99s = [(900, 100), (800, 400), (90, 30)]
    rounds = [[Latency(1000, 1, p99, p99, 0, 0) for p99 in both] for both in p99s]

    assert middle(rounds) == rounds[2]
    assert middle([[own] for own, _ in rounds]) == [rounds[1][0]]


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


def groups(one: float, two: float, *, share: float, busy: float) -> list[Group]:
    """One worker and two, so many events per second."""
    return [
        Group(count, rate, share, 36.0, 9.0 * count, 20.0, busy)
        for count, rate in ((1, one), (2, two))
    ]


@pytest.mark.parametrize(
    ("busy", "two_in_slices", "ratio"), [(0.95, 12_000, 1.5), (0.95, 16_000, 2.0), (0.5, 1, 1.1)]
)
def test_two_workers_are_judged_where_nothing_else_bounds_them(
    busy: float, two_in_slices: float, ratio: float
) -> None:
    """Two that fill the machine are bound by it; two that do not are bound by themselves."""
    free = groups(20_000, 22_000, share=1.0, busy=busy)
    sliced = groups(8_000, two_in_slices, share=1 / 3, busy=0.4)

    found = workers_found(free, sliced, 2)

    assert found.measured["workers"] == pytest.approx(ratio)


def test_processes_in_slices_run_in_turn_and_freely_afterwards() -> None:
    """A worker that stays stopped would be lost to its group."""
    with ExitStack() as stack:
        sleepers = [stack.enter_context(Popen(["sleep", "60"])) for _ in range(2)]
        for one in sleepers:
            stack.callback(one.kill)
        pids = [one.pid for one in sleepers]

        with paused(pids):
            wait_for(lambda: states(pids) == ["T", "T"], STATE_S_MAX, "both stopped")
        with Slices(pids) as slices:
            wait_for(lambda: states(pids) == ["S", "T"], STATE_S_MAX, "the first alone")
            wait_for(lambda: states(pids) == ["T", "S"], STATE_S_MAX, "the second alone")
            share = slices.share()

        assert 0 < share < 1
        wait_for(lambda: states(pids) == ["S", "S"], STATE_S_MAX, "both free")


def states(pids: list[int]) -> list[str]:
    """What the kernel says that processes do: S sleeps, T is stopped."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in pids]
    return [one.rpartition(")")[2].split()[0] for one in stats]


def test_a_warm_up_is_no_growth() -> None:
    """Buffers and the allocator's heap fill once."""
    warming = [Moment(one, 100_000_000 + 100 * one) for one in range(0, 600_000, 20_000)]
    warm = [Moment(one, 160_000_000) for one in range(600_000, 2_000_001, 20_000)]

    assert slope_of(warming + warm, 2_000_000) == pytest.approx(0)
