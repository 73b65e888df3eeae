"""Specifications: presets, overrides, and mistakes that are named with their place."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from resolver.config import Settings, load_settings
from resolver.core.consent import destination_key
from resolver.destinations.catalogue import load_preset
from resolver.destinations.pages import pages
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Anonymous, EmailUserId, Reason
from resolver.errors import ConfigError
from tests.destinations.profiles import person, shaped, spec_of, traits_of

DOCS = Path(__file__).parents[2] / "docs" / "destinations"


def settings(folder: Path, text: str) -> Settings:
    """The settings of a file with this text."""
    path = folder / "resolver.yaml"
    path.write_text(text)
    return load_settings(path)


def complaint(folder: Path, text: str, preset: str = "") -> str:
    """What loading the text says, the folder's name left out; ``preset`` is own/crm.yaml."""
    (folder / "own").mkdir()
    (folder / "own" / "crm.yaml").write_text(preset)
    with pytest.raises(ConfigError) as raised:
        settings(folder, text)
    return str(raised.value).replace(f"{folder}/", "")


def test_one_line_makes_a_destination(tmp_path: Path) -> None:
    """The first minute with a vendor needs no reading."""
    made = settings(tmp_path, "destinations: [{preset: mixpanel}]").destinations[0]

    assert (made.name, made.topic) == ("Mixpanel", "resolved.mixpanel")
    assert "mixpanellegacy" in made.keys
    assert made == load_preset("mixpanel")


def test_any_part_of_a_preset_can_be_overridden(tmp_path: Path) -> None:
    """Nobody's account is quite the default one."""
    text = """
destinations:
  - preset: intercom
    traits:
      email: {as: lower}
      company: null
      plan: plan_name
    limits: {text: 10}
    exclude: [birthday]
"""
    made = settings(tmp_path, text).destinations[0]

    payload = Shape(made).shape(
        person({"email": "A@X.io", "company": {"name": "Acme"}, "plan": "pro", "birthday": "x"})
    )

    assert payload is not None
    assert payload["traits"] == {
        "custom_attributes": {"company_name": "Acme"},
        "email": "a@x.io",
        "plan_name": "pro",
        "last_seen_at": 1_700_000_000,
    }


def test_a_new_name_keeps_what_the_vendor_is_refused(tmp_path: Path) -> None:
    """Who says no to Mixpanel means every project of it."""
    made = settings(tmp_path, "destinations: [{preset: mixpanel, name: EU}]").destinations[0]

    assert made.topic == "resolved.eu"
    assert not made.audience().may_see("+;mixpanel=0")


