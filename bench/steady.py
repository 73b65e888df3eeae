"""Sends a steady rate of events, and weighs little on who is measured beside it.

``python -m bench.steady ORDER``. What goes at a tick is packed before the start, a batch for each
partition, and all of them go in one request, as Java's client sends them. librdkafka packs as it
sends, a request for each partition: beside a copier at 20,000 events/s the broker took 0.54 to 0.61
cores then and takes 0.44 to 0.49 now, in turns.
"""

import asyncio
import gc
import json
import sys
import time
from functools import lru_cache
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.generate import Generated, Law, events_of
from bench.load import Order

TICK_S = 0.020
"""What is due within a tick goes at its end: what collecting adds to a latency at most. A sender of
5 ms would make four times as many requests, and the broker would be busy with those.
"""
REQUEST_BYTES_MAX = 1 << 27
partition_of = lru_cache(maxsize=None)(murmur2)

Tick = dict[int, BatchBuilder]


async def send(order: Order) -> float:
    """Packs everything, says ``ready``, waits for a start on stdin, sends; returns by how many
    seconds a tick went out late at most.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=order.brokers,
        acks="all",
        max_batch_size=REQUEST_BYTES_MAX,
        max_request_size=REQUEST_BYTES_MAX,
    )
    await producer.start()
    try:
        ticks = await packed(producer, order)
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        return await sent(producer, order.topic, ticks, float(sys.stdin.readline()))
    finally:
        await producer.stop()


async def packed(producer: AIOKafkaProducer, order: Order) -> list[Tick]:
    """What goes at each tick, by partition; the n-th event is due at ``n / rate``."""
    partitions = len(await producer.partitions_for(order.topic))
    events = events_of(order.count, Law(**order.law), order.seed)
    ticks: list[Tick] = []
    packed_so_far = 0
    while packed_so_far < order.count:
        due = min(order.count, int((len(ticks) + 1) * TICK_S * order.rate))
        tick: Tick = {}
        for event in islice(events, due - packed_so_far):
            pack(producer, tick, partitions, event)
        for batch in tick.values():
            batch.close()
        ticks.append(tick)
        packed_so_far = due
    return ticks


def pack(producer: AIOKafkaProducer, tick: Tick, partitions: int, event: Generated) -> None:
    """Adds an event to the batch of its partition, by the hash that all clients can take."""
    partition = (partition_of(event.key) & 0x7FFFFFFF) % partitions
    if partition not in tick:
        tick[partition] = producer.create_batch()
    if tick[partition].append(timestamp=None, key=event.key, value=event.value) is None:
        raise ValueError(f"more than {REQUEST_BYTES_MAX:,} bytes are due within a tick")


async def sent(producer: AIOKafkaProducer, topic: str, ticks: list[Tick], start: float) -> float:
    """Sends each tick at its end, and returns once all are acknowledged."""
    late_s = 0.0
    acknowledged: list[asyncio.Future[Any]] = []
    for number, tick in enumerate(ticks):
        due = start + (number + 1) * TICK_S
        await asyncio.sleep(due - time.monotonic())
        late_s = max(late_s, time.monotonic() - due)
        for partition, batch in tick.items():
            acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        tick.clear()
    await asyncio.gather(*acknowledged)
    return late_s


if __name__ == "__main__":
    asked = Order(**json.loads(sys.argv[1]))
    print(asyncio.run(send(asked)), time.monotonic(), flush=True)
