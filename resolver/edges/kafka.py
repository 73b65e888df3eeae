"""Kafka through confluent-kafka: a source that polls batches, a sink that commits them.

Every librdkafka error is translated: away (``Unavailable``), given up (``TransactionAborted``),
replaced by another worker (``Fenced``).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from resolver.errors import ConfigError, Fenced, TransactionAborted, Unavailable
from resolver.ports import Headers, Message

FENCED: Final = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID,
}
UNUSABLE_TOPIC: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
}
ENDING: Final = UNUSABLE_TOPIC | {KafkaError._FATAL, KafkaError._AUTO_OFFSET_RESET}
"""What a consumer reports once and never gets over."""
FLUSH_S_MAX: Final = 120.0
"""A flush that takes longer than librdkafka's message timeout has already failed."""
RETRY_BACKOFF_MS: Final = 10
"""A transaction that begins while the broker still writes the last one's markers is told to try
again: soon, because at a trickle that wait is most of the latency."""
FETCH_BACKOFF_MS: Final = 10
"""A partition of which enough is ready is fetched again so much later. By default that is a second,
in which a fast worker has long taken everything and waits.
"""
FETCH_BYTES_MIN: Final = 64 * 1024
FETCH_WAIT_MS: Final = 5
"""The broker answers a fetch once there is so much, or after so long: else it is asked anew for
every few messages that arrive, a thousand times a second. On a trickle half of that time is waited.
"""
LINGER_MS: Final = 200
"""A batch's outputs wait so long for others of their partition, but for no longer than the batch:
flushing sends them. With less than a batch takes, a partition gets several requests from it, and
the more, the slower the batch already is.
"""
POLL_SLICE: Final = 1_000
"""Messages asked for at a time, so that few large ones do not fill the memory."""
BATCH_BYTES_MAX: Final = 64 * 1024 * 1024
"""What a batch takes of large messages: as much as librdkafka keeps ready by default."""
COMMITTED_S_MAX: Final = 30.0
"""How long to wait for a group's offsets: a transaction that may move them must end first."""
HEARTBEAT_MS_MAX: Final = 3_000
"""librdkafka's own interval: a member of a short session beats thrice in it, or it would be put out
by itself again and again.
"""
HEARTBEAT_POLL_S: Final = 0.1
"""How long a waiting worker serves its group membership at a time."""

Partitions = list[tuple[str, int]]


