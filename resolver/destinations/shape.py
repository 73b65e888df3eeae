"""A profile in the form one destination takes: compiled once, then a pure function.

A payload is the envelope that all destinations share, with the destination's own names and
formats in ``traits`` and the vendor's ids in ``identity``. What a destination cannot take is left
out and counted by its reason; it never keeps the rest of a profile back.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

from resolver.core.profiles import NO_CONTEXT, Profile
from resolver.destinations.derive import Deriver
from resolver.destinations.forms import converter_of
from resolver.destinations.identity import Identity, reader_of
from resolver.destinations.plans import NAMES_REMEMBERED, Places, Plans, Spread
from resolver.destinations.room import LONGER_MAX, Fields, Path, room_of, without
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import (
    Anonymous,
    Emails,
    EmailUserId,
    Form,
    Hash,
    Payload,
    Reason,
    Removed,
)

NO_IDS: Final[dict[str, Any]] = {}


class Shape:
    """What a destination is sent; deterministic, so that equal profiles are equal bytes.

    ``left_out`` counts, by reason, what was left out or cut since it was last cleared;
    ``crowded_out`` are the fields for which the last payload had no room.
    """

    def __init__(self, spec: DestinationSpec) -> None:
        self.spec = spec
        self.left_out: Counter[Reason] = Counter()
        self._places = Places()
        self._plans = Plans(spec, self._places, self.left_out)
        self._identity = Identity(spec) if spec.identity.rules else None
        self._deriver = Deriver(spec) if spec.derive else None
        self._requires = [_requirement(stated) for stated in spec.requires]
        self._also = [
            (*self._places.target(path), reader_of(rule.source, spec), converter_of((rule.form,)))
            for path, rule in spec.also.items()
        ]
        self._defaults = [(self._places.target(path), at) for path, at in spec.defaults.items()]
        self._told: dict[str, list[str]] = {}
        self._parents = self._places.parents()
        self._count = len(self._places.paths)
        self._bound = spec.limits.traits
        self._as_it_is = _is_plain(spec)
        self._emails = _addresses(spec)
        self._sends_context = spec.context == "send"
        named = {*self._plans.mapped, *(one[:2] for one in self._also)}
        named |= {target for target, _ in self._defaults}
        self._room = room_of(spec, self._places, named)
        self.crowded_out: list[Path] = []

    @property
    def revises(self) -> bool:
        """Whether ``revise`` says anything that the stable payload does not."""
        spec = self.spec
        return spec.payload is Payload.CHANGES or spec.removed is not Removed.OMIT

    @property
    def ample_bytes(self) -> int | None:
        """How long a message may be that needs no look at the bound; None where there is none."""
        return None if self._room is None else self._room.most // LONGER_MAX

    @property
    def renames(self) -> bool:
        """Whether ``names`` says anything but what it is given."""
        return not self._as_it_is

    def names(self, traits: list[str] | None) -> list[str] | None:
        """The dotted paths of the fields that traits fill here; those left out have none."""
        if traits is None:
            return None
        told = self._told
        if len(told) > NAMES_REMEMBERED:
            told.clear()
        for trait in traits:
            if trait not in told:
                targets = self._plans.targets(trait)
                told[trait] = [".".join((*self._places.paths[at], one)) for at, one in targets]
        if len(traits) == 1:
            return told[traits[0]]
        return sorted({path for trait in traits for path in told[trait]})

    def shape(self, profile: Profile) -> dict[str, Any] | None:
        """The stable payload, ``profile`` its last member; None: this one is not sent."""
        return self._shape(profile, None)

    def draft(self, profile: Profile) -> dict[str, Any] | None:
        """The same without the bound on the whole. For who has ``ample_bytes``: where a message in
        JSON is no longer than those, ``shape`` says nothing else.
        """
        return self._shape(profile, None, bounded=False)

    def revise(
        self,
        profile: Profile,
        changed: Collection[str] | None,
        removed: Collection[str] | None,
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """What a message says of its change: the payload, where it is not the stable one, and
        members that follow ``profile``. For profiles that ``shape`` makes a payload of.
        """
        spec, payload = self.spec, None
        after: dict[str, Any] = {}
        gone = removed if removed and spec.removed is not Removed.OMIT else ()
        told = self._fields_of(gone)
        if spec.payload is Payload.CHANGES and changed is not None:
            payload = self._shape(profile, set(changed))
        elif told and spec.removed in (Removed.AS_NULL, Removed.AS_EMPTY):
            payload = self._shape(profile, None)
        if told and spec.removed is Removed.UNSET:
            after["unset"] = [".".join((*self._places.paths[at], name)) for at, name in told]
        elif told and payload is not None:
            traits = self._telling_removed(payload["traits"], told)
            payload["traits"] = self._with_room(traits, payload, told, changed)
        return payload, after

    def _shape(
        self, profile: Profile, only: set[str] | None, *, bounded: bool = True
    ) -> dict[str, Any] | None:
        spec, user_id, traits = self.spec, profile.user_id, profile.traits
        if user_id is None and spec.anonymous is Anonymous.DROP:
            self.left_out[Reason.ANONYMOUS] += 1
            return None
        if profile.id[0] == "e" and spec.email_user_id is not EmailUserId.SEND:
            if spec.email_user_id is EmailUserId.DROP:
                self.left_out[Reason.EMAIL_USER_ID] += 1
                return None
            traits = {"email": user_id, **traits}
            user_id = None
            only = only | {"email"} if only is not None else None
        sent = self.fields(profile, traits)
        identity = self._identity.of(profile, traits) if self._identity is not None else NO_IDS
        for has in self._requires:
            if not has(sent, identity):
                self.left_out[Reason.REQUIRED] += 1
                return None
        if bounded and self._room is not None:
            fitted = self._fitted(sent, identity)
            if fitted is None:
                return None
            sent = fitted
        if only is not None:
            sent = self._changed(profile, traits, only, identity)
        last_seen = profile.last_seen_at
        payload: dict[str, Any] = {
            "type": "identify",
            "timestamp": last_seen,
            "userId": user_id,
            "anonymousId": profile.anonymous_id,
            "traits": sent,
            "context": profile.context if self._sends_context else NO_CONTEXT,
            "integrations": {spec.name: self._options(profile)},
        }
        if self._identity is not None:
            payload["identity"] = identity
        emails = profile.emails
        payload["profile"] = {
            "id": profile.id,
            "firstSeenAt": profile.first_seen_at,
            "lastSeenAt": last_seen,
            "anonymousIds": profile.anonymous_ids,
            "emails": emails if self._emails is None else self._emails(emails),
        }
        return payload

    def fields(
        self, profile: Profile, traits: dict[str, Any], only: Collection[str] | None = None
    ) -> Fields:
        """The traits in the destination's names and formats; ``only`` names those to be sent."""
        if self._deriver is not None:
            traits = self._deriver.completed(traits)
        if only is not None:
            sources = self._deriver.with_derived(only) if self._deriver is not None else only
            traits = {name: value for name, value in traits.items() if name in sources}
        if self._as_it_is:
            return traits
        holders = self._placed(traits)
        if self._also or (self._defaults and only is None):
            self._complement(holders, profile, traits)
        if self._bound is not None and len(holders[self._plans.bucket]) > self._bound:
            self._reduce(holders[self._plans.bucket], self._bound)
        for number, parent, name in self._parents:
            if holders[number]:
                if name in holders[parent]:
                    self.left_out[Reason.NAME_TAKEN] += 1
                holders[parent][name] = holders[number]
        return holders[0]

    def _changed(
        self, profile: Profile, traits: dict[str, Any], only: Collection[str], identity: Fields
    ) -> Fields:
        """The fields of what changed, but for those that the whole payload has no room for: it
        would not be told of the next change of theirs.
        """
        sent = self.fields(profile, traits, only)
        if self._room is None:
            return sent
        if self.crowded_out:
            sent = without(sent, self.crowded_out)
        return self._fitted(sent, identity) or {}

    def _with_room(
        self,
        traits: Fields,
        payload: dict[str, Any],
        told: list[tuple[int, str]],
        changed: Collection[str] | None,
    ) -> Fields:
        """Fields that tell of removed traits, held to the payload's bound; news goes last."""
        if self._room is None:
            return traits
        news = [*told, *self._fields_of(changed or ())]
        spared = {(*self._places.paths[at], name) for at, name in news}
        return self._fitted(traits, payload.get("identity", NO_IDS), spared) or {}

    def _fitted(
        self, sent: Fields, identity: Fields, spared: Collection[Path] = ()
    ) -> Fields | None:
        """The fields that there is room for; None where there is none for what must stay."""
        room = self._room
        assert room is not None
        going = room.surplus(sent, identity if self._identity is not None else None, spared)
        if going is None:
            self.left_out[Reason.PAYLOAD_TOO_LARGE] += 1
            return None
        self.crowded_out = going
        if not going:
            return sent
        self.left_out[Reason.NO_ROOM] += len(going)
        return without(sent, going)

    def trace(self, trait: str, value: Any) -> list[tuple[tuple[str, ...], Any]]:
        """Every field that a trait alone would fill, by its path: its value, or why it is not."""
        place, name, convert, _ = self._plans.plan(trait)
        made = value if convert is None else convert(value)
        fields = made.fields if type(made) is Spread else [(place, name, made)]
        return [((*self._places.paths[at], one), inner) for at, one, inner in fields]

    def _placed(self, traits: dict[str, Any]) -> list[Fields]:
        """Every trait in its object, under its name there."""
        known, make = self._plans.plans, self._plans.plan
        left_out = self.left_out
        holders: list[Fields] = [{} for _ in range(self._count)]
        for trait, value in traits.items():
            place, name, convert, _ = known.get(trait) or make(trait)
            if convert is not None:
                value = convert(value)
                kind = type(value)
                if kind is Reason:
                    left_out[value] += 1
                    continue
                if kind is Spread:
                    self._spread(holders, trait, value.fields)
                    continue
            holder = holders[place]
            if name in holder and self._loses(trait, place, name):
                continue
            holder[name] = value
        return holders

    def _spread(
        self, holders: list[Fields], trait: str, fields: list[tuple[int, str, Any]]
    ) -> None:
        """Places several fields of one trait, or counts why there is none."""
        for place, name, value in fields:
            if type(value) is Reason:
                self.left_out[value] += 1
            elif name not in holders[place] or not self._loses(trait, place, name):
                holders[place][name] = value

    def _loses(self, trait: str, place: int, name: str) -> bool:
        """Whether a trait must leave a field to whom it belongs; the later of equals has it."""
        self.left_out[Reason.NAME_TAKEN] += 1
        mapped = (place, name) in self._plans.mapped
        return mapped and (place, name) not in self._plans.fixed.get(trait, ())

    def _complement(self, holders: list[Fields], profile: Profile, traits: dict[str, Any]) -> None:
        """What is no trait, and defaults."""
        for place, name, read, convert in self._also:
            value = read(profile, traits)
            if value is not None and convert is not None:
                value = convert(value)
            if value is not None and type(value) is not Reason:
                holders[place][name] = value
        for (place, name), value in self._defaults:
            holders[place].setdefault(name, value)

    def _reduce(self, bucket: Fields, bound: int) -> None:
        """Leaves out the last custom names beyond the limit."""
        own = {name for place, name in self._plans.mapped if place == self._plans.bucket}
        surplus = [name for name in sorted(bucket) if name not in own][bound - len(bucket) :]
        self.left_out[Reason.TOO_MANY] += len(surplus)
        for name in surplus:
            del bucket[name]

    def _fields_of(self, names: Collection[str]) -> list[tuple[int, str]]:
        """The fields of traits, in order of the traits' names."""
        return [target for name in sorted(names) for target in self._plans.targets(name)]

    def _telling_removed(self, sent: Fields, told: list[tuple[int, str]]) -> Fields:
        """The fields with those of removed traits; what is sent as it is belongs to the profile."""
        traits = dict(sent)
        for place, name in told:
            holder = traits
            for inner in self._places.paths[place]:
                holder = holder.setdefault(inner, {})
            holder.setdefault(name, None if self.spec.removed is Removed.AS_NULL else "")
        return traits

    def _options(self, profile: Profile) -> Any:
        if profile.options:
            keys = self.spec.keys
            for key in reversed(profile.options):
                if key in keys:
                    return profile.options[key]
        return {}


