"""Avro out: the bytes that any other library would write, from the plain values."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resolver.core.profiles import Profile
from resolver.destinations.contract import PayloadContract
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from resolver.edges.avro_codec import Contract, SingleObjectCodec
from resolver.edges.avro_format import AvroFormatter, split_contract
from resolver.edges.avro_writer import ContractWriter, long_bytes
from resolver.edges.schema_files import IDENTIFY, RESOLVED_PROFILE, schema_text
from resolver.errors import BadEvent
from resolver.ports import Revision
from resolver.targets import build_formatter, payload_contract
from tests.destinations.profiles import person, spec_of
from tests.edges.payloads import PAYLOAD, names, same, traits_of_any_shape, values
from tests.edges.strangers import written

EVENT = Contract(schema_text(IDENTIFY))
PROFILE = Contract(schema_text(RESOLVED_PROFILE))
EVENTS, PROFILES = ContractWriter(EVENT.text), ContractWriter(PROFILE.text)
CODEC = SingleObjectCodec(PROFILE)
REVISION = Revision(7, ["anon:d1"], ["plan"], None, "m1")

wide_integers = st.integers(-(2**70), 2**70)
all_values = values | wide_integers | st.floats()
all_traits = traits_of_any_shape | st.dictionaries(names, all_values, max_size=4)
reserved = st.sampled_from(
    ["email", "phone", "age", "createdAt", "birthday", "address", "company", "name", "avatar"]
)
texts = st.none() | st.text(max_size=20)


def ordered(value: Any) -> Any:
    """The same with every object's members in order of their names."""
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [ordered(element) for element in value]
    return value


def nested(depth: int) -> dict[str, Any]:
    """An object whose innermost value lies so many lists and objects deep."""
    inner: Any = "x"
    for level in range(depth):
        inner = [inner] if level % 2 else {"a": inner}
    return {"deep": inner}


@given(all_traits, all_traits, all_traits)
@example({"int": 2**63 - 1, "wide": 2**63, "low": -(2**63), "lower": -(2**63) - 1}, {}, {})
@example({"true": True, "one": 1, "double": 1.0, "minus": -0.0, "null": None}, {}, {})
@example({"empty": "", "list": [], "object": {}, "": [[], {}, ""]}, {}, {})
@example({"infinite": [math.inf, -math.inf], "nan": math.nan}, {}, {})
@example(nested(64), {"ключ": "Köln", "🙂": "🙂" * 300}, {"\x00": "\x00"})
@example({f"{number}": "x" * number for number in (63, 64, 511, 512, 8_191, 8_192)}, {}, {})
@example({f"n{number}": number for number in range(-600, 600)}, {"l": list(range(600))}, {})
def test_profiles_are_the_bytes_of_another_library(
    traits: dict[str, Any], context: dict[str, Any], integrations: dict[str, Any]
) -> None:
    """A consumer, a digest and a warehouse cannot tell who wrote them."""
    payload = PAYLOAD | {"traits": traits, "context": context, "integrations": integrations}

    assert PROFILES.write(payload) == written(PROFILE, ordered(payload))


@given(
    all_values,
    st.none() | all_traits,
    st.none() | st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1),
    texts,
)
def test_events_are_the_bytes_of_another_library(
    integrations: Any, traits: Any, user_id: Any, channel: Any
) -> None:
    """Unions of several types, and nulls where profiles have none."""
    event = {"integrations": integrations, "traits": traits, "userId": user_id, "channel": channel}

    assert EVENTS.write(event) == written(EVENT, ordered(event))


@pytest.mark.parametrize("absent", [*PAYLOAD, "nothing"])
def test_what_is_not_stated_has_the_contracts_default(absent: str) -> None:
    """A field with a default may be missing, and one without may not."""
    payload = {name: value for name, value in PAYLOAD.items() if name != absent}

    if absent in ("profile", "messageId"):
        with pytest.raises(BadEvent, match="not_an_event"):
            PROFILES.write(payload)
    else:
        assert PROFILES.write(payload) == written(PROFILE, ordered(payload))


@pytest.mark.parametrize("preset", preset_names())
@settings(max_examples=25, deadline=None)
@given(
    traits=st.dictionaries(reserved | names, values, max_size=8),
    context=traits_of_any_shape,
    changed=st.none() | st.lists(reserved, unique=True, max_size=3),
)
def test_a_destinations_message_is_the_bytes_of_another_library(
    preset: str, traits: dict[str, Any], context: dict[str, Any], changed: list[str] | None
) -> None:
    """Derived contracts have typed fields, ids, removed fields and aliases besides."""
    spec = spec_of(preset, format="avro", requires=[])
    contract, shape = payload_contract(spec), Shape(spec)
    profile = person(traits, context=json.dumps(context).encode(), merged=["anon:a1"])
    revision = Revision(7, profile.merged, changed, ["trial"], "m1")
    formatter = build_formatter(spec, None)

    stable = formatter.stable(profile)
    assert stable is not None
    message = formatter.finish(stable, profile, revision)

    expected = whole(contract, shape, profile, revision)
    assert message[10:] == written(Contract(contract.text), ordered(expected))
    read = SingleObjectCodec(Contract(contract.text)).decode(message)
    assert all(same(read[name], value) for name, value in expected.items() if name != "fields")