class KafkaSource:
    """Consumes raw topics as a member of a group; positions are its own, commits the sink's."""

    def __init__(self, settings: dict[str, Any], topics: Sequence[str]) -> None:
        own: dict[str, Any] = {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "fetch.min.bytes": FETCH_BYTES_MIN,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "queued.min.messages": 20_000,
            "fetch.queue.backoff.ms": FETCH_BACKOFF_MS,
            **settings,
        }
        if own.get("group.protocol") == "consumer":
            own.pop("partition.assignment.strategy")
            own.pop("session.timeout.ms", None)
        elif "session.timeout.ms" in own:
            often = min(HEARTBEAT_MS_MAX, int(own["session.timeout.ms"]) // 3)
            own.setdefault("heartbeat.interval.ms", often)
        self.consumer = Consumer(own)
        self.topics = list(topics)
        self.assigned: set[tuple[str, int]] = set()
        self.ends: dict[tuple[str, int], int] = {}
        self.taken: list[Message] = []

    def subscribe(self, on_revoke: Callable[[Partitions], None]) -> None:
        """Joins the group; ``on_revoke`` runs before partitions are given up or after a loss."""

        def assign(_: Consumer, partitions: list[TopicPartition]) -> None:
            self.assigned |= {(one.topic, one.partition) for one in partitions}

        def revoke(_: Consumer, partitions: list[TopicPartition]) -> None:
            gone = [(one.topic, one.partition) for one in partitions]
            on_revoke(gone)
            self.assigned -= set(gone)
            self.taken[:] = [one for one in self.taken if (one.topic, one.partition) not in gone]

        self.consumer.subscribe(self.topics, on_assign=assign, on_revoke=revoke, on_lost=revoke)

    def poll(self, wait_s: float, messages_max: int) -> list[Message]:
        """What has arrived, after waiting at most ``wait_s`` for the first of it.

        What is taken before its partition is revoked, in the same call, is the next owner's.
        """
        messages: list[Message] = []
        self.taken = messages
        first = self.consumer.poll(wait_s)
        if first is None:
            return []
        raw = [first]
        size = 0
        while raw:
            size += _take(raw, messages, self.ends)
            wanted = min(messages_max - len(messages), POLL_SLICE)
            if wanted <= 0 or size >= BATCH_BYTES_MAX:
                break
            raw = self.consumer.consume(wanted, 0)
        self.taken = []
        return messages

    def heartbeat(self) -> None:
        """Stays in the group while no messages are wanted: all partitions are paused.

        Those that are revoked meanwhile are resumed too: librdkafka would keep them paused when
        they come back.
        """
        held = self.consumer.assignment()
        self.consumer.pause(held)
        early = self.consumer.poll(HEARTBEAT_POLL_S)
        self.consumer.resume(held)
        if early is None:
            return
        error = early.error()
        if error is None:
            again = _message(early)
            self.rewind({(again.topic, again.partition): again.offset})
        elif error.code() == KafkaError._PARTITION_EOF:
            _take([early], [], self.ends)

    def rewind(self, offsets: dict[tuple[str, int], int]) -> None:
        """Reads on from these offsets, where the partition is still this member's."""
        for (topic, partition), offset in offsets.items():
            if (topic, partition) in self.assigned:
                self.consumer.seek(TopicPartition(topic, partition, offset))

    def commit(self, offsets: dict[tuple[str, int], int]) -> None:
        """Commits without a transaction."""
        try:
            self.consumer.commit(offsets=_positions(offsets), asynchronous=False)
        except KafkaException as error:
            raise _translated(error) from error

    def lag(self) -> int:
        """Messages behind, as far as the client knows without asking the broker."""
        total = 0
        for one in self.consumer.position(self.consumer.assignment()):
            _, high = self.consumer.get_watermark_offsets(one, cached=True)
            if one.offset >= 0 and high >= 0:
                total += max(0, high - one.offset)
        return total

    def close(self) -> None:
        self.consumer.close()


class WholeTopic(KafkaSource):
    """Reads all partitions of one topic, as nobody's member: its group only keeps offsets, so
    that nothing is waited for after a crash. ``ends`` are where a partition was found to end,
    markers of transactions counted, which no message's offset tells.
    """

    def __init__(self, settings: dict[str, Any], topic: str, partitions: int) -> None:
        super().__init__({**settings, "enable.partition.eof": True}, [topic])
        self.places = [TopicPartition(topic, one) for one in range(partitions)]

    def subscribe(self, on_revoke: Callable[[Partitions], None]) -> None:
        """Goes on behind the committed offsets; nothing is ever revoked."""
        try:
            found = self.consumer.committed(self.places, COMMITTED_S_MAX)
        except KafkaException as error:
            raise _translated(error) from error
        for one in found:
            if one.offset < 0:
                one.offset = OFFSET_BEGINNING
        self.consumer.assign(found)
        self.assigned |= {(one.topic, one.partition) for one in found}


class KafkaSink:
    """Produces within transactions (exactly once) or without (at least once)."""

    def __init__(
        self,
        settings: dict[str, Any],
        source: KafkaSource,
        dead_letter_topic: str,
        transactional_id: str | None,
    ) -> None:
        self.source = source
        self.settings: dict[str, Any] = {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": LINGER_MS,
            "batch.size": 1_000_000,
            "batch.num.messages": 100_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
            "delivery.report.only.error": True,
            "retry.backoff.ms": RETRY_BACKOFF_MS,
            **settings,
        }
        if transactional_id is not None:
            self.settings["transactional.id"] = transactional_id
        self.dead_letter_topic = dead_letter_topic
        self.transactional = transactional_id is not None
        self.failed: KafkaError | None = None
        self._producer: Producer | None = None

    def prepare(self) -> None:
        """Makes a producer if there is none: half a second that no batch should wait for."""
        if self._producer is not None:
            return
        try:
            producer = Producer({**self.settings, "on_delivery": self._delivered})
            if self.transactional:
                producer.init_transactions(60)
        except KafkaException as error:
            raise _translated(error) from error
        self._producer = producer

    def begin(self) -> None:
        """Opens a transaction, with a new producer if the last one had to be given up."""
        self.failed = None
        self.prepare()
        if not self.transactional:
            return
        try:
            self._open().begin_transaction()
        except KafkaException as error:
            self._producer = None
            raise _translated(error) from error

    def produce(
        self, topic: str, key: str, value: bytes | None, headers: Headers | None = None
    ) -> None:
        if headers is None and self._producer is not None:
            try:
                self._producer.produce(topic, value, key)
                return
            except BufferError:
                pass
            except KafkaException as error:
                raise _translated(error) from error
        self._send(topic, key.encode(), value, headers)

    def bury(self, message: Message, headers: Headers) -> None:
        kept = [*(message.headers or []), *headers]
        self._send(self.dead_letter_topic, message.key, message.value, kept)

    def flush(self) -> None:
        left = self._open().flush(FLUSH_S_MAX)
        if self.failed is not None and self.failed.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise _translated(KafkaException(self.failed))
        if left or self.failed is not None:
            reason = self.failed.str() if self.failed is not None else "no answer in time"
            raise Unavailable(f"Kafka: outputs were not delivered: {reason}")

    def commit_offsets(self, offsets: dict[tuple[str, int], int]) -> None:
        """Commits offsets with everything produced since ``begin``."""
        if not self.transactional:
            self.source.commit(offsets)
            return
        producer = self._open()
        try:
            group = self.source.consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(_positions(offsets), group, 30)
            producer.commit_transaction(60)
        except KafkaException as error:
            self._give_up(error)
            raise _translated(error) from error

    def abort(self) -> None:
        """Gives the open transaction up; never raises, a producer in doubt is replaced."""
        producer = self._producer
        if producer is None:
            return
        if not self.transactional:
            self.close()
            return
        try:
            producer.abort_transaction(30)
        except KafkaException:
            self.close()

    def close(self) -> None:
        """Drops the producer with whatever it still holds; never raises, even if it was fenced."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):
                producer.purge()
                producer.poll(0)

    def _give_up(self, error: KafkaException) -> None:
        """Aborts where the broker says so; otherwise the outcome is unknown: a new producer."""
        if not error.args[0].txn_requires_abort():
            self.close()

    def _send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        producer = self._open()
        while True:
            try:
                producer.produce(topic, value, key, headers=list(headers or ()))
                return
            except BufferError:
                producer.poll(0)
                time.sleep(0.005)
            except KafkaException as error:
                raise _translated(error) from error

    def _open(self) -> Producer:
        if self._producer is None:
            raise TransactionAborted("there is no open transaction")
        return self._producer

    def _delivered(self, error: KafkaError | None, _: Any) -> None:
        if error is not None and self.failed is None:
            self.failed = error


def _take(raw: list[Any], messages: list[Message], ends: dict[tuple[str, int], int]) -> int:
    """Adds what came, and returns its size in bytes; raises where the consumer cannot go on."""
    size = 0
    for one in raw:
        error = one.error()
        if error is None:
            messages.append(_message(one))
            size += len(one)
        elif error.code() == KafkaError._PARTITION_EOF:
            ends[one.topic(), one.partition()] = one.offset()
        elif error.fatal() or error.code() in ENDING:
            raise _translated(KafkaException(error))
    return size


def _message(raw: Any) -> Message:
    kind, timestamp = raw.timestamp()
    return Message(
        raw.topic(),
        raw.partition(),
        raw.offset(),
        0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        raw.key(),
        raw.value(),
        headers=raw.headers(),
    )


def _positions(offsets: dict[tuple[str, int], int]) -> list[TopicPartition]:
    return [TopicPartition(topic, part, offset) for (topic, part), offset in offsets.items()]


def _translated(raised: KafkaException) -> Exception:
    error: KafkaError = raised.args[0]
    sentence = f"Kafka: {error.str()}"
    if error.code() in FENCED:
        return Fenced(f"{sentence}: another worker took over this one's transactions or membership")
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return ConfigError(
            f"{sentence}: raise message.max.bytes (kafka.producer) and max.message.bytes (topics)"
        )
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return ConfigError(f"{sentence}: the group's offset is gone and auto.offset.reset is error")
    if error.fatal() or error.code() == KafkaError._FATAL:
        return Fenced(f"{sentence}: the client cannot go on")
    if error.code() in UNUSABLE_TOPIC:
        return ConfigError(f"{sentence}: create the topic first (resolver topics create)")
    if error.txn_requires_abort():
        return TransactionAborted(sentence)
    return Unavailable(sentence)
