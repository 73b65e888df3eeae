"""Alias events: what a destination is told of a merge before it gets the profile.

An alias event is a message of its own under the user's key, one for each profile that became part
of the user. It says who that was, and by which of the vendor's ids the user is known.
"""

from typing import Any

from resolver.core.identifiers import USER
from resolver.core.profiles import Profile
from resolver.destinations.identity import Identity
from resolver.destinations.spec import DestinationSpec

ALIAS = "alias"
"""The ``type`` of such a message."""


class Aliases:
    """Makes the alias events of one destination."""

    def __init__(self, spec: DestinationSpec) -> None:
        self._identity = Identity(spec) if spec.identity.rules else None

    def of(
        self, profile: Profile, merged: list[str], version: int, caused_by: str
    ) -> list[dict[str, Any]]:
        """One payload for each of ``merged``, in their order; none of them for who is no user."""
        if not profile.id.startswith(USER):
            return []
        timestamp = profile.last_seen_at
        ids = {}
        if self._identity is not None:
            ids["identity"] = self._identity.of(profile, profile.traits)
        return [
            {
                "type": ALIAS,
                "timestamp": timestamp,
                "userId": profile.user_id,
                "previousId": previous.partition(":")[2],
                **ids,
                "profile": {
                    "id": profile.id,
                    "version": version,
                    "merged": [previous],
                    "causedBy": caused_by,
                },
                "messageId": f"{profile.id}@{version}+{previous}",
            }
            for previous in merged
        ]
