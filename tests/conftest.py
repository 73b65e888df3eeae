"""Real services for the tests: given addresses, else containers, else local processes."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.stack.cluster import RedisCluster
from tests.stack.containers import (
    ContainerKafka,
    ContainerRedis,
    ContainerRegistry,
    engine_answers,
)
from tests.stack.services import Kafka, Redis, Registry


@dataclass(frozen=True)
class Address:
    """A service that somebody else runs."""

    bootstrap: str = ""
    url: str = ""


@pytest.fixture(scope="session")
def docker_engine() -> bool:
    """Whether containers can be had."""
    return engine_answers()


@pytest.fixture(scope="session")
def kafka(docker_engine: bool) -> Iterator[Any]:
    """A broker; ``.bootstrap`` is its address."""
    given = os.environ.get("RESOLVER_TEST_KAFKA")
    if given:
        yield Address(bootstrap=given)
        return
    yield from running(choose(docker_engine, ContainerKafka, Kafka))


@pytest.fixture(scope="session")
def redis_server(docker_engine: bool) -> Iterator[Any]:
    """A Redis; ``.url`` is its address."""
    given = os.environ.get("RESOLVER_TEST_REDIS")
    if given:
        yield Address(url=given)
        return
    yield from running(choose(docker_engine, ContainerRedis, Redis))


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A Redis Cluster; always of local processes, whose nodes a test may stop and start."""
    yield from running(RedisCluster())


@pytest.fixture(scope="session")
def registry(docker_engine: bool) -> Iterator[Any]:
    """A schema registry; ``.url`` is the base of Confluent's protocol."""
    given = os.environ.get("RESOLVER_TEST_REGISTRY")
    if given:
        yield Address(url=given)
        return
    yield from running(choose(docker_engine, ContainerRegistry, Registry))


def choose(docker_engine: bool, container: Callable[[], Any], local: Callable[[], Any]) -> Any:
    """A container where there is an engine, else a local process; a failure to start fails."""
    return container() if docker_engine else local()


def running(service: Any) -> Iterator[Any]:
    """The service, started, for as long as the tests last."""
    try:
        service.start()
        yield service
    finally:
        service.close()


@pytest.fixture
def fresh() -> str:
    """A name no other test uses: for topics, groups and key prefixes."""
    return f"t{uuid.uuid4().hex[:12]}"
