"""Latency from outside: from when an event was due until its effect is committed and read.

A reader of committed records on the output topic matches each record to the event that caused it,
by ``causedBy`` (profiles) or ``messageId`` (the passthrough).
"""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contenders import Contender
from bench.generate import UNIFORM, Law, events_of
from bench.load import Load, Order
from bench.running import BEGIN_S_MAX, Bench
from bench.stack import PARTITIONS
from bench.watched import ContenderError

CAUSE = b'":"ajs-next-'
"""Begins the only messageId that an output names; thirteen digits of time and a number follow."""
NUMBER_AT, NUMBER_DIGITS = len(CAUSE) + 14, 12
PROBE_S = 0.5
QUIET_S_MAX = 20.0
"""After the last event was sent: outputs that take longer than this count as lost."""
SEED = 11
PROBE_SEED = 12


@dataclass(frozen=True)
class Latency:
    """Milliseconds at a rate; ``late_ms`` is the sender's own worst lateness, included."""

    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    lost: int
    late_ms: float

    def __str__(self) -> str:
        lost = f", {self.lost} LOST" if self.lost else ""
        return (
            f"{self.p50_ms:.1f} / {self.p99_ms:.1f} / {self.p999_ms:.1f} ms"
            f" at {self.rate:,.0f}/s{lost}"
        )


class Reader:
    """Reads committed outputs from now on; remembers when each event's effect was first seen."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.seen: dict[int, float] = {}
        self.consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": f"{topic}-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        self.consumer.assign([TopicPartition(topic, one, 0) for one in range(PARTITIONS)])

    def read(self, wait_s: float) -> int:
        """What has arrived within a time; returns how many outputs named an event."""
        first = self.consumer.poll(wait_s)
        if first is None:
            return 0
        records = [first, *self.consumer.consume(10_000, 0)]
        now = time.monotonic()
        found = 0
        for record in records:
            value = record.value() or b"" if record.error() is None else b""
            cause = value.find(CAUSE)
            if cause >= 0:
                found += 1
                number = value[cause + NUMBER_AT : cause + NUMBER_AT + NUMBER_DIGITS]
                self.seen.setdefault(int(number, 16), now)
        return found

    def close(self) -> None:
        """Leaves."""
        self.consumer.close()


def measure(
    bench: Bench, contender: Contender, rate: float, seconds: float, warm_s: float
) -> Latency:
    """Runs a contender on an idle topic, warms it up, then holds a rate for some seconds."""
    raw = bench.stack.fill(0, UNIFORM)
    count, skipped = int(rate * (warm_s + seconds)), int(rate * warm_s)
    order = Order(bench.stack.brokers, raw.topic, rate, count, asdict(UNIFORM), SEED)
    with bench.stack.store() as redis:
        options = contender.latency_options
        setup = bench.setup(contender, raw.topic, redis, options=options)
        load = Load(order)
        with bench.running(contender, setup):
            reader = Reader(bench.stack.brokers, setup.out)
            try:
                awake(bench.stack.brokers, raw.topic, reader)
                start = load.start()
                late_s = follow(reader, load, start, order)
            finally:
                reader.close()
                load.close()
    bench.stack.drop(raw.topic)
    due = [start + number / rate for number in range(count)]
    times, lost = effects(reader.seen, due, UNIFORM)
    taken = [
        (at - then) * 1000
        for number, (at, then) in enumerate(zip(times, due, strict=True))
        if at is not None and number >= skipped
    ]
    found = Latency(
        rate,
        percentile(taken, 0.5),
        percentile(taken, 0.99),
        percentile(taken, 0.999),
        lost,
        late_s * 1000,
    )
    bench.say(f"  {contender.name}: {found}")
    return found


def awake(brokers: str, topic: str, reader: Reader) -> None:
    """Returns once the contender has answered a probe: it is in its group and has its state."""
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    deadline = time.monotonic() + BEGIN_S_MAX
    while not reader.read(PROBE_S):
        if time.monotonic() > deadline:
            raise ContenderError(f"nothing came out for {BEGIN_S_MAX:.0f} s")
        for one in events_of(1, Law("probe", users=1), PROBE_SEED):
            producer.produce(topic, one.value, one.key)
        producer.flush()
    reader.seen.clear()


def follow(reader: Reader, load: Load, start: float, order: Order) -> float:
    """Reads until every event was seen or it is quiet for too long; the sender's lateness."""
    ends = start + order.count / order.rate
    while len(reader.seen) < order.count:
        found = reader.read(0.1)
        now = time.monotonic()
        ends = max(ends, now) if found else ends
        if now > ends + (QUIET_S_MAX if len(reader.seen) < order.count * 0.98 else 2.0):
            break
    return load.finish()


def effects(
    seen: Mapping[int, float], due: Sequence[float], law: Law
) -> tuple[list[float | None], int]:
    """When each event's effect was seen, and of how many it never was.

    An event that no record names was folded with others of its user: it counts at the first record
    of that user that was seen after it was due.
    """
    by_user: dict[int, list[int]] = defaultdict(list)
    for number, event in enumerate(events_of(len(due), law, SEED)):
        by_user[event.user].append(number)
    times = [seen.get(number) for number in range(len(due))]
    for numbers in by_user.values():
        known = sorted(seen[number] for number in numbers if number in seen)
        for number in numbers:
            if times[number] is None:
                times[number] = next((at for at in known if at >= due[number]), None)
    return times, sum(one is None for one in times)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that such a share of all does not exceed; infinite where there is none."""
    if not values:
        return math.inf
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
