"""One contender in a process of its own: reads a topic once, prints what it took as JSON.

``python -m bench.contender passthrough|exactly_once|at_least_once SETUP`` with SETUP as JSON:
``brokers``, ``redis``, ``raw`` (topic), ``name`` (prefix of everything it writes), ``events``.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer

from resolver import wiring
from resolver.batch import Batch
from resolver.config import load_settings
from resolver.edges.kafka_tools import KafkaTools
from resolver.worker import Observer, Worker

TRANSACTION_EVENTS = 5_000
"""Messages in a transaction of the passthrough, as stream processors are advised."""


class Meter(Observer):
    """Counts events, and takes the time from the first batch's start to the last one's end."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.seen = 0
        self.started = self.cpu_started = self.seconds = self.cpu_s = 0.0
        self.stop: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """The first event is there."""
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None:
        if not self.seen:
            self.started = time.perf_counter() - seconds
        self.count(batch.joined + batch.skipped.total() + len(batch.buried))

    def count(self, events: int) -> None:
        """So many more are committed."""
        self.seen += events
        if self.seen >= self.events:
            self.seconds = time.perf_counter() - self.started
            self.cpu_s = time.process_time() - self.cpu_started
            self.stop()

    def waiting(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def aborted(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def assigned(self, partitions: int) -> None:
        self.cpu_started = self.cpu_started or time.process_time()


def passthrough(setup: dict[str, Any], meter: Meter) -> None:
    """Consume and produce the same bytes, in transactions: the ceiling of this client."""
    name, brokers = setup["name"], setup["brokers"]
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "queued.min.messages": 20_000,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "transactional.id": name,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions()
    consumer.subscribe([setup["raw"]])
    while meter.seen < meter.events:
        first = consumer.poll(0.2)
        if first is None:
            continue
        if not meter.seen:
            meter.begin()
        messages = [first, *consumer.consume(TRANSACTION_EVENTS - 1, 0)]
        producer.begin_transaction()
        for message in messages:
            producer.produce(f"{name}.out", message.value(), message.key())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
        producer.commit_transaction()
        meter.count(len(messages))
    consumer.close()


def resolver(setup: dict[str, Any], meter: Meter, delivery: str) -> None:
    """One worker with its changelog and one JSON destination."""
    name = setup["name"]
    settings = load_settings(
        None,
        kafka={"brokers": setup["brokers"], "group_id": name},
        redis={"url": setup["redis"], "prefix": f"{name}:"},
    )
    settings = settings.model_copy(
        update={
            "inputs": (settings.inputs[0].model_copy(update={"topic": setup["raw"]}),),
            "destinations": (settings.destinations[0].model_copy(update={"topic": f"{name}.out"}),),
            "changelog": f"{name}.changelog",
            "dead_letters": f"{name}.dead",
            "delivery": delivery,
        }
    )
    worker: Worker = wiring.build_worker(settings, wiring.open_store(settings), meter, "bench-0")
    meter.stop = worker.stop
    worker.run()


def main() -> None:
    """Creates the contender's topics, runs it, prints its figures."""
    kind, setup = sys.argv[1], json.loads(sys.argv[2])
    wanted = {f"{setup['name']}.{one}": one != "dead" for one in ("out", "changelog", "dead")}
    KafkaTools({"bootstrap.servers": setup["brokers"]}).create(wanted, 12, 1)
    meter = Meter(setup["events"])
    if kind == "passthrough":
        passthrough(setup, meter)
    else:
        resolver(setup, meter, kind)
    memory_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "events_per_s": meter.seen / meter.seconds,
        "cpu_us_per_event": meter.cpu_s / meter.seen * 1e6,
        "memory_mib": memory_kib / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
