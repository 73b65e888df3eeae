"""The Avro contract of a destination, derived from its specification."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.destinations.catalogue import load_preset
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.edges.avro_codec import Contract, RegistryCodec, SingleObjectCodec
from resolver.ports import Revision
from resolver.targets import build_formatter, payload_contract
from tests.destinations.profiles import person, spec_of

TRAITS: dict[str, Any] = {
    "email": "ann@x.io",
    "name": "Ann Lee",
    "createdAt": "2019-08-24T14:15:22Z",
    "age": 33,
    "phone": "+49221123456",
    "address": {"city": "Köln", "country": "DE"},
    "company": {"name": "Acme", "employee_count": 5},
    "tags": ["a", 1],
}
QUIET = Revision(7, [], [], [], "m1")
REVISION = Revision(7, ["anon:a1"], ["plan"], ["trial"], "m1")


def round_trip(
    spec: DestinationSpec, traits: dict[str, Any], revision: Revision = QUIET
) -> tuple[dict[str, Any], Any]:
    """What the shape made, and what a reader finds."""
    profile = person(traits)
    formatter = build_formatter(spec, None)
    stable = formatter.stable(profile)
    assert stable is not None
    contract = payload_contract(spec)
    codec = SingleObjectCodec(Contract(contract.text))
    read = contract.unpack(codec.decode(formatter.finish(stable, profile, revision)))
    shaped = Shape(spec).shape(profile)
    assert shaped is not None
    return shaped, read


@pytest.mark.parametrize("preset", preset_names())
def test_a_payload_is_the_same_in_avro_as_in_json(preset: str) -> None:
    """The format is how it is written, not what it says."""
    shaped, read = round_trip(spec_of(preset, format="avro", opt_in=False), TRAITS)

    assert read["traits"] == shaped["traits"]
    assert read.get("identity", {}) == shaped.get("identity", {})
    assert read["profile"]["version"] == 7


def test_named_fields_are_typed_and_the_rest_is_any_json() -> None:
    """A consumer in Java gets getters for what the vendor names."""
    contract = json.loads(payload_contract(load_preset("intercom")).text)

    fields = next(one for one in contract["fields"] if one["name"] == "fields")
    types = {one["name"]: one["type"] for one in fields["type"][1]["fields"]}
    assert types["email"] == ["null", "string"]
    assert types["signed_up_at"] == ["null", "long"]
    assert types["custom_attributes_birthday"] == ["null", "long"]
    assert (
        next(one for one in contract["fields"] if one["name"] == "traits")["type"]["type"] == "map"
    )


def test_a_value_of_another_type_is_not_lost() -> None:
    """An e-mail that came as a list was kept as it came; it still arrives."""
    spec = spec_of("mixpanel", format="avro", traits={"email": {"as": "keep"}})

    _, read = round_trip(spec, {"email": ["a@x.io"]})

    assert read["traits"] == {"$email": ["a@x.io"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"name": "crm"}, {"name": "crm", "traits": {"email": "mail"}}),
        (
            {"name": "crm", "traits": {"email": "mail"}},
            {
                "name": "crm",
                "traits": {"email": "mail", "createdAt": {"to": "at", "as": "epoch_s"}},
            },
        ),
        ({"preset": "mixpanel"}, {"preset": "mixpanel", "traits": {"title": "$title"}}),
        ({"preset": "segment", "name": "x"}, {"preset": "mixpanel", "name": "x"}),
        ({"name": "crm"}, {"name": "crm", "on_merge": "alias"}),
    ],
)
def test_a_trait_added_to_the_map_is_compatible_both_ways(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Readers and writers are never upgraded at one moment."""
    old, new = (
        fastavro.parse_schema(json.loads(payload_contract(spec).text))
        for spec in map(DestinationSpec.model_validate, (before, after))
    )
    for written, read, spec in ((old, new, before), (new, old, after)):
        made = DestinationSpec.model_validate({**spec, "format": "avro"})
        profile = person(TRAITS)
        formatter = build_formatter(made, None)
        stable = formatter.stable(profile)
        assert stable is not None
        raw = formatter.finish(stable, profile, REVISION)[10:]

        found: Any = fastavro.schemaless_reader(io.BytesIO(raw), written, read)

        assert found["profile"]["id"] == "user:u1"


def test_a_destinations_contract_is_registered_under_its_topic() -> None:
    """A consumer that asks the registry must find what is written, not something more general."""
    asked: list[tuple[str, str]] = []

    class Registry:
        """Remembers what was registered."""

        def schema_id(self, subject: str, text: str) -> int:
            asked.append((subject, text))
            return 5

        def schema_text(self, schema_id: int) -> str | None:
            return None

    spec = spec_of("mixpanel", format="avro")
    contract = payload_contract(spec)

    head = RegistryCodec(Contract(contract.text), Registry(), f"{spec.topic}-value").head()

    assert head == b"\x00\x00\x00\x00\x05"
    assert asked[0][0] == "resolved.mixpanel-value"
    assert '"$first_name"' in asked[0][1]


def test_removed_traits_are_told_in_avro_too() -> None:
    """What a format cannot say is lost for whoever reads it."""
    _, read = round_trip(spec_of("mixpanel", format="avro"), TRAITS, REVISION)

    assert read["unset"] == ["trial"]


@pytest.mark.parametrize("preset", ["mixpanel", "klaviyo", "warehouse", "ga4", "segment"])
@settings(max_examples=40, deadline=None)
@given(
    traits=st.dictionaries(
        st.sampled_from([*TRAITS, "plan", "$x", "a.b"]),
        st.integers(-(2**60), 2**60)
        | st.text(max_size=5)
        | st.lists(st.text(max_size=3))
        | st.booleans(),
    )
)
def test_no_traits_fail_to_fit_the_contract(preset: str, traits: dict[str, Any]) -> None:
    """One person with an odd trait must not stop a batch."""
    spec = spec_of(preset, format="avro", requires=[])

    shaped, read = round_trip(spec, traits)

    assert read["traits"] == shaped["traits"]
