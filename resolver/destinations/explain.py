"""Why a destination receives what it receives: field by field, in words."""

from typing import Any, NamedTuple

from resolver.core.profiles import Profile
from resolver.destinations.aliases import Aliases
from resolver.destinations.derive import Deriver
from resolver.destinations.room import Path
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import MEANINGS, Form, OnMerge, Reason

WITHHELD = "the events that say it keep it from this destination"
EARLIER = "an earlier value: the events that say the latest keep it from this destination"
AHEAD = "in an alias event before the profile: {whom} is part of it"
NOBODY = "no event about this profile may be seen by this destination"


class Line(NamedTuple):
    """One field. Nothing is sent where ``field`` is empty; ``trait`` is empty for what is none."""

    trait: str
    field: str
    value: Any
    why: str


class Explained(NamedTuple):
    """One profile: what the destination receives, if anything, and why."""

    profile: str
    sent: bool
    why: str
    lines: list[Line]


def explain(spec: DestinationSpec, whole: Profile, seen: Profile | None) -> Explained:
    """From the profile as it is, and as the destination may see it."""
    if seen is None:
        return Explained(whole.id, False, NOBODY, [])
    shape = Shape(spec)
    payload = shape.shape(seen)
    why = "" if payload is not None else MEANINGS[_refusal(shape)]
    sent = payload["traits"] if payload is not None else None
    traits = Deriver(spec).completed(seen.traits)
    lines: list[Line] = []
    for trait in sorted(traits.keys() | whole.traits.keys()):
        if trait not in traits:
            lines.append(Line(trait, "", None, WITHHELD))
            continue
        remarks = _remarks(spec, trait, whole, seen)
        lines += _traced(shape, trait, traits[trait], sent, remarks)
    if payload is not None:
        lines += _others(spec, payload, {line.field for line in lines}, shape.crowded_out)
        lines += _aliases(spec, seen)
    return Explained(whole.id, payload is not None, why, lines)


def _refusal(shape: Shape) -> Reason:
    """Why a whole profile was refused: the only such reason that was counted."""
    refusals = (
        *(Reason.ANONYMOUS, Reason.EMAIL_USER_ID),
        *(Reason.REQUIRED, Reason.PAYLOAD_TOO_LARGE),
    )
    return next(one for one in refusals if shape.left_out[one])


def _remarks(spec: DestinationSpec, trait: str, whole: Profile, seen: Profile) -> list[str]:
    """What there is to say of a trait before it is shaped."""
    if trait not in seen.traits:
        return [f"made by {spec.derive[trait].value}"]
    if trait in whole.traits and whole.traits[trait] != seen.traits[trait]:
        return [EARLIER]
    return []


def _traced(
    shape: Shape, trait: str, value: Any, sent: dict[str, Any] | None, remarks: list[str]
) -> list[Line]:
    """The fields of one trait."""
    lines = []
    before = shape.left_out.copy()
    crowded_out = shape.crowded_out
    for path, made in shape.trace(trait, value):
        if type(made) is Reason:
            of_part = f"{path[-1]}: " if path[-1] and type(value) is dict else ""
            lines.append(Line(trait, "", None, of_part + MEANINGS[made]))
            continue
        notes = [*remarks, *_changes(shape.spec, trait, path, value, made)]
        for reason in shape.left_out.keys() - {None}:
            if shape.left_out[reason] > before[reason]:
                notes.append(MEANINGS[reason])
        lost = sent is not None and _lost(sent, path, made, crowded_out)
        if lost:
            lines.append(Line(trait, "", None, MEANINGS[lost]))
        else:
            lines.append(Line(trait, ".".join(path), made, "; ".join(notes)))
    return lines


def _changes(
    spec: DestinationSpec, trait: str, path: tuple[str, ...], value: Any, made: Any
) -> list[str]:
    """What was done to a trait's name and value."""
    notes = []
    if path[-1] != trait:
        notes.append("in its own field" if trait in spec.traits else "renamed")
    if made != value and type(value) is not dict:
        rule = spec.traits.get(trait)
        forms = [one.value for one in rule.form if one is not Form.KEEP] if rule else []
        hashed = [spec.hash[trait].value] if trait in spec.hash else []
        steps = ", ".join(forms + hashed)
        notes.append(f"as {steps}" if steps else "converted")
    return notes


def _lost(
    sent: dict[str, Any], path: tuple[str, ...], made: Any, crowded_out: list[Path]
) -> Reason | None:
    """Why a field that was shaped is not in the payload after all."""
    if path in crowded_out:
        return Reason.NO_ROOM
    holder: Any = sent
    for name in path[:-1]:
        holder = holder.get(name, {}) if isinstance(holder, dict) else {}
    if not isinstance(holder, dict) or path[-1] not in holder:
        return Reason.TOO_MANY
    return None if holder[path[-1]] == made else Reason.NAME_TAKEN


def _others(
    spec: DestinationSpec, payload: dict[str, Any], told: set[str], crowded_out: list[Path]
) -> list[Line]:
    """Ids, and fields that no trait fills."""
    lines = [
        Line("", f"identity.{name}", value, "an id")
        for name, value in payload.get("identity", {}).items()
    ]
    for path, rule in spec.also.items():
        value = _at(payload["traits"], path)
        if value is not None:
            lines.append(Line("", path, value, f"of the profile: {rule.source}"))
    for path in spec.defaults:
        if path not in told and tuple(path.split(".")) not in crowded_out:
            lines.append(Line("", path, _at(payload["traits"], path), "the default"))
    return lines


def _aliases(spec: DestinationSpec, seen: Profile) -> list[Line]:
    """The alias events that go before the profile, where the destination gets any."""
    if spec.on_merge is not OnMerge.ALIAS:
        return []
    events = Aliases(spec).of(seen, seen.merged, 0, "")
    told = [(one["previousId"], one["profile"]["merged"][0]) for one in events]
    return [Line("", "previousId", value, AHEAD.format(whom=whom)) for value, whom in told]


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
