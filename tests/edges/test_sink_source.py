"""The contract of sources, sinks and transactions: one suite on the memory edge and a broker."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple, Protocol, cast

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from resolver.edges.kafka import KafkaSink, KafkaSource
from resolver.edges.memory import Logged, MemoryKafka, MemorySink, MemorySource
from resolver.errors import Fenced, TransactionAborted
from resolver.ports import Headers, Message, Sink
from resolver.worker import Source, Transactions

PARTITIONS = 4
DEADLINE_S = 30.0
PATIENCE_MS = 1_000
"""How long the group bears a silent member, where a test is about that: brokers' shortest."""

Place = tuple[str, int]


class Record(NamedTuple):
    """What a reader of committed records gets."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Output(Sink, Transactions, Protocol):
    """A sink with its transactions."""


class Edge(Protocol):
    """What a test needs beside the ports: topics of its own, and a look at what is in them."""

    raw: str
    out: str
    dead: str

    def send(self, value: bytes, place: int = 0) -> None:
        """Writes an event to a partition of the raw topic."""

    def send_record(self, record: Record) -> None:
        """Writes a record to the raw topic."""

    def source(self, name: str, *, hurried: bool = False) -> Source:
        """A member of the group; a hurried one must poll within ``PATIENCE_MS``."""

    def sink(self, source: Source, transactional_id: str | None) -> Output: ...

    def divide(self, *names: str) -> None:
        """Has the group share the raw partitions among these members."""

    def committed(self, topic: str) -> list[Record]:
        """All committed records, in order within each partition."""

    def offsets(self) -> dict[Place, int]:
        """Where the group would read on; partitions without a commit are left out."""

    def go_on_without(self, name: str) -> None:
        """Has the group give up a member that does not poll."""

    def close(self) -> None: ...


class MemoryEdge:
    """Everything in memory."""

    raw, out, dead = "raw", "out", "dead"

    def __init__(self) -> None:
        self.kafka = MemoryKafka(PARTITIONS)

    def send(self, value: bytes, place: int = 0) -> None:
        self.kafka.append(self.raw, place, Logged(None, value, [], None))

    def send_record(self, record: Record) -> None:
        self.kafka.append(self.raw, 0, Logged(*record, None))

    def source(self, name: str, *, hurried: bool = False) -> Source:
        return MemorySource(self.kafka, name)

    def sink(self, source: Source, transactional_id: str | None) -> Output:
        assert isinstance(source, MemorySource)
        return MemorySink(source, self.dead, transactional_id)

    def divide(self, *names: str) -> None:
        shares = {one: names[one % len(names)] for one in range(PARTITIONS)}
        self.kafka.rebalance({(self.raw, place): name for place, name in shares.items()})

    def committed(self, topic: str) -> list[Record]:
        return [Record(one.key, one.value, one.headers) for one in self.kafka.committed(topic)]

    def offsets(self) -> dict[Place, int]:
        return dict(self.kafka.offsets)

    def go_on_without(self, name: str) -> None:
        self.kafka.kick(name)

    def close(self) -> None:
        """Nothing is left behind."""


class BrokerEdge:
    """Topics and a group of their own on a real broker."""

    def __init__(self, name: str, bootstrap: str) -> None:
        self.name = name
        self.broker: dict[str, Any] = {"bootstrap.servers": bootstrap}
        self.raw, self.out, self.dead = (f"{name}.{one}" for one in ("raw", "out", "dead"))
        self.open: list[Any] = []
        topics = [NewTopic(one, PARTITIONS, 1) for one in (self.raw, self.out, self.dead)]
        admin = AdminClient(self.broker)
        for created in admin.create_topics(topics).values():
            created.result(DEADLINE_S)

    def send(self, value: bytes, place: int = 0) -> None:
        self._write(place, Record(None, value, []))

    def send_record(self, record: Record) -> None:
        self._write(0, record)

    def _write(self, place: int, record: Record) -> None:
        producer = Producer(self.broker)
        kept: Any = record.headers or None
        producer.produce(self.raw, record.value, record.key, place, headers=kept)
        assert producer.flush(DEADLINE_S) == 0

    def source(self, name: str, *, hurried: bool = False) -> Source:
        member: dict[str, Any] = {"group.id": self.name, "group.instance.id": name}
        limits = ("session.timeout.ms", "max.poll.interval.ms")
        member |= dict.fromkeys(limits, PATIENCE_MS if hurried else 30_000)
        source = KafkaSource({**self.broker, **member}, [self.raw])
        self.open.append(source)
        return source

    def sink(self, source: Source, transactional_id: str | None) -> Output:
        assert isinstance(source, KafkaSource)
        own = transactional_id and f"{self.name}.{transactional_id}"
        sink = KafkaSink(self.broker, source, self.dead, own)
        self.open.append(sink)
        return sink

    def divide(self, *_: str) -> None:
        """The group does so by itself."""

    def committed(self, topic: str) -> list[Record]:
        settings = {"group.id": f"{self.name}.reader", "enable.partition.eof": True}
        reader = Consumer({**self.broker, **settings, "isolation.level": "read_committed"})
        reader.assign([TopicPartition(topic, place, 0) for place in range(PARTITIONS)])
        found: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        ended: set[int] = set()
        deadline = time.monotonic() + DEADLINE_S
        while len(ended) < PARTITIONS:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            raw: Any = reader.poll(0.2)
            if raw is None:
                continue
            if raw.error() is None:
                record = Record(raw.key(), raw.value(), raw.headers() or [])
                found[raw.partition()].append(record)
            else:
                assert raw.error().code() == KafkaError._PARTITION_EOF
                ended.add(raw.partition())
        reader.close()
        return [record for records in found for record in records]

    def offsets(self) -> dict[Place, int]:
        asker = Consumer({**self.broker, "group.id": self.name})
        places = [TopicPartition(self.raw, place) for place in range(PARTITIONS)]
        found = {(one.topic, one.partition): one.offset for one in asker.committed(places)}
        asker.close()
        return {place: offset for place, offset in found.items() if offset >= 0}

    def go_on_without(self, _: str) -> None:
        """The group does so by itself, once a hurried member has been silent for too long."""

    def close(self) -> None:
        for one in reversed(self.open):
            one.close()


@pytest.fixture(params=["memory", "kafka"])
def edge(request: pytest.FixtureRequest, fresh: str) -> Iterator[Edge]:
    made: Edge = MemoryEdge()
    if request.param == "kafka":
        made = BrokerEdge(fresh, request.getfixturevalue("kafka").bootstrap)
    yield made
    made.close()


def ignore(_: list[Place]) -> None:
    """A revocation that nobody waits for."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Evaluates the condition, which polls by itself, against a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s in vain for {what}"


