"""Which services the tests run on: decided here, because no engine is needed to decide it."""

import pytest

from tests.conftest import choose
from tests.stack import containers


def test_an_engine_is_preferred_to_local_processes() -> None:
    """Containers are what most machines with Docker can start without Java or Maven."""
    assert choose(True, lambda: "container", lambda: "local") == "container"
    assert choose(False, lambda: "container", lambda: "local") == "local"


def test_a_machine_without_an_engine_is_told_apart_quickly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A probe that hangs or raises would keep everybody without Docker from testing."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")

    assert containers.engine_answers() is False


def test_containers_are_described_without_an_engine_where_possible() -> None:
    """An image name without a version would change under the tests."""
    for image in (containers.KAFKA_IMAGE, containers.REDIS_IMAGE, containers.REGISTRY_IMAGE):
        assert ":" in image
        assert not image.endswith(":latest")
