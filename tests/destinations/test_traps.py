"""What vendors and senders get wrong, one test each; expected values come from their documents."""

import json
from typing import Any

import pytest

from resolver.core.consent import read_integrations
from resolver.core.traits import normalise_traits
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from resolver.destinations.vocabulary import Reason
from resolver.ports import Revision
from resolver.targets import build_formatter
from tests.core.people import messages, resolve
from tests.destinations.profiles import leaves, person, shaped, spec_of, traits_of

EMAIL_LEAD = person({"email": "ann@x.io"}, "email:ann@x.io", anonymous_id=None, anonymous_ids=[])


def message(preset: str, revision: Revision, traits: dict[str, Any], **changes: Any) -> Any:
    """The decoded JSON message of a revision."""
    formatter = build_formatter(spec_of(preset, **changes), None)
    profile = person(traits)
    stable = formatter.stable(profile)
    assert stable is not None
    return json.loads(formatter.finish(stable, profile, revision))


def test_mixpanel_has_first_names_in_snake_case() -> None:
    """$firstName is a legacy: Mixpanel shows $first_name."""
    sent = traits_of("mixpanel", {"firstName": "Ann", "lastName": "Lee"})

    assert sent == {"$first_name": "Ann", "$last_name": "Lee"}


def test_intercom_has_signed_up_at_and_no_created_at() -> None:
    """The REST API 2.x ignores created_at."""
    sent = traits_of("intercom", {"createdAt": "2019-08-24T14:15:22Z"})

    assert sent["signed_up_at"] == 1_566_656_122
    assert not any("created" in name.lower() for path in leaves(sent) for name in path)


@pytest.mark.parametrize("preset", ["mixpanel", "customerio", "intercom", "klaviyo", "warehouse"])
@pytest.mark.parametrize("spelling", ["created_at", "createdAt", "Created At", "CREATED-AT"])
def test_a_reserved_trait_in_another_spelling_does_not_leak_beside_its_field(
    preset: str, spelling: str
) -> None:
    """A public sender maps createdAt only, and created_at arrives as a custom trait."""
    canonical, _ = normalise_traits({spelling: "2019-08-24T14:15:22Z", "email": "a@x.io"}, {})

    assert canonical == {"createdAt": "2019-08-24T14:15:22Z", "email": "a@x.io"}
    assert len(leaves(traits_of(preset, canonical))) == 2 + (preset == "intercom")


def test_two_spellings_of_one_trait_fill_one_field_once() -> None:
    """The canonical spelling wins; the other must not come through under a second name."""
    canonical, _ = normalise_traits({"first_name": "Old", "firstName": "Ann"}, {})

    assert traits_of("mixpanel", canonical) == {"$first_name": "Ann"}


@pytest.mark.parametrize("preset", preset_names())
def test_a_user_id_that_is_an_address_fills_the_e_mail_field(preset: str) -> None:
    """Who is known by an address can be reached at it, whatever the vendor calls it."""
    changes = {"opt_in": False, "requires": []}
    payload = shaped(preset, EMAIL_LEAD, **changes)

    assert payload is not None
    sent = {**payload["traits"], **payload.get("identity", {})}
    if preset in ("ga4", "facebook"):
        assert "ann@x.io" not in leaves(sent).values()
    elif preset == "pipedrive":
        assert sent["email"] == ["ann@x.io"]
    else:
        assert "ann@x.io" in leaves(sent).values()


def test_customer_io_identifies_an_address_by_email_and_a_database_id_by_id() -> None:
    """An address under id would make a second person of the first."""
    by_address = shaped("customerio", EMAIL_LEAD)
    by_id = shaped("customerio", person({"email": "ann@x.io"}))
    by_cio = shaped("customerio", person({}, "user:cio_03000001"))

    assert by_address is not None
    assert by_id is not None
    assert by_cio is not None
    assert by_address["identity"] == {"email": "ann@x.io"}
    assert by_id["identity"] == {"id": "u1"}
    assert by_cio["identity"] == {"cio_id": "03000001"}


