"""The real pipeline under a seeded hand that crashes, pauses, aborts, loses replies and repeats.

A seed that fails is replayed by ``RESOLVER_SEED=<seed> pytest tests/simulation``; more of them
are tried with ``RESOLVER_SEEDS=100000``.
"""

import os

import pytest

from tests.engines import ENGINES
from tests.simulation.growing import FILL, grow
from tests.simulation.world import Rules, live

SEEDS = int(os.environ.get("RESOLVER_SEEDS", "600"))


@pytest.fixture(params=ENGINES)
def rules(request: pytest.FixtureRequest) -> Rules:
    """All rules of the protocol, the workers on each of the engines there are."""
    return Rules(native=request.param == "native")


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
def test_every_history_ends_as_the_fold_of_its_events(exactly_once: bool, rules: Rules) -> None:
    """Whatever happens to workers on the way, destinations must end with the truth."""
    chosen = os.environ.get("RESOLVER_SEED")

    for seed in [int(chosen)] if chosen else range(SEEDS):
        _, wrong = live(seed, rules, exactly_once=exactly_once)
        assert not wrong, f"RESOLVER_SEED={seed}: {wrong}"


def test_a_seed_replays_its_history(rules: Rules) -> None:
    """A failure that cannot be had again cannot be understood."""
    first, _ = live(4, rules)
    second, _ = live(4, rules)

    assert first.scheduler.steps == second.scheduler.steps
    assert {place: len(log) for place, log in first.kafka.logs.items()} == {
        place: len(log) for place, log in second.kafka.logs.items()
    }


def test_histories_do_contain_what_they_are_for(rules: Rules) -> None:
    """A calm simulation would prove nothing: crashes, lost swaps and aborts must happen."""
    restarts = aborted = repeated = 0

    for seed in range(60):
        world, _ = live(seed, rules)
        restarts += len(world.scheduler.tasks) > 3 + seed % 2
        aborted += "aborted" in world.kafka.transactions.values()
        repeated += len({message.value for message in world.raw}) < len(world.raw)

    assert min(restarts, aborted, repeated) > 20


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
def test_a_destination_filled_beside_the_workers_ends_as_the_fold_too(
    exactly_once: bool, rules: Rules
) -> None:
    """Who is added later must end with the truth, and who is removed must leave nothing behind."""
    chosen = os.environ.get("RESOLVER_SEED")

    for seed in [int(chosen)] if chosen else range(SEEDS):
        _, wrong = grow(seed, rules, exactly_once=exactly_once)
        assert not wrong, f"RESOLVER_SEED={seed}: {wrong}"


def test_histories_with_a_backfill_do_contain_what_they_are_for(rules: Rules) -> None:
    """A backfill that nobody disturbs, or that finds nothing to do, would prove nothing."""
    restarted = beside = filled = 0

    for seed in range(60):
        world, _ = grow(seed, rules)
        restarted += len(world.fills) > 1
        beside += any(log for _, log in world.later)
        filled += bool(world.kafka.committed("out.late"))
        assert world.fills[0][0].name == FILL

    assert min(restarted, beside, filled) > 20
