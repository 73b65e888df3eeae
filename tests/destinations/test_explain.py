"""What the verbs about destinations print."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from resolver.cli import OK, SOME_BAD, USAGE, app
from resolver.destinations.presets import preset_names
from resolver.destinations.shape import Shape
from tests.core.people import messages, resolve
from tests.destinations.profiles import leaves, spec_of

EVENTS = [
    {"anonymousId": "a1", "traits": {"theme": "dark", "plan": "free"}},
    {"anonymousId": "a1", "userId": "u", "traits": {"email": "Ann@X.io", "firstName": "Ann"}},
    {"userId": "u", "traits": {"gender": "unsure", "address": {"city": "Köln", "street": "x"}}},
    {"userId": "u", "traits": {"health": 1, "plan": "pro"}, "integrations": {"Braze": False}},
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("RESOLVER_") and not name.startswith("RESOLVER_TEST_"):
            monkeypatch.delenv(name)


def run(*arguments: str, given: str = "", code: int = OK) -> str:
    """What a command prints to standard output."""
    result = CliRunner().invoke(app, arguments, input=given)
    assert result.exit_code == code, result.stderr
    return result.stdout


def lines(events: list[dict[str, Any]]) -> str:
    """Events as JSON Lines, a minute apart."""
    return "".join(
        json.dumps({"type": "identify", "timestamp": f"2026-01-01T10:{place:02}:00Z", **event})
        + "\n"
        for place, event in enumerate(events)
    )


def explained(name: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``resolver explain`` says of events, one profile each."""
    return [json.loads(line) for line in run("explain", name, given=lines(events)).splitlines()]


def test_explain_says_of_every_field_where_it_comes_from_and_of_every_trait_where_it_went() -> None:
    """The question of every integration is: why does it not arrive?"""
    (person,) = explained("braze", EVENTS)

    told = [(one["trait"], one["field"], one["value"], one["why"]) for one in person["lines"]]
    assert person["sent"]
    assert told == [
        ("address", "home_city", "Köln", "in its own field"),
        ("address", "", None, "street: the destination has no place for it"),
        ("email", "email", "ann@x.io", "as lower"),
        ("firstName", "first_name", "Ann", "in its own field"),
        ("gender", "", None, "the value has not the type or form that the destination needs"),
        ("health", "", None, "the events that say it keep it from this destination"),
        (
            "plan",
            "plan",
            "free",
            "an earlier value: the events that say the latest keep it from this destination",
        ),
        ("theme", "theme", "dark", ""),
        ("", "identity.external_id", "u", "an id"),
        ("", "previousId", "a1", "in an alias event before the profile: anon:a1 is part of it"),
    ]


def test_explain_says_why_somebody_is_not_sent() -> None:
    """A missing person is harder to find than a missing field."""
    (nameless,) = explained("zendesk", [{"userId": "u", "traits": {"plan": "pro"}}])
    (anonymous,) = explained("zendesk", [{"anonymousId": "a", "traits": {"name": "A"}}])
    (withheld,) = explained("salesforce", [{"userId": "u", "traits": {"email": "a@x.io"}}])

    assert not nameless["sent"]
    assert nameless["why"] == "something is missing without which the destination takes nobody"
    assert anonymous["why"] == "the destination takes nobody before they are identified"
    assert withheld["why"] == "no event about this profile may be seen by this destination"


def test_explain_names_defaults_and_what_comes_of_the_profile() -> None:
    """A field that nobody stated is the most surprising one."""
    on = {"Salesforce": True}
    (lead,) = explained(
        "salesforce", [{"userId": "u", "traits": {"email": "a@x.io"}, "integrations": on}]
    )
    (contact,) = explained("intercom", [{"userId": "u", "traits": {}}])

    assert {(one["field"], one["value"], one["why"]) for one in lead["lines"]} >= {
        ("LastName", "n/a", "the default"),
        ("Company", "n/a", "the default"),
    }
    assert contact["lines"][-1]["why"] == "of the profile: last_seen"


@pytest.mark.parametrize("preset", preset_names())
def test_what_is_explained_is_what_is_sent(preset: str) -> None:
    """An explanation of something else is worse than none."""
    stated = {
        "email": "ann@x.io",
        "name": "Ann Lee",
        "company": {"name": "Acme", "x": 1},
        "createdAt": "2024-05-01",
        "tags": ["a"],
        "order": 1,
        "ok": True,
        "birthday": "1990-05-01",
    }
    event = {
        "type": "identify",
        "userId": "u",
        "traits": stated,
        "integrations": {"Salesforce": {}},
    }
    (person,) = explained(preset, [event])

    payload = Shape(spec_of(preset)).shape(resolve(messages([event]))["user:u"])

    assert payload is not None
    sent = leaves({**payload["traits"], "identity": payload.get("identity", {})})
    told = {one["field"]: one["value"] for one in person["lines"] if one["field"]}
    flat = {
        path: value for name, one in told.items() for path, value in leaves(one, (name,)).items()
    }
    timed = {"last_seen_at", "properties.last_active"}
    assert {".".join(path): value for path, value in flat.items() if path[0] not in timed} == {
        ".".join(path): value
        for path, value in sent.items()
        if ".".join(path) not in timed and value != {}
    }


def test_bad_lines_are_named_and_the_rest_explained() -> None:
    """As with resolve."""
    output = run("explain", "mixpanel", given=lines(EVENTS[:1]) + "{no\n", code=SOME_BAD)

    assert len(output.splitlines()) == 1


def test_destinations_are_listed_and_shown_as_they_are_in_effect(tmp_path: Path) -> None:
    """What a preset and its overrides come to is one question."""
    (tmp_path / "resolver.yaml").write_text(
        "destinations: [{preset: customerio, name: CRM, exclude: [age]}]"
    )

    listed, shown = run("destinations", "list"), yaml.safe_load(run("destinations", "show", "crm"))

    assert listed == "CRM\tresolved.crm\tcustomerio\n"
    assert shown["exclude"] == ["age"]
    assert shown["traits"]["createdAt"] == {"to": ["created_at"], "as": ["epoch_s"]}
    assert json.loads(run("destinations", "show", "crm", "--avro"))["name"] == "ResolvedProfile"
    run("destinations", "show", "nobody", code=USAGE)


@pytest.mark.parametrize("preset", preset_names())
def test_what_is_shown_can_be_read_back(preset: str, tmp_path: Path) -> None:
    """Copying the output is how a preset of one's own begins."""
    shown = run("destinations", "show", preset)
    stated = yaml.safe_load(shown)
    del stated["preset"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "copy.yaml").write_text(yaml.safe_dump(stated))
    (tmp_path / "resolver.yaml").write_text("presets: own\n")

    copied = yaml.safe_load(run("destinations", "show", "copy"))

    assert {**copied, "preset": preset} == yaml.safe_load(shown)
