"""Profiles as JSON messages.

The stable part is encoded once: its digest decides whether anything is sent, and the message is
those same bytes with the revision spliced in, so that nothing is encoded twice.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from resolver.core.profiles import Profile
from resolver.ports import Revision


class JsonFormatter:
    """Encodes what ``shape`` makes of a profile; its last member must be the object ``profile``.

    With ``changes_only`` a message carries the traits that changed; all of them where what was
    sent before is not known. ``removed`` names the traits that are gone.
    """

    def __init__(
        self, shape: Callable[[Profile], dict[str, Any] | None], *, changes_only: bool = False
    ) -> None:
        self._shape = shape
        self._changes_only = changes_only
        self._encode = msgspec.json.Encoder().encode

    def stable(self, profile: Profile) -> bytes | None:
        shaped = self._shape(profile)
        if shaped is None:
            return None
        context = shaped.get("context")
        if type(context) is bytes:
            shaped["context"] = msgspec.Raw(context)
        return self._encode(shaped)

    def finish(self, stable: bytes, profile: Profile, revision: Revision) -> bytes:
        if self._changes_only and revision.changed is not None:
            traits = {name: profile.traits[name] for name in revision.changed}
            stable = self.stable(profile.with_traits(traits)) or stable
        spliced = self._encode(
            {
                "version": revision.version,
                "merged": revision.merged,
                "changed": revision.changed,
                "removed": revision.removed,
                "causedBy": revision.caused_by,
            }
        )
        message_id = self._encode(f"{profile.id}@{revision.version}")
        return b"".join((stable[:-2], b",", spliced[1:-1], b'},"messageId":', message_id, b"}"))