def join(edge: Edge, name: str = "a", *, hurried: bool = False) -> Source:
    """The only member of the group, with all partitions; nothing has been sent yet."""
    source = edge.source(name, hurried=hurried)
    source.subscribe(ignore)
    edge.divide(name)

    def has_all() -> bool:
        assert source.poll(0.05, 1) == []
        return len(source.assigned) == PARTITIONS

    wait_until(has_all, "all partitions")
    return source


def read(source: Source, count: int, messages_max: int = 100) -> list[Message]:
    """The next so many messages."""
    found: list[Message] = []

    def enough() -> bool:
        polled = source.poll(0.05, messages_max)
        assert len(polled) <= messages_max
        found.extend(polled)
        return len(found) >= count

    wait_until(enough, f"{count} messages")
    assert len(found) == count
    return found


def test_outputs_are_read_only_once_they_are_committed(edge: Edge) -> None:
    """Downstream must not act on what may still be taken back."""
    source = join(edge)
    sink = edge.sink(source, "t")

    sink.begin()
    sink.produce(edge.out, "user:u", b"1")
    sink.flush()
    before = edge.committed(edge.out)
    sink.commit_offsets({(edge.raw, 0): 0})

    assert before == []
    assert edge.committed(edge.out) == [Record(b"user:u", b"1", [])]


def test_what_was_aborted_is_never_read(edge: Edge) -> None:
    """The batch is taken again: its outputs must not be there twice."""
    source = join(edge)
    sink = edge.sink(source, "t")

    sink.begin()
    sink.produce(edge.out, "user:u", b"aborted")
    sink.flush()
    sink.abort()
    sink.begin()
    sink.produce(edge.out, "user:u", b"never flushed")
    sink.abort()
    sink.begin()
    sink.produce(edge.out, "user:u", b"committed")
    sink.flush()
    sink.commit_offsets({(edge.raw, 0): 0})

    assert edge.committed(edge.out) == [Record(b"user:u", b"committed", [])]