def test_ones_own_presets_lie_in_a_folder_beside_the_settings(tmp_path: Path) -> None:
    """A team that sends to its own service says how once; it may start from a shipped one."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "our_crm.yaml").write_text(
        "preset: hubspot\nname: CRM\ntraits: {plan: tier}\n"
    )
    text = "presets: own\ndestinations: [{preset: Our CRM, exclude: [age]}]"

    made = settings(tmp_path, text)

    assert made.destinations[0].traits["plan"].to == ("tier",)
    assert made.destinations[0].traits["title"].to == ("jobtitle",)
    assert made.destinations[0].exclude == ("age",)
    assert "our_crm" in preset_names(made.presets)


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ("preset: mixpnel", "2: destinations.0: there is no preset 'mixpnel'; did you mean"),
        ("name: A\n    trait: {}", "3: destinations.0.trait: there is no such key; did you mean"),
        (
            "name: A\n    traits:\n      email: {too: x}",
            "4: destinations.0.traits.email.too: there is no such key; did you mean 'to'?",
        ),
        (
            "name: A\n    traits:\n      email: {to: x, as: lowr}",
            "4: destinations.0.traits.email.as.0: it should be 'keep', 'text'",
        ),
        (
            "name: A\n    traits:\n      address: {parts: {city: {form: lower}}}",
            "4: destinations.0.traits.address.parts.city.form: there is no such key",
        ),
        (
            "name: A\n    limits: {txt: 5}",
            "3: destinations.0.limits.txt: there is no such key; did you mean 'text'?",
        ),
        ("name: A\n    limits: {text: 0}", "3: destinations.0.limits.text.max: it should be gr"),
        (
            "name: A\n    identity:\n      rules:\n        - {to: id, from: userid}",
            "5: destinations.0.identity.rules.0.from: 'userid' is none of user_id, ",
        ),
        ("name: A\n    requires: email", "3: destinations.0.requires.0: 'email' should be "),
        (
            "name: A\n    requires: identity.id",
            "2: destinations.0: requires identity.id, but identity has no such field",
        ),
        (
            "name: A\n    names: {pattern: '('}",
            "3: destinations.0.names.pattern: '(' is no regular expression",
        ),
        ("name: A\n    removed: nul", "3: destinations.0.removed: it should be 'omit', "),
        (
            "name: A\n    traits:\n      age: {drop: true, to: x}",
            "4: destinations.0.traits.age: it cannot both be dropped and have a field",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_cause(
    tmp_path: Path, stated: str, sentence: str
) -> None:
    """A mapping of a hundred lines has a hundred places to look."""
    told = complaint(tmp_path, f"destinations:\n  - {stated}\n")

    assert f"resolver.yaml:{sentence}" in told


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("name: CRM\ntrats: {}\n", "own/crm.yaml:2: trats: there is no such key; did you mean"),
        ("name: CRM\n\nvalues: {list: jon}\n", "own/crm.yaml:3: values.list: it should be"),
        ("name: CRM\nname: X\n", "own/crm.yaml:2: name: it stands on line 1 already"),
        ("name: [", "own/crm.yaml:1: not YAML"),
        ("name: CRM\npreset: hubspt\n", "own/crm.yaml:2: there is no preset 'hubspt'; did you"),
    ],
)
def test_a_mistake_in_ones_own_preset_is_named_there(
    tmp_path: Path, preset: str, sentence: str
) -> None:
    """The settings that use it are not to blame."""
    told = complaint(tmp_path, "presets: own\ndestinations: [{preset: crm}]\n", preset)

    assert told.startswith(sentence)


def test_presets_that_start_from_one_another_are_refused(tmp_path: Path) -> None:
    """A circle in a folder must not hang the worker."""
    (tmp_path / "a.yaml").write_text("preset: b\nname: A\n")
    (tmp_path / "b.yaml").write_text("preset: a\nname: B\n")

    with pytest.raises(ConfigError, match=r"a\.yaml:1: presets start from one"):
        load_preset("a", tmp_path)


def test_a_preset_of_ones_own_may_start_from_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    """That is how a whole team's Mixpanel differs from the default one."""
    (tmp_path / "mixpanel.yaml").write_text("preset: mixpanel\ntraits: {plan: $plan}\n")

    made = load_preset("mixpanel", tmp_path)

    assert made.traits["plan"].to == ("$plan",)
    assert made.traits["email"].to == ("$email",)


def test_a_folder_of_presets_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong mount is found in one look."""
    with pytest.raises(ConfigError, match="presets: .*none is no folder"):
        settings(tmp_path, "presets: none\ndestinations: [{preset: mixpanel}]")


def test_reserved_traits_may_be_named_in_any_spelling() -> None:
    """Profiles have one spelling; a rule under another would never be used."""
    rules = {"First Name": "vorname", "address": {"parts": {"postal_code": "plz"}}}
    traits = {"firstName": "Ann", "email": "a@x.io", "address": {"postalCode": "50667"}}

    payload = shaped("segment", person(traits), **{"traits": rules, "hash": {"E-Mail": "md5"}})

    assert payload is not None
    assert payload["traits"] == {
        "plz": "50667",
        "email": "a43c564056190dca51f9f4a6fae36c30",
        "vorname": "Ann",
    }


def test_the_pages_are_those_of_the_presets() -> None:
    """A page that describes another preset sends people looking for their fields."""
    written = {path.name: path.read_text() for path in DOCS.glob("*.md")}

    assert written == pages(), "run: python -m resolver.destinations.pages docs/destinations"


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_says_what_it_is_for_and_is_named_after_itself(preset: str) -> None:
    """Its page is all that most people read."""
    spec = load_preset(preset)

    assert len(spec.about) > 40
    assert spec.topic == f"resolved.{destination_key(spec.name)}"


def test_people_whom_a_destination_does_not_take_are_counted_by_reason() -> None:
    """A count that rises is how a wrong policy is found."""
    shape = Shape(spec_of("zendesk"))

    assert shape.shape(person({"name": "A"}, "anon:a1")) is None
    assert shape.shape(person({"plan": "pro"})) is None
    assert shape.left_out == {Reason.ANONYMOUS: 1, Reason.REQUIRED: 1}


def test_an_address_as_user_id_is_sent_dropped_or_made_a_trait() -> None:
    """Three vendors, three rules."""
    lead = person({"email": "e@x.io"}, "email:e@x.io")

    sent = shaped("mixpanel", lead)
    dropped = shaped("mixpanel", lead, email_user_id=EmailUserId.DROP)
    as_trait = shaped("segment", person({}, "email:e@x.io"), email_user_id=EmailUserId.AS_TRAIT)

    assert sent is not None
    assert sent["identity"] == {"$distinct_id": "e@x.io"}
    assert dropped is None
    assert as_trait is not None
    assert (as_trait["userId"], as_trait["traits"]) == (None, {"email": "e@x.io"})


def test_included_and_excluded_traits_hold_for_ids_and_derived_traits_too() -> None:
    """What must not be sent must not come back under another name."""
    traits = {"email": "e@x.io", "name": "Ann Lee", "plan": "pro"}

    excluded = shaped("hubspot", person(traits), exclude=["name"])
    included = shaped("iterable", person(traits), include=["plan"])

    assert excluded is not None
    assert excluded["traits"] == {"email": "e@x.io", "plan": "pro"}
    assert included is not None
    assert included["traits"] == {"plan": "pro"}
    assert included["identity"] == {"userId": "u1"}


def test_a_trait_that_leaves_as_a_hash_leaves_nowhere_in_plain() -> None:
    """One forgotten place undoes all the others."""
    traits = {"email": "Ann@X.io", "name": "Ann Lee", "plan": "pro"}
    profile = person(traits, emails=["ann@x.io"])
    hashed = {"email": "sha256", "name": "md5", "secret": "sha1"}

    payload = shaped("hubspot", profile, hash=hashed)

    assert payload is not None
    text = str(payload).lower()
    assert "ann" not in text
    assert payload["traits"]["email"] == payload["identity"]["email"]
    assert payload["profile"]["emails"] == [payload["traits"]["email"]]


def test_two_traits_with_one_name_there_fill_it_once_and_are_counted() -> None:
    """A reserved trait's field belongs to it, whoever else has that name."""
    shape = Shape(spec_of("klaviyo", custom={"into": ""}))

    payload = shape.shape(person({"email": "a@x.io", "image": "other", "avatar": "https://x"}))

    assert payload is not None
    assert payload["traits"] == {"email": "a@x.io", "image": "https://x"}
    assert shape.left_out == {Reason.NAME_TAKEN: 1}


