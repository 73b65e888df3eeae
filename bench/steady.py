"""Sends a steady rate of events, and weighs little on who is measured beside it.

``python -m bench.steady ORDER``. What goes at a tick is packed before the start, down to the bytes
of its request: one for all partitions of a broker, as Java's client sends them. So at a tick there
is nothing to do but to hand them to the kernel. librdkafka packs as it sends, a request for each
partition: beside a copier at 20,000 events/s the broker took 0.54 to 0.61 cores with it and 0.44
to 0.49 with one request.
"""

import gc
import json
import socket
import struct
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from aiokafka.partitioner import murmur2
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka.admin import AdminClient

from bench.generate import Generated, Law, events_of
from bench.load import Order

TICK_S = 0.020
"""What is due within a tick goes at its end: what collecting adds to a latency at most. A sender of
5 ms would make four times as many requests, and the broker would be busy with those.
"""
BATCH_BYTES_MAX = 1 << 27
ANSWER_S_MAX = 60.0
ANSWERS_BYTES = 1 << 16
ALL_REPLICAS = -1
LENGTH = struct.Struct(">i")
partition_of = lru_cache(maxsize=None)(murmur2)

Place = tuple[str, int]
"""A broker's host and port."""


@dataclass
class Leader:
    """A broker that leads some partitions, and what it gets."""

    place: Place
    requests: list[bytes] = field(default_factory=list)
    """One for each tick; empty where nothing goes."""

    def connect(self) -> None:
        """Opens the one connection; a request goes out at once, whether others are answered."""
        self.connection = socket.create_connection(self.place, ANSWER_S_MAX)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.settimeout(None)
        self.answers = bytearray()

    def send(self, request: bytes) -> None:
        """Hands a request over, and takes the answers that have come: else the broker would stop
        to read once enough of them wait.
        """
        self.connection.sendall(request)
        with suppress(BlockingIOError):
            self.answers += self.connection.recv(ANSWERS_BYTES, socket.MSG_DONTWAIT)

    def check(self) -> None:
        """Waits for the answers to all requests; ValueError of a batch that was not taken."""
        self.connection.settimeout(ANSWER_S_MAX)
        for _ in filter(None, self.requests):
            (length,) = LENGTH.unpack(self._answer(LENGTH.size))
            body = self._answer(length)[LENGTH.size :]
            for topic, partitions in ProduceResponse_v7.decode(body).topics:
                for partition, code, *_ in partitions:
                    if code:
                        raise ValueError(f"{topic}/{partition} was not taken: error {code}")

    def _answer(self, size: int) -> bytes:
        """The next bytes of the answers."""
        while len(self.answers) < size:
            came = self.connection.recv(ANSWERS_BYTES)
            if not came:
                raise ConnectionError("the broker hung up")
            self.answers += came
        taken = bytes(self.answers[:size])
        del self.answers[:size]
        return taken


def send(order: Order) -> float:
    """Packs everything, says ``ready``, waits for a start on stdin, sends; returns by how many
    seconds a tick went out late at most.
    """
    by_partition = leaders_of(order)
    leaders = list({one.place: one for one in by_partition}.values())
    pack(order, by_partition, leaders)
    for leader in leaders:
        leader.connect()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    late_s = sent(leaders, float(sys.stdin.readline()))
    for leader in leaders:
        leader.check()
    return late_s


def leaders_of(order: Order) -> list[Leader]:
    """Who leads each partition of the topic."""
    known = AdminClient({"bootstrap.servers": order.brokers}).list_topics(order.topic, ANSWER_S_MAX)
    brokers = {
        number: Leader((str(broker.host), broker.port)) for number, broker in known.brokers.items()
    }
    partitions = known.topics[order.topic].partitions
    return [brokers[partitions[number].leader] for number in range(len(partitions))]


def pack(order: Order, by_partition: list[Leader], leaders: list[Leader]) -> None:
    """Makes the requests of each tick; the n-th event is due at ``n / rate``."""
    events = events_of(order.count, Law(**order.law), order.seed)
    packed, ticks = 0, 0
    while packed < order.count:
        ticks += 1
        due = min(order.count, int(ticks * TICK_S * order.rate))
        tick: dict[int, list[Generated]] = defaultdict(list)
        for event in islice(events, due - packed):
            tick[(partition_of(event.key) & 0x7FFFFFFF) % len(by_partition)].append(event)
        for leader in leaders:
            own = {at: some for at, some in tick.items() if by_partition[at] is leader}
            leader.requests.append(request_of(order.topic, own, ticks) if own else b"")
        packed = due


def request_of(topic: str, events: dict[int, list[Generated]], number: int) -> bytes:
    """A request to store events by partition, with its length before it, ready to be sent."""
    batches = [(partition, batch_of(some)) for partition, some in events.items()]
    request = ProduceRequest_v7(None, ALL_REPLICAS, int(ANSWER_S_MAX * 1_000), [(topic, batches)])
    whole = request.build_request_header(number, "bench").encode() + request.encode()
    packed: bytes = LENGTH.pack(len(whole)) + whole
    return packed


def batch_of(events: list[Generated]) -> bytes:
    """A batch of records, not compressed, by no producer that the broker would know again."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, BATCH_BYTES_MAX)
    for offset, event in enumerate(events):
        if builder.append(offset, None, event.key, event.value, []) is None:
            raise ValueError(f"more than {BATCH_BYTES_MAX:,} bytes are due within a tick")
    return bytes(builder.build())


def sent(leaders: list[Leader], start: float) -> float:
    """Sends each tick at its end."""
    late_s = 0.0
    for number, requests in enumerate(zip(*(one.requests for one in leaders), strict=True), 1):
        due = start + number * TICK_S
        time.sleep(max(0.0, due - time.monotonic()))
        late_s = max(late_s, time.monotonic() - due)
        for leader, request in zip(leaders, requests, strict=True):
            leader.send(request)
    return late_s


if __name__ == "__main__":
    print(send(Order(**json.loads(sys.argv[1]))), time.monotonic(), flush=True)
