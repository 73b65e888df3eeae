"""What a message carries: the whole profile, or what changed since the last one."""

import json
from typing import Any

import pytest

from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec, Format
from resolver.edges.avro_codec import Contract, SingleObjectCodec
from resolver.edges.schema_files import RESOLVED_PROFILE, schema_text
from resolver.ports import Revision
from resolver.targets import build_formatter
from tests.core.people import messages, resolve

EVENT = {"type": "identify", "userId": "u", "traits": {"plan": "pro", "theme": "dark"}}


def message(revision: Revision, **stated: Any) -> dict[str, Any]:
    """What a destination receives of somebody with two traits."""
    spec = DestinationSpec(name="crm", **stated)
    profile = resolve(messages([EVENT]))["user:u"]
    formatter = build_formatter(spec, None)
    stable = formatter.stable(profile)
    assert stable is not None
    raw = formatter.finish(stable, profile, revision)
    if spec.format is Format.JSON:
        decoded: dict[str, Any] = json.loads(raw)
        return decoded
    return dict(SingleObjectCodec(Contract(schema_text(RESOLVED_PROFILE))).decode(raw))


@pytest.mark.parametrize("form", [Format.JSON, Format.AVRO])
def test_changes_carry_the_traits_that_changed_and_name_those_that_went(form: Format) -> None:
    """A destination billed by attribute wants no more than what is new."""
    revision = Revision(7, [], ["plan"], ["lang"], "m0")

    sent = message(revision, payload="changes", format=form)

    assert sent["traits"] == {"plan": "pro"}
    assert sent["profile"]["removed"] == ["lang"]
    assert sent["userId"] == "u"


@pytest.mark.parametrize("form", [Format.JSON, Format.AVRO])
def test_changes_carry_everything_where_the_last_message_is_in_doubt(form: Format) -> None:
    """A trait left out because it may have been sent might never arrive."""
    revision = Revision(7, [], None, None, "m0")

    sent = message(revision, payload="changes", format=form)

    assert sent["traits"] == {"plan": "pro", "theme": "dark"}


def test_a_full_message_carries_all_traits_whatever_changed() -> None:
    """The default: every message can be read alone."""
    sent = message(Revision(7, [], ["plan"], [], "m0"))

    assert sent["traits"] == {"plan": "pro", "theme": "dark"}


@pytest.mark.parametrize("topic", ["a b", "a!", "a/b", "x" * 250])
def test_a_topic_that_kafka_refuses_is_refused_in_the_settings(topic: str) -> None:
    """A pattern that matches a part of the name would let it through to the broker."""
    with pytest.raises(ValueError, match="topic"):
        DestinationSpec(name="crm", topic=topic)


@pytest.mark.parametrize("form", [Format.JSON, Format.AVRO])
def test_what_changed_is_told_in_the_destinations_own_names(form: Format) -> None:
    """A reader that is told "planName" cannot find plan_name; what is excluded is nobody's news."""
    revision = Revision(7, [], ["plan", "planName", "theme"], ["firstName", "theme"], "m0")

    sent = message(revision, format=form, case="snake", exclude=["theme"])

    assert sent["profile"]["changed"] == ["plan", "plan_name"]
    assert sent["profile"]["removed"] == ["first_name"]


def test_salesforce_is_asked_for_by_name_also_where_it_is_configured() -> None:
    """Consent by convention must not depend on how the destination came to be configured."""
    plain, told = DestinationSpec(name="Salesforce"), DestinationSpec(name="x", opt_in=True)

    assert plain.opt_in
    assert told.opt_in
    assert not DestinationSpec(name="Salesforce", opt_in=False).opt_in
    assert not DestinationSpec(name="crm").opt_in


def test_options_are_the_latest_events_under_whatever_alias() -> None:
    """Two senders that name a destination differently mean the same one."""
    spec = DestinationSpec(name="Mixpanel", aliases=("mp",))
    history = [
        {**EVENT, "timestamp": 1_700_000_000_000, "integrations": {"Mixpanel": {"a": 1}}},
        {**EVENT, "timestamp": 1_700_000_060_000, "integrations": {"mp": {"b": 2}}},
    ]

    payload = Shape(spec).shape(resolve(messages(history), spec.audience())["user:u"])

    assert payload is not None
    assert payload["integrations"] == {"Mixpanel": {"b": 2}}
