"""The benchmark's sender sends what it was told to, where any other client would put it."""

import time
from dataclasses import asdict
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.generate import UNIFORM, events_of
from bench.load import STEADY_FROM, Load, LoadError, Order
from bench.stack import PARTITIONS, Stack

ARRIVAL_S_MAX = 60.0


def arrived(brokers: str, topic: str, count: int) -> list[Message]:
    """So many messages of a topic, or as many as came in time."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"{topic}-reader"})
    consumer.assign([TopicPartition(topic, one, 0) for one in range(PARTITIONS)])
    found: list[Message] = []
    until = time.monotonic() + ARRIVAL_S_MAX
    while len(found) < count and time.monotonic() < until:
        found += [one for one in consumer.consume(count, 0.5) if one.error() is None]
    consumer.close()
    return found


def test_a_steady_load_arrives_whole_where_other_clients_put_it(kafka: Any, fresh: str) -> None:
    """What the sender loses would count as lost by whoever is measured."""
    steady, single = f"{fresh}-steady", f"{fresh}-single"
    Stack(kafka.bootstrap).create({steady: False, single: False})
    order = Order(kafka.bootstrap, steady, STEADY_FROM * 2, 1_001, asdict(UNIFORM), seed=3)
    events = list(events_of(order.count, UNIFORM, order.seed))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for event in events:
        producer.produce(single, event.value, event.key)
    producer.flush()

    load = Load(order)
    start = load.start()
    late_s = load.finish()
    load.close()

    found = arrived(kafka.bootstrap, steady, order.count)
    expected = arrived(kafka.bootstrap, single, order.count)
    assert late_s >= 0
    assert load.ended - start >= (order.count - 1) / order.rate
    assert len(found) == order.count
    assert {(one.key(), one.value(), one.partition()) for one in found} == {
        (one.key(), one.value(), one.partition()) for one in expected
    }


def test_a_load_that_the_broker_refuses_does_not_count_as_sent(kafka: Any, fresh: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    small = NewTopic(fresh, PARTITIONS, 1, config={"max.message.bytes": "100"})
    admin.create_topics([small])[fresh].result()
    order = Order(kafka.bootstrap, fresh, STEADY_FROM * 2, 100, asdict(UNIFORM), seed=3)

    load = Load(order)
    load.start()
    with pytest.raises(LoadError, match=fresh):
        load.finish()
    load.close()
