"""The services a benchmark runs on: one broker for all of it, a fresh Redis for every run."""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from redis import Redis as RedisClient

from bench.generate import Generated, Law, events_of
from resolver.edges.kafka_tools import KafkaTools
from tests.stack.services import Kafka, Redis

PARTITIONS = 12
DELETE_S_MAX = 30.0


@dataclass(frozen=True)
class Raw:
    """A raw topic filled from a seed: how many events, and how many users are named in them."""

    topic: str
    events: int
    users: int


@dataclass(frozen=True)
class Stack:
    """Addresses; ``redis`` is None where every run gets a server of its own, ``broker_pid`` where
    the broker was not started here.
    """

    brokers: str
    redis: str | None = None
    broker_pid: int | None = None

    @contextmanager
    def store(self) -> Iterator[str]:
        """The address of a Redis: an empty one, unless an address was given."""
        if self.redis is not None:
            yield self.redis
            return
        server = Redis()
        try:
            server.start()
            yield server.url
        finally:
            server.close()

    def create(self, topics: dict[str, bool], partitions: int = PARTITIONS) -> None:
        """Creates topics; the value says which are compacted."""
        KafkaTools({"bootstrap.servers": self.brokers}).create(topics, partitions, 1)

    def drop(self, prefix: str) -> None:
        """Deletes every topic whose name holds this prefix, so that runs do not fill the disk."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        names = [one for one in admin.list_topics(timeout=DELETE_S_MAX).topics if prefix in one]
        for gone in admin.delete_topics(names).values() if names else ():
            gone.result(DELETE_S_MAX)

    def fill(self, events: int, law: Law, seed: int = 7) -> Raw:
        """A new raw topic with generated events: the same bytes for whoever reads it."""
        topic = f"raw-{uuid.uuid4().hex[:8]}"
        self.create({topic: False})
        users = self.pour(topic, events_of(events, law, seed))
        return Raw(topic, events, users)

    def pour(self, topic: str, events: Iterable[Generated]) -> int:
        """Puts events on a topic; returns how many users are named in them."""
        producer = Producer(
            {
                "bootstrap.servers": self.brokers,
                "linger.ms": 20,
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        users = set()
        for number, event in enumerate(events):
            producer.produce(topic, event.value, event.key)
            users.add(event.user)
            if number % 1_000 == 0:
                producer.poll(0)
        producer.flush()
        return len(users)


@contextmanager
def services() -> Iterator[Stack]:
    """The addresses of ``RESOLVER_TEST_KAFKA`` and ``RESOLVER_TEST_REDIS``, else started here."""
    given = os.environ.get("RESOLVER_TEST_KAFKA")
    if given:
        yield Stack(given, os.environ.get("RESOLVER_TEST_REDIS"))
        return
    kafka = Kafka()
    try:
        kafka.start()
        yield Stack(kafka.bootstrap, broker_pid=kafka.process.pid if kafka.process else None)
    finally:
        kafka.close()


class StoreMeter:
    """What a Redis has used so far."""

    def __init__(self, url: str) -> None:
        self.client = RedisClient.from_url(url)

    def cpu_s(self) -> float:
        """Processor seconds of the server since it started."""
        spent = self.client.info("cpu")
        return float(spent["used_cpu_user"]) + float(spent["used_cpu_sys"])

    def memory(self) -> int:
        """Bytes in use."""
        return int(self.client.info("memory")["used_memory"])

    def keys(self) -> int:
        """How many there are."""
        return int(self.client.dbsize())

    def close(self) -> None:
        """Hangs up."""
        self.client.close()
