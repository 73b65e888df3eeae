"""The documentation of presets and of the specification, written from the same files and models.

``python -m resolver.destinations.pages docs/destinations`` writes it.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from resolver.core.traits import RESERVED_TRAITS
from resolver.destinations.catalogue import load_preset
from resolver.destinations.plans import Places, Plans
from resolver.destinations.presets import SUFFIX, preset_names
from resolver.destinations.rules import (
    Bound,
    CustomTraits,
    DepthBound,
    FieldRule,
    IdentityRule,
    IdentityRules,
    Limits,
    NameRules,
    ValueRules,
)
from resolver.destinations.spec import AlsoRule, DestinationSpec
from resolver.destinations.vocabulary import MEANINGS, Form, Reason, Removed
from resolver.yaml_text import keys_of

GENERATED = "<!-- written by python -m resolver.destinations.pages docs/destinations -->\n"
SECTIONS: dict[str, type[BaseModel]] = {
    "traits.<trait>": FieldRule,
    "identity": IdentityRules,
    "identity.rules": IdentityRule,
    "also.<field>": AlsoRule,
    "custom": CustomTraits,
    "names": NameRules,
    "values": ValueRules,
    "limits": Limits,
    "limits.name, limits.text, limits.list": Bound,
    "limits.depth": DepthBound,
}
BAR = r"\|"
TOLD = {
    Removed.OMIT: "Its field is no longer there; `profile.removed` names the trait.",
    Removed.AS_NULL: "Its field is null in the message that says so.",
    Removed.AS_EMPTY: 'Its field is "" in the message that says so.',
    Removed.UNSET: "The member `unset` of the message that says so names its field.",
}
INTRODUCTION = """\
# Destinations

A destination is data: a specification under `destinations` in the settings. It starts from a
preset and overrides any part of it; objects are merged key by key, lists and everything else
replaced, and null takes a key of the preset back.

```yaml
destinations:
  - preset: mixpanel
  - preset: customerio
    name: CRM                       # refused and allowed as Customer.io, too
    exclude: [birthday]
    traits:
      plan: subscription_plan       # one more field
    limits: {text: 500}
presets: presets                    # a folder of your own presets, beside this file
```

`resolver destinations list` and `show NAME` print what there is and what is in effect;
`resolver explain NAME FILE` shows what a destination would receive of events, field by field, and
why something was left out. The specification's JSON Schema is
[destination.schema.json](../../schemas/destination.schema.json): editors complete a preset that
begins with `# yaml-language-server: $schema=…`.

## What is sent

Every destination's message is a resolved profile: `traits` holds the destination's own names and
formats, `profile` is as in every other. What is added to that:

| member | is |
|---|---|
| `identity` | the vendor's own ids, where the specification has rules for them |
| `unset` | fields to be removed, where `removed: unset` says so |

Where people become one, the profile's `profile.merged` names whom it took in, and each old key gets
a tombstone, behind the profile. With `on_merge: alias` a user's profile also has an **alias event**
before it for each of them, a record of its own under the same key:

```json
{"type": "alias", "previousId": "0b6e…", "userId": "97980cfea0067", "timestamp": "…",
 "identity": {"$distinct_id": "97980cfea0067"},
 "profile": {"id": "user:97980cfea0067", "version": 7, "merged": ["anon:0b6e…"], "causedBy": "…"},
 "messageId": "user:97980cfea0067@7+anon:0b6e…"}
```

`previousId` is the old identifier without its kind, which `profile.merged` has; `identity` holds
the vendor's ids of the user, where there are rules for them. A reader looks at `type` first: an
alias event is no profile and has no traits. It may be repeated. The profile follows in the same
transaction, so the last record of a key is a profile or a tombstone, also once the topic was
compacted. (With `delivery: at_least_once` a crash may leave an alias event last, as it may leave
an older profile last.) With `on_merge: tombstone` `profile.merged` is empty: nothing but the
tombstones tells of a merge.

What a destination cannot take is left out, counted (`resolver_left_out_total`, by destination and
reason), and never keeps the rest back. `profile.changed` and `profile.removed` speak of traits by
their own names. In Avro the named fields are typed, in a record `fields`; everything else is in
`traits`. `resolver destinations show NAME --avro` prints the contract. A field added to the
specification is a compatible change. An alias event is a record of the same contract.

`limits.payload_bytes` bounds the whole: `traits` and `identity` together as compact JSON in UTF-8,
also where the topic is Avro; what a sender puts around them does not count. Beyond it custom traits
are left out, then fields of their own, the largest first and equal ones by name, until the rest
fits. Ids and what `requires` names stay; where these alone are too large, the profile is not sent.

