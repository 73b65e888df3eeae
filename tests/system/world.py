"""Topics, workers and readers for the system tests, on the real broker and store."""

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from resolver.core.consent import EVERYTHING, Audience
from resolver.core.identifiers import USER
from resolver.destinations.aliases import ALIAS
from resolver.ports import Message
from tests.core.people import resolve
from tests.system.worker_process import shape

DEADLINE_S = 90.0
PARTITIONS = 12


class World:
    """One test's topics and workers; every name starts with the test's own."""

    def __init__(self, name: str, bootstrap: str, redis: str) -> None:
        self.name = name
        self.bootstrap = bootstrap
        self.redis = redis
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._create("raw", "profiles", "mixpanel", "changelog", "dead")

    def _create(self, *names: str) -> None:
        topics = [NewTopic(f"{self.name}.{one}", PARTITIONS, 1) for one in names]
        for created in self.admin.create_topics(topics).values():
            created.result(30)

    def send(self, values: list[bytes | None], spread: Callable[[int], int] | None = None) -> None:
        """Produces raw events, the n-th to partition ``spread(n)``."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 20})
        for place, value in enumerate(values):
            partition = spread(place) if spread else place % PARTITIONS
            producer.produce(f"{self.name}.raw", value, partition=partition)
            producer.poll(0)
        assert producer.flush(30) == 0

    @contextmanager
    def worker(self, member: int = 0, **setup: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process, ended in an orderly way if it still runs."""
        chosen = {
            "name": self.name,
            "bootstrap": self.bootstrap,
            "redis": self.redis,
            "member": member,
            **setup,
        }
        command = [sys.executable, "-m", "tests.system.worker_process", json.dumps(chosen)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)

    def wait_until_committed(self, group: str | None = None) -> None:
        """Returns once the group has committed the end of every raw partition."""
        places = [TopicPartition(f"{self.name}.raw", one) for one in range(PARTITIONS)]
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group or self.name})

        def drained() -> bool:
            try:
                ends = [consumer.get_watermark_offsets(one, timeout=10)[1] for one in places]
                committed = consumer.committed(places, timeout=10)
            except KafkaException:
                return False  # a leader or the group's coordinator is being elected
            pairs = zip(committed, ends, strict=True)
            return all(max(one.offset, 0) >= end for one, end in pairs)

        wait_until(drained, "the group to commit everything")
        consumer.close()

    def records(self, topic: str) -> list[Message]:
        """Every committed record of a topic, in order within each partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"{self.name}-reader",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        places = [TopicPartition(f"{self.name}.{topic}", one, 0) for one in range(PARTITIONS)]
        consumer.assign(places)
        found: list[Message] = []
        ended: set[int | None] = set()
        deadline = time.monotonic() + DEADLINE_S
        while len(ended) < PARTITIONS:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            record = consumer.poll(1)
            if record is None:
                continue
            error = record.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                ended.add(record.partition())
                continue
            found.append(
                Message(
                    f"{self.name}.{topic}",
                    record.partition() or 0,
                    record.offset() or 0,
                    record.timestamp()[1],
                    record.key(),
                    record.value(),
                    headers=record.headers(),  # type: ignore[arg-type]
                )
            )
        consumer.close()
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def final(self, topic: str) -> dict[str, Any]:
        """The last record of each key, tombstoned keys left out, revisions taken off."""
        last: dict[str, bytes | None] = {}
        for record in self.records(topic):
            last[(record.key or b"").decode()] = record.value
        return {key: stable(value) for key, value in last.items() if value is not None}

    def expected(self, audience: Audience = EVERYTHING) -> dict[str, Any]:
        """What the raw topic folds to, offline, as this audience sees it."""
        profiles = resolve(self.records("raw"), audience)
        return {key: json.loads(json.dumps(shape(one))) for key, one in profiles.items()}

    def assert_final(self) -> None:
        """The last record of every key is the fold of all events, for every destination."""
        assert self.final("profiles") == self.expected(Audience(("profiles",)))
        assert self.final("mixpanel") == self.expected(Audience(("mixpanel",)))
        self.assert_announced()

    def assert_announced(self) -> None:
        """Before a user's profile there is an alias event for everybody who is part of it."""
        told: dict[str, set[str]] = defaultdict(set)
        for record in self.records("mixpanel"):
            key, message = (record.key or b"").decode(), json.loads(record.value or b"null")
            merged = set(message["profile"]["merged"]) if message else set()
            if message and message.get("type") == ALIAS:
                told[key] |= merged
            elif key.startswith(USER):
                assert merged <= told[key], key
        for key, profile in resolve(self.records("raw"), Audience(("mixpanel",))).items():
            assert not key.startswith(USER) or set(profile.merged) <= told[key], key


def stable(value: bytes) -> dict[str, Any]:
    """A payload without what tells one emission from another."""
    payload: dict[str, Any] = json.loads(value)
    payload.pop("messageId")
    for name in ("version", "merged", "changed", "removed", "causedBy"):
        payload["profile"].pop(name)
    return payload


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_S) -> None:
    """Polls a named condition against a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
