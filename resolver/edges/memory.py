"""Kafka and Redis as far as the resolver sees them, in memory: for tests and simulations.

Every call passes ``step`` with its name before it takes effect, and with ``"….done"`` after it,
before its reply arrives: there a simulation lets others run, crashes the caller or loses the reply.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from resolver.errors import Fenced, TransactionAborted, Unavailable
from resolver.ports import ABSENT, Decide, Headers, Message, Stored, Swap

Place = tuple[str, int]
Step = Callable[[str], None]
OPEN, COMMITTED, ABORTED = "open", "committed", "aborted"
AHEAD = 2
"""As in the store on Redis, whose order of requests this one keeps."""


def no_step(_: str) -> None:
    """Nothing happens between the steps."""


class MemoryStore:
    """The Store port on a dict. ``shared`` is what several workers' stores have in common."""

    def __init__(self, shared: "MemoryRedis | None" = None, step: Step = no_step) -> None:
        self.shared = shared or MemoryRedis()
        self.step = step
        self.overlaps, self.token = True, 0
        self.first, self.others_none, self.undisturbed = True, False, False

    def exchange(
        self, loads: Sequence[Sequence[str]], decide: Decide
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        """As on the wire: loads go before swaps of chunks in front, replies are seen late."""
        before: list[tuple[int, list[Stored | None]]] = []
        try:
            loaded = [self.load(chunk) for chunk in loads[:AHEAD]]
            for place in range(len(loads)):
                replies = self.swap(decide(place, loaded[place]))
                loaded += [self.load(chunk) for chunk in loads[place + AHEAD :][:1]]
                yield from before
                before = [(place, replies)]
            yield from before
        except BaseException:
            self.token = 0
            raise

    def load(self, keys: Sequence[str]) -> list[Stored]:
        if keys:
            self.step("store.load")
        return [self.shared.records.get(key, ABSENT) for key in keys]

    def swap(self, swaps: Sequence[Swap]) -> list[Stored | None]:
        """At once, as on the server; on a cluster one by one, others in between."""
        if not swaps:
            return []
        self.step("store.swap")
        if self.shared.cluster:
            replies = [self._swap_one(one, self.step) for one in swaps]
        else:
            if self.undisturbed and self.token != self.shared.token:
                self.step("store.swap")  # all was refused; a second request compares versions
            is_own = self.token == self.shared.token
            self.shared.tokens += 1
            self.token = self.shared.token = self.shared.tokens
            self._told(is_own)
            trusted = is_own and self.undisturbed
            replies = [self._swap_one(one, no_step, trusted=trusted) for one in swaps]
        self.step("store.swap.done")
        return replies

    def _told(self, is_own: bool) -> None:
        """Whether the token before this request's was its worker's own."""
        self.undisturbed = self.undisturbed and is_own
        self.others_none = self.others_none and (self.first or is_own)
        self.first = False

    def _swap_one(self, one: Swap, step: Step, *, trusted: bool = False) -> Stored | None:
        step("store.swap")
        current = self.shared.records.get(one.key, ABSENT)
        if current.version != one.expected and not trusted:
            return current
        self.shared.records[one.key] = Stored(one.version, one.state)
        return None

    def watch(self) -> None:
        self.first, self.others_none = True, not self.shared.cluster
        self.undisturbed = self.token > 0

    def alone(self) -> bool:
        self.step("store.alone")
        return self.others_none and (self.first or self.token == self.shared.token)

    def versions(self, keys: Sequence[str]) -> list[int]:
        versions = []
        for key in keys:
            self.step("store.versions")
            versions.append(self.shared.records.get(key, ABSENT).version)
        return versions

    def commits(self, incarnations: Sequence[str]) -> Mapping[str, int]:
        self.step("store.commits")
        known = self.shared.commits
        return {one: known[one] for one in incarnations if one in known}

    def note_commit(self, incarnation: str, sequence: int) -> None:
        self.step("store.note_commit")
        self.shared.commits[incarnation] = sequence


@dataclass
class MemoryRedis:
    """What a Redis holds."""

    records: dict[str, Stored] = field(default_factory=dict)
    commits: dict[str, int] = field(default_factory=dict)
    token: int = 0
    tokens: int = 0
    cluster: bool = False


class Logged(NamedTuple):
    """A record in a log and the transaction it came with, if any."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    transaction: int | None


@dataclass
class Producer:
    """A transactional id as the broker knows it."""

    epoch: int = 0
    transaction: int | None = None
    offsets: dict[Place, int] = field(default_factory=dict)
    ending: bool = False


@dataclass
class Member:
    """A member of the one consumer group; ``leaving`` are partitions it is asked to give up."""

    assigned: set[Place] = field(default_factory=set)
    leaving: set[Place] = field(default_factory=set)
    kicked: bool = False


class MemoryKafka:
    """Topics, transactions and one consumer group; reads are of committed records."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.logs: dict[Place, list[Logged]] = {}
        self.transactions: dict[int, str] = {}
        self.producers: dict[str, Producer] = {}
        self.offsets: dict[Place, int] = {}
        self.members: dict[str, Member] = {}
        self.wanted: dict[Place, str] = {}

    def append(self, topic: str, partition: int, record: Logged) -> None:
        """Writes at the end of a partition."""
        self.logs.setdefault((topic, partition), []).append(record)

    def partition_of(self, key: bytes | None) -> int:
        """Where a key's records lie."""
        return crc32(key or b"") % self.partitions

    def committed(self, topic: str) -> list[Logged]:
        """The records of a topic that a reader of committed records sees, by partition."""
        return [
            record
            for (name, _), log in sorted(self.logs.items())
            if name == topic
            for record in log
            if record.transaction is None or self.transactions[record.transaction] == COMMITTED
        ]

    def last(self, topic: str) -> dict[str, bytes | None]:
        """The last committed value of every key."""
        return {(one.key or b"").decode(): one.value for one in self.committed(topic)}

    def init(self, transactional_id: str) -> int:
        """A new epoch: fences whoever used the id before, and ends what they left open."""
        producer = self.producers.setdefault(transactional_id, Producer())
        self.finish(producer, COMMITTED if producer.ending else ABORTED)
        producer.epoch += 1
        return producer.epoch

    def finish(self, producer: Producer, outcome: str) -> None:
        """Ends a producer's open transaction."""
        if producer.transaction is not None:
            self.transactions[producer.transaction] = outcome
            if outcome == COMMITTED:
                self.offsets.update(producer.offsets)
        producer.transaction, producer.offsets, producer.ending = None, {}, False

    def expire(self, transactional_id: str) -> None:
        """The transaction timeout: the broker aborts, and fences the producer."""
        producer = self.producers.get(transactional_id)
        if producer is not None and producer.transaction is not None:
            self.finish(producer, ABORTED)
            producer.epoch += 1

    def unstable(self, place: Place) -> bool:
        """Whether an open transaction may still move the committed offset of a partition."""
        return any(place in producer.offsets for producer in self.producers.values())

    def rebalance(self, wanted: Mapping[Place, str]) -> None:
        """Asks members to give up what others should have."""
        self.wanted = dict(wanted)
        for name, member in self.members.items():
            member.leaving = {one for one in member.assigned if self.wanted.get(one) != name}

    def kick(self, name: str) -> None:
        """A session timeout: the group goes on without the member."""
        if name in self.members:
            self.members[name].kicked = True

    def free(self, place: Place) -> bool:
        """Whether no member of the group holds a partition."""
        return not any(place in one.assigned and not one.kicked for one in self.members.values())


class MemorySource:
    """A member's view of the raw topics."""

    def __init__(self, kafka: MemoryKafka, name: str, step: Step = no_step) -> None:
        self.kafka = kafka
        self.name = name
        self.step = step
        self.positions: dict[Place, int] = {}
        self.on_revoke: Callable[[list[Place]], None] = lambda _: None
        self.member = Member()
        self.assigned = self.member.assigned

    def subscribe(self, on_revoke: Callable[[list[Place]], None]) -> None:
        self.on_revoke = on_revoke
        self.member = self.kafka.members[self.name] = Member()
        self.assigned = self.member.assigned

    def poll(self, wait_s: float, messages_max: int) -> list[Message]:
        """Up to so many messages, from every partition in turn."""
        self.step("source.poll")
        self._attend()
        found: list[Message] = []
        for place in sorted(self.assigned):
            log = self.kafka.logs.get(place, [])
            position = self.positions[place]
            until = min(len(log), position + messages_max - len(found))
            found += [_message(place, offset, log[offset]) for offset in range(position, until)]
            self.positions[place] = until
        return found

    def heartbeat(self) -> None:
        """Stays in the group without reading."""
        self.step("source.heartbeat")
        self._attend()

    def rewind(self, offsets: Mapping[Place, int]) -> None:
        self.positions.update({one: offsets[one] for one in offsets if one in self.assigned})

    def lag(self) -> int:
        return sum(len(self.kafka.logs.get(one, [])) - self.positions[one] for one in self.assigned)

    def close(self) -> None:
        self.kafka.members.pop(self.name, None)

    def check(self) -> None:
        """Raises if the group would refuse a commit of this member's."""
        if self.kafka.members.get(self.name) is not self.member:
            raise Fenced("another member took this one's name")
        if self.member.kicked:
            raise TransactionAborted("the group went on without this member")

    def _attend(self) -> None:
        """What a poll does for the group: lose, give up, take."""
        if self.kafka.members.get(self.name) is not self.member:
            raise Fenced("another member took this one's name")
        going = self.assigned if self.member.kicked else self.member.leaving
        if going:
            gone = sorted(going)
            self.on_revoke(gone)
            self.assigned.difference_update(gone)
        self.member.leaving = set()
        self.member.kicked = False
        for place, name in self.kafka.wanted.items():
            mine = name == self.name and self.kafka.free(place)
            if mine and not self.kafka.unstable(place):
                self.assigned.add(place)
                self.positions[place] = self.kafka.offsets.get(place, 0)


class MemorySink:
    """A producer: in transactions with a transactional id, else without."""

    def __init__(
        self,
        source: MemorySource,
        dead_letter_topic: str,
        transactional_id: str | None,
        step: Step = no_step,
    ) -> None:
        self.source = source
        self.kafka = source.kafka
        self.dead_letter_topic = dead_letter_topic
        self.transactional_id = transactional_id
        self.step = step
        self.epoch: int | None = None
        self.buffer: list[tuple[str, Logged]] = []

    def prepare(self) -> None:
        if self.transactional_id is not None and self.epoch is None:
            self.epoch = self.kafka.init(self.transactional_id)

    def begin(self) -> None:
        self.step("sink.begin")
        self.buffer.clear()
        if self.transactional_id is None:
            return
        self.prepare()
        producer = self._producer()
        producer.transaction = len(self.kafka.transactions)
        self.kafka.transactions[producer.transaction] = OPEN

    def produce(
        self, topic: str, key: str, value: bytes | None, headers: Headers | None = None
    ) -> None:
        self._buffer(topic, key.encode(), value, headers or [])

    def bury(self, message: Message, headers: Headers) -> None:
        kept = [*(message.headers or []), *headers]
        self._buffer(self.dead_letter_topic, message.key, message.value, kept)

    def flush(self) -> None:
        self.step("sink.flush")
        for topic, record in self.buffer:
            self.step("sink.append")
            if self.transactional_id is not None:
                self._producer()
            self.kafka.append(topic, self.kafka.partition_of(record.key), record)
        self.buffer.clear()
        self.step("sink.flush.done")

    def commit_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Commits offsets with everything produced since ``begin``."""
        try:
            self._commit(offsets)
        except Unavailable:
            self.epoch = None
            raise

    def _commit(self, offsets: Mapping[Place, int]) -> None:
        self.step("sink.commit_offsets")
        self.source.check()
        if self.transactional_id is None:
            self.kafka.offsets.update(offsets)
            self.step("sink.commit.done")
            return
        self._producer().offsets = dict(offsets)
        self.step("sink.commit")
        producer = self._producer()
        self.kafka.finish(producer, COMMITTED)
        self.step("sink.commit.done")

    def abort(self) -> None:
        """Gives the open transaction up; never raises."""
        self.buffer.clear()
        if self.transactional_id is None or self.epoch is None:
            return
        try:
            self.step("sink.abort")
            self.kafka.finish(self._producer(), ABORTED)
        except (Unavailable, Fenced):
            self.epoch = None

    def close(self) -> None:
        self.epoch = None

    def _producer(self) -> Producer:
        """The id as this producer may use it; raises Fenced."""
        producer = self.kafka.producers[self.transactional_id or ""]
        if producer.epoch != self.epoch:
            raise Fenced("another producer took this one's transactional id")
        return producer

    def _buffer(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        number = None
        if self.transactional_id is not None:
            number = self._producer().transaction
        self.buffer.append((topic, Logged(key, value, headers, number)))


def _message(place: Place, offset: int, record: Logged) -> Message:
    return Message(place[0], place[1], offset, 0, record.key, record.value, headers=record.headers)
