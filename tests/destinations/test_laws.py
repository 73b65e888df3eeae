"""Laws of every destination, for arbitrary traits and histories."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.batch import fold_batch
from resolver.core.consent import Audience
from resolver.core.events import Reading
from resolver.core.profiles import Profile, project
from resolver.core.traits import RESERVED_TRAITS, normalise_traits
from resolver.destinations.catalogue import load_preset
from resolver.destinations.names import length
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.json_format import JsonFormatter
from resolver.offline import settle
from resolver.ports import Revision
from tests.core.people import messages
from tests.destinations.profiles import person

SPECS = {name: load_preset(name) for name in preset_names()}
NAMES = (
    st.sampled_from(sorted(RESERVED_TRAITS))
    | st.text(min_size=1, max_size=12)
    | st.sampled_from(
        ["$email", "external_id", "user_id", "order", "ga_x", "Plan Name", "plan.name", "x" * 300]
    )
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["2019-08-24T14:15:22Z", "1990-05-01", "20190824", "y" * 1500, "ä" * 300, "+49 221 123456"]
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15) | TEXTS
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
TRAITS = st.dictionaries(NAMES, VALUES, max_size=12)


def profile_of(stated: dict[str, Any]) -> Profile:
    """Somebody with these traits as the resolver keeps them, and enough to be sent anywhere."""
    traits, _ = normalise_traits({"email": "a@x.io", "name": "Ann Lee", **stated}, {})
    return person({name: value for name, value in traits.items() if value is not None})


@pytest.mark.parametrize("preset", preset_names())
@settings(max_examples=40, deadline=None)
@given(stated=TRAITS)
def test_a_profile_shaped_twice_is_byte_for_byte_the_same(
    preset: str, stated: dict[str, Any]
) -> None:
    """A digest of these bytes decides whether anything is sent."""
    profile = profile_of(stated)
    once, again = Shape(SPECS[preset]), Shape(SPECS[preset])

    first = JsonFormatter(once.shape).stable(profile)

    assert first == JsonFormatter(once.shape).stable(profile)
    assert first == JsonFormatter(again.shape).stable(profile)


@pytest.mark.parametrize("preset", preset_names())
@settings(max_examples=40, deadline=None)
@given(stated=TRAITS)
def test_custom_traits_obey_the_limits(preset: str, stated: dict[str, Any]) -> None:
    """One value beyond a limit costs a request, or the values of everybody in it."""
    spec = SPECS[preset]
    payload = Shape(spec).shape(profile_of(stated))
    if payload is None:
        return
    bucket = payload["traits"]
    for name in filter(None, spec.custom.into.split(".")):
        bucket = bucket.get(name, {})
    fields = {path.rpartition(".")[2] for rule in spec.traits.values() for path in rule.to}
    fields |= {
        path.rpartition(".")[2]
        for rule in spec.traits.values()
        for one in rule.parts.values()
        for path in one.to
    }
    custom = {name: value for name, value in bucket.items() if name not in fields | set(spec.also)}

    limits = spec.limits
    for text in texts_in(payload["traits"]) if not spec.hash else ():
        assert limits.text is None or length(text, limits.text.unit) <= limits.text.max
    assert limits.traits is None or len(bucket) <= limits.traits
    for name, value in custom.items():
        assert limits.name is None or length(name, limits.name.unit) <= limits.name.max
        value = value.get("value") if spec.custom.wrap else value
        for text in texts_in(value):
            assert limits.text is None or length(text, limits.text.unit) <= limits.text.max
        assert limits.depth is None or depth(value) <= limits.depth.max
        if spec.values.list != "keep":
            assert not isinstance(value, list)
        if spec.values.object != "keep":
            assert not isinstance(value, dict)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("payload", ["full", "changes"])
@settings(max_examples=20, deadline=None)
@given(stated=TRAITS, removed=st.lists(NAMES, max_size=3))
def test_every_message_is_the_envelope_whatever_changed(
    preset: str, payload: str, stated: dict[str, Any], removed: list[str]
) -> None:
    """What a revision adds is spliced into bytes; a misplaced brace would break every reader."""
    shape = Shape(SPECS[preset].model_copy(update={"payload": payload}))
    formatter = JsonFormatter(shape.shape, shape.revise if shape.revises else None)
    profile = profile_of(stated)
    stable = formatter.stable(profile)
    if stable is None:
        return
    gone = [name for name in removed if name not in profile.traits]
    revision = Revision(7, ["anon:z"], sorted(profile.traits)[:2], gone, "m")

    sent = json.loads(formatter.finish(stable, profile, revision))

    whole = json.loads(stable)
    assert sent["profile"] | {"id": profile.id, "version": 7, "removed": gone} == sent["profile"]
    assert {name: sent[name] for name in whole if name not in ("traits", "profile")} == {
        name: whole[name] for name in whole if name not in ("traits", "profile")
    }
    assert sent.keys() - whole.keys() <= {"messageId", "unset"}


def texts_in(value: Any) -> list[str]:
    """Every text in a value, its keys left out."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts_in(one)]


def depth(value: Any) -> int:
    """How deep a value nests."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0)


SECRET = "only-for-others"
IDS = st.sampled_from(
    [
        {"anonymousId": "a"},
        {"userId": "u"},
        {"anonymousId": "a", "userId": "u"},
        {"userId": "e@x.io"},
        {"anonymousId": "b", "userId": "e@x.io"},
    ]
)
EVENTS = st.lists(
    st.tuples(IDS, st.sampled_from(["plan", "email", "name", "address", "company"]), st.booleans()),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("preset", preset_names())
@settings(max_examples=30, deadline=None)
@given(history=EVENTS)
def test_what_a_sender_keeps_from_a_destination_is_in_no_payload_of_it(
    preset: str, history: list[tuple[dict[str, str], str, bool]]
) -> None:
    """Consent must survive merges, derived traits, ids and every mapping."""
    spec = SPECS[preset]
    events = []
    for number, (ids, trait, kept) in enumerate(history):
        said = SECRET if kept else "open"
        value = {"city": said, "name": said} if trait in ("address", "company") else said
        value = f"{said}@x.io" if trait == "email" else value
        integrations = {spec.name: not kept}
        events.append(
            {
                "type": "identify",
                **ids,
                "traits": {trait: value, "n": number},
                "integrations": integrations,
            }
        )
    reading = Reading()
    records = settle(fold_batch(messages(events), JsonDecoder(), reading), reading)
    shape = Shape(spec)

    for key, record in records.items():
        seen = project(record, key, Audience(spec.keys, spec.opt_in), reading.policy)
        payload = None if seen is None else shape.shape(seen)

        assert SECRET not in str(payload)
