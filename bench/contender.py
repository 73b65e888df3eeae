"""The resolver or a passthrough as a contender: a process that tells its progress on stdout.

``python -m bench.contender passthrough|resolver SETUP``; see ``bench.protocol``.
"""

import signal
import sys
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer

from bench.protocol import Progress, Setup, told
from resolver import wiring
from resolver.batch import Batch
from resolver.config import Settings, load_settings
from resolver.destinations.spec import DestinationSpec
from resolver.worker import Observer, Worker

TRANSACTION_EVENTS = 5_000
"""Messages in a transaction of the passthrough, as stream processors are advised."""
RETRY = {"retry.backoff.ms": 10, "retry.backoff.max.ms": 20}
"""A transaction that begins while the broker still writes the last one's markers is asked to try
again: with the default of 100 ms, doubled, half of a trickle's latency is this waiting.
"""


class Meter(Observer):
    """Counts what the worker commits."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.emitted: Counter[str] = Counter()
        self.progress.notes = {"emitted": self.emitted, "buried": 0, "trouble": 0}

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None:
        self.emitted.update(batch.emitted)
        self.progress.notes["buried"] += len(batch.buried)
        self.progress.count(batch.joined + batch.skipped.total() + len(batch.buried))

    def waiting(self, reason: str) -> None:
        self._troubled(reason)

    def aborted(self, reason: str) -> None:
        self._troubled(reason)

    def assigned(self, partitions: int) -> None:
        if partitions:
            self.progress.begin()

    def _troubled(self, reason: str) -> None:
        self.progress.notes["trouble"] += 1
        print(reason, file=sys.stderr)


def passthrough(setup: Setup, progress: Progress, stopping: Callable[[], bool]) -> None:
    """Consume and produce the same bytes: the ceiling of this client."""
    exactly_once = setup.delivery == "exactly_once"
    consumer = Consumer(
        {
            "bootstrap.servers": setup.brokers,
            "group.id": setup.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "queued.min.messages": 20_000,
            **setup.options,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": setup.brokers,
            **({"transactional.id": setup.name} if exactly_once else {"acks": "all"}),
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            **RETRY,
        }
    )
    if exactly_once:
        producer.init_transactions()
    consumer.subscribe([setup.raw])
    while not stopping():
        first = consumer.poll(0.2)
        if first is None:
            continue
        progress.begin()
        messages = [first, *consumer.consume(TRANSACTION_EVENTS - 1, 0)]
        pass_on(messages, setup.out, consumer, producer, transactional=exactly_once)
        progress.count(len(messages))
    consumer.close()


def pass_on(
    messages: list[Any], topic: str, consumer: Consumer, producer: Producer, *, transactional: bool
) -> None:
    """Produces a batch and commits its offsets, in one transaction or one after the other."""
    if transactional:
        producer.begin_transaction()
    for message in messages:
        producer.produce(topic, message.value(), message.key())
    if not transactional:
        producer.flush()
        consumer.commit(asynchronous=False)
        return
    positions = consumer.position(consumer.assignment())
    producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
    producer.commit_transaction()


def settings_of(setup: Setup) -> Settings:
    """The resolver's settings for a run: its defaults, but for addresses and names."""
    settings = load_settings(
        None,
        kafka={"brokers": setup.brokers, "group_id": setup.name},
        redis={"url": setup.redis, "prefix": setup.prefix},
    )
    destinations = [
        DestinationSpec(**{**spec, "topic": topic})
        for spec, topic in zip(setup.destinations, setup.outs, strict=True)
    ]
    return settings.model_copy(
        update={
            "inputs": (settings.inputs[0].model_copy(update={"topic": setup.raw}),),
            "destinations": tuple(destinations),
            "changelog": setup.changelog,
            "dead_letters": setup.dead_letters,
            "delivery": setup.delivery,
        }
    )


def build(setup: Setup, progress: Progress) -> Worker:
    """One worker, with its changelog, of the settings' destinations."""
    settings = settings_of(setup)
    store = wiring.open_store(settings)
    return wiring.build_worker(settings, store, Meter(progress), setup.member)


def main() -> None:
    """Runs the contender until it is told to end."""
    kind, setup = sys.argv[1], told()
    progress = Progress(setup.events)
    ended = False

    def end(number: int, frame: types.FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    if kind == "passthrough":
        passthrough(setup, progress, lambda: ended)
        return
    worker = build(setup, progress)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
