"""Avro: lossless, readable, and unmoved by anything that lies on a topic."""

import io
import json
import math
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver import contracts
from resolver.core.events import Warned
from resolver.destinations.catalogue import load_preset
from resolver.destinations.contract import PayloadContract
from resolver.edges.avro_codec import (
    Contract,
    SingleObjectCodec,
)
from resolver.edges.schema_files import IDENTIFY, RESOLVED_PROFILE, schema_text
from resolver.errors import BadEvent, ConfigError, Fault
from tests.edges.payloads import PAYLOAD, same, traits_of_any_shape, values
from tests.edges.strangers import message

SCHEMAS = Path(__file__).parents[2] / "schemas"
EVENT = Contract(schema_text(IDENTIFY))
PROFILE = Contract(schema_text(RESOLVED_PROFILE))
CODEC = SingleObjectCodec(EVENT)


def nested(depth: int) -> dict[str, Any]:
    """An event of ``depth`` levels, itself and its traits among them."""
    inner: Any = 1
    for _ in range(depth - 2):
        inner = [inner]
    return {"userId": "u", "traits": {"deep": inner}}


def sent(event: dict[str, Any]) -> bytes:
    """An event on a raw topic, written by a stranger."""
    return message(CODEC, EVENT, event)


def bottomless(levels: int, opening: bytes) -> bytes:
    """An event whose trait is a list in a list in a list …, written by hand."""
    raw = sent({"traits": {"key": None}})
    at = raw.index(b"key") + 3
    return raw[:at] + opening * levels + b"\x00" * (levels + 1) + raw[at + 1 :]


@given(traits_of_any_shape, values)
def test_traits_of_any_shape_come_back_exactly(traits: dict[str, Any], integrations: Any) -> None:
    """A codec that turns 1.0 into 1 changes a profile's digest and a warehouse's column."""
    event = {"userId": 12, "traits": traits, "integrations": integrations}

    decoded = CODEC.decode(sent(event))

    assert same({name: decoded[name] for name in event}, event)


@given(traits_of_any_shape)
def test_profiles_come_back_exactly(traits: dict[str, Any]) -> None:
    """JSON and Avro destinations carry the same payload."""
    codec = SingleObjectCodec(PROFILE)
    payload = PAYLOAD | {"traits": traits}

    assert same(codec.decode(message(codec, PROFILE, payload)), payload)


def test_what_is_not_stated_is_null() -> None:
    """Absent and null mean the same in an event, so a reader needs no third case."""
    decoded = CODEC.decode(sent({"userId": "u"}))

    assert decoded.pop("userId") == "u"
    assert set(decoded.values()) == {None}


def test_a_single_object_begins_with_marker_and_fingerprint() -> None:
    """Any Avro library finds the writer's schema by these ten bytes."""
    integer = Contract('{"type": "record", "name": "One", "fields": []}')

    raw = message(SingleObjectCodec(integer), integer, {})

    assert raw == b"\xc3\x01" + integer.fingerprint
    assert fastavro.schema.fingerprint('"int"', "CRC-64-AVRO") == "8f5c393f1ad57572"


def test_another_avro_library_reads_a_trait_as_it_is() -> None:
    """The contract is readable: no JSON in a string, no bytes in a bag."""
    raw = sent({"traits": {"seats": 3, "tags": ["a"], "address": {"city": "Rome"}}})

    event: Any = fastavro.schemaless_reader(io.BytesIO(raw[10:]), EVENT.schema, None)

    address = {"members": [{"name": "city", "value": {"value": "Rome"}}]}
    assert event["traits"] == {
        "seats": {"value": 3},
        "tags": {"value": [{"value": "a"}]},
        "address": {"value": address},
    }


def test_an_older_writer_is_read_with_defaults() -> None:
    """Senders upgrade when they like; their topic keeps flowing."""
    older = json.dumps(
        {
            "type": "record",
            "name": "Identify",
            "namespace": "identity_resolver",
            "fields": [{"name": "userId", "type": "string"}, {"name": "gone", "type": "int"}],
        }
    )
    writer = Contract(older)
    raw = message(SingleObjectCodec(writer), writer, {"userId": "u", "gone": 4})

    decoded = SingleObjectCodec(EVENT, [older]).decode(raw)

    assert (decoded["userId"], decoded["traits"], decoded["integrations"]) == ("u", None, None)
    assert "gone" not in decoded


@pytest.mark.parametrize("constant", [math.nan, math.inf, -math.inf])
def test_a_trait_without_a_json_value_is_dropped_with_a_warning(constant: float) -> None:
    """Doubles have values that JSON lacks; they are salvaged as in a JSON event."""
    raw = sent({"traits": {"bad": [constant], "good": 1}, "context": {"x": constant}})
    warned: list[Warned] = []

    decoded = CODEC.decode(raw, warned)

    assert (decoded["traits"], decoded["context"]) == ({"good": 1}, {"x": None})
    assert warned == [Warned.SALVAGED_CONSTANT]


