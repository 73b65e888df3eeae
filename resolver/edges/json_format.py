"""Profiles as JSON messages.

The stable part is encoded once: its digest decides whether anything is sent, and the message is
those same bytes with the revision spliced in, so that nothing is encoded twice.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from resolver.core.profiles import Profile
from resolver.ports import UNTOLD, Announce, Names, Revise, Revision

NONE: Final = b"[]"


class JsonFormatter:
    """Encodes what ``shape`` makes of a profile; its last member must be the object ``profile``.

    ``revise`` is for destinations whose messages say more of a change than the revision does,
    such as the changes alone; ``names`` for those that call traits by names of their own;
    ``announce`` for those that get alias events. Who became part of a profile is in it where
    ``tells_merged``. Where the whole is bounded, ``bounded`` shapes what ``ample_bytes`` do not
    hold: so a payload of the usual size is not measured.
    """

    def __init__(
        self,
        shape: Callable[[Profile], dict[str, Any] | None],
        revise: Revise | None = None,
        names: Names | None = None,
        *,
        announce: Announce | None = None,
        tells_merged: bool = True,
        bounded: Callable[[Profile], dict[str, Any] | None] | None = None,
        ample_bytes: int = 0,
    ) -> None:
        self._shape = shape
        self._revise = revise
        self._names = names
        self._announce = announce
        self._tells_merged = tells_merged
        self._bounded = bounded
        self._ample_bytes = ample_bytes
        self._encode = msgspec.json.Encoder().encode

    def stable(self, profile: Profile) -> bytes | None:
        shaped = self._shape(profile)
        if shaped is None:
            return None
        written = self._written(shaped)
        if self._bounded is None or len(written) <= self._ample_bytes:
            return written
        shaped = self._bounded(profile)
        return None if shaped is None else self._written(shaped)

    def finish(self, stable: bytes, profile: Profile, revision: Revision) -> bytes:
        after = b"}"
        if self._revise is not None:
            payload, more = self._revise(profile, revision.changed, revision.removed)
            stable = stable if payload is None else self._written(payload)
            after = b"," + self._encode(more)[1:] if more else after
        changed, removed = revision.changed, revision.removed
        if self._names is not None:
            changed, removed = self._names(changed), self._names(removed)
        version = str(revision.version).encode()
        merged = self._listed(revision.merged if self._tells_merged else UNTOLD)
        return b"".join(
            (
                stable[:-2],
                b',"version":',
                version,
                b',"merged":',
                merged,
                b',"changed":',
                self._listed(changed),
                b',"removed":',
                self._listed(removed),
                b',"causedBy":',
                self._encode(revision.caused_by),
                b'},"messageId":',
                self._encode(profile.id)[:-1],
                b"@",
                version,
                b'"',
                after,
            )
        )

    def aliases(self, profile: Profile, revision: Revision) -> list[bytes]:
        if self._announce is None:
            return []
        merged, version, caused_by = revision.merged, revision.version, revision.caused_by
        return [self._encode(one) for one in self._announce(profile, merged, version, caused_by)]

    def _listed(self, names: list[str] | None) -> bytes:
        return NONE if names is not None and not names else self._encode(names)

    def _written(self, payload: dict[str, Any]) -> bytes:
        """The payload as JSON; a context that is text already stays as it is."""
        context = payload.get("context")
        if type(context) is bytes:
            payload["context"] = msgspec.Raw(context)
        return self._encode(payload)
