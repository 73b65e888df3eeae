"""The loop a competent engineer writes in an afternoon: confluent-kafka and redis-py pipelines.

A batch is read, its devices and users loaded with MGET, merged, written with MSET in a pipeline,
emitted, flushed, and only then are its offsets committed: at least once.
"""

import signal
from collections.abc import Iterable
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer
from redis import Redis

from bench.peers.merging import anonymous_profile, device_step, profile_of, user_step
from bench.protocol import Progress, Setup, told

BATCH = 1_000
WAIT_S = 0.2


class Loop:
    """One worker."""

    def __init__(self, setup: Setup, progress: Progress) -> None:
        self.setup = setup
        self.progress = progress
        self.redis = Redis.from_url(setup.redis)
        self.stopping = False
        self.consumer = Consumer(
            {
                "bootstrap.servers": setup.brokers,
                "group.id": setup.name,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        self.producer = Producer(
            {
                "bootstrap.servers": setup.brokers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def run(self) -> None:
        """Until it is told to stop."""
        self.consumer.subscribe([self.setup.raw])
        while not self.stopping:
            first = self.consumer.poll(WAIT_S)
            if first is None:
                continue
            self.progress.begin()
            messages = [first, *self.consumer.consume(BATCH - 1, 0)]
            self.handle([orjson.loads(one.value()) for one in messages if one.error() is None])
            self.producer.flush()
            self.consumer.commit(asynchronous=False)
            self.progress.count(len(messages))
        self.consumer.close()

    def handle(self, events: list[dict[str, Any]]) -> None:
        """Merges a batch into the store and emits every profile that it touched."""
        known = self.load("d", (one["anonymousId"] for one in events))
        devices, statements = dict(known), []
        for event in events:
            name = event["anonymousId"]
            devices[name], statement = device_step(devices[name], event)
            statements.append(statement)
        users = self.load("u", (one["userId"] for one in statements if one["userId"] is not None))
        latest: dict[str, dict[str, Any]] = {}
        for statement in statements:
            name = statement["userId"]
            if name is not None:
                users[name] = user_step(users[name], statement)
            latest[name or statement["anonymousId"]] = statement
        changed = {name: one for name, one in devices.items() if one is not known[name]}
        self.save({"d": changed, "u": users})
        for key, statement in latest.items():
            user = users.get(key)
            profile = profile_of(user, statement) if user else anonymous_profile(statement)
            self.producer.produce(self.setup.out, orjson.dumps(profile), key)

    def load(self, kind: str, names: Iterable[str]) -> dict[str, dict[str, Any] | None]:
        """States by name."""
        wanted = list(dict.fromkeys(names))
        keys = [f"{self.setup.prefix}{kind}:{one}" for one in wanted]
        stored: list[bytes | None] = self.redis.mget(keys) if keys else []  # type: ignore[assignment]
        return {
            name: None if one is None else orjson.loads(one)
            for name, one in zip(wanted, stored, strict=True)
        }

    def save(self, states: dict[str, dict[str, dict[str, Any] | None]]) -> None:
        """Writes all states in one round trip."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for kind, named in states.items():
                for name, state in named.items():
                    pipeline.set(f"{self.setup.prefix}{kind}:{name}", orjson.dumps(state))
            pipeline.execute()


def main() -> None:
    """Runs until SIGTERM."""
    setup = told()
    loop = Loop(setup, Progress(setup.events))

    def stop(*_: object) -> None:
        loop.stopping = True

    signal.signal(signal.SIGTERM, stop)
    loop.run()


if __name__ == "__main__":
    main()