def test_limits_cut_or_drop_as_they_say() -> None:
    """A value that is too long costs the whole request at most vendors."""
    limits: dict[str, Any] = {
        "name": {"max": 5, "beyond": "cut"},
        "text": {"max": 4, "unit": "bytes", "beyond": "cut"},
        "list": 2,
        "keys": 1,
        "depth": 1,
        "traits": 3,
    }
    traits = {
        "abcdefgh": "äöü",
        "b": [1, 2, 3],
        "c": {"x": 1, "y": 2},
        "d": {"x": {"y": 1}},
        "e": 1,
        "f": 2,
    }

    sent = traits_of("segment", traits, limits=limits)

    assert sent == {"abcde": "äö", "d": {}, "e": 1}


@pytest.mark.parametrize(
    ("preset", "traits", "sent"),
    [
        ("mixpanel", {"email": ["a@x.io"], "plan": "pro"}, {"plan": "pro"}),
        ("mixpanel", {"name": "x" * 256, "plan": "pro"}, {"plan": "pro"}),
        ("mixpanel", {"avatar": True, "address": {"city": 5}}, {"$city": "5"}),
        ("salesforce", {"email": "a@x.io", "title": "x" * 200}, {"Title": "x" * 128}),
    ],
)
def test_a_field_of_its_own_takes_text_of_its_length_only(
    preset: str, traits: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Half an address is another address; a list where text belongs is an error at the vendor."""
    found = traits_of(preset, traits)

    assert {name: found.get(name) for name in sent} == sent
    assert len(found) == len(sent) + 3 * (preset == "salesforce")


@pytest.mark.parametrize("value", [5, {"to": 5}, {"to": ["a", 1]}, ["a"], True])
def test_a_field_that_is_no_name_is_refused(value: Any) -> None:
    """YAML makes numbers and lists of what looks like them."""
    with pytest.raises(ValidationError):
        DestinationSpec.model_validate({"name": "A", "traits": {"email": value}})


def test_anonymous_people_have_an_alias_at_braze_and_a_device_at_amplitude() -> None:
    """The history before the login hangs on it."""
    anonymous = person({"plan": "pro"}, "anon:a1")

    braze, amplitude = shaped("braze", anonymous), shaped("amplitude", anonymous)

    assert braze is not None
    assert amplitude is not None
    assert braze["identity"] == {"user_alias": {"alias_name": "a1", "alias_label": "anonymous_id"}}
    assert amplitude["identity"] == {"device_id": "a1"}
    assert shaped("amplitude", anonymous, anonymous=Anonymous.DROP) is None


def test_an_id_can_come_from_the_context() -> None:
    """The context travels as text where nobody needs to look into it."""
    context = b'{"device":{"id":"d1"}}'
    rules = {"rules": [{"to": "device_id", "from": "context.device.id"}]}

    payload = shaped("amplitude", person({}, context=context), identity=rules, requires=[])

    assert payload is not None
    assert payload["identity"] == {"device_id": "d1"}
    assert payload["context"] is context
