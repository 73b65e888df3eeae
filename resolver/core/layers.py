"""A layer: what a set of events said, pruned to the statements that can still matter.

A layer is a join-semilattice: ``join`` is commutative, associative and idempotent. Per register
(a trait or a mark) and restriction it keeps the latest statement, because a withheld winner must
give way to the newest permitted one.
"""

from collections import Counter
from typing import Any, Final

from resolver.core.events import SEEN
from resolver.core.policy import Policy
from resolver.core.values import Layer, Stamp, Statement, eff_of

RESTRICTIONS_MAX: Final = 32
"""Distinct restrictions kept per register: senders use a handful; a bound against junk."""


def layer_of(statements: list[Statement], policy: Policy) -> Layer:
    """The layer of some events' statements, in any order, repeats included."""
    first: dict[str, int] = {}
    for statement in statements:
        if SEEN in statement.marks:
            restriction, eff = statement.restriction, eff_of(statement.stamp)
            known = first.get(restriction)
            if known is None or eff < known:
                first[restriction] = eff
    return Layer(prune(in_order(statements), policy), _earliest(first))


def join_layers(left: Layer, right: Layer, policy: Policy) -> Layer:
    """Everything both layers say; ``left`` itself where ``right`` adds nothing."""
    if not right.statements and not right.first:
        return left
    if not left.statements and not left.first:
        return right
    first = join_first(left.first, right.first)
    statements = prune(merge(left.statements, right.statements), policy)
    if first is left.first and statements == left.statements:
        return left
    return Layer(statements, first)


def join_first(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    """The earlier instant per restriction; ``left`` itself where ``right`` adds nothing."""
    joined = left
    for restriction, eff in right.items():
        known = joined.get(restriction)
        if known is None or eff < known:
            if joined is left:
                joined = dict(left)
            joined[restriction] = eff
    if joined is left:
        return left
    bounded = _earliest(joined)
    return left if bounded == left else bounded


def merge(left: list[Statement], right: list[Statement]) -> list[Statement]:
    """Both, each ascending by stamp, as one such list."""
    if not right:
        return left
    if not left or left[-1].stamp < right[0].stamp:
        return left + right
    return in_order(left + right)


def in_order(statements: list[Statement]) -> list[Statement]:
    """Ascending by stamp, one statement per stamp: what one event said is put together again."""
    if len(statements) < 2:
        return statements
    ordered = sorted(statements, key=stamp_of_statement)
    previous = ordered[0].stamp
    for statement in ordered[1:]:
        if statement.stamp == previous:
            return _united(ordered)
        previous = statement.stamp
    return ordered


def stamp_of_statement(statement: Statement) -> Stamp:
    """What statements are ordered by."""
    return statement.stamp


def prune(ordered: list[Statement], policy: Policy) -> list[Statement]:
    """Keeps, per register and restriction, the statement that wins there."""
    if len(ordered) < 2 and not policy.named:
        return ordered
    extremes = _extreme_winners(ordered, policy) if policy.named else {}
    taken: dict[str, tuple[set[str], set[str]]] = {}
    kept: list[Statement] = []
    for statement in ordered[::-1]:
        names = taken.get(statement.restriction)
        if names is None:
            names = taken[statement.restriction] = (set(), set())
        if extremes:
            statement = _without_lost_extremes(statement, extremes)
        taken_traits, taken_marks = names
        rest = _rest(statement, taken_traits, taken_marks)
        if rest is not None:
            taken_traits.update(rest.traits)
            taken_marks.update(rest.marks)
            kept.append(rest)
    kept.reverse()
    return _bounded(kept) if len(taken) > RESTRICTIONS_MAX else kept


def _rest(statement: Statement, taken_traits: set[str], taken_marks: set[str]) -> Statement | None:
    """The statement without registers that a later one of its restriction states."""
    traits, marks = statement.traits, statement.marks
    if not taken_traits and not taken_marks:
        return statement if traits or marks else None
    if taken_traits.issuperset(traits) and taken_marks.issuperset(marks):
        return None
    if not taken_traits.isdisjoint(traits):
        traits = {name: value for name, value in traits.items() if name not in taken_traits}
    if not taken_marks.isdisjoint(marks):
        marks = {mark: value for mark, value in marks.items() if mark not in taken_marks}
    if traits is statement.traits and marks is statement.marks:
        return statement
    return statement.holding(traits, marks)


def _united(ordered: list[Statement]) -> list[Statement]:
    """One statement per (stamp, restriction); ties between unlike ones fall by their content."""
    groups: dict[tuple[Stamp, str], list[Statement]] = {}
    for statement in ordered:
        groups.setdefault((statement.stamp, statement.restriction), []).append(statement)
    united = [_unite(group) if len(group) > 1 else group[0] for group in groups.values()]
    united.sort(key=lambda statement: (statement.stamp, statement.restriction))
    return united


def _unite(group: list[Statement]) -> Statement:
    ranked = sorted(group, key=lambda one: (repr(one.traits), repr(one.marks)))
    traits: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    for statement in ranked:
        traits.update(statement.traits)
        marks.update(statement.marks)
    return ranked[-1].holding(traits, marks)


def _extreme_winners(ordered: list[Statement], policy: Policy) -> dict[tuple[str, str], Any]:
    """The winning rank of each register that keeps an extreme, per restriction."""
    winners: dict[tuple[str, str], Any] = {}
    for statement in ordered:
        for name in filter(policy.extreme, statement.traits):
            rank = policy.rank(name, statement.traits[name], statement.stamp)
            place = (statement.restriction, name)
            if place not in winners or winners[place][0] < rank:
                winners[place] = (rank, statement.stamp)
    return winners


def _without_lost_extremes(statement: Statement, winners: dict[tuple[str, str], Any]) -> Statement:
    def lost(name: str) -> bool:
        winner = winners.get((statement.restriction, name))
        return winner is not None and bool(winner[1] != statement.stamp)

    if not any(map(lost, statement.traits)):
        return statement
    traits = {name: value for name, value in statement.traits.items() if not lost(name)}
    return statement.holding(traits, statement.marks)


def _bounded(kept: list[Statement]) -> list[Statement]:
    """At most RESTRICTIONS_MAX statements of each register: the latest."""
    traits: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    bounded: list[Statement] = []
    for statement in kept[::-1]:
        full_traits = {name for name in statement.traits if traits[name] >= RESTRICTIONS_MAX}
        full_marks = {mark for mark in statement.marks if marks[mark] >= RESTRICTIONS_MAX}
        rest = _rest(statement, full_traits, full_marks)
        if rest is not None:
            traits.update(rest.traits.keys())
            marks.update(rest.marks.keys())
            bounded.append(rest)
    bounded.reverse()
    return bounded


def _earliest(first: dict[str, int]) -> dict[str, int]:
    """In a canonical order, at most RESTRICTIONS_MAX of them: the earliest."""
    if len(first) < 2:
        return first
    ordered = sorted(first.items(), key=lambda entry: (entry[1], entry[0]))
    return dict(ordered[:RESTRICTIONS_MAX])
