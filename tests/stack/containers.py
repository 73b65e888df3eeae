"""The same services as containers, for machines with a Docker engine."""

from typing import Any

KAFKA_IMAGE = "confluentinc/cp-kafka:7.6.0"
REDIS_IMAGE = "valkey/valkey:8.1-alpine"
REGISTRY_IMAGE = "apicurio/apicurio-registry-mem:2.6.13.Final"
PROBE_S = 3
REGISTRY_PORT, REDIS_PORT = 8080, 6379


def engine_answers() -> bool:
    """Whether a Docker engine is there; looked up once per session, within seconds."""
    import docker
    from docker.errors import DockerException

    try:
        return bool(docker.from_env(timeout=PROBE_S).ping())
    except (DockerException, OSError):
        return False


class ContainerKafka:
    """A single-node Kafka (KRaft)."""

    def __init__(self) -> None:
        from testcontainers.kafka import KafkaContainer

        self.container: Any = KafkaContainer(KAFKA_IMAGE).with_kraft()

    def start(self) -> None:
        """Pulls the image if need be and waits until the broker serves."""
        self.container.start()

    @property
    def bootstrap(self) -> str:
        return str(self.container.get_bootstrap_server())

    def close(self) -> None:
        """Removes the container."""
        self.container.stop()


class ContainerRedis:
    """A Redis-compatible server that never evicts."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        made = DockerContainer(REDIS_IMAGE).with_exposed_ports(REDIS_PORT)
        self.container: Any = made.with_command("valkey-server --maxmemory-policy noeviction")

    def start(self) -> None:
        """Waits until the server accepts commands."""
        from testcontainers.core.waiting_utils import wait_for_logs

        self.container.start()
        wait_for_logs(self.container, "Ready to accept connections")

    @property
    def url(self) -> str:
        host, port = (
            self.container.get_container_host_ip(),
            self.container.get_exposed_port(REDIS_PORT),
        )
        return f"redis://{host}:{port}"

    def close(self) -> None:
        """Removes the container."""
        self.container.stop()


class ContainerRegistry:
    """Apicurio with an in-memory store, speaking Confluent's protocol."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        self.container: Any = DockerContainer(REGISTRY_IMAGE).with_exposed_ports(REGISTRY_PORT)

    def start(self) -> None:
        """Waits until the registry listens."""
        from testcontainers.core.waiting_utils import wait_for_logs

        self.container.start()
        wait_for_logs(self.container, "Listening on")

    @property
    def url(self) -> str:
        host = self.container.get_container_host_ip()
        return f"http://{host}:{self.container.get_exposed_port(REGISTRY_PORT)}/apis/ccompat/v7"

    def close(self) -> None:
        """Removes the container."""
        self.container.stop()
