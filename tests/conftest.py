"""Real services for the tests: given addresses, else containers, else local processes."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.stack.services import Kafka, Redis, Registry


@dataclass(frozen=True)
class Address:
    """A service that somebody else runs."""

    bootstrap: str = ""
    url: str = ""


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka | Address]:
    """A broker; ``.bootstrap`` is its address."""
    given = os.environ.get("RESOLVER_TEST_KAFKA")
    if given:
        yield Address(bootstrap=given)
        return
    broker = Kafka()
    broker.start()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis | Address]:
    """A Redis; ``.url`` is its address."""
    given = os.environ.get("RESOLVER_TEST_REDIS")
    if given:
        yield Address(url=given)
        return
    server = Redis()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry | Address]:
    """A schema registry; ``.url`` is the base of Confluent's protocol."""
    given = os.environ.get("RESOLVER_TEST_REGISTRY")
    if given:
        yield Address(url=given)
        return
    server = Registry()
    server.start()
    yield server
    server.close()


@pytest.fixture
def fresh() -> str:
    """A name no other test uses: for topics, groups and key prefixes."""
    return f"t{uuid.uuid4().hex[:12]}"
