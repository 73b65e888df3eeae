"""What people do with Kafka from the command line: topics, sending, tailing, dead letters."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from resolver.errors import ConfigError, Unavailable
from resolver.ports import Headers, Message

TIMEOUT_S = 8.0
"""How long a person waits for a broker before being told that it is not there."""
SILENCE_S_MAX = 30.0
"""A topic that is read to its end and says nothing for this long has lost its broker."""
DELIVERY_MS_MAX = 30_000
"""How long a message may wait for a broker that was there a moment ago."""
REPORTED = 500
"""Messages between two reports: often enough to be seen moving."""
COMPACTED = {"cleanup.policy": "compact"}
LOST = {
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.REQUEST_TIMED_OUT,
}
OWN = "resolver."
"""What the names of a dead letter's own headers begin with."""
ORIGIN = "resolver.origin"
"""The header of a replayed event: where it first lay, so that it is not replayed twice over."""

Report = Callable[[int], None]
Offsets = dict[tuple[str, int], int]


class Outgoing(NamedTuple):
    """A message to send; without a timestamp it gets the present one."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers | None = None
    timestamp_ms: int = 0


Refuse = Callable[[Outgoing], None]


class Letter(NamedTuple):
    """A dead letter: where the message lay, its fault, a sentence, and the message itself."""

    topic: str
    partition: str
    offset: str
    fault: str
    reason: str
    origin: str
    outgoing: Outgoing

    @property
    def place(self) -> str:
        """Where the message lay."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class KafkaTools:
    """Short-lived clients for one command; raises Unavailable if no broker answers."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.trouble = ""
        self.options: dict[str, Any] = {"log_level": 0, **options}
        with _options_named("options"):
            noted: dict[str, Any] = {**self.options, "error_cb": self._note}
            self.admin = AdminClient(noted)

    def topics(self) -> dict[str, int]:
        """Partitions by topic."""
        try:
            known = self.admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise self._nobody(error) from error
        return {name: len(topic.partitions) for name, topic in known.items()}

    def create(
        self, wanted: Mapping[str, bool], partitions: int, replication: int
    ) -> dict[str, bool]:
        """Creates topics (value: compacted); for each, whether it was made or already there."""
        new = [
            NewTopic(name, partitions, replication, config=COMPACTED if compacted else {})
            for name, compacted in wanted.items()
        ]
        made: dict[str, bool] = {}
        for name, pending in self.admin.create_topics(new, request_timeout=TIMEOUT_S).items():
            try:
                pending.result()
                made[name] = True
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._not_created(name, error) from error
                made[name] = False
        return made

    def faults(self, wanted: Mapping[str, bool]) -> list[tuple[str, str | None]]:
        """Each topic (value: compacted), and what is wrong with it, if anything is."""
        there = self.topics()
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted if name in there]
        described = self.admin.describe_configs(resources) if resources else {}
        policies: dict[str, str] = {}
        for resource, pending in described.items():
            try:
                policies[resource.name] = pending.result(TIMEOUT_S)["cleanup.policy"].value
            except KafkaException as error:
                raise self._nobody(error) from error
        return [(name, _policy_fault(policies.get(name), one)) for name, one in wanted.items()]

    def ends(self, topic: str, partitions: int) -> Offsets:
        """Where each partition ends now, what open transactions wrote included."""
        end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        latest = {TopicPartition(topic, one): end for one in range(partitions)}
        everything = IsolationLevel.READ_UNCOMMITTED
        asked = self.admin.list_offsets(latest, isolation_level=everything)
        try:
            found = {one.partition: asked[one].result(TIMEOUT_S) for one in asked}
        except KafkaException as error:
            raise self._nobody(error) from error
        return {(topic, partition): one.offset for partition, one in found.items()}

    def committed(self, group: str, topic: str, partitions: int) -> Offsets:
        """The offsets that a group has committed, where it has any."""
        places = [TopicPartition(topic, one) for one in range(partitions)]
        asked = self.admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)]
        )
        try:
            found = asked[group].result(TIMEOUT_S).topic_partitions
        except KafkaException as error:
            raise Unavailable(f"Kafka: {error.args[0].str()}") from error
        return {(topic, one.partition): one.offset for one in found if one.offset >= 0}

    def forget_group(self, group: str) -> None:
        """Deletes a group's offsets, if there are any."""
        try:
            self.admin.delete_consumer_groups([group])[group].result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                reason = error.args[0].str()
                raise Unavailable(f"Kafka: group {group} was not deleted: {reason}") from error

    def send(self, messages: Iterable[Outgoing], report: Report, refuse: Refuse) -> int:
        """Produces; tells ``report`` how many went, ``refuse`` what Kafka is too small for."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failed.append(error)

        producer = Producer(
            {
                "linger.ms": 20,
                **self.options,
                "partitioner": "murmur2_random",
                "acks": "all",
                "message.timeout.ms": DELIVERY_MS_MAX,
                "on_delivery": delivered,
                "delivery.report.only.error": True,
                "error_cb": self._note,
            }
        )
        count = 0
        for one in messages:
            if not _produced(producer, one):
                refuse(one)
                continue
            count += 1
            if count % REPORTED == 0:
                report(REPORTED)
                if failed:
                    break
        report(count % REPORTED)
        left = producer.flush(DELIVERY_MS_MAX / 1_000)
        if left or failed:
            reason = self.trouble or (failed[0].str() if failed else "no broker answers")
            raise Unavailable(f"{left + len(failed)} of {count} events were not sent: {reason}")
        return count

    def read(self, topic: str, *, follow: bool, from_start: bool) -> Iterator[Message]:
        """Committed records of a topic, until its end or (``follow``) for ever."""
        partitions = self.topics().get(topic)
        if not partitions:
            raise ConfigError(missing_topics([topic]))
        consumer = Consumer(
            {
                **self.options,
                "group.id": f"resolver-tools-{topic}",
                "enable.auto.commit": False,
                "enable.partition.eof": not follow,
                "isolation.level": "read_committed",
                "error_cb": self._note,
            }
        )
        offset = 0 if from_start else -1
        consumer.assign([TopicPartition(topic, one, offset) for one in range(partitions)])
        try:
            yield from self._records(consumer, set(range(partitions)), follow)
        finally:
            consumer.close()

    def _records(
        self, consumer: Consumer, reading: set[int | None], follow: bool
    ) -> Iterator[Message]:
        heard = time.monotonic()
        while reading:
            record: Any = consumer.poll(0.5)
            if record is None:
                if not follow and time.monotonic() - heard > SILENCE_S_MAX:
                    raise Unavailable(
                        f"Kafka stopped answering: {self.trouble or 'no reason given'}"
                    )
                continue
            heard = time.monotonic()
            error = record.error()
            if error is None:
                yield _message(record)
            elif error.code() == KafkaError._PARTITION_EOF:
                reading.discard(record.partition())
            elif error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise Unavailable(f"Kafka: {error.str()}")

    def _note(self, error: KafkaError) -> None:
        """Remembers why a connection failed; "all brokers are down" says less."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            said = re.sub(r" \(after .*", "", error.str())
            self.trouble = said.partition("bootstrap: ")[2] or said

    def _nobody(self, error: KafkaException) -> Unavailable:
        self.admin.poll(0)
        reason = self.trouble or error.args[0].str()
        brokers = self.options.get("bootstrap.servers")
        return Unavailable(
            f"Kafka at {brokers} does not answer ({reason}):"
            " is it running, and is kafka.brokers (or --brokers) right?"
        )

    def _not_created(self, name: str, raised: KafkaException) -> Exception:
        error: KafkaError = raised.args[0]
        if error.code() in LOST:
            return self._nobody(raised)
        advice = ""
        if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:
            advice = " Choose --replication up to the number of brokers."
        return ConfigError(f"topic {name} cannot be created: {error.str().rstrip('.')}.{advice}")


@contextmanager
def _options_named(section: str) -> Iterator[None]:
    """Turns a refused setting of librdkafka into a ConfigError that names the section."""
    try:
        yield
    except KafkaException as error:
        raise ConfigError(f"kafka.{section}: {error.args[0].str()}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"kafka.{section}: {error}") from error


def check_options(consumer: Mapping[str, Any], producer: Mapping[str, Any]) -> None:
    """Raises ConfigError if librdkafka refuses a setting; connects to nothing."""
    with _options_named("consumer"):
        Consumer({"log_level": 0, **consumer}).close()
    with _options_named("producer"):
        Producer({"log_level": 0, **producer})


def missing_topics(names: Iterable[str]) -> str:
    """What is wrong and what to do."""
    return f"Kafka has no topic {', '.join(names)}: create it with 'resolver topics create'"


def key_of(raw: bytes) -> bytes | None:
    """The anonymousId of a line, else its userId: events of one device stay in order."""
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    chosen = event.get("anonymousId") or event.get("userId")
    return str(chosen).encode(errors="replace") if isinstance(chosen, str | int) else None


def read_letter(message: Message) -> Letter | None:
    """A dead letter of this resolver's; None for anything else that lies on the topic."""
    told = {name: (value or b"").decode(errors="replace") for name, value in message.headers or []}
    topic, partition, offset = (
        told.get(OWN + name, "") for name in ("topic", "partition", "offset")
    )
    if not topic:
        return None
    origin = told.get(ORIGIN) or f"{topic}[{partition}]@{offset}"
    kept = [one for one in message.headers or [] if not one[0].startswith(OWN)]
    stamp = told.get(OWN + "timestamp", "")
    outgoing = Outgoing(
        topic,
        message.key,
        message.value or b"",
        [*kept, (ORIGIN, origin.encode())],
        int(stamp) if stamp.isdecimal() else 0,
    )
    fault, reason = told.get(OWN + "fault", ""), told.get(OWN + "reason", "")
    return Letter(topic, partition, offset, fault, reason, origin, outgoing)


def replays(letters: Iterable[Letter], fault: str | None) -> Iterator[Outgoing]:
    """Each buried event once, however often it came back; its timestamp is the first one's."""
    known: set[str] = set()
    for letter in letters:
        if letter.origin not in known and fault in (None, letter.fault):
            known.add(letter.origin)
            yield letter.outgoing


def _policy_fault(policy: str | None, compacted: bool) -> str | None:
    if policy is None:
        return "is missing: create it with 'resolver topics create'"
    if compacted and "compact" not in policy:
        return f"has cleanup.policy={policy}: set compact, or profiles are lost with time"
    if not compacted and "compact" in policy:
        return f"has cleanup.policy={policy}: set delete, or events of one key are lost"
    return None


def _produced(producer: Producer, one: Outgoing) -> bool:
    """Whether the client took the message; False if it is too large."""
    while True:
        try:
            producer.produce(
                one.topic,
                one.value,
                one.key,
                headers=list(one.headers or ()),
                timestamp=one.timestamp_ms,
            )
            return True
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                return False
            raise Unavailable(f"Kafka: {error.args[0].str()}") from error


def _message(record: Any) -> Message:
    return Message(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp()[1],
        record.key(),
        record.value(),
        headers=record.headers(),
    )