def test_google_never_receives_an_address_as_user_id_nor_in_plain() -> None:
    """Google forbids it, and closes properties over it."""
    lead = person({"email": "ann@x.io"}, "email:ann@x.io")

    payload = shaped("ga4", lead)

    assert payload is not None
    assert payload["userId"] is None
    assert payload["identity"] == {"client_id": "a1"}
    assert payload["profile"]["emails"] == []
    assert "ann@x.io" not in leaves(payload["traits"]).values()


@pytest.mark.parametrize(
    ("preset", "field"),
    [
        ("mixpanel", "$distinct_id"),
        ("amplitude", "user_id"),
        ("braze", "external_id"),
        ("iterable", "userId"),
        ("zendesk", "external_id"),
        ("onesignal", "external_id"),
    ],
)
def test_a_numeric_user_id_is_text_everywhere(preset: str, field: str) -> None:
    """12345 and "12345" are two people to some vendors."""
    event = {"type": "identify", "userId": 12345, "traits": {"name": "Ann"}}
    profile = resolve(messages([event]))["user:12345"]

    payload = shaped(preset, profile)

    assert payload is not None
    assert payload["userId"] == payload["identity"][field] == "12345"


def test_a_dot_in_a_name_is_part_of_it_where_the_vendor_allows_it() -> None:
    """Split at the dot it would overwrite another attribute."""
    assert traits_of("customerio", {"plan.name": "x"}) == {"plan.name": "x"}
    assert traits_of("hubspot", {"email": "a@x.io", "Plan.Name x": 1})["plan_name_x"] == 1
    assert traits_of("intercom", {"plan.name": "x"})["custom_attributes"] == {"plan_name": "x"}


@pytest.mark.parametrize("preset", ["braze", "iterable", "klaviyo", "webhook", "zendesk"])
def test_a_removed_trait_is_null_where_null_clears_it(preset: str) -> None:
    """What is left out stays as it was at these vendors."""
    base = {"email": "a@x.io", "name": "A"}

    sent = message(preset, Revision(7, [], [], ["plan"], "m"), base)["traits"]

    found = [value for path, value in leaves(sent).items() if path[-1] == "plan"]
    assert found == [None]


@pytest.mark.parametrize("preset", ["hubspot", "onesignal", "customerio"])
def test_a_removed_trait_is_empty_text_where_that_clears_it(preset: str) -> None:
    """Null is ignored or refused at these vendors."""
    sent = message(preset, Revision(7, [], [], ["plan"], "m"), {"email": "a@x.io"})["traits"]

    found = [value for path, value in leaves(sent).items() if path[-1] == "plan"]
    assert found == [""]


@pytest.mark.parametrize("preset", ["mixpanel", "amplitude"])
def test_a_removed_trait_is_unset_by_its_field_where_the_vendor_has_a_verb_for_it(
    preset: str,
) -> None:
    """$unset takes names, and null would be a value."""
    sent = message(preset, Revision(7, [], [], ["plan", "phone"], "m"), {"email": "a@x.io"})

    assert sent["unset"] == [{"mixpanel": "$phone", "amplitude": "phone"}[preset], "plan"]
    assert "plan" not in sent["traits"]


@pytest.mark.parametrize("preset", ["warehouse", "ga4", "intercom", "segment"])
def test_a_removed_trait_is_left_out_where_nothing_clears_it(preset: str) -> None:
    """profile.removed says it; a null column or attribute would be an error."""
    sent = message(preset, Revision(7, [], [], ["plan"], "m"), {"email": "a@x.io"})

    told = {"intercom": "custom_attributes.plan", "ga4": "user_properties.plan"}.get(preset, "plan")
    assert sent["profile"]["removed"] == [told]
    assert not [path for path in leaves(sent["traits"]) if path[-1] in ("plan", "PLAN")]


