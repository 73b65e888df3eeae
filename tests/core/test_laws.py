"""The laws that make order, repeats and batch splits irrelevant."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.batch import fold_batch
from resolver.core.consent import EVERYTHING
from resolver.core.events import Reading
from resolver.core.policy import Policy, Precedence
from resolver.core.profiles import project
from resolver.core.records import contributions, is_hidden, keeps_owners, unowned
from resolver.core.values import EMPTY, Contribution, Device, Person, Record
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.state_codec import StateCodec
from resolver.joining import join_records
from resolver.state import State
from tests.core.people import (
    MIXPANEL,
    fold,
    histories,
    messages,
    resolve,
    shuffled_and_repeated,
)

POLICIES = [
    Policy(),
    Policy(everywhere=Precedence.LATEST),
    Policy(named={"p": Precedence.FIRST, "q": Precedence.MAX, "age": Precedence.MIN}),
    Policy(deep=frozenset({"p", "q"})),
]


@pytest.mark.parametrize("policy", POLICIES)
@given(history=histories, seed=st.integers(0, 999))
def test_profiles_do_not_depend_on_arrival_order(
    policy: Policy, history: list[dict[str, Any]], seed: int
) -> None:
    """A rebalance, a retry or a slow phone must not change who somebody is."""
    raw = messages(history)
    reading = Reading(policy=policy)

    shuffled = resolve(shuffled_and_repeated(raw, seed), reading=reading)

    assert shuffled == resolve(raw, reading=reading)


@pytest.mark.parametrize("policy", POLICIES)
@given(history=histories, cuts=st.lists(st.integers(0, 10), min_size=2, max_size=2))
def test_joins_are_commutative_associative_and_idempotent(
    policy: Policy, history: list[dict[str, Any]], cuts: list[int]
) -> None:
    """However a history is split over batches and workers, the records end the same."""
    reading = Reading(policy=policy)
    raw = messages(history)
    low, high = sorted(cuts)
    parts = [records_alone(part, reading) for part in (raw[:low], raw[low:high], raw[high:])]
    whole = records_alone(raw, reading)

    for key, record in whole.items():
        a, b, c = (part.get(key) for part in parts)
        left = join_all([a, b, c], policy)
        right = join_all([c, join_all([b, a], policy)], policy)
        assert left == right == record
        assert join_records(record, record, policy) == record


def records_alone(raw: list[Any], reading: Reading) -> dict[str, Record]:
    """Each record by its own events only, without contributions."""
    batch = fold_batch(raw, JsonDecoder(), reading)
    records: dict[str, Record] = {}
    for key, device in batch.devices.items():
        records[key] = join_records(None, device.record(reading.policy), reading.policy)
    for people in (batch.leads, batch.users):
        for key, person in people.items():
            records[key] = join_records(None, person.record(reading.policy), reading.policy)
    return records


def join_all(records: list[Record | None], policy: Policy) -> Record | None:
    """The join of those that are there."""
    joined: Record | None = None
    for record in records:
        if record is not None:
            joined = join_records(joined, record, policy)
    return joined


@given(history=histories, versions=st.permutations([1, 2, 3]))
def test_an_older_contribution_never_replaces_a_newer_one(
    history: list[dict[str, Any]], versions: list[int]
) -> None:
    """A slow writer that delivers late must not bring back what was withdrawn."""
    policy = Policy()
    records = fold(fold_batch(messages(history), JsonDecoder(), Reading()), Reading())
    for key, record in records.items():
        if key.startswith("anon:"):
            continue
        deltas = [
            Person(EMPTY, {"anon:z": Contribution(version, EMPTY, EMPTY)}, None)
            for version in versions
        ]
        joined = join_all([record, *deltas], policy)
        assert isinstance(joined, Person)
        assert joined.sources["anon:z"].version == 3


@given(history=histories)
def test_two_users_never_merge(history: list[dict[str, Any]]) -> None:
    """What one user stated as themselves never shows on another, whatever they share."""
    for place, event in enumerate(history):
        if event.get("userId") in ("u", "v"):
            event["traits"] = {**event["traits"], f"of_{event['userId']}": place}

    profiles = resolve(messages(history))

    for identifier, profile in profiles.items():
        others = {"user:u": "of_v", "user:v": "of_u"}
        assert others.get(identifier) not in profile.traits
        if not identifier.startswith("user:"):
            assert "of_u" not in profile.traits
            assert "of_v" not in profile.traits


@given(history=histories)
def test_anonymous_never_hides_identified(history: list[dict[str, Any]]) -> None:
    """A form filled in before a login fills gaps; it never overwrites what a user stated."""
    identified = [event for event in history if event.get("userId") or "anonymousId" not in event]

    alone = resolve(messages_in_place(history, identified))
    together = resolve(messages(history))

    for identifier, profile in alone.items():
        if identifier.startswith("user:"):
            for name, value in profile.traits.items():
                if name not in ("email", "name"):
                    assert together[identifier].traits[name] == value


def messages_in_place(history: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[Any]:
    """Messages of the kept events, each at the offset it has in the whole history."""
    places = {id(event) for event in kept}
    return [
        message
        for message, event in zip(messages(history), history, strict=True)
        if id(event) in places
    ]


@given(history=histories, seed=st.integers(0, 999))
def test_who_surely_keeps_their_statements_has_the_same_ones(
    history: list[dict[str, Any]], seed: int
) -> None:
    """Owners are not looked for where a later login cannot change them: a wrong guess would leave
    a write with the wrong person, or a profile where there is none.
    """
    policy, known = Policy(), dict[str, Device]()
    for message in shuffled_and_repeated(messages(history), seed):
        batch = fold_batch([message], JsonDecoder(), Reading())
        for key, delta in batch.devices.items():
            before = known.get(key)
            after = join_records(before, delta.record(policy), policy)
            assert isinstance(after, Device)
            known[key] = after
            if before is not None and keeps_owners(before, after):
                assert contributions(after, key, policy) == contributions(before, key, policy)
                assert unowned(after) == unowned(before)
            if is_hidden(after, key):
                assert project(after, key, EVERYTHING, policy) is None


@given(history=histories)
def test_a_withheld_trait_never_shows(history: list[dict[str, Any]]) -> None:
    """What a sender kept from a destination stays kept, merges included."""
    for event in history:
        if event["integrations"] in ({"All": False}, {"Mixpanel": False}):
            event["traits"] = {**event["traits"], "p": "canary"}

    profiles = resolve(messages(history), MIXPANEL)

    for profile in profiles.values():
        assert "canary" not in json.dumps(profile.traits)


@given(history=histories)
def test_a_destination_sees_what_the_permitted_events_alone_would_show_in_traits(
    history: list[dict[str, Any]],
) -> None:
    """If nothing is withheld, a destination sees exactly what everybody sees."""
    for event in history:
        event["integrations"] = {}

    assert resolve(messages(history), MIXPANEL) == resolve(messages(history))


@given(history=histories)
def test_a_stored_record_is_read_back_as_it_was(history: list[dict[str, Any]]) -> None:
    """A state that changed in the store would be swapped and emitted for ever."""
    codec = StateCodec()
    records = fold(fold_batch(messages(history), JsonDecoder(), Reading()), Reading())
    for key, record in records.items():
        state = State(record, "incarnation", 3, ["user:u"], {"profiles": b"12345678"})

        assert codec.decode(key, codec.encode(state)) == state
        assert project(record, key, MIXPANEL, Policy()) == project(
            codec.decode(key, codec.encode(state)).record, key, MIXPANEL, Policy()
        )


@given(history=histories)
def test_equal_traits_are_equal_bytes(history: list[dict[str, Any]]) -> None:
    """A digest compares bytes: another order of the same traits would be emitted as a change."""
    for policy in POLICIES:
        for profile in resolve(messages(history), reading=Reading(policy=policy)).values():
            assert list(profile.traits) == sorted(profile.traits)