def _is_plain(spec: DestinationSpec) -> bool:
    """Whether traits are sent just as they are."""
    return spec.differs_only_in(INDIFFERENT)


INDIFFERENT: Final = (
    *(
        "name",
        "preset",
        "about",
        "choices",
        "aliases",
        "topic",
        "format",
        "anonymous",
        "email_user_id",
    ),
    *("opt_in", "payload", "identity", "requires", "removed", "emails", "context", "on_merge"),
)
"""What of a specification says nothing about traits."""


def _addresses(spec: DestinationSpec) -> Any:
    """What becomes of the profile's addresses; None where they are sent."""
    if spec.emails is Emails.DROP:
        return lambda _: []
    hashed = Hash.SHA256 if spec.emails is Emails.SHA256 else spec.hash.get("email")
    if hashed is None:
        return None
    change = converter_of((Form.LOWER,), hashed)
    return lambda emails: [change(one) for one in emails] if change else emails


def _requirement(stated: str) -> Callable[[Fields, Fields], Any]:
    """Whether traits and identity have one of the fields that are alternatives."""
    paths = [one.strip().split(".") for one in stated.split("|")]
    if all(len(path) == 2 for path in paths):
        of_identity = [path[1] for path in paths if path[0] == "identity"]
        of_traits = [path[1] for path in paths if path[0] == "traits"]

        def has(sent: Fields, identity: Fields) -> Any:
            for name in of_identity:
                if identity.get(name):
                    return True
            return any(map(sent.get, of_traits))

        return has
    return lambda sent, identity: any(
        _at({"identity": identity, "traits": sent}, path) for path in paths
    )


def _at(sections: Fields, path: list[str]) -> Any:
    value: Any = sections
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
