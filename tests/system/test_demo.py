"""The demo is the first thing anybody runs: it must tell the truth."""

import io

import pytest
from rich.console import Console

from resolver.batch import fold_batch
from resolver.core.consent import Audience
from resolver.core.events import Reading
from resolver.demo import Outcome, run_demo
from resolver.demo_page import show_outcome, telling_person
from resolver.edges.json_codec import JsonDecoder
from resolver.offline import profiles, settle


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One run of the demo."""
    return run_demo(lambda _: None)


def test_the_demo_ends_with_what_the_offline_fold_says(outcome: Outcome) -> None:
    """Tables of a demo that differ from the product would be an advertisement."""
    reading = Reading()
    batch = fold_batch(outcome.raw, JsonDecoder(), reading)
    audience = Audience(("profiles",), False)
    folded = profiles(settle(batch, reading), reading, audience)
    offline = {one["profileId"]: one["traits"] for one in folded}

    shown = outcome.topics["profiles"].profiles

    assert {key: profile["traits"] for key, profile in shown.items()} == offline
    assert outcome.tally.events == outcome.sent == len(outcome.raw)


def test_the_demo_shows_one_person_with_a_trait_that_was_withheld(outcome: Outcome) -> None:
    """Consent is what people doubt: they must see it kept."""
    person = telling_person(outcome)

    views = {name: topic.profiles[person] for name, topic in outcome.topics.items()}

    assert len(views["Mixpanel"]["traits"]) < len(views["profiles"]["traits"])


def test_the_demo_shows_a_person_in_four_vendors_own_names_and_formats(outcome: Outcome) -> None:
    """That is what a destination is for, and the first question of whoever runs the demo."""
    person = telling_person(outcome)

    sent = {name: topic.profiles[person]["traits"] for name, topic in outcome.topics.items()}

    assert sent["profiles"]["createdAt"] == "2024-05-01T09:30:00Z"
    assert sent["Mixpanel"]["$created"] == "2024-05-01T09:30:00Z"
    assert sent["Customer.io"]["created_at"] == 1_714_555_800
    assert sent["Intercom"]["signed_up_at"] == 1_714_555_800
    assert sent["Snowflake"]["CREATED_AT"] == "2024-05-01T09:30:00.000Z"
    assert "plan" in sent["profiles"]
    assert "plan" not in sent["Mixpanel"]


def test_the_page_names_everybody_who_was_anonymous(outcome: Outcome) -> None:
    """The page is the demo's point; a table that loses people would go unseen."""
    page = io.StringIO()

    show_outcome(outcome, Console(file=page, width=160))

    for profile in outcome.topics["profiles"].profiles.values():
        if profile["userId"] and profile["profile"]["anonymousIds"]:
            assert profile["userId"] in page.getvalue()
