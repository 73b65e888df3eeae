"""What people do with Kafka from the command line: topics, sending, tailing, dead letters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from resolver.errors import ConfigError, Unavailable
from resolver.ports import Message

TIMEOUT_S = 10.0
"""How long a person waits for a broker before being told that it is not there."""
COMPACTED = {"cleanup.policy": "compact"}

Report = Callable[[int], None]


class KafkaTools:
    """Short-lived clients for one command; raises Unavailable if no broker answers."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = {"log_level": 3, **options}
        self.admin = AdminClient(self.options)

    def topics(self) -> dict[str, int]:
        """Partitions by topic."""
        try:
            known = self.admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise Unavailable(self._nobody(error)) from error
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
                    raise ConfigError(f"topic {name}: {error.args[0].str()}") from error
                made[name] = False
        return made

    def cleanup_policies(self, names: Iterable[str]) -> dict[str, str]:
        """``cleanup.policy`` by topic."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found: dict[str, str] = {}
        for resource, pending in self.admin.describe_configs(resources).items():
            try:
                found[resource.name] = str(pending.result(TIMEOUT_S)["cleanup.policy"].value)
            except KafkaException as error:
                raise Unavailable(self._nobody(error)) from error
        return found

    def send(
        self, topic: str, keyed: Iterable[tuple[bytes | None, bytes, Any]], report: Report
    ) -> int:
        """Produces (key, value, headers); tells ``report`` how many went; returns the count."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failed.append(error)

        producer = Producer(
            {
                **self.options,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "acks": "all",
                "on_delivery": delivered,
                "delivery.report.only.error": True,
            }
        )
        count = 0
        for key, value, headers in keyed:
            _produce(producer, topic, key, value, headers)
            count += 1
            if count % 500 == 0:
                report(500)
        report(count % 500)
        left = producer.flush(60)
        if left or failed:
            reason = failed[0].str() if failed else "no broker answers"
            raise Unavailable(f"{left + len(failed)} of {count} events were not sent: {reason}")
        return count

    def read(self, topic: str, *, follow: bool, from_start: bool) -> Iterator[Message]:
        """Committed records of a topic, until its end or (``follow``) for ever."""
        partitions = self.topics().get(topic)
        if not partitions:
            raise ConfigError(f"topic {topic} does not exist: resolver topics create")
        consumer = Consumer(
            {
                **self.options,
                "group.id": f"resolver-tools-{topic}",
                "enable.auto.commit": False,
                "enable.partition.eof": not follow,
                "isolation.level": "read_committed",
            }
        )
        offset = 0 if from_start else -1
        consumer.assign([TopicPartition(topic, one, offset) for one in range(partitions)])
        try:
            yield from _records(consumer, partitions)
        finally:
            consumer.close()

    def _nobody(self, error: KafkaException) -> str:
        brokers = self.options.get("bootstrap.servers")
        return f"Kafka at {brokers} does not answer ({error.args[0].str()}): is it running?"


def _produce(producer: Producer, topic: str, key: Any, value: bytes, headers: Any) -> None:
    while True:
        try:
            producer.produce(topic, value, key, headers=headers or [])
            return
        except BufferError:
            producer.poll(0.05)


def _records(consumer: Consumer, partitions: int) -> Iterator[Message]:
    ended: set[int | None] = set()
    while len(ended) < partitions:
        record: Any = consumer.poll(0.5)
        if record is None:
            continue
        error = record.error()
        if error is None:
            yield Message(
                record.topic(),
                record.partition(),
                record.offset(),
                record.timestamp()[1],
                record.key(),
                record.value(),
                record.headers(),
            )
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(record.partition())
        elif error.fatal():
            raise Unavailable(f"Kafka: {error.str()}")