@given(traits_of_any_shape, st.data())
def test_truncated_input_is_a_bad_event(traits: dict[str, Any], draw: st.DataObject) -> None:
    """Half a record must never be half a profile."""
    raw = sent({"userId": "u", "traits": traits})

    with pytest.raises(BadEvent) as caught:
        CODEC.decode(raw[: draw.draw(st.integers(0, len(raw) - 1))])

    assert caught.value.fault is Fault.UNDECODABLE


@given(st.binary(max_size=200), st.integers(0, 3))
def test_whatever_the_bytes_nothing_else_is_raised(noise: bytes, copies: int) -> None:
    """One odd record must not stop a partition."""
    raw = sent(PAYLOAD | {"traits": {"k": noise.hex()}})[:40] + noise * 4**copies * copies

    try:
        decoded = CODEC.decode(raw)
    except BadEvent:
        return
    assert isinstance(decoded, dict)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"\x00\x00\x00\x00\x01", b"\xc3\x02" + bytes(8), b"\xc3\x01" + bytes(9)],
    ids=["empty", "json", "registry", "marker", "fingerprint"],
)
def test_a_foreign_beginning_is_a_bad_event(raw: bytes) -> None:
    """The fault names what is wrong before anything is guessed."""
    with pytest.raises(BadEvent, match="undecodable"):
        CODEC.decode(raw)


def test_bytes_after_the_record_are_a_bad_event() -> None:
    """Leftovers mean that the schema is not the writer's."""
    with pytest.raises(BadEvent, match="follow"):
        CODEC.decode(sent({"userId": "u"}) + b"\x00")


@pytest.mark.parametrize("levels", [33, 500, 10_000, 60_000])
@pytest.mark.parametrize("opening", [b"\x0a\x02", b"\x0c\x02\x00", b"\x8a\x00\x02"])
def test_bottomless_input_is_a_bad_event(levels: int, opening: bytes) -> None:
    """A decoder written in C takes the process with it when its stack ends."""
    with pytest.raises(BadEvent) as caught:
        CODEC.decode(bottomless(levels, opening))

    assert caught.value.fault is Fault.TOO_LARGE


def test_the_deepest_legal_event_passes_both_ways() -> None:
    """The bound is the same as in JSON: 32 levels pass, 33 do not, however long the event."""
    padded = nested(32)
    padded["traits"] |= {"padding": "x" * 3_000, "list": list(range(500)), "b": [{"c": 1.5}]}

    assert same(CODEC.decode(sent(padded))["traits"], padded["traits"])
    with pytest.raises(BadEvent, match="too_large"):
        CODEC.decode(sent(nested(33)))


def test_a_long_truncated_event_is_undecodable() -> None:
    """Long input takes the measured way: it must find the same fault."""
    raw = sent({"traits": {"padding": "x" * 3_000, "list": list(range(500))}})

    with pytest.raises(BadEvent, match="undecodable"):
        CODEC.decode(raw[:-300])


def test_the_published_json_schemas_are_those_of_the_models() -> None:
    """What is published is what is parsed: one contract, not two."""
    published = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in SCHEMAS.glob("*.schema.json")
    }

    assert published == contracts.json_schemas()


def test_the_avro_contracts_name_the_fields_of_the_models() -> None:
    """JSON, Avro and pydantic say the same words."""
    schemas = contracts.json_schemas()
    identify = json.loads(schema_text(IDENTIFY))["fields"]
    profile = json.loads(schema_text(RESOLVED_PROFILE))["fields"]
    derived = json.loads(PayloadContract(load_preset("mixpanel"), PROFILE.text).text)["fields"]

    in_identify, in_profile = (
        set(schemas[name.replace(".avsc", ".schema.json")]["properties"])
        for name in (IDENTIFY, RESOLVED_PROFILE)
    )

    assert {one["name"] for one in identify} == in_identify
    in_alias = set(schemas["alias_event.schema.json"]["properties"])

    assert {one["name"] for one in profile} < in_profile
    assert {one["name"] for one in derived} == in_profile | in_alias | {"fields"}


def test_a_downstream_service_parses_both_formats_and_tombstones() -> None:
    """One import, three things that can lie on a topic."""
    codec = SingleObjectCodec(PROFILE)

    from_json = contracts.parse(json.dumps(PAYLOAD | {"novelty": 1}).encode())
    from_avro = contracts.read(codec.decode(message(codec, PROFILE, PAYLOAD)))

    assert isinstance(from_json, contracts.ResolvedProfile)
    assert isinstance(from_avro, contracts.ResolvedProfile)
    assert from_json.profile == from_avro.profile
    assert from_json.traits["score"] == 1.0
    assert contracts.parse(None) is None


def test_a_missing_schema_file_is_named() -> None:
    """A broken installation says so."""
    with pytest.raises(ConfigError, match="absent.avsc"):
        schema_text("absent.avsc")