def whole(
    contract: PayloadContract, shape: Shape, profile: Profile, revision: Revision
) -> dict[str, Any]:
    """What a message says, in one piece."""
    payload, more = shape.revise(profile, revision.changed, revision.removed)
    packed = contract.pack(payload or shape.shape(profile))
    assert packed is not None
    section = packed["profile"] | {
        "version": revision.version,
        "merged": revision.merged,
        "changed": shape.names(revision.changed) if shape.renames else revision.changed,
        "removed": shape.names(revision.removed) if shape.renames else revision.removed,
        "causedBy": revision.caused_by,
    }
    known = {"context": json.loads(packed["context"]), "profile": section}
    return packed | known | {"messageId": f"{profile.id}@{revision.version}"} | more


@given(traits_of_any_shape)
def test_a_message_in_two_parts_is_the_message(traits: dict[str, Any]) -> None:
    """The stable part is compared and sent as it is, so nothing is encoded twice."""
    payload = PAYLOAD | {"traits": traits}
    swapped = payload | {"traits": dict(reversed(traits.items()))}
    formatter, profile = formatter_of(payload, swapped), Profile("user:97", {})

    first, second = formatter.stable(profile), formatter.stable(profile)

    assert first is not None
    assert first == second
    assert same(CODEC.decode(formatter.finish(first, profile, REVISION)), payload)


def formatter_of(*payloads: dict[str, Any]) -> AvroFormatter:
    """One that makes these payloads of profiles, one by one."""
    shapes = list(payloads)
    stable, last = map(ContractWriter, split_contract(PROFILE.text))
    return AvroFormatter(lambda _: shapes.pop(), CODEC.head, stable, last)


def test_a_context_with_a_number_beyond_all_doubles_is_still_sent() -> None:
    """It stayed text from the event on: nobody has looked at its numbers before."""
    formatter = formatter_of(PAYLOAD | {"context": b'{"ip":"203.0.113.9","page":{"x":1e400}}'})

    stable = formatter.stable(Profile("user:97", {}))

    assert stable is not None
    assert stable.count(b"\x06" + bytes.fromhex("000000000000f07f")) == 1


def test_a_wide_integer_becomes_a_decimal_string() -> None:
    """Avro's long has 64 bits; a string loses no digit, a double would."""
    payload = PAYLOAD | {"traits": {"wide": 2**63, "long": 2**63 - 1}}

    decoded = CODEC.decode(CODEC.head() + PROFILES.write(payload))

    assert decoded["traits"] == {"wide": "9223372036854775808", "long": 2**63 - 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": 7},
        {"type": None},
        {"userId": 7},
        {"userId": "\ud800"},
        {"traits": []},
        {"traits": None},
        {"traits": {"when": {1, 2}}},
        {"traits": {"name": ["\udfff"]}},
        {"traits": {7: 1}},
        {"profile": []},
        {"profile": PAYLOAD["profile"] | {"version": 7.0}},
        {"profile": PAYLOAD["profile"] | {"version": True}},
        {"profile": PAYLOAD["profile"] | {"version": 2**63}},
        {"profile": PAYLOAD["profile"] | {"emails": "ann@x.io"}},
        {"profile": PAYLOAD["profile"] | {"emails": [7]}},
        {"profile": PAYLOAD["profile"] | {"changed": [None]}},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    """A writer that guesses would write something nobody said."""
    with pytest.raises(BadEvent, match="not_an_event: a field does not fit"):
        PROFILES.write(PAYLOAD | wrong)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ("bytes", "no contract has the type bytes"),
        ({"type": "map", "values": "string"}, "no contract has the type map"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "no contract has the type enum"),
        (
            {"type": "record", "name": "Json", "fields": [{"name": "value", "type": ["null"]}]},
            "the branches of Json are others",
        ),
    ],
)
def test_a_contract_that_cannot_be_written_is_refused_at_the_start(
    declared: Any, sentence: str
) -> None:
    """Before a batch is read, not in the middle of one."""
    text = {"type": "record", "name": "Odd", "fields": [{"name": "odd", "type": declared}]}

    with pytest.raises(TypeError, match=sentence):
        ContractWriter(json.dumps(text))


def test_a_long_ends_at_64_bits() -> None:
    """Readers in other languages have no more."""
    assert (long_bytes(0), long_bytes(-1), long_bytes(1)) == (b"\x00", b"\x01", b"\x02")
    assert (len(long_bytes(2**63 - 1)), len(long_bytes(-(2**63)))) == (10, 10)
    for beyond in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            long_bytes(beyond)