@pytest.mark.parametrize("transactional_id", ["t", None])
def test_offsets_move_with_the_commit_and_not_before(
    edge: Edge, transactional_id: str | None
) -> None:
    """Exactly once means both or neither; at least once means offsets last."""
    edge.send(b"event")
    source = edge.source("a")
    source.subscribe(ignore)
    edge.divide("a")
    read(source, 1)
    sink = edge.sink(source, transactional_id)

    sink.begin()
    sink.produce(edge.out, "user:u", b"1")
    sink.flush()
    before = edge.offsets()
    sink.abort()
    aborted = edge.offsets()
    sink.begin()
    sink.produce(edge.out, "user:u", b"2")
    sink.flush()
    sink.commit_offsets({(edge.raw, 0): 1})

    assert before == aborted == {}
    assert edge.offsets() == {(edge.raw, 0): 1}
    assert edge.committed(edge.out)[-1].value == b"2"


def test_a_producer_whose_id_was_taken_cannot_commit(edge: Edge) -> None:
    """A worker that was thought dead wakes up in the middle of a batch."""
    source = join(edge)
    zombie, successor = edge.sink(source, "t"), edge.sink(source, "t")
    zombie.begin()
    zombie.produce(edge.out, "user:u", b"zombie")
    zombie.flush()

    successor.begin()
    with pytest.raises(Fenced):
        zombie.commit_offsets({(edge.raw, 0): 5})
    successor.produce(edge.out, "user:u", b"successor")
    successor.flush()
    successor.commit_offsets({(edge.raw, 0): 1})

    assert edge.committed(edge.out) == [Record(b"user:u", b"successor", [])]
    assert edge.offsets() == {(edge.raw, 0): 1}


def test_a_member_whose_name_was_taken_can_neither_read_nor_commit(edge: Edge) -> None:
    """Two processes under one name, by a mistake in a deployment: the older one ends."""
    zombie = join(edge, "a")
    sink = edge.sink(zombie, "one")
    sink.begin()
    sink.produce(edge.out, "user:u", b"zombie")
    sink.flush()
    successor = edge.source("a")
    successor.subscribe(ignore)
    wait_until(lambda: successor.poll(0.05, 1) or successor.assigned, "the successor's partitions")

    with pytest.raises(Fenced):
        sink.commit_offsets({(edge.raw, 0): 5})
    with pytest.raises(Fenced):
        wait_until(lambda: zombie.poll(0.05, 1), "the refusal")

    assert edge.committed(edge.out) == []
    assert edge.offsets() == {}


def test_a_member_that_the_group_went_on_without_cannot_commit(edge: Edge) -> None:
    """It was silent for too long; its partitions are somebody else's by now."""
    slow = join(edge, "a", hurried=True)
    sink = edge.sink(slow, "one")
    sink.begin()
    sink.produce(edge.out, "user:u", b"slow")
    sink.flush()
    other = edge.source("b")
    other.subscribe(ignore)
    edge.go_on_without("a")
    edge.divide("b")
    wait_until(
        lambda: other.poll(0.05, 1) or len(other.assigned) == PARTITIONS, "the other's partitions"
    )

    with pytest.raises(TransactionAborted):
        sink.commit_offsets({(edge.raw, 0): 5})
    sink.abort()

    assert edge.committed(edge.out) == []
    assert edge.offsets() == {}


def test_a_buried_message_keeps_its_bytes_its_key_and_its_headers(edge: Edge) -> None:
    """Whoever repairs it must be able to send it again as it was."""
    events = [
        Record(b"\xff\x00key", b"\x00not json\xff", [("trace", b"\x01"), ("trace", b"")]),
        Record(None, b"", []),
        Record(b"key", None, [("trace", b"t")]),
    ]
    for event in events:
        edge.send_record(event)
    source = edge.source("a")
    source.subscribe(ignore)
    edge.divide("a")
    messages = read(source, len(events))
    sink = edge.sink(source, "t")
    reason: Headers = [("resolver.fault", b"undecodable")]

    sink.begin()
    for message in messages:
        sink.bury(message, reason)
    sink.flush()
    sink.commit_offsets({(edge.raw, 0): len(events)})

    letters = edge.committed(edge.dead)
    assert sorted(letters, key=str) == sorted(
        [Record(one.key, one.value, [*one.headers, *reason]) for one in events], key=str
    )


