"""Who owns what was said anonymously: the next login on that device, or its only user.

Nothing is copied and deleted: ownership is computed from the bindings each time, so an event
that arrives late moves a write to its rightful owner.
"""

from bisect import bisect_left
from typing import Final

from resolver.core.identifiers import EMAIL
from resolver.core.values import Points, Statement, eff_of

BUCKET_US: Final = 300_000_000
"""Bindings within five minutes of each other are one: a burst of logins is one login."""
POINTS_MAX: Final = 128
"""Latest points kept beside every identifier's first: a shared device's recent history."""


def join_points(left: Points, right: Points) -> Points:
    """Earliest point per bucket and identifier, bounded; ``left`` itself where nothing is new."""
    if not right:
        return left
    points = left
    for place, eff in right.items():
        known = points.get(place)
        if known is None or eff < known:
            if points is left:
                points = dict(left)
            points[place] = eff
    if len(points) <= POINTS_MAX or points is left:
        return points
    bounded = bound_points(points)
    return left if bounded == left else bounded


def bound_points(points: Points) -> Points:
    """The POINTS_MAX latest points and every identifier's first.

    Ordered by (bucket, identifier), which never changes for a point, so that bounding commutes
    with joining.
    """
    ordered = sorted(points)
    firsts: dict[str, tuple[int, str]] = {}
    for place in ordered:
        firsts.setdefault(place[1], place)
    kept = set(ordered[-POINTS_MAX:]) | set(firsts.values())
    return {place: points[place] for place in ordered if place in kept}


def owned_statements(
    statements: list[Statement], points: Points, linked: list[str]
) -> dict[str, list[Statement]]:
    """Statements by owner; those that are nobody's stand under ``""``.

    ``linked`` lists the e-mail identifiers that some event on this device stated as a user's
    ``email`` trait: such an address counts as that user.
    """
    if not statements:
        return {}
    if not points:
        return {"": statements}
    timeline = sorted((eff, identifier) for (_, identifier), eff in points.items())
    instants = [eff for eff, _ in timeline]
    only = _sole_owner({identifier for _, identifier in timeline}, linked)
    owners: dict[str, list[Statement]] = {}
    for statement in statements:
        place = bisect_left(instants, eff_of(statement.stamp))
        owner = timeline[place][1] if place < len(timeline) else only
        owners.setdefault(owner, []).append(statement)
    return owners


def is_claimed(statements: list[Statement], points: Points) -> bool:
    """Whether a login at or after the last statement claims whatever no earlier one does."""
    if not statements:
        return True
    return bool(points) and max(points.values()) >= eff_of(statements[-1].stamp)


def adds_later(before: Points, after: Points) -> bool:
    """Whether ``after`` is ``before`` with points that are all later than every one of them."""
    latest, kept = max(before.values()), 0
    for place, eff in after.items():
        if before.get(place) == eff:
            kept += 1
        elif eff <= latest:
            return False
    return kept == len(before)


def _sole_owner(bound: set[str], linked: list[str]) -> str:
    if len(bound) == 1:
        return next(iter(bound))
    people = {one for one in bound if not (one.startswith(EMAIL) and one in linked)}
    return next(iter(people)) if len(people) == 1 else ""
