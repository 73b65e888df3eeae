"""``python -m bench``: the resolver, a passthrough and the peers, in turn, on the same events.

Only the ratios mean something: machines differ, and so do their minutes.
"""

import argparse
import sys

from rich.console import Console

from bench.contenders import chosen
from bench.findings import Findings
from bench.load import LoadError
from bench.report import report
from bench.running import Bench, Plan
from bench.scenarios import QUICK, SCENARIOS
from bench.stack import services
from bench.watched import ContenderError
from tests.stack.services import StackError

QUICK_EVENTS, QUICK_PROFILES, QUICK_PEOPLE = 40_000, 20_000, 60_000


def main() -> int:
    """Runs the scenarios; a failed one is named and does not hide what the others found."""
    stated = parser().parse_args()
    plan = plan_of(stated)
    names = wanted(stated.only, quick=stated.quick)
    console, found = Console(width=150), Findings()
    failed = []
    with services() as stack:
        bench = Bench(stack, plan, console)
        for contender in plan.contenders:
            bench.say(f"preparing {contender.name}")
            contender.command()
        for name in names:
            console.rule(name)
            try:
                found.add(SCENARIOS[name](bench))
            except (ContenderError, LoadError, StackError) as error:
                failed.append(name)
                bench.say(f"{name} failed: {error}")
    recorded = stated.record or not (stated.quick or stated.only or failed)
    kept = report(console, found, sys.argv[1:], complete=not stated.only, recorded=recorded)
    console.print(f"kept in {kept}" + (" and bench/RESULTS.md" if recorded else ""))
    if failed:
        console.print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--only", help=f"scenarios, comma-separated: {', '.join(SCENARIOS)}")
    made.add_argument("--contenders", help="parts of contenders' names, comma-separated")
    made.add_argument("--events", type=int, help="events of a run; people of ``memory``")
    made.add_argument("--rounds", type=int, help="rounds of every comparison")
    made.add_argument("--profiles", type=int, help="profiles of the large store")
    made.add_argument("--quick", action="store_true", help=f"small, and only {', '.join(QUICK)}")
    made.add_argument("--record", action="store_true", help="add to bench/RESULTS.md in any case")
    return made


def plan_of(stated: argparse.Namespace) -> Plan:
    """How much is measured."""
    usual = Plan()
    return Plan(
        events=stated.events or (QUICK_EVENTS if stated.quick else usual.events),
        rounds=stated.rounds or (1 if stated.quick else usual.rounds),
        quick=stated.quick,
        contenders=chosen(stated.contenders, quick=stated.quick),
        profiles=stated.profiles or (QUICK_PROFILES if stated.quick else usual.profiles),
        people=stated.events or (QUICK_PEOPLE if stated.quick else usual.people),
    )


def wanted(only: str | None, *, quick: bool) -> list[str]:
    """Scenarios to run; an unknown name ends the program."""
    if not only:
        return list(QUICK if quick else SCENARIOS)
    names = [one.strip() for one in only.split(",")]
    unknown = [one for one in names if one not in SCENARIOS]
    if unknown:
        sys.exit(f"there is no scenario {unknown[0]!r}: {', '.join(SCENARIOS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
