"""A profile: what one audience sees of a record."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from resolver.core.consent import Audience
from resolver.core.events import DEVICE, OPTIONS, SEEN
from resolver.core.identifiers import ANON, EMAIL, USER
from resolver.core.policy import PATH_SEPARATOR, Policy, Precedence, assemble
from resolver.core.records import unowned
from resolver.core.values import Device, Person, Record, Stamp, Statement

Shown = tuple[dict[str, Any], list[str]]
"""Traits, and the identifiers whose writes are among them."""


class Profile(NamedTuple):
    """A person as one audience sees them; instants in microseconds, None while never active."""

    id: str
    traits: dict[str, Any]
    anonymous_ids: list[str]
    anonymous_id: str | None
    emails: list[str]
    first_seen_us: int | None
    last_seen_us: int | None
    context: dict[str, Any]
    options: dict[str, Any]
    merged: list[str]

    @property
    def user_id(self) -> str | None:
        """The userId senders used: the user's id, a lead's address, None while anonymous."""
        kind, _, value = self.id.partition(":")
        return None if kind == "anon" else value


def project(record: Record, identifier: str, audience: Audience, policy: Policy) -> Profile | None:
    """The profile that belongs under ``identifier`` for this audience, or None: nothing does."""
    if isinstance(record, Device):
        return _project_device(record, identifier, audience, policy)
    if record.claim is not None and identifier.startswith(EMAIL):
        return None
    return _project_person(record, identifier, audience, policy)


def shown(record: Record, identifier: str, audience: Audience, policy: Policy) -> Shown | None:
    """Only the traits and the merged sources of what ``project`` gives: a third of its cost."""
    if isinstance(record, Device):
        visible = _visible_writes(record, audience)
        return (fold_traits(visible, [], policy), []) if visible else None
    if record.claim is not None and identifier.startswith(EMAIL):
        return None
    view = _view(record, identifier, audience)
    if view is None:
        return None
    return _traits_of(view, policy), sorted(view.merged)


def _visible_writes(device: Device, audience: Audience) -> list[Statement]:
    if not device.statements:
        return []
    return [one for one in unowned(device) if audience.may_see(one.restriction)]


def _project_device(
    device: Device, identifier: str, audience: Audience, policy: Policy
) -> Profile | None:
    visible = _visible_writes(device, audience)
    if not visible:
        return None
    anon = identifier.removeprefix(ANON)
    first = min((one.stamp[0] for one in visible if SEEN in one.marks), default=None)
    _, seen, options = _fold_marks(visible)
    return Profile(
        id=identifier,
        traits=fold_traits(visible, [], policy),
        anonymous_ids=[anon],
        anonymous_id=anon,
        emails=[],
        first_seen_us=first,
        last_seen_us=seen[0][0] if seen else None,
        context=seen[1] if seen else {},
        options=options,
        merged=[],
    )


class View(NamedTuple):
    """What an audience may see of a person, statements ascending by stamp."""

    identified: list[Statement]
    anonymous: list[Statement]
    emails: dict[str, Stamp]
    merged: list[str]


def _view(person: Person, identifier: str, audience: Audience) -> View | None:
    may_see = audience.may_see
    identified = [one for one in person.own.statements if may_see(one.restriction)]
    anonymous: list[Statement] = []
    emails: dict[str, Stamp] = {}
    if identified and identifier.startswith(EMAIL):
        emails[identifier[len(EMAIL) :]] = identified[-1].stamp
    merged = []
    for source, contribution in person.sources.items():
        stated = contribution.identified.statements
        if stated:
            stated = [one for one in stated if may_see(one.restriction)]
        unstated = [one for one in contribution.anonymous.statements if may_see(one.restriction)]
        if stated:
            identified += stated
            emails[source[len(EMAIL) :]] = stated[-1].stamp
        if stated or unstated:
            merged.append(source)
        anonymous += unstated
    if not identified and not anonymous:
        return None
    if merged:
        identified.sort(key=_by_stamp)
        anonymous.sort(key=_by_stamp)
    return View(identified, anonymous, emails, merged)


def _project_person(
    person: Person, identifier: str, audience: Audience, policy: Policy
) -> Profile | None:
    view = _view(person, identifier, audience)
    if view is None:
        return None
    devices, seen, options = _fold_marks(view.anonymous + view.identified)
    return Profile(
        id=identifier,
        traits=_traits_of(view, policy),
        anonymous_ids=sorted(devices),
        anonymous_id=max(devices, key=lambda one: (devices[one], one), default=None),
        emails=sorted(view.emails),
        first_seen_us=_first_seen(person, audience),
        last_seen_us=seen[0][0] if seen else None,
        context=seen[1] if seen else {},
        options=options,
        merged=sorted(view.merged),
    )


def _first_seen(person: Person, audience: Audience) -> int | None:
    may_see = audience.may_see
    firsts = [at for text, at in person.own.first.items() if may_see(text)]
    for contribution in person.sources.values():
        for layer in (contribution.identified, contribution.anonymous):
            firsts += [at for text, at in layer.first.items() if may_see(text)]
    return min(firsts, default=None)


def _traits_of(view: View, policy: Policy) -> dict[str, Any]:
    traits = fold_traits(view.anonymous, view.identified, policy)
    if view.emails and "email" not in traits:
        traits["email"] = max(view.emails, key=view.emails.__getitem__)
        return {name: traits[name] for name in sorted(traits)}
    return traits


def fold_traits(
    anonymous: list[Statement], identified: list[Statement], policy: Policy
) -> dict[str, Any]:
    """Folds statements, each list ascending by stamp, identified ones above anonymous ones.

    Names in sorted order: equal traits are equal bytes, whichever events stated them.
    """
    traits: dict[str, Any] = {}
    for statement in anonymous:
        traits.update(statement.traits)
    for statement in identified:
        traits.update(statement.traits)
    if policy.named or policy.deep or policy.everywhere is not Precedence.IDENTIFIED:
        traits = _fold_by_policy(anonymous, identified, policy)
    _derive_name(traits)
    return {name: traits[name] for name in sorted(traits) if traits[name] is not None}


def _fold_marks(
    statements: list[Statement],
) -> tuple[dict[str, Stamp], tuple[Stamp, Any] | None, dict[str, Any]]:
    """Devices with their latest stamp, the latest activity with its context, options by key."""
    devices: dict[str, Stamp] = {}
    latest: dict[str, tuple[Stamp, Any]] = {}
    for statement in statements:
        stamp = statement.stamp
        for mark, value in statement.marks.items():
            known = latest.get(mark)
            if known is None or known[0] < stamp:
                latest[mark] = (stamp, value)
    options = {}
    prefix = len(DEVICE + ANON)
    for mark, (stamp, value) in latest.items():
        if mark[0] == DEVICE:
            devices[mark[prefix:]] = stamp
        elif mark[0] == OPTIONS:
            options[mark[1:]] = value
    return devices, latest.get(SEEN), options


def _fold_by_policy(
    anonymous: list[Statement], identified: list[Statement], policy: Policy
) -> dict[str, Any]:
    """The same fold where some trait has a rule of its own."""
    tiered = [(0, one) for one in anonymous] + [(1, one) for one in identified]
    winners: dict[str, tuple[tuple[Any, ...], Any]] = {}
    for tier, statement in tiered:
        for name, value in statement.traits.items():
            rank = _rank(tier, statement, name, policy)
            if name not in winners or winners[name][0] < rank:
                winners[name] = (rank, value)
    deep = [
        (rank, name, value)
        for name, (rank, value) in winners.items()
        if name.split(PATH_SEPARATOR, 1)[0] in policy.deep
    ]
    split = {name for _, name, _ in deep}
    traits = {name: value for name, (_, value) in winners.items() if name not in split}
    return traits | assemble(deep)


def _rank(tier: int, statement: Statement, name: str, policy: Policy) -> tuple[Any, ...]:
    rule = policy.rule(name)
    if rule is Precedence.IDENTIFIED:
        return (tier, statement.stamp)
    if rule is Precedence.LATEST:
        return (statement.stamp, tier)
    return policy.rank(name, statement.traits[name], statement.stamp)


def _derive_name(traits: dict[str, Any]) -> None:
    if traits.get("name") is not None:
        return
    first, last = traits.get("firstName"), traits.get("lastName")
    if isinstance(first, str) and isinstance(last, str) and first.strip() and last.strip():
        traits["name"] = f"{first} {last}"


def _by_stamp(statement: Statement) -> Stamp:
    return statement.stamp


def kinds_in_order(identifiers: Iterable[str]) -> list[str]:
    """Identifiers in the order of rounds: what a lower record shows may change a higher one."""
    rounds = {ANON[:4]: 0, EMAIL[:4]: 1, USER[:4]: 2}
    return sorted(identifiers, key=lambda one: (rounds[one[:4]], one))
