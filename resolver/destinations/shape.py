"""A profile in the form one destination takes: compiled once, then a pure function."""

import re
from functools import lru_cache
from typing import Any

from resolver.core.profiles import Profile
from resolver.core.times import iso_utc
from resolver.core.traits import RESERVED_TRAITS
from resolver.destinations.spec import Anonymous, Case, DestinationSpec, EmailUserId

NAMES_REMEMBERED = 16_384
"""Trait names whose shaped name is kept: far more than a product has, and a bound."""
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
GAP = re.compile(r"[\s_-]+")


class Shape:
    """What a destination is sent; deterministic, so that equal profiles are equal bytes."""

    def __init__(self, spec: DestinationSpec) -> None:
        self.spec = spec
        self.filters = spec.include is not None or bool(spec.exclude)
        self.renames = spec.case is not Case.AS_SENT
        self._takes = lru_cache(NAMES_REMEMBERED)(spec.takes)
        self._rename = lru_cache(NAMES_REMEMBERED)(self._shaped_name)

    def shape(self, profile: Profile) -> dict[str, Any] | None:
        """The stable payload, ``profile`` its last member; None: this one is not sent."""
        user_id, traits = profile.user_id, profile.traits
        if user_id is None and self.spec.anonymous is Anonymous.DROP:
            return None
        if profile.id[0] == "e" and self.spec.email_user_id is not EmailUserId.SEND:
            if self.spec.email_user_id is EmailUserId.DROP:
                return None
            traits = {"email": user_id, **traits}
            user_id = None
        if self.filters:
            traits = {name: value for name, value in traits.items() if self._takes(name)}
        if self.renames:
            traits = {self._rename(name): value for name, value in traits.items()}
        last_seen = _iso(profile.last_seen_us)
        return {
            "type": "identify",
            "timestamp": last_seen,
            "userId": user_id,
            "anonymousId": profile.anonymous_id,
            "traits": traits,
            "context": profile.context,
            "integrations": {self.spec.name: self._options(profile)},
            "profile": {
                "id": profile.id,
                "firstSeenAt": _iso(profile.first_seen_us),
                "lastSeenAt": last_seen,
                "anonymousIds": profile.anonymous_ids,
                "emails": profile.emails,
            },
        }

    def _options(self, profile: Profile) -> Any:
        if profile.options:
            for key in self.spec.keys:
                if key in profile.options:
                    return profile.options[key]
        return {}

    def _shaped_name(self, name: str) -> str:
        """Words of a custom trait's name in the destination's case; reserved ones stay."""
        if name in RESERVED_TRAITS and self.spec.case is Case.CAMEL:
            return name
        words = [word.lower() for word in GAP.split(HUMP.sub("_", name)) if word]
        if not words:
            return name
        if self.spec.case is Case.SNAKE:
            return "_".join(words)
        return words[0] + "".join(map(str.capitalize, words[1:]))


def _iso(instant_us: int | None) -> str | None:
    return None if instant_us is None else iso_utc(instant_us)
