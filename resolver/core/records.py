"""The three kinds of record, their joins, and what each one contributes to others.

``anon:a`` is a :class:`Device`; ``email:e`` (a lead) and ``user:u`` are a :class:`Person`. A
record and a delta have the same shape: a batch is folded to one delta per record, and the record
becomes ``join(record, delta)``. Every join is commutative, associative and idempotent.
"""

from collections import Counter
from typing import Final

from resolver.core.events import DEVICE, SEEN
from resolver.core.identifiers import EMAIL
from resolver.core.layers import join_layers, layer_of, merge
from resolver.core.ownership import adds_later, is_claimed, join_points, owned_statements
from resolver.core.policy import Policy
from resolver.core.values import (
    EMPTY,
    Contribution,
    Device,
    Layer,
    Person,
    Record,
    Stamp,
    Statement,
)

WRITES_MAX: Final = 128
"""Latest anonymous writes kept per trait: a device rarely says more before somebody logs in."""


NOTHING: Final = (EMPTY, EMPTY)


def join_devices(left: Device, right: Device, policy: Policy) -> Device:
    """Everything said on one device; ``left`` itself where ``right`` adds nothing."""
    statements = left.statements
    if right.statements:
        statements = merge(statements, right.statements)
        if len(statements) > WRITES_MAX:
            statements = bound_writes(statements, policy)
        if statements == left.statements:
            statements = left.statements
    linked = left.linked
    for address in right.linked:
        if address not in linked:
            linked = sorted({*linked, *right.linked})
            break
    points = join_points(left.points, right.points)
    if statements is left.statements and linked is left.linked and points is left.points:
        return left
    return Device(statements, points, linked)


def join_people(left: Person, right: Person, policy: Policy) -> Person:
    """Everything known of one lead or user; ``left`` itself where ``right`` adds nothing."""
    sources = left.sources
    for source, contribution in right.sources.items():
        known = sources.get(source)
        if known is None or known.version < contribution.version:
            if sources is left.sources:
                sources = dict(sources)
            sources[source] = contribution
    claim = left.claim
    if right.claim is not None and (claim is None or right.claim < claim):
        claim = right.claim
    own = join_layers(left.own, right.own, policy)
    if own is left.own and sources is left.sources and claim is left.claim:
        return left
    if sources:
        sources = without_old_activity(sources, own)
    return Person(own, sources, claim)


def without_old_activity(sources: dict[str, Contribution], own: Layer) -> dict[str, Contribution]:
    """The sources without marks of activity that can never show again, half of their size.

    Whoever may see one may also see the person's own later one of the same restriction.
    """
    latest = {one.restriction: one.stamp for one in own.statements if SEEN in one.marks}
    kept: dict[str, Contribution] = {}
    for source, one in sources.items():
        identified = _quietened(one.identified, latest)
        anonymous = _quietened(one.anonymous, latest)
        if identified is not one.identified or anonymous is not one.anonymous:
            one = Contribution(one.version, identified, anonymous)
        kept[source] = one
    return kept


def _quietened(layer: Layer, latest: dict[str, Stamp]) -> Layer:
    statements: list[Statement] = []
    changed = False
    for one in layer.statements:
        later = latest.get(one.restriction)
        if later is not None and one.stamp < later and SEEN in one.marks:
            changed = True
            marks = {mark: value for mark, value in one.marks.items() if mark != SEEN}
            one = one.holding(one.traits, marks)
        statements.append(one)
    return Layer(statements, layer.first) if changed else layer


def bound_writes(ordered: list[Statement], policy: Policy) -> list[Statement]:
    """The WRITES_MAX latest (or first, greatest, least) writes per register, the earliest SEEN."""
    earliest = next((one.stamp for one in ordered if SEEN in one.marks), None)
    extremes = _extreme_writes(ordered, policy) if policy.named else {}
    count: Counter[str] = Counter()

    def keeps(name: str, stamp: Stamp) -> bool:
        if name in extremes:
            return stamp in extremes[name]
        count[name] += 1
        return count[name] <= WRITES_MAX

    kept: list[Statement] = []
    for one in ordered[::-1]:
        traits = {name: value for name, value in one.traits.items() if keeps(name, one.stamp)}
        marks = {
            mark: value
            for mark, value in one.marks.items()
            if keeps("\0\0" + mark, one.stamp) or (mark == SEEN and one.stamp == earliest)
        }
        if traits or marks:
            kept.append(one.holding(traits, marks))
    kept.reverse()
    return kept


def contributions(device: Device, anon: str, policy: Policy) -> dict[str, tuple[Layer, Layer]]:
    """What a device shows through each owner: (identified, anonymous) layers."""
    shares: dict[str, tuple[Layer, Layer]] = {}
    owned = owned_statements(device.statements, device.points, device.linked)
    for owner, statements in owned.items():
        if owner:
            marked = _marked(statements, DEVICE + anon)
            shares[owner] = (EMPTY, layer_of(marked, policy))
    return shares


def keeps_owners(before: Record | None, after: Record) -> bool:
    """Whether a device's statements surely belong to the same people as before: a login that is
    later than one that claimed them all changes nothing. Spares finding their owners, twice.
    """
    if not isinstance(before, Device) or not isinstance(after, Device):
        return False
    if after.statements is not before.statements:
        return False
    if not after.statements:
        return True
    claimed = is_claimed(before.statements, before.points)
    return claimed and (after.points is before.points or adds_later(before.points, after.points))


def is_hidden(record: Record, identifier: str) -> bool:
    """Whether the record is nobody's profile for sure, so that folding it can be spared."""
    if isinstance(record, Device):
        return is_claimed(record.statements, record.points)
    return record.claim is not None and identifier.startswith(EMAIL)


def unowned(device: Device) -> list[Statement]:
    """The writes that are nobody's: the profile ``anon:a`` itself."""
    return owned_statements(device.statements, device.points, device.linked).get("", [])


def lead_contributions(lead: Person, policy: Policy) -> dict[str, tuple[Layer, Layer]]:
    """What a lead shows through its owner, the user of the earliest claim."""
    if lead.claim is None or not (lead.sources or lead.own.statements):
        return {}
    anonymous = EMPTY
    for contribution in lead.sources.values():
        anonymous = join_layers(anonymous, contribution.anonymous, policy)
    share = (lead.own, anonymous)
    return {} if share == NOTHING else {lead.claim[1]: share}


def _marked(statements: list[Statement], mark: str) -> list[Statement]:
    """The statements with a mark, so that whose device it was outlives pruning."""
    return [one.holding(one.traits, {**one.marks, mark: None}) for one in statements]


def _extreme_writes(ordered: list[Statement], policy: Policy) -> dict[str, set[Stamp]]:
    """The stamps of the WRITES_MAX best writes of each register that keeps an extreme."""
    ranked: dict[str, list[tuple[object, Stamp]]] = {}
    for statement in ordered:
        for name, value in statement.traits.items():
            if policy.extreme(name):
                rank = policy.rank(name, value, statement.stamp)
                ranked.setdefault(name, []).append((rank, statement.stamp))
    best: dict[str, set[Stamp]] = {}
    for name, writes in ranked.items():
        writes.sort(reverse=True)
        best[name] = {stamp for _, stamp in writes[:WRITES_MAX]}
    return best
