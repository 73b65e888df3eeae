"""How far a group is behind, as the broker has it."""

from confluent_kafka import Consumer, TopicPartition

from bench.stack import PARTITIONS

ANSWER_S_MAX = 10.0


class Backlog:
    """What is on a topic, and what a group has committed of it."""

    def __init__(self, brokers: str, topic: str, group: str) -> None:
        self.places = [TopicPartition(topic, one) for one in range(PARTITIONS)]
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": group})

    def committed(self) -> int:
        """Events committed."""
        places = self.consumer.committed(self.places, timeout=ANSWER_S_MAX)
        return sum(max(0, one.offset) for one in places)

    def sent(self) -> int:
        """Events on the topic."""
        ends = (
            self.consumer.get_watermark_offsets(one, timeout=ANSWER_S_MAX) for one in self.places
        )
        return sum(high for _, high in ends)

    def close(self) -> None:
        """Hangs up."""
        self.consumer.close()
