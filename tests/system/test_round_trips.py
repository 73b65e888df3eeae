"""Nothing is handled one event at a time over the network."""

from math import ceil
from typing import Any

import pytest
import redis

from bench.generate import generate
from resolver.assembly import SystemClock, json_target
from resolver.core.consent import Audience
from resolver.core.events import Reading
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.memory import MemoryKafka, MemorySink, MemorySource
from resolver.edges.redis_store import KEYS_MAX, RedisStore, connect
from resolver.edges.state_codec import StateCodec
from resolver.joining import Tag
from resolver.pipeline import CHUNK, Pipeline
from resolver.ports import Message

ROUNDS = 3
CONSTANT = 2 * ROUNDS + 4
"""A partly filled load and swap per round; connecting, the commit table, a last look."""


def pipeline_on(store: RedisStore) -> Pipeline:
    """The real pipeline with one destination, on a sink in memory."""
    spec = DestinationSpec(name="profiles")
    sink = MemorySink(MemorySource(MemoryKafka(), "w"), "dead", None)
    return Pipeline(
        decoder=JsonDecoder(),
        reading=Reading(),
        codec=StateCodec(),
        store=store,
        sink=sink,
        clock=SystemClock(),
        targets=[json_target("profiles", "out", Audience(("profiles",)), Shape(spec).shape)],
        changelog_topic="changelog",
    )


def commands_of(client: Any) -> int:
    """Commands the server has run for clients; what a script runs inside is not counted."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("mget", "evalsha"))


@pytest.mark.parametrize("events", [10, 1_000, 5_000])
def test_round_trips_of_a_batch_grow_by_requests_not_by_events(
    events: int, fresh: str, redis_server: Any
) -> None:
    """A round trip takes longer than an event: one each would cost the throughput."""
    store = RedisStore(connect(redis_server.url), f"{fresh}:")
    watcher: Any = redis.Redis.from_url(redis_server.url)
    pipeline = pipeline_on(store)
    messages = [
        Message("raw", 0, offset, 0, key, value)
        for offset, (key, value) in enumerate(generate(events, skewed=False))
    ]
    before, calls = commands_of(watcher), store.calls

    batch = pipeline.run(messages, Tag("incarnation", 0))
    pipeline.note_committed(Tag("incarnation", 0))

    records = len(batch.devices) + len(batch.leads) + len(batch.users)
    bound = CONSTANT + 2 * ceil(records / CHUNK) + ceil(records / KEYS_MAX)
    assert store.calls - calls <= bound
    assert commands_of(watcher) - before <= bound
    assert records > events
