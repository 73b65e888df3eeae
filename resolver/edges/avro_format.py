"""Profiles as Avro messages.

A record's bytes are those of its fields in order, and the contract has what a revision says last:
the stable part is encoded once, compared by its digest, and the rest is appended.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from resolver.core.profiles import Profile
from resolver.ports import UNTOLD, Announce, Names, Revise, Revision

FIRST_OF_REVISION = "version"


class Part(Protocol):
    """A contract that turns payloads into bare Avro."""

    def write(self, payload: Mapping[str, Any]) -> bytes:
        """The same for payloads that are equal; raises BadEvent where a field does not fit."""


def split_contract(text: str) -> tuple[str, str]:
    """The contract ``resolved_profile`` as two: what is stable, and what a revision says.

    The bytes of the one followed by those of the other are the bytes of the whole.
    """
    whole = json.loads(text)
    names = [field["name"] for field in whole["fields"]]
    at = names.index("profile")
    section = whole["fields"][at]["type"]
    inner = [field["name"] for field in section["fields"]].index(FIRST_OF_REVISION)
    last = section["fields"][inner:] + whole["fields"][at + 1 :]
    stable = section | {"fields": section["fields"][:inner]}
    first = [*whole["fields"][:at], {"name": "profile", "type": stable}]
    revision = {"type": "record", "name": "Revision", "namespace": whole["namespace"]}
    return json.dumps(whole | {"fields": first}), json.dumps(revision | {"fields": last})


class AvroFormatter:
    """Encodes what ``shape`` makes of a profile, for one destination."""

    def __init__(
        self,
        shape: Callable[[Profile], dict[str, Any] | None],
        head: Callable[[], bytes],
        stable: Part,
        revision: Part,
        revise: Revise | None = None,
        names: Names | None = None,
        *,
        whole: Part | None = None,
        announce: Announce | None = None,
        tells_merged: bool = True,
    ) -> None:
        """``head`` is what stands before each record: a codec's; ``whole`` the contract in one
        part, where there are alias events; the rest as for JSON.
        """
        self._shape = shape
        self.head = head
        self._stable = stable
        self._revision = revision
        self._revise = revise
        self._names = names
        self._whole = whole
        self._announce = announce
        self._tells_merged = tells_merged
        self._read = msgspec.json.Decoder().decode

    def stable(self, profile: Profile) -> bytes | None:
        """Equal for equal payloads, whatever order their keys came in."""
        shaped = self._shape(profile)
        return None if shaped is None else self._write(shaped)

    def finish(self, stable: bytes, profile: Profile, revision: Revision) -> bytes:
        """The message: head, stable part, revision."""
        changed, removed = revision.changed, revision.removed
        if self._names is not None:
            changed, removed = self._names(changed), self._names(removed)
        said: dict[str, Any] = {
            "version": revision.version,
            "merged": revision.merged if self._tells_merged else UNTOLD,
            "changed": changed,
            "removed": removed,
            "causedBy": revision.caused_by,
            "messageId": f"{profile.id}@{revision.version}",
        }
        if self._revise is not None:
            payload, more = self._revise(profile, revision.changed, revision.removed)
            stable = stable if payload is None else self._write(payload)
            said |= more
        return self.head() + stable + self._revision.write(said)

    def aliases(self, profile: Profile, revision: Revision) -> list[bytes]:
        """Records of the same contract, so that one topic has one schema."""
        if self._announce is None or self._whole is None:
            return []
        merged, version, caused_by = revision.merged, revision.version, revision.caused_by
        return [
            self.head() + self._whole.write(one)
            for one in self._announce(profile, merged, version, caused_by)
        ]

    def _write(self, payload: dict[str, Any]) -> bytes:
        context = payload.get("context")
        if type(context) is bytes:
            payload["context"] = self._context(context)
        return self._stable.write(payload)

    def _context(self, text: bytes) -> Any:
        """The object; what msgspec refuses is a number beyond all doubles, which is infinite."""
        try:
            return self._read(text)
        except msgspec.DecodeError:
            return json.loads(text)