def test_a_poll_brings_at_most_what_was_asked_for_in_the_order_of_the_log(edge: Edge) -> None:
    """A batch is bounded, and a partition's events are taken as they lie there."""
    source = join(edge)
    for number in range(40):
        edge.send(str(number).encode(), number % PARTITIONS)

    messages = read(source, 40, messages_max=7)

    for place in range(PARTITIONS):
        own = [one for one in messages if one.partition == place]
        assert [one.offset for one in own] == list(range(10))
        assert [int(one.value or b"") for one in own] == list(range(place, 40, PARTITIONS))
    assert source.lag() == 0


def test_a_rewound_source_reads_on_from_there(edge: Edge) -> None:
    """A batch that was given up is read again, and nothing of it twice or never."""
    source = join(edge)
    for number in range(20):
        edge.send(str(number).encode(), number % 2)
    read(source, 20)

    source.rewind({(edge.raw, 0): 4, (edge.raw, 1): 9, ("another topic", 0): 3})
    again = read(source, 7)

    assert sorted((one.partition, one.offset) for one in again) == [
        *((0, offset) for offset in range(4, 10)),
        (1, 9),
    ]


def test_a_waiting_member_stays_in_the_group_and_misses_nothing(edge: Edge) -> None:
    """While a service is away heartbeats go on, and what arrives meanwhile is read later."""
    revoked: list[list[Place]] = []
    source = edge.source("a", hurried=True)
    source.subscribe(revoked.append)
    edge.divide("a")
    edge.send(b"0")
    read(source, 1)
    for number in range(1, 6):
        edge.send(str(number).encode())

    until = time.monotonic() + 2 * PATIENCE_MS / 1000
    beats = 0
    while time.monotonic() < until and beats < 1_000:
        source.heartbeat()
        beats += 1

    assert [one.value for one in read(source, 5)] == [b"1", b"2", b"3", b"4", b"5"]
    assert revoked == []


def test_what_was_polled_before_its_partition_went_is_left_to_the_next_owner(
    fresh: str, kafka: Any
) -> None:
    """Else both would resolve it, and the former owner's late commit could move the offset back."""
    with closing(BrokerEdge(fresh, kafka.bootstrap)) as edge:
        assert_left_to_the_next_owner(edge)


def assert_left_to_the_next_owner(edge: BrokerEdge) -> None:
    """Has partitions shared out anew within a poll; both members together must see all once."""
    first, second = edge.source("a"), edge.source("b")
    assert isinstance(first, KafkaSource)
    first.subscribe(ignore)
    wait_until(lambda: first.poll(0.05, 1) or len(first.assigned) == PARTITIONS, "all partitions")
    for number in range(10 * PARTITIONS):
        edge.send(str(number).encode(), number % PARTITIONS)
    first.consumer = cast("Consumer", Interrupted(first.consumer, lambda: second.subscribe(ignore)))

    found = first.poll(DEADLINE_S, 100)

    assert len(first.assigned) == PARTITIONS // 2
    assert {one.partition for one in found} <= {place for _, place in first.assigned}
    others: list[Message] = []

    def rest() -> bool:
        others.extend(second.poll(0.05, 100))
        found.extend(first.poll(0.05, 100))
        return len(found) + len(others) >= 10 * PARTITIONS

    wait_until(rest, "what is left")
    assert len({(one.partition, one.offset) for one in found + others}) == 10 * PARTITIONS


class Interrupted:
    """A consumer whose partitions are shared out anew while a poll is under way."""

    def __init__(self, consumer: Consumer, interrupt: Callable[[], None]) -> None:
        self.consumer = consumer
        self.interrupt = interrupt
        self.held = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.consumer, name)

    def consume(self, count: int, _: float) -> list[Any]:
        """What there is; nothing only once partitions have gone."""
        if not self.held:
            self.held = len(self.consumer.assignment())
            self.interrupt()
        found: list[Any] = []

        def done() -> bool:
            found.extend(self.consumer.consume(count, 0.05))
            return bool(found) or len(self.consumer.assignment()) < self.held

        wait_until(done, "messages or a revocation")
        return found


