"""Small worlds of events for the laws: few people, few devices, many collisions."""

import json
import random
from typing import Any

from hypothesis import strategies as st

from resolver.batch import Batch, fold_batch
from resolver.core.consent import EVERYTHING, Audience
from resolver.core.events import Reading
from resolver.core.profiles import Profile, project
from resolver.core.values import Contribution, Record
from resolver.edges.json_codec import JsonDecoder
from resolver.joining import join_records, shares_of
from resolver.ports import Message

START_MS = 1_700_000_000_000
VALUES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "x"]), st.just({"city": "A"}))
CONSENTS = st.sampled_from(
    [{}, {}, {"All": False}, {"All": False, "Warehouse": True}, {"Mixpanel": False}]
)
MIXPANEL = Audience(("mixpanel",))


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """One identify call by somebody of a small world, at one of a few minutes."""
    anon = draw(st.sampled_from(["a", "b", None]))
    user = draw(st.sampled_from(["u", "v", "e@x.io", None, None]))
    traits: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(["p", "q", "first_name", "age"]), VALUES, max_size=3)
    )
    if draw(st.booleans()):
        traits["email"] = draw(st.sampled_from(["e@x.io", "E@x.io", "f@x.io"]))
    at = START_MS + 60_000 * draw(st.integers(0, 12))
    event: dict[str, Any] = {
        "type": "identify",
        "traits": traits,
        "timestamp": at,
        "receivedAt": at,
        "integrations": draw(CONSENTS),
    }
    if anon is not None:
        event["anonymousId"] = anon
    if user is not None:
        event["userId"] = user
    if draw(st.integers(0, 5)) == 0:
        event["context"] = {"active": False}
    return event


histories = st.lists(events(), min_size=1, max_size=10)


def messages(history: list[dict[str, Any]]) -> list[Message]:
    """The events as they lie on one partition, in the order given."""
    return [
        Message(
            "raw",
            0,
            place,
            START_MS,
            None,
            json.dumps({**event, "messageId": f"m{place}"}).encode(),
        )
        for place, event in enumerate(history)
    ]


def fold(batch: Batch, reading: Reading) -> dict[str, Record]:
    """Every record of one batch, contributions delivered."""
    records: dict[str, Record] = {}
    for key, device in batch.devices.items():
        _settle(batch, records, key, device.record(reading.policy), reading)
    for key, lead in batch.leads.items():
        _settle(batch, records, key, lead.record(reading.policy), reading)
    for key, user in batch.users.items():
        _settle(batch, records, key, user.record(reading.policy), reading)
    return records


def _settle(
    batch: Batch, records: dict[str, Record], key: str, delta: Record, reading: Reading
) -> None:
    record = records[key] = join_records(None, delta, reading.policy)
    for receiver, share in shares_of(record, key, reading.policy).items():
        batch.person(receiver).sources[key] = Contribution(1, *share)


def resolve(
    raw: list[Message], audience: Audience = EVERYTHING, reading: Reading | None = None
) -> dict[str, Profile]:
    """The profiles of some messages, by identifier."""
    reading = reading or Reading()
    records = fold(fold_batch(raw, JsonDecoder(), reading), reading)
    profiles: dict[str, Profile] = {}
    for key, record in records.items():
        profile = project(record, key, audience, reading.policy)
        if profile is not None:
            profiles[key] = profile
    return profiles


def shuffled_and_repeated(raw: list[Message], seed: int) -> list[Message]:
    """Every message twice, in an order of the seed's."""
    return random.Random(seed).sample(raw * 2, k=len(raw) * 2)