def test_a_gender_outside_of_brazes_letters_is_left_out() -> None:
    """Null would clear what is known, and free text is refused."""
    shape = Shape(spec_of("braze"))

    payload = shape.shape(person({"gender": "nonbinary", "plan": "pro"}))

    assert payload is not None
    assert payload["traits"] == {"plan": "pro"}
    assert shape.left_out == {Reason.WRONG_TYPE: 1}
    assert traits_of("braze", {"gender": "Prefer not to say"}) == {"gender": "P"}
    assert traits_of("braze", {"gender": "w"}) == {"gender": "F"}


@pytest.mark.parametrize(
    ("preset", "field"),
    [("hubspot", "company"), ("salesforce", "Company"), ("klaviyo", "organization")],
)
def test_a_company_as_text_fills_the_same_field_as_its_name(preset: str, field: str) -> None:
    """Senders state both, and one of them would otherwise be [object Object]."""
    as_text = traits_of(preset, {"email": "a@x.io", "company": "Acme"})
    as_object = traits_of(preset, {"email": "a@x.io", "company": {"name": "Acme"}})

    assert as_text == as_object
    assert as_text[field] == "Acme"


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ann Lee", "Ann", "Lee"),
        ("  Ludwig  van Beethoven ", "Ludwig", "van Beethoven"),
        ("Cher", "Cher", "n/a"),
        ("", None, "n/a"),
    ],
)
def test_a_name_is_split_after_its_first_word(name: str, first: str | None, last: str) -> None:
    """Taking the last word alone loses "van"; a single word is no last name."""
    sent = traits_of("salesforce", {"email": "a@x.io", "name": name})

    assert (sent.get("FirstName"), sent["LastName"]) == (first, last)


@pytest.mark.parametrize(
    ("integrations", "sees"),
    [
        (None, False),
        ({"All": True}, False),
        ({"Salesforce": True}, True),
        ({"salesforce": {"objectId": 1}}, True),
        ({"Salesforce (Actions)": True}, True),
        ({"All": False, "Salesforce": True}, True),
        ({"Salesforce": False}, False),
    ],
)
def test_salesforce_is_off_unless_an_event_names_it(integrations: Any, sees: bool) -> None:
    """Every lead there is paid for; an object of options counts as on."""
    restriction, _, _ = read_integrations(integrations)

    for preset in ("salesforce", "salesforce_contact"):
        assert spec_of(preset).audience().may_see(restriction) is sees


@pytest.mark.parametrize("preset", ["customerio", "iterable", "onesignal", "warehouse"])
@pytest.mark.parametrize("text", ["20190824", "1566656122", "2019", "2019-13-45", "2019-08-24x"])
def test_digits_and_what_only_looks_like_a_date_are_never_dates(preset: str, text: str) -> None:
    """An order number that becomes a date in 1970 is found months later."""
    sent = leaves(traits_of(preset, {"number": text, "email": "a@x.io"}))

    assert text in sent.values()


def test_dates_before_1970_are_negative_seconds() -> None:
    """One kind of value per attribute, whoever was born when."""
    assert traits_of("customerio", {"birthday": "1969-12-31"}) == {"birthday": -86_400}


def test_dates_in_custom_traits_are_converted_at_any_depth_for_customer_io() -> None:
    """person.birthdate must segment like birthdate."""
    value = {"born": "1990-01-01", "seen": ["2019-08-24T16:15:22+02:00"], "n": 1}

    sent = traits_of("customerio", {"pet": value})

    assert sent == {"pet": {"born": 631_152_000, "seen": [1_566_656_122], "n": 1}}


def test_an_address_is_lifted_or_nested_as_the_preset_says() -> None:
    """Senders disagree; each preset says its choice and why."""
    address = {"city": "Köln", "country": "DE", "street": "x"}

    assert traits_of("mixpanel", {"address": address}) == {"$city": "Köln", "$country_code": "DE"}
    assert traits_of("amplitude", {"address": address}) == {"address": address}
    for preset in ("mixpanel", "amplitude", "customerio"):
        assert any("address" in one.about for one in spec_of(preset).choices)