def test_partitions_that_went_and_came_back_while_a_member_waited_are_read(edge: Edge) -> None:
    """Who pauses them for the time of waiting must not leave them paused for good."""
    first, second = edge.source("a"), edge.source("b", hurried=True)
    first.subscribe(ignore)
    edge.divide("a")
    wait_until(lambda: first.poll(0.05, 1) or len(first.assigned) == PARTITIONS, "all partitions")
    second.subscribe(ignore)
    edge.divide("a", "b")

    def shared() -> bool:
        first.heartbeat()
        assert second.poll(0.05, 1) == []
        return len(first.assigned) == len(second.assigned) == PARTITIONS // 2

    wait_until(shared, "both members' partitions")
    second.close()
    edge.divide("a")
    for number in range(2 * PARTITIONS):
        edge.send(str(number).encode(), number % PARTITIONS)

    found = read(first, 2 * PARTITIONS)
    assert {one.partition for one in found} == set(range(PARTITIONS))


def test_partitions_are_given_up_before_another_member_has_them(edge: Edge) -> None:
    """Two owners at once would resolve the same events twice at the same time."""
    told: list[tuple[set[Place], set[Place]]] = []
    first, second = edge.source("a"), edge.source("b")
    first.subscribe(lambda gone: told.append((set(gone), set(first.assigned))))
    edge.divide("a")
    wait_until(lambda: first.poll(0.05, 1) or len(first.assigned) == PARTITIONS, "all partitions")

    second.subscribe(ignore)
    edge.divide("a", "b")

    def shared() -> bool:
        assert first.poll(0.05, 1) == second.poll(0.05, 1) == []
        assert not first.assigned & second.assigned
        return len(first.assigned) == len(second.assigned) == PARTITIONS // 2

    wait_until(shared, "both members' partitions")
    gone = set[Place]().union(*(one for one, _ in told))
    assert gone == second.assigned
    assert all(one <= held for one, held in told)


def test_the_next_owner_reads_on_from_the_last_commit(edge: Edge) -> None:
    """What was read but not committed is read again; what was committed is not."""
    for number in range(6):
        edge.send(str(number).encode())
    first = edge.source("a")
    first.subscribe(ignore)
    edge.divide("a")
    read(first, 6)
    sink = edge.sink(first, "t")
    sink.begin()
    sink.commit_offsets({(edge.raw, 0): 4})
    first.close()

    second = edge.source("a")
    second.subscribe(ignore)

    assert [one.value for one in read(second, 2)] == [b"4", b"5"]


def test_records_of_a_key_stay_in_the_order_they_were_produced_in(edge: Edge) -> None:
    """The last record of a key is its final state: with or without headers, value or not."""
    source = join(edge)
    sink = edge.sink(source, "t")
    keys = [f"user:{number}" for number in range(10)]
    produced: dict[bytes, list[bytes | None]] = {key.encode(): [] for key in keys}

    for batch in range(3):
        sink.begin()
        for number in range(50):
            for key in keys:
                value = None if number % 7 == 3 else f"{batch}.{number}".encode()
                headers: Headers | None = [("version", b"1")] if number % 3 == 1 else None
                sink.produce(edge.out, key, value, headers)
                produced[key.encode()].append(value)
        sink.flush()
        sink.commit_offsets({(edge.raw, 0): 0})

    found: dict[bytes, list[bytes | None]] = {}
    for record in edge.committed(edge.out):
        found.setdefault(record.key or b"", []).append(record.value)
    assert found == produced


def test_without_transactions_outputs_are_in_the_log_after_the_flush(edge: Edge) -> None:
    """At least once: the flush is what the commit of offsets may rely on."""
    source = join(edge)
    sink = edge.sink(source, None)

    sink.begin()
    sink.produce(edge.out, "user:u", b"1")
    sink.flush()

    assert edge.committed(edge.out) == [Record(b"user:u", b"1", [])]
    assert edge.offsets() == {}
