"""Profiles for tests of destinations, without events."""

from typing import Any

from resolver.core.profiles import Profile
from resolver.destinations.catalogue import load_preset
from resolver.destinations.presets import expanded
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec

FIRST_SEEN_US, LAST_SEEN_US = 1_600_000_000_000_000, 1_700_000_000_000_000


def person(traits: dict[str, Any], identifier: str = "user:u1", **more: Any) -> Profile:
    """Somebody with these traits, as the resolver orders them."""
    kind, _, value = identifier.partition(":")
    profile = Profile(identifier, {name: traits[name] for name in sorted(traits)})
    profile.anonymous_ids = ["a1"]
    profile.anonymous_id = value if kind == "anon" else "a1"
    profile.emails = [value] if kind == "email" else []
    profile.first_seen_us, profile.last_seen_us = FIRST_SEEN_US, LAST_SEEN_US
    for name, stated in more.items():
        setattr(profile, name, stated)
    return profile


def spec_of(preset: str, **changes: Any) -> DestinationSpec:
    """A preset with changes, as a settings file states them."""
    if not changes:
        return load_preset(preset)
    return DestinationSpec.model_validate(expanded({"preset": preset, **changes}))


def shaped(preset: str, profile: Profile, **changes: Any) -> dict[str, Any] | None:
    """What a preset makes of a profile."""
    return Shape(spec_of(preset, **changes)).shape(profile)


def traits_of(preset: str, traits: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The traits that a preset sends of an identified person."""
    payload = shaped(preset, person(traits), **changes)
    assert payload is not None
    sent: dict[str, Any] = payload["traits"]
    return sent


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every value by its path; lists count as values."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        inner: leaf
        for name, member in value.items()
        for inner, leaf in leaves(member, (*path, name)).items()
    }