The record's key, `profile.id`, `profile.merged` and `previousId` are the resolver's own
identifiers, also where `hash` or `emails` keep an address from the payload; `email_user_id` says
what becomes of people whose userId is one.
A part of an object that is gone while the trait stays (a street without its city) is not told as
removed, and of a flattened object only the trait's own name is.
"""


def pages() -> dict[str, str]:
    """Every page by file name."""
    presets = {name: load_preset(name) for name in preset_names()}
    return {"README.md": index(presets)} | {
        f"{name}.md": page(name, spec) for name, spec in presets.items()
    }


def index(presets: dict[str, DestinationSpec]) -> str:
    """What a specification may say, and which presets there are."""
    rows = [f"| [{name}]({name}.md) | {spec.name} |" for name, spec in presets.items()]
    reasons = [f"| `{reason}` | {MEANINGS[reason]} |" for reason in Reason]
    parts = [
        GENERATED + INTRODUCTION,
        "## Presets\n\n" + table("preset", "destination", rows=rows),
        "## Why something is left out\n\n" + table("reason", "means", rows=reasons),
        "## The specification\n\n" + reference(DestinationSpec),
    ]
    for title, model in SECTIONS.items():
        parts.append(f"### `{title}`\n\n{str(model.__doc__).strip()}\n\n{reference(model)}")
    return "\n".join(parts)


def reference(model: type[BaseModel]) -> str:
    """The keys of a section."""
    rows = []
    for key, field in zip(keys_of(model), model.model_fields.values(), strict=True):
        choices = [f"`{one}`" for one in values_of(field.annotation)]
        said = " ".join(
            [field.description or "", *([f"One of {', '.join(choices)}."] * bool(choices))]
        )
        rows.append(f"| `{key}` | {said.strip().replace('|', BAR)} |")
    return table("key", "says", rows=rows)


def values_of(annotation: Any) -> Iterator[str]:
    """The words of a closed set."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield from (one.value for one in annotation)
    elif getattr(annotation, "__origin__", None) is tuple:
        yield from values_of(annotation.__args__[0])


def page(name: str, spec: DestinationSpec) -> str:
    """What one preset does, in words and tables, and its file."""
    parts = [
        f"{GENERATED}# {spec.name}\n\n{spec.about}\n",
        f"```yaml\ndestinations:\n  - preset: {name}\n```\n",
        "## Who\n\n" + who(spec),
        "## Reserved traits\n\n" + table("trait", "field", "form", rows=reserved(spec)),
        "## Other traits\n\n" + others(spec),
    ]
    if spec.choices:
        rows = [f"| {one.about} | {one.chosen} | {one.because} |" for one in spec.choices]
        parts.append(
            "## Where sources disagree\n\n" + table("about", "chosen", "because", rows=rows)
        )
    text = resources.files(__package__).joinpath("presets", name + SUFFIX).read_text("utf-8")
    parts.append(f"## The preset\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def who(spec: DestinationSpec) -> str:
    """Ids, consent, and who is not sent."""
    names = ", ".join(f"`{one}`" for one in (spec.name, *spec.aliases))
    lines = [f"* In `integrations`: {names}; case and punctuation do not matter."]
    if spec.opt_in:
        lines.append("* Off unless an event names it.")
    for rule in spec.identity.rules:
        forms = [*(one.value for one in rule.form), *([rule.hash.value] if rule.hash else [])]
        form = f", as {', '.join(forms)}" if forms else ""
        lines.append(f"* `identity.{rule.to}` is the {rule.source}{form}.")
    lines += [f"* Not sent without {stated}." for stated in map(_quoted, spec.requires)]
    lines.append(
        f"* Anonymous people: {spec.anonymous}. A userId that is an e-mail address:"
        f" {spec.email_user_id}. When people merge: {spec.on_merge}."
    )
    return "\n".join(lines) + "\n"


def reserved(spec: DestinationSpec) -> Iterator[str]:
    """A row for every reserved trait, and one for each of its parts that has a field."""
    places = Places()
    plans = Plans(spec, places, Counter())
    for trait in sorted(RESERVED_TRAITS):
        rule = spec.traits.get(trait, FieldRule())
        if rule.parts:
            for inner, part in rule.parts.items():
                yield _row(f"{trait}.{inner}", list(part.to), part, spec.hash.get(trait))
            if not rule.to:
                continue
        fields = [".".join((*places.paths[at], name)) for at, name in plans.targets(trait)]
        fields = list(rule.to) if rule.parts else fields
        label = f"{trait} as text" if rule.parts else trait
        yield _row(label, [] if rule.drop else fields, rule, spec.hash.get(trait))


def _row(label: str, fields: list[str], rule: FieldRule, hashed: Any) -> str:
    forms = [one.value for one in rule.form if one is not Form.KEEP]
    forms += [hashed.value] if hashed else []
    forms += [f"at most {rule.max} characters"] if rule.max else []
    shown = ", ".join(f"`{one}`" for one in fields) or "left out"
    return f"| {label} | {shown} | {', '.join(forms) if fields else ''} |"


def others(spec: DestinationSpec) -> str:
    """Where custom traits go, and what may be there."""
    if spec.custom.drop:
        return "Left out, but for those that you name under `traits`.\n"
    into = f"In `{spec.custom.into}`" if spec.custom.into else "Beside the others"
    wrap = f", each as `{{{spec.custom.wrap}: …}}`" if spec.custom.wrap else ""
    lines = [f"{into}{wrap}, names in {spec.case} case.", "", f"* Removed: {TOLD[spec.removed]}"]
    for title, section in (("Names", spec.names), ("Values", spec.values), ("Limits", spec.limits)):
        stated = section.model_dump(mode="json", exclude_defaults=True)
        lines += [f"* {title}: {name} {_said(value)}." for name, value in stated.items()]
    return "\n".join(lines) + "\n"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value}`"


def _quoted(stated: str) -> str:
    return " or ".join(f"`{one.strip()}`" for one in stated.split("|"))


def table(*heads: str, rows: Any) -> str:
    """A Markdown table."""
    head = f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    return head + "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Writes every page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
