"""The bound on a whole payload: what goes first, what never goes, and what it is told as."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.core.profiles import Profile
from resolver.destinations.catalogue import load_preset
from resolver.destinations.explain import explain
from resolver.destinations.presets import preset_names
from resolver.destinations.room import most_bytes, size_of
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import MEANINGS, Reason
from resolver.edges.avro_codec import Contract, SingleObjectCodec
from resolver.ports import Revision
from resolver.targets import build_formatter, payload_contract
from tests.destinations.profiles import leaves, person
from tests.destinations.test_laws import NAMES, VALUES, profile_of

BOUND = [name for name in preset_names() if load_preset(name).limits.payload_bytes is not None]
LONG = st.sampled_from(["x", "ä", "\x00", '"', "😀"]).flatmap(
    lambda one: st.integers(1, 40_000).map(lambda count: one * count)
)
BULKY = st.dictionaries(NAMES, VALUES | LONG | st.lists(LONG, max_size=3), max_size=12)
CRM: dict[str, Any] = {
    "name": "crm",
    "requires": "traits.mail",
    "identity": {"rules": [{"to": "id", "from": "user_id"}]},
    "traits": {"email": "mail", "title": "job", "address": {"parts": {"city": "place.city"}}},
    "custom": {"into": "own"},
}
TRAITS: dict[str, Any] = {
    "email": "ann@x.io",
    "title": "t" * 60,
    "address": {"city": "c" * 20},
    "big": "x" * 50,
    "a": "y" * 20,
    "b": "y" * 20,
    "small": 1,
}


def crm(most: int, **changes: Any) -> DestinationSpec:
    """A destination with a bound."""
    return DestinationSpec.model_validate({**CRM, "limits": {"payload_bytes": most}, **changes})


def size(payload: dict[str, Any]) -> int:
    """The bytes that count."""
    parts = [payload[name] for name in ("traits", "identity") if name in payload]
    return sum(
        len(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()) for one in parts
    )


def sent(most: int, traits: dict[str, Any] = TRAITS) -> tuple[dict[str, Any], Shape]:
    """What of the traits there is room for."""
    shape = Shape(crm(most))
    payload = shape.shape(person(traits))
    assert payload is not None
    assert size(payload) <= most
    return payload, shape


WHOLE = size(sent(10_000)[0])


def test_fields_go_custom_ones_first_the_largest_first_and_equal_ones_by_name() -> None:
    """Who reads a payload must be able to say what is not in it."""
    order = [("own", "big"), ("own", "a"), ("own", "b"), ("own", "small"), ("job",)]

    gone = [sent(most)[1].crowded_out for most in range(WHOLE, 70, -1)]

    assert gone[0] == []
    assert {len(one) for one in gone} == set(range(len(order) + 1))
    assert all(one == order[: len(one)] for one in gone)


def test_not_one_field_more_goes_than_must() -> None:
    """A byte too many takes one field, and the size it leaves is exact."""
    without_big, _ = sent(WHOLE - 1)

    again, shape = sent(size(without_big))

    assert again == without_big
    assert len(shape.crowded_out) == 1
    assert len(sent(size(without_big) - 1)[1].crowded_out) == 2


def test_an_object_goes_with_its_last_field() -> None:
    """An empty object would still cost bytes, and say nothing."""
    least = size({"traits": {"mail": "ann@x.io"}, "identity": {"id": "u1"}})

    payload, _ = sent(least)

    assert payload["traits"] == {"mail": "ann@x.io"}


def test_what_must_stay_and_is_too_large_keeps_the_profile_back() -> None:
    """A payload without what identifies would change somebody else, or nobody."""
    least = size({"traits": {"mail": "ann@x.io"}, "identity": {"id": "u1"}})
    shape = Shape(crm(least - 1))

    assert shape.shape(person(TRAITS)) is None
    assert shape.left_out == {Reason.PAYLOAD_TOO_LARGE: 1}


def test_what_had_no_room_is_counted() -> None:
    """A field that is missing at one vendor is looked for in the metrics."""
    _, shape = sent(WHOLE - 60)

    assert shape.left_out == {Reason.NO_ROOM: len(shape.crowded_out)}
    assert len(shape.crowded_out) == 2


def test_explain_names_what_there_was_no_room_for() -> None:
    """The question of every integration is: why does it not arrive?"""
    ann = person(TRAITS)

    told = explain(crm(WHOLE - 1), ann, ann)
    refused = explain(crm(20), ann, ann)

    said = {(one.trait, one.field): one.why for one in told.lines}
    assert said["big", ""] == MEANINGS[Reason.NO_ROOM]
    assert ("a", "own.a") in said
    assert (refused.sent, refused.why) == (False, MEANINGS[Reason.PAYLOAD_TOO_LARGE])


def message(spec: DestinationSpec, profile: Profile, revision: Revision) -> Any:
    """The decoded message of a revision."""
    formatter = build_formatter(spec, None)
    stable = formatter.stable(profile)
    assert stable is not None
    raw = formatter.finish(stable, profile, revision)
    if spec.format == "json":
        return json.loads(raw)
    contract = payload_contract(spec)
    return contract.unpack(SingleObjectCodec(Contract(contract.text)).decode(raw))


def test_the_bound_is_the_same_in_avro() -> None:
    """The format is how it is written, not what it says."""
    quiet = Revision(7, [], [], [])

    in_json, in_avro = (
        message(crm(WHOLE - 1, format=one), person(TRAITS), quiet) for one in ("json", "avro")
    )

    assert in_avro["traits"] == in_json["traits"]
    assert "big" not in in_json["traits"]["own"]


@given(stated=BULKY, most=st.integers(60, 3_000))
def test_a_message_is_what_was_shaped_whether_it_was_measured_or_not(
    stated: dict[str, Any], most: int
) -> None:
    """Whether it is looked at more closely depends on how long it is with all around it."""
    spec, profile = crm(most), profile_of(stated)
    shaped = Shape(spec).shape(profile)

    stable = build_formatter(spec, None).stable(profile)

    said = None if stable is None else json.loads(stable)
    assert (said and said["traits"]) == (shaped and json.loads(json.dumps(shaped["traits"])))


def test_changes_do_not_carry_what_the_whole_has_no_room_for() -> None:
    """It would not be told of the next change: what the vendor has would be wrong for ever."""
    spec = crm(WHOLE - 1, payload="changes")

    told = message(spec, person(TRAITS), Revision(7, [], ["big", "small"], []))

    assert told["traits"] == {"own": {"small": 1}}


def test_nulls_of_removed_traits_push_out_what_the_vendor_has() -> None:
    """News goes last: what did not change was sent before."""
    spec = crm(WHOLE, removed="as_null")

    told = message(spec, person(TRAITS), Revision(7, [], ["big"], ["gone"]))

    assert size(told) <= WHOLE
    assert told["traits"]["own"]["gone"] is None
    assert told["traits"]["own"]["big"] == "x" * 50
    assert "a" not in told["traits"]["own"]


@given(VALUES | LONG)
def test_the_estimate_is_never_too_low(value: Any) -> None:
    """What it lets pass is not measured."""
    assert most_bytes(value) >= size_of(value)


@pytest.mark.parametrize("preset", BOUND)
@settings(max_examples=40, deadline=None)
@given(stated=BULKY)
def test_no_payload_is_larger_than_its_preset_says(preset: str, stated: dict[str, Any]) -> None:
    """The vendor refuses the whole call."""
    check(load_preset(preset), profile_of(stated))


@pytest.mark.parametrize("preset", sorted({*BOUND} - {"ga4"}))
def test_a_crowd_of_traits_each_of_which_fits_is_held_to_the_bound(preset: str) -> None:
    """No other limit sees it. What user properties may be is far below the bound of their body."""
    texts = {f"a{number:04}": "x" * 5_000 for number in range(900)}
    lists = {f"b{number:04}": ["v" * 200] * 4 for number in range(1_300)}
    shape = Shape(load_preset(preset))

    payload = shape.shape(person({"email": "a@x.io", **texts, **lists}))

    assert payload is not None
    assert size(payload) <= (shape.spec.limits.payload_bytes or 0)
    assert shape.left_out[Reason.NO_ROOM]


@pytest.mark.parametrize("preset", preset_names())
@settings(max_examples=25, deadline=None)
@given(stated=BULKY, most=st.integers(60, 3_000))
def test_any_destination_can_be_held_to_a_bound(
    preset: str, stated: dict[str, Any], most: int
) -> None:
    """Gateways and queues have limits of their own."""
    spec = load_preset(preset)
    limits = spec.limits.model_copy(update={"payload_bytes": most})

    check(spec.model_copy(update={"limits": limits}), profile_of(stated))


def check(spec: DestinationSpec, profile: Profile) -> None:
    """Asserts that a payload fits, is a part of the whole, and keeps who it is about."""
    limits = spec.limits.model_copy(update={"payload_bytes": None})
    whole = Shape(spec.model_copy(update={"limits": limits})).shape(profile)
    shape = Shape(spec)
    before = json.dumps(profile.traits)

    payload = shape.shape(profile)

    assert json.dumps(profile.traits) == before
    assert json.dumps(payload, default=repr) == json.dumps(shape.shape(profile), default=repr)
    assert json.dumps(payload, default=repr) == json.dumps(Shape(spec).shape(profile), default=repr)
    if payload is None or whole is None:
        refused = whole is None or shape.left_out[Reason.PAYLOAD_TOO_LARGE]
        assert refused, "neither fits nor was refused for its size"
        return
    most = spec.limits.payload_bytes
    assert most is not None
    assert size(payload) <= most
    assert payload.get("identity") == whole.get("identity")
    kept, all_there = leaves(payload["traits"]), leaves(whole["traits"])
    assert {path: all_there[path] for path in kept} == kept
    for stated in spec.requires:
        for one in stated.split("|"):
            section, *path = one.strip().split(".")
            if section == "traits":
                assert kept.get(tuple(path)) == all_there.get(tuple(path))
