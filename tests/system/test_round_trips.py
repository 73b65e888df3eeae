"""Nothing is handled one event at a time over the network.

With n records touched by a round, R by all of a batch, and K keys in a request at most, a batch
costs at most::

    2 · Σ max(⌈n / K⌉, min(8, ⌈n / 100⌉))   loads and swaps: a round is worth eight requests
      + ⌈R / K⌉                             the re-check of versions
      + 1                                   the note that the batch is committed

requests, and one more for each incarnation that is not known yet; R is bounded by the number of
identifiers, not of events. Counted by MONITOR on a server of the test's own: what has passed over
the wire, whoever sent it and however it was sent.
"""

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from typing import cast

import pytest
import redis

from bench.generate import generate
from resolver.assembly import SystemClock, json_target
from resolver.batch import Batch
from resolver.core.consent import Audience
from resolver.core.events import Reading
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.memory import MemoryKafka, MemorySink, MemorySource
from resolver.edges.redis_client import connect
from resolver.edges.redis_packing import Packer
from resolver.edges.redis_store import KEYS_MAX, RedisStore
from resolver.edges.state_codec import StateCodec
from resolver.engine import ReferenceEngine
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from resolver.ports import Message
from tests.conftest import running
from tests.stack.services import Redis

ROUNDS = 3
"""Devices, leads, users."""
SENTINEL = b"everything before this has been seen"


class Monitor:
    """Counts the commands that clients send to a server, by name."""

    def __init__(self, server: Redis) -> None:
        self.client = redis.Redis.from_url(server.url)
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.socket.sendall(b"MONITOR\r\n")
        self.lines = self.socket.makefile("rb")
        assert self.lines.readline() == b"+OK\r\n"

    def counted(self) -> Counter[str]:
        """Requests since the last time. What a script runs inside the server is none, nor is what a
        swap carries with it: a transaction's ends, and the watch behind it.
        """
        self.client.echo(SENTINEL.decode())
        found: Counter[str] = Counter()
        while SENTINEL not in (line := self.lines.readline()):
            head = line[:200].split(b" ")
            if head[2] != b"lua]":
                found[head[3].strip(b'"\r\n').decode().upper()] += 1
        carried = [
            *("UNWATCH", "WATCH", "GET") * found["UNWATCH"],
            *("MULTI", "EXEC") * found["MULTI"],
        ]
        greeting = {"HELLO": found["HELLO"], "CLIENT": found["CLIENT"]}
        return found - Counter(carried) - Counter(greeting)

    def close(self) -> None:
        self.lines.close()
        self.socket.close()
        self.client.close()


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis that nobody else asks anything."""
    yield from running(Redis())


@pytest.fixture
def monitor(server: Redis) -> Iterator[Monitor]:
    monitor = Monitor(server)
    yield monitor
    monitor.close()


@pytest.fixture
def pipeline(server: Redis, monitor: Monitor) -> Pipeline:
    """A worker's pipeline, connected."""
    pipeline = pipeline_on(server)
    monitor.counted()
    return pipeline


def pipeline_on(server: Redis) -> Pipeline:
    """The real pipeline with one destination, on a sink in memory."""
    store = RedisStore(connect(server.url), "resolver:", Packer)
    store.versions(["user:u"])
    store.commits(["nobody"])
    spec = DestinationSpec(name="profiles")
    sink = MemorySink(MemorySource(MemoryKafka(), "w"), "dead", None)
    engine = ReferenceEngine(
        decoder=JsonDecoder(),
        reading=Reading(),
        codec=StateCodec(),
        digest=payload_digest,
        sink=sink,
        targets=[json_target("profiles", "out", Audience(("profiles",)), Shape(spec).shape)],
        changelog_topic="changelog",
    )
    return Pipeline(engine=engine, store=store, sink=sink, clock=SystemClock())


def messages_of(count: int, *, repeated: int = 1) -> list[Message]:
    """Generated events, all of them so many times over."""
    events = list(generate(count, skewed=False)) * repeated
    return [Message("raw", 0, place, 0, key, value) for place, (key, value) in enumerate(events)]


def resolve(pipeline: Pipeline, messages: Sequence[Message], incarnation: str) -> Batch:
    """One batch and its commit."""
    batch = pipeline.run(messages, Tag(incarnation, 0))
    pipeline.note_committed(Tag(incarnation, 0))
    return batch


def rounds_of(batch: Batch) -> list[int]:
    """How many records each round of the batch touched."""
    return [len(batch.devices), len(batch.leads), len(batch.users)]


def loads_of(batch: Batch) -> int:
    """How many requests may load them, and as many swap them."""
    return sum(max(ceil(one / KEYS_MAX), min(8, ceil(one / 100))) for one in rounds_of(batch))


@pytest.mark.parametrize("events", [10, 1_000, 5_000])
def test_requests_grow_with_the_records_of_a_batch_by_hundreds(
    events: int, pipeline: Pipeline, monitor: Monitor
) -> None:
    """A round trip takes longer than an event: one each would cost the throughput."""
    store = cast(RedisStore, pipeline.store)
    before = store.calls

    batch = resolve(pipeline, messages_of(events), "a")

    records = sum(rounds_of(batch))
    counted = monitor.counted()
    assert counted["MGET"] <= loads_of(batch)
    assert counted.total() <= 2 * loads_of(batch) + ceil(records / KEYS_MAX) + 1
    assert counted.total() == store.calls - before
    assert records > events


def test_events_about_the_same_people_cost_no_more_requests(
    pipeline: Pipeline, monitor: Monitor
) -> None:
    """A hot profile is read and written once, however many of its events a batch holds."""
    resolve(pipeline, messages_of(10, repeated=500), "a")

    assert monitor.counted().total() <= 3 + 2 * (ROUNDS - 1) + 1


def test_what_another_worker_committed_is_only_read(
    server: Redis, pipeline: Pipeline, monitor: Monitor
) -> None:
    """After a rebalance or a replay: loads, one look at whose commits those are, and no write."""
    messages = messages_of(2_000)
    resolve(pipeline, messages, "a")
    other = pipeline_on(server)
    monitor.counted()

    batch = resolve(other, messages, "b")

    counted = monitor.counted()
    assert counted["MGET"] <= loads_of(batch)
    assert counted - Counter(MGET=counted["MGET"]) == Counter(GET=1, SET=1)


def test_what_another_worker_left_in_doubt_costs_one_more_look_per_request(
    server: Redis, pipeline: Pipeline, monitor: Monitor
) -> None:
    """After a crash everything is swapped and emitted again: by requests, as at first."""
    messages = messages_of(2_000)
    pipeline.run(messages, Tag("a", 0))
    other = pipeline_on(server)
    monitor.counted()

    batch = resolve(other, messages, "b")

    counted = monitor.counted()
    requests = loads_of(batch)
    assert counted["GET"] <= requests + 1, "and one: has anybody else swapped?"
    assert counted.total() - counted["GET"] <= 3 * requests + 1
    assert sum(batch.emitted.values()) > 0
