"""A profile: what one audience sees of a record."""

from typing import Any, Final, final

from resolver.core.consent import Audience
from resolver.core.events import DEVICE, OPTIONS, SEEN
from resolver.core.identifiers import ANON, EMAIL, USER
from resolver.core.layers import stamp_of_statement
from resolver.core.policy import PATH_SEPARATOR, Policy, Precedence, assemble
from resolver.core.records import unowned
from resolver.core.times import iso_utc
from resolver.core.values import (
    Contribution,
    Device,
    Layer,
    Person,
    Record,
    Stamp,
    Statement,
    eff_of,
)

Shown = tuple[dict[str, Any], list[str]]
"""Traits, and the identifiers whose writes are among them."""


NO_CONTEXT: Final = b"{}"
DEVICE_PREFIX: Final = len(DEVICE + ANON)


@final
class Profile:
    """A person as one audience sees them; instants in microseconds, None while never active.

    ``context`` is the JSON text of an object, as the latest permitted event stated it; ``options``
    are by destination key, the latest last.
    """

    __slots__ = (
        "_first_seen",
        "_last_seen",
        "anonymous_id",
        "anonymous_ids",
        "context",
        "emails",
        "first_seen_us",
        "id",
        "last_seen_us",
        "merged",
        "options",
        "traits",
    )

    def __init__(self, identifier: str, traits: dict[str, Any]) -> None:
        self.id = identifier
        self.traits = traits
        self.anonymous_ids: list[str] = []
        self.anonymous_id: str | None = None
        self.emails: list[str] = []
        self.first_seen_us: int | None = None
        self.last_seen_us: int | None = None
        self.context = NO_CONTEXT
        self.options: dict[str, Any] = {}
        self.merged: list[str] = []
        self._first_seen: str | None = None
        self._last_seen: str | None = None

    @property
    def user_id(self) -> str | None:
        """The userId senders used: the user's id, a lead's address, None while anonymous."""
        if self.id[0] == USER[0]:
            return self.id[len(USER) :]
        return self.id[len(EMAIL) :] if self.id[0] == EMAIL[0] else None

    @property
    def first_seen_at(self) -> str | None:
        """In ISO 8601; made once, however many destinations there are."""
        if self._first_seen is None and self.first_seen_us is not None:
            self._first_seen = iso_utc(self.first_seen_us)
        return self._first_seen

    @property
    def last_seen_at(self) -> str | None:
        """In ISO 8601; made once, however many destinations there are."""
        if self._last_seen is None and self.last_seen_us is not None:
            self._last_seen = iso_utc(self.last_seen_us)
        return self._last_seen

    def with_traits(self, traits: dict[str, Any]) -> "Profile":
        """The same person with other traits."""
        other = Profile(self.id, traits)
        other.anonymous_ids, other.anonymous_id = self.anonymous_ids, self.anonymous_id
        other.emails, other.merged = self.emails, self.merged
        other.first_seen_us, other.last_seen_us = self.first_seen_us, self.last_seen_us
        other.context, other.options = self.context, self.options
        return other

    def _told(self) -> tuple[Any, ...]:
        return (
            *(self.id, self.traits, self.anonymous_ids, self.anonymous_id, self.emails),
            *(self.first_seen_us, self.last_seen_us, self.context, self.options, self.merged),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self._told() == other._told()

    def __repr__(self) -> str:
        return f"Profile{self._told()!r}"


def project(record: Record, identifier: str, audience: Audience, policy: Policy) -> Profile | None:
    """The profile that belongs under ``identifier`` for this audience, or None: nothing does."""
    if isinstance(record, Device):
        return _project_device(record, identifier, audience, policy)
    if record.claim is not None and identifier.startswith(EMAIL):
        return None
    return _project_person(record, identifier, audience, policy)


def shown(record: Record, identifier: str, audience: Audience, policy: Policy) -> Shown | None:
    """Only the traits and the merged sources of what ``project`` gives: a quarter of its cost.

    The traits are in no order, and those that were removed may be there as None.
    """
    if isinstance(record, Device):
        visible = audience.permitted(unowned(record))
        return (_folded(visible, [], policy), []) if visible else None
    if record.claim is not None and identifier.startswith(EMAIL):
        return None
    view = _view(record, identifier, audience)
    if view is None:
        return None
    traits = _folded(view.anonymous, view.identified, policy)
    _derive_email(traits, view)
    return traits, view.merged


def _project_device(
    device: Device, identifier: str, audience: Audience, policy: Policy
) -> Profile | None:
    visible = audience.permitted(unowned(device))
    if not visible:
        return None
    profile = Profile(identifier, _in_order(_folded(visible, [], policy)))
    anon = identifier[len(ANON) :]
    profile.anonymous_ids.append(anon)
    profile.anonymous_id = anon
    for one in visible:
        if SEEN in one.marks:
            profile.first_seen_us = eff_of(one.stamp)
            break
    _fold_marks(visible, profile)
    return profile


@final
class View:
    """What an audience may see of a person, statements ascending by stamp."""

    __slots__ = ("anonymous", "emails", "identified", "merged")

    def __init__(self, identified: list[Statement], anonymous: list[Statement]) -> None:
        self.identified = identified
        self.anonymous = anonymous
        self.emails: dict[str, Stamp] = {}
        self.merged: list[str] = []


def _view(person: Person, identifier: str, audience: Audience) -> View | None:
    own = audience.permitted(person.own.statements)
    view = View(own.copy(), [])
    if own and identifier.startswith(EMAIL):
        view.emails[identifier[len(EMAIL) :]] = own[-1].stamp
    for source, contribution in person.sources.items():
        _add_source(view, source, contribution, audience)
    if not view.identified and not view.anonymous:
        return None
    view.identified.sort(key=stamp_of_statement)
    view.anonymous.sort(key=stamp_of_statement)
    return view


def _add_source(view: View, source: str, contribution: Contribution, audience: Audience) -> None:
    stated = audience.permitted(contribution.identified.statements)
    unstated = audience.permitted(contribution.anonymous.statements)
    if stated:
        view.identified += stated
        view.emails[source[len(EMAIL) :]] = stated[-1].stamp
    view.anonymous += unstated
    if stated or unstated:
        view.merged.append(source)
    if source[0] == EMAIL[0]:
        through = {mark[1:] for one in unstated for mark in one.marks if mark[0] == DEVICE}
        view.merged.extend(sorted(through))


def _project_person(
    person: Person, identifier: str, audience: Audience, policy: Policy
) -> Profile | None:
    view = _view(person, identifier, audience)
    if view is None:
        return None
    profile = Profile(identifier, _traits_of(view, policy))
    statements = sorted(view.anonymous + view.identified, key=stamp_of_statement)
    devices = _fold_marks(statements, profile)
    profile.anonymous_ids = sorted(devices) if len(devices) > 1 else list(devices)
    if len(devices) == 1:
        profile.anonymous_id = profile.anonymous_ids[0]
    elif devices:
        profile.anonymous_id = max((stamp, anon) for anon, stamp in devices.items())[1]
    profile.emails = sorted(view.emails) if view.emails else []
    profile.first_seen_us = _first_seen(person, audience)
    profile.merged = sorted(set(view.merged)) if len(view.merged) > 1 else view.merged
    return profile


def _first_seen(person: Person, audience: Audience) -> int | None:
    earliest = _first_of(person.own, None, audience)
    for contribution in person.sources.values():
        earliest = _first_of(contribution.identified, earliest, audience)
        earliest = _first_of(contribution.anonymous, earliest, audience)
    return earliest


def _first_of(layer: Layer, earliest: int | None, audience: Audience) -> int | None:
    for restriction, eff in layer.first.items():
        if (earliest is None or eff < earliest) and audience.may_see(restriction):
            earliest = eff
    return earliest


def _traits_of(view: View, policy: Policy) -> dict[str, Any]:
    traits = _folded(view.anonymous, view.identified, policy)
    _derive_email(traits, view)
    return _in_order(traits)


def _in_order(traits: dict[str, Any]) -> dict[str, Any]:
    """Traits by their names: equal ones are equal bytes, whichever events stated them. None is
    none.
    """
    ordered: dict[str, Any] = {}
    for name in sorted(traits):
        value = traits[name]
        if value is not None:
            ordered[name] = value
    return ordered


def _folded(
    anonymous: list[Statement], identified: list[Statement], policy: Policy
) -> dict[str, Any]:
    """Folds statements, each list ascending by stamp, identified ones above anonymous ones; what
    was removed is None.
    """
    traits: dict[str, Any] = {}
    if policy.is_plain:
        for statement in anonymous:
            traits.update(statement.traits)
        for statement in identified:
            traits.update(statement.traits)
    else:
        traits = _fold_by_policy(anonymous, identified, policy)
    _derive_name(traits)
    return traits


def _fold_marks(statements: list[Statement], profile: Profile) -> dict[str, Stamp]:
    """Sets when the profile was last seen, its context and its options, from statements ascending
    by stamp; returns the devices' anonymousIds with their latest stamps.
    """
    devices: dict[str, Stamp] = {}
    seen: Statement | None = None
    for statement in statements:
        for mark, value in statement.marks.items():
            if mark == SEEN:
                seen = statement
            elif mark[0] == DEVICE:
                devices[mark[DEVICE_PREFIX:]] = statement.stamp
            elif mark[0] == OPTIONS:
                profile.options.pop(mark[1:], None)
                profile.options[mark[1:]] = value
    if seen is not None:
        profile.last_seen_us = eff_of(seen.stamp)
        profile.context = seen.marks[SEEN]
    return devices


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


def _derive_email(traits: dict[str, Any], view: View) -> None:
    if view.emails and traits.get("email") is None:
        traits["email"] = max((stamp, email) for email, stamp in view.emails.items())[1]


def _derive_name(traits: dict[str, Any]) -> None:
    if traits.get("name") is not None:
        return
    first, last = traits.get("firstName"), traits.get("lastName")
    if isinstance(first, str) and isinstance(last, str) and first.strip() and last.strip():
        traits["name"] = f"{first} {last}"
