"""What destinations are told of a change: each by what it saw before."""

import json
from collections.abc import Sequence

import pytest

from resolver.assembly import SystemClock
from resolver.batch import Batch
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import OnMerge, Payload
from resolver.edges.memory import MemoryKafka, MemorySink, MemorySource, MemoryStore
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from resolver.targets import build_target
from tests.core.people import START_MS, messages
from tests.engines import ENGINES, reference

NAMES = ("profiles", "crm", "mixpanel")
build = reference


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine there is must tell destinations the same."""
    monkeypatch.setattr(f"{__name__}.build", ENGINES[request.param])


def at(minute: int, **event: object) -> dict[str, object]:
    """A user's event of a minute."""
    instant = START_MS + minute * 60_000
    return {"userId": "u", "timestamp": instant, "receivedAt": instant, **event}


def pipeline_of(specs: Sequence[DestinationSpec], kafka: MemoryKafka) -> Pipeline:
    """A worker's pipeline on an empty store."""
    sink = MemorySink(MemorySource(kafka, "w"), "dead", None)
    engine = build(sink, [build_target(one) for one in specs])
    return Pipeline(engine=engine, store=MemoryStore(), sink=sink, clock=SystemClock())


def live(
    history: Sequence[dict[str, object]], *specs: DestinationSpec, committed: bool = True
) -> tuple[Batch, MemoryKafka]:
    """Every event as a batch of its own, each known to be committed, or none; with the account
    of the last one.
    """
    kafka = MemoryKafka()
    pipeline = pipeline_of(specs, kafka)
    for number, message in enumerate(messages(list(history))):
        tag = Tag("w", number)
        batch = pipeline.run([message], tag)
        if committed:
            pipeline.note_committed(tag)
    return batch, kafka


def told(*history: dict[str, object]) -> dict[str, list[str]]:
    """The traits that each destination is told to have changed by the last event."""
    specs = [DestinationSpec(name=name, topic=name) for name in NAMES]
    _, kafka = live(history, *specs)
    last = {name: json.loads(kafka.last(name)["user:u"] or b"") for name in NAMES}
    return {name: payload["profile"]["changed"] for name, payload in last.items()}


def test_destinations_that_saw_the_same_are_told_the_same() -> None:
    """Nobody is told less because somebody else was told first."""
    changed = told(at(1, traits={"plan": "free", "x": 1}), at(2, traits={"plan": "pro"}))

    assert changed == {name: ["plan"] for name in NAMES}


def test_who_had_been_kept_from_a_trait_is_told_of_it_when_it_is_shown() -> None:
    """The same profile now is not the same news for somebody who saw less before."""
    changed = told(
        at(1, traits={"x": 1}),
        at(2, traits={"plan": "pro"}, integrations={"Mixpanel": False}),
        at(3, traits={"plan": "pro", "x": 2}),
    )

    assert changed == {"profiles": ["x"], "crm": ["x"], "mixpanel": ["plan", "x"]}


def test_what_one_destination_is_told_to_remove_is_no_change_to_another() -> None:
    """They may share one profile in memory; a null that one of them needs is not in it."""
    nulls = DestinationSpec.model_validate({"name": "nulls", "topic": "n", "removed": "as_null"})
    plain = DestinationSpec(name="plain", topic="p")

    _, kafka = live([at(1, traits={"x": 1, "y": 1}), at(2, traits={"y": None})], nulls, plain)

    last = {topic: json.loads(kafka.last(topic)["user:u"] or b"") for topic in ("n", "p")}
    assert last["n"]["traits"] == {"x": 1, "y": None}
    assert last["p"]["traits"] == {"x": 1}
    assert (last["p"]["profile"]["changed"], last["p"]["profile"]["removed"]) == ([], ["y"])


def crm(on_merge: OnMerge) -> DestinationSpec:
    """A destination with one of the choices."""
    return DestinationSpec(name="crm", topic="crm", on_merge=on_merge)


def said(kafka: MemoryKafka, topic: str = "crm") -> list[tuple[str, str, list[str]]]:
    """Every record of a topic: key, type, whom it says to be merged."""
    records = []
    for one in kafka.committed(topic):
        message = json.loads(one.value or b"null")
        kind = message["type"] if message else "tombstone"
        merged = message["profile"]["merged"] if message else []
        records.append(((one.key or b"").decode(), kind, merged))
    return records


ANONYMOUS = at(1, userId=None, anonymousId="a", traits={"theme": "dark"})
IDENTIFIED = at(2, anonymousId="a", traits={"plan": "pro"})
LATER = at(3, traits={"plan": "free"})


