"""What a destination is told of a merge: in the profile, by events before it, or not at all."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from resolver import contracts
from resolver.contracts import AliasEvent, ResolvedProfile
from resolver.core.profiles import Profile
from resolver.destinations.spec import DestinationSpec, Format
from resolver.edges.avro_codec import Contract, SingleObjectCodec
from resolver.ports import Revision
from resolver.targets import build_formatter, payload_contract
from tests.destinations.profiles import person, spec_of

MERGE = Revision(7, ["anon:a1", "email:e@x.io"], ["plan"], [], "m1")
ANN = person({"plan": "pro"})


def told(spec: DestinationSpec, profile: Profile = ANN) -> tuple[list[Any], Any]:
    """The alias events and the profile as a reader finds them."""
    formatter = build_formatter(spec, None)
    stable = formatter.stable(profile)
    assert stable is not None
    aliases = formatter.aliases(profile, MERGE)
    return [read(spec, one) for one in aliases], read(
        spec, formatter.finish(stable, profile, MERGE)
    )


def read(spec: DestinationSpec, raw: bytes) -> Any:
    """A message, decoded."""
    if spec.format is Format.JSON:
        return json.loads(raw)
    contract = payload_contract(spec)
    return contract.unpack(SingleObjectCodec(Contract(contract.text)).decode(raw))


def test_an_alias_event_says_who_became_part_of_whom_in_the_vendors_own_ids() -> None:
    """All that a vendor's alias or merge call needs, without a look at the profile."""
    (first, second), profile = told(spec_of("mixpanel"))

    assert first == {
        "type": "alias",
        "timestamp": "2023-11-14T22:13:20Z",
        "userId": "u1",
        "previousId": "a1",
        "identity": {"$distinct_id": "u1"},
        "profile": {"id": "user:u1", "version": 7, "merged": ["anon:a1"], "causedBy": "m1"},
        "messageId": "user:u1@7+anon:a1",
    }
    assert second["previousId"] == "e@x.io"
    assert second["profile"]["merged"] == ["email:e@x.io"]
    assert profile["profile"]["merged"] == ["anon:a1", "email:e@x.io"]
    assert "aliases" not in profile


@pytest.mark.parametrize("preset", ["mixpanel", "braze", "customerio"])
def test_an_alias_event_is_the_same_in_avro_as_in_json(preset: str) -> None:
    """The format is how it is written, not what it says."""
    in_json, _ = told(spec_of(preset))
    in_avro, profile = told(spec_of(preset, format="avro"))

    assert in_avro == in_json
    assert "previousId" not in profile


def test_a_reader_of_avro_tells_them_apart_by_their_type() -> None:
    """One topic, one schema: a record that is no profile must say so by itself."""
    spec = DestinationSpec.model_validate({"name": "crm", "format": "avro", "on_merge": "alias"})
    codec = SingleObjectCodec(Contract(payload_contract(spec).text))
    formatter = build_formatter(spec, None)
    stable = formatter.stable(ANN)
    assert stable is not None

    alias = codec.decode(formatter.aliases(ANN, MERGE)[0])
    profile = codec.decode(formatter.finish(stable, ANN, MERGE))

    assert (alias["type"], alias["previousId"], alias["traits"]) == ("alias", "a1", {})
    assert (profile["type"], profile["previousId"]) == ("identify", None)


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("identifier", ["email:e@x.io", "anon:a1"])
def test_only_users_have_aliases(form: Format, identifier: str) -> None:
    """A lead may yet become somebody's: an alias could not be taken back."""
    spec = spec_of("mixpanel", format=form.value)

    aliases, profile = told(spec, person({}, identifier))

    assert not aliases
    assert profile["profile"]["merged"] == MERGE.merged


@pytest.mark.parametrize("form", list(Format))
def test_a_destination_of_tombstones_is_not_told_whom_a_profile_took_in(form: Format) -> None:
    """Who merges people by itself wants to hear of the old keys and of nothing else."""
    spec = DestinationSpec.model_validate({"name": "crm", "format": form, "on_merge": "tombstone"})

    aliases, profile = told(spec)

    assert not aliases
    assert profile["profile"]["merged"] == []
    assert profile["profile"]["changed"] == ["plan"]


@pytest.mark.parametrize("form", list(Format))
def test_the_default_names_in_the_profile_whom_it_took_in(form: Format) -> None:
    """Most destinations need no choreography."""
    aliases, profile = told(DestinationSpec.model_validate({"name": "crm", "format": form}))

    assert not aliases
    assert profile["profile"]["merged"] == MERGE.merged


def test_a_tombstone_destination_has_the_contract_of_everybody() -> None:
    """What is never said needs no field."""
    plain, quiet = (
        payload_contract(DestinationSpec.model_validate({"name": "crm", "on_merge": one})).text
        for one in ("profile", "tombstone")
    )

    assert plain == quiet


@pytest.mark.parametrize("form", list(Format))
def test_a_downstream_service_parses_an_alias_event_as_one(form: Format) -> None:
    """Taken for a profile it would empty the person."""
    (alias, _), profile = told(spec_of("braze", format=form.value))

    parsed, parsed_profile = map(contracts.read, (alias, profile))

    assert isinstance(parsed, AliasEvent)
    assert (parsed.previous_id, parsed.user_id) == ("a1", "u1")
    assert parsed.profile.merged == ["anon:a1"]
    assert isinstance(parsed_profile, ResolvedProfile)
    assert contracts.parse(json.dumps(alias).encode()) == parsed


@pytest.mark.parametrize("raw", [b'{"type": "alias"}', b'{"type": "identify"}', b"[1]", b"{"])
def test_what_breaks_the_contract_is_no_message(raw: bytes) -> None:
    """A broken alias must not pass for a profile, nor anything else for either."""
    with pytest.raises(ValidationError):
        contracts.parse(raw)
