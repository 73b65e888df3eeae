"""The protocol with one rule switched off at a time: each must be missed.

The variants replace methods, which compiled classes do not allow: these tests run on the sources.
"""

import pytest

from tests.simulation.growing import grow
from tests.simulation.variants import SWITCHED_OFF, SWITCHED_OFF_IN_BACKFILLS
from tests.simulation.world import live

SEEDS_TO_FAIL_MAX = 8_000
"""The rarest failure shows in one history of four hundred: this many miss it one time in e^20."""


@pytest.mark.parametrize("rule", SWITCHED_OFF)
def test_each_rule_of_the_protocol_is_needed(rule: str) -> None:
    """A simulation that passes without a rule cannot see what the rule is for."""
    seeds = range(SEEDS_TO_FAIL_MAX)

    failing = next((seed for seed in seeds if live(seed, SWITCHED_OFF[rule])[1]), None)

    assert failing is not None, f"no history failed although {rule}"


@pytest.mark.parametrize("rule", SWITCHED_OFF_IN_BACKFILLS)
def test_each_rule_of_a_backfill_is_needed(rule: str) -> None:
    """A backfill beside workers looks right whatever it does, as long as nothing meets."""
    seeds, rules = range(SEEDS_TO_FAIL_MAX), SWITCHED_OFF_IN_BACKFILLS[rule]

    failing = next((seed for seed in seeds if grow(seed, rules)[1]), None)

    assert failing is not None, f"no history failed although {rule}"