def test_an_alias_event_goes_before_the_profile_and_the_tombstone_behind_it() -> None:
    """A vendor that is sent the profile first takes the two for different people."""
    _, kafka = live([ANONYMOUS, IDENTIFIED, LATER], crm(OnMerge.ALIAS))

    assert said(kafka) == [
        ("anon:a", "identify", []),
        ("user:u", "alias", ["anon:a"]),
        ("user:u", "identify", ["anon:a"]),
        ("anon:a", "tombstone", []),
        ("user:u", "identify", []),
    ]


def test_the_other_choices_tell_of_a_merge_in_the_profile_or_not_at_all() -> None:
    """The tombstone under the old key follows in all three."""
    for on_merge, merged in ((OnMerge.PROFILE, ["anon:a"]), (OnMerge.TOMBSTONE, [])):
        _, kafka = live([ANONYMOUS, IDENTIFIED], crm(on_merge))

        assert said(kafka)[1:] == [("user:u", "identify", merged), ("anon:a", "tombstone", [])]


def test_a_lead_has_no_aliases_and_its_owner_has_those_of_all_it_held() -> None:
    """An address is nobody's user id for good."""
    lead = at(2, userId="e@x.io", anonymousId="a")
    claim = at(3, traits={"email": "e@x.io"})

    _, kafka = live([ANONYMOUS, lead, claim], crm(OnMerge.ALIAS))

    assert [one for one in said(kafka) if one[1] == "alias"] == [
        ("user:u", "alias", ["anon:a"]),
        ("user:u", "alias", ["email:e@x.io"]),
    ]
    assert ("email:e@x.io", "identify", ["anon:a"]) in said(kafka)


def test_a_value_of_another_type_is_news_however_equal_a_language_finds_it() -> None:
    """Whoever is told changes alone would keep 1 for ever where true was meant."""
    values = [1, True, False, 0, 0.0, -0.0, [1], [True], [1.0], {"x": 1}, {"x": True}, "1"]
    events = [at(minute, traits={"odd": value}) for minute, value in enumerate(values, 1)]
    spec = DestinationSpec(name="crm", topic="crm", payload=Payload.CHANGES)

    _, kafka = live(events, spec)

    sent = [json.loads(one.value or b"") for one in kafka.committed("crm")]
    told = [one["traits"] for one in sent]
    assert list(map(repr, told)) == [repr({"odd": value}) for value in values]
    assert all(one["profile"]["changed"] == ["odd"] for one in sent)


def test_a_destination_hears_of_no_merge_with_what_was_kept_from_it() -> None:
    """An alias would tell it of somebody it may not know."""
    secret = {**ANONYMOUS, "integrations": {"crm": False}}

    _, kafka = live([secret, IDENTIFIED], crm(OnMerge.ALIAS))

    assert said(kafka) == [("user:u", "identify", [])]


def test_aliases_are_repeated_as_long_as_the_profile_before_is_in_doubt() -> None:
    """One that was lost with its transaction would never be sent again."""
    _, kafka = live([ANONYMOUS, IDENTIFIED, LATER], crm(OnMerge.ALIAS), committed=False)

    assert said(kafka)[-2:] == [
        ("user:u", "alias", ["anon:a"]),
        ("user:u", "identify", ["anon:a"]),
    ]


def test_a_merge_that_changes_nothing_else_is_told_to_whoever_is_told_of_merges() -> None:
    """Two histories are to be joined also where the profile has no new trait."""
    known = at(5, anonymousId="a", traits={"theme": "light"}, context={"n": 1})
    earlier = at(4, userId=None, anonymousId="a", traits={"theme": "dark"})
    first = at(1, anonymousId="a")
    history = [first, known, {**earlier, "context": {"active": False}}]

    _, aliased = live(history, crm(OnMerge.ALIAS))
    _, plain = live(history, crm(OnMerge.PROFILE))
    _, untold = live(history, crm(OnMerge.TOMBSTONE))

    assert said(aliased)[-2:] == [
        ("user:u", "alias", ["anon:a"]),
        ("user:u", "identify", ["anon:a"]),
    ]
    assert said(plain)[-1] == ("user:u", "identify", ["anon:a"])
    assert len(said(untold)) == len(said(plain)) - 1


def test_alias_events_count_as_emitted() -> None:
    """The count of messages must be that of the topic."""
    batch, kafka = live([ANONYMOUS, IDENTIFIED], crm(OnMerge.ALIAS))

    assert batch.emitted["crm"] == len(said(kafka)) - 1 == 3
