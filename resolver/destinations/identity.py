"""Who a profile is in the vendor's own ids: compiled from a specification's ``identity``."""

import json
from collections.abc import Callable
from typing import Any, Final

from resolver.core.profiles import Profile
from resolver.destinations.forms import Convert, chain, converter_of
from resolver.destinations.rules import IdentityRule
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Reason

Read = Callable[[Profile, dict[str, Any]], Any]
"""What a source finds in a profile and its traits, as far as the destination may see these."""
OfTraits = ("email", "phone")


def context_of(profile: Profile) -> dict[str, Any]:
    """The context as an object; it travels as text where nobody needs to look into it."""
    context: dict[str, Any] = json.loads(profile.context)
    return context


def reader_of(source: str, spec: DestinationSpec) -> Read:
    """What finds a source; see ``rules.SOURCES``."""
    if source.startswith("context."):
        return _context_reader(source.split(".")[1:])
    if source in OfTraits:
        return _trait_reader(source, spec)
    return READERS[source]


def _trait_reader(name: str, spec: DestinationSpec) -> Read:
    """A trait, as long as it may be sent at all; hashed where it leaves only as a hash."""
    if not spec.takes(name):
        return lambda *_: None
    hashed = spec.hash.get(name)
    change = converter_of((), hashed) if hashed is not None else None

    def read(_: Profile, traits: dict[str, Any]) -> Any:
        value: Any = traits.get(name)
        if type(value) is not str or not value:
            return None
        if change is not None:
            value = change(value)
        return None if type(value) is Reason else value

    return read


def _context_reader(path: list[str]) -> Read:
    def read(profile: Profile, _: dict[str, Any]) -> Any:
        value: Any = context_of(profile)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return read


def _database_id(profile: Profile, _: dict[str, Any]) -> str | None:
    return profile.id[5:] if profile.id[0] == "u" else None


READERS: Final[dict[str, Read]] = {
    "user_id": lambda profile, _: profile.user_id,
    "database_id": _database_id,
    "anonymous_id": lambda profile, _: profile.anonymous_id,
    "first_seen": lambda profile, _: profile.first_seen_at,
    "last_seen": lambda profile, _: profile.last_seen_at,
}


class Identity:
    """The member ``identity`` of a destination's payloads."""

    def __init__(self, spec: DestinationSpec) -> None:
        self.first_only = spec.identity.first_only
        self.rules = [
            (rule.to.split("."), reader_of(rule.source, spec), _convert(rule), rule.beside)
            for rule in spec.identity.rules
        ]

    def of(self, profile: Profile, traits: dict[str, Any]) -> dict[str, Any]:
        """Every id that is found; the first of several for one field."""
        found: dict[str, Any] = {}
        for path, read, convert, beside in self.rules:
            value = read(profile, traits)
            if value is None or value == "":
                continue
            if convert is not None:
                value = convert(value)
                if type(value) is Reason:
                    continue
            if len(path) == 1:
                found.setdefault(path[0], value)
            else:
                put(found, path, value)
            for name, text in beside.items():
                put(found, name.split("."), text)
            if self.first_only:
                break
        return found


def put(target: dict[str, Any], path: list[str], value: Any) -> None:
    """Sets a field at a path, unless there is one already."""
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target.setdefault(path[-1], value)


def _convert(rule: IdentityRule) -> Convert | None:
    """Checks, cuts and prefixes an id as its rule says; a ``Reason`` where it is none."""
    steps: list[Convert | None] = [_start(rule.starts)] if rule.starts else []
    if rule.prefix:
        steps.append(lambda value: f"{rule.prefix}{value}")
    steps.append(converter_of(rule.form, rule.hash))
    if rule.max is not None:
        most = rule.max
        steps.append(lambda value: value if len(str(value).encode()) <= most else Reason.TOO_LONG)
    return chain([step for step in steps if step is not None])


def _start(start: str) -> Convert:
    def strip(value: Any) -> Any:
        if type(value) is str and value.startswith(start) and len(value) > len(start):
            return value[len(start) :]
        return Reason.WRONG_TYPE

    return strip