@pytest.mark.parametrize(
    ("phone", "sent"),
    [
        ("+49 (221) 123-456", "+49221123456"),
        ("+14155552671", "+14155552671"),
        ("0221 123456", None),
        ("+0123456789", None),
        ("call me", None),
    ],
)
def test_a_phone_that_klaviyo_refuses_is_left_out_and_the_profile_goes_on(
    phone: str, sent: str | None
) -> None:
    """One field would otherwise cost the whole profile."""
    assert traits_of("klaviyo", {"email": "a@x.io", "phone": phone}).get("phone_number") == sent


def test_google_takes_names_and_values_of_its_own_form_only() -> None:
    """One bad property makes Google drop the event without a word."""
    long, shape = "x" * 37, Shape(spec_of("ga4"))
    traits = {"plan": " pro ", "2x": 1, "ga_x": 1, "a b": 1, "note": long, "user_id": "u", "ok": ""}

    payload = shape.shape(person(traits))

    assert payload is not None
    assert payload["traits"] == {"user_properties": {"plan": {"value": "pro"}}}
    assert shape.left_out == {
        Reason.ILLEGAL_NAME: 2,
        Reason.RESERVED_NAME: 2,
        Reason.TOO_LONG: 1,
        Reason.EMPTY: 1,
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("omega v2", "omega_v_2"),
        ("9mega", "_9_mega"),
        ("ome$ga", "ome_ga"),
        ("Cízǔ", "c_z"),
        ("CamelCase123Key", "camel_case_123_key"),
        ("1CComega", "_1_c_comega"),
        ("_private", "_private"),
    ],
)
def test_column_names_follow_the_known_examples(name: str, column: str) -> None:
    """Whoever moves a warehouse from another sender keeps the columns."""
    assert traits_of("warehouse", {name: 1}) == {column: 1}


def test_a_name_without_a_letter_has_no_column() -> None:
    """A column must be called something."""
    assert traits_of("warehouse", {"日本": 1, "$$": 2}) == {}


def test_keywords_and_columns_of_the_row_are_kept_apart() -> None:
    """An unquoted order or a second user_id breaks the load of everybody."""
    stated = {"order": 1, "user_id": "x", "received_at": "x", "context_ip": "x"}

    assert traits_of("snowflake", stated) == {"_ORDER": 1, "_USER_ID": "x"}
    assert traits_of("warehouse", stated) == {"order": 1, "_user_id": "x"}


def test_objects_become_columns_down_to_three_names_and_lists_are_text() -> None:
    """Below that a column per key would be a column per event."""
    sent = traits_of("warehouse", {"a": {"b": {"c": {"d": 1}}, "e": [1, "x"], "f": None}})

    assert sent == {"a_b_c": '{"d":1}', "a_e": '[1,"x"]'}


def test_facebook_hashes_what_it_compares() -> None:
    """Any other normalisation matches nobody, and nothing in plain may leave."""
    sent = traits_of("facebook", {"email": " Ann@X.io ", "phone": "+1 (415) 555-2671"})
    again = traits_of("facebook", {"email": "ann@x.io", "phone": "14155552671"})

    assert sent == again
    assert all(len(value) == 64 for value in sent.values())


def test_mixpanel_is_told_of_a_merge_before_the_profile() -> None:
    """Without the alias the anonymous history stays somebody else's."""
    revision = Revision(7, ["anon:a1", "email:e@x.io"], [], [], "m")

    events = build_formatter(spec_of("mixpanel"), None).aliases(person({}), revision)

    said = [json.loads(one) for one in events]
    assert [(one["previousId"], one["identity"]["$distinct_id"]) for one in said] == [
        ("a1", "u1"),
        ("e@x.io", "u1"),
    ]
