"""A Redis Cluster of local processes: three masters that share the slots, without replicas."""

from typing import Any

from redis import Redis as Client

from tests.stack.services import START_S_MAX, Redis, free_port, wait_for

NODES = 3
SLOTS = 16_384


class Node(Redis):
    """One master; it keeps its slots and its data over a restart."""

    name = "redis-node"

    def __init__(self, port: int | None = None) -> None:
        super().__init__(port)
        self.bus_port = free_port()

    def command(self) -> list[str]:
        own = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]
        bus = ["--cluster-port", str(self.bus_port), "--cluster-node-timeout", "1000"]
        return [*super().command(), *own, *bus]

    def ask(self, *command: str | bytes | int) -> Any:
        """A command to this very node."""
        with Client(port=self.port) as client:
            return client.execute_command(*command)


class RedisCluster:
    """The nodes, introduced to each other; ``.url`` is the first one's address."""

    def __init__(self) -> None:
        self.nodes = [Node() for _ in range(NODES)]

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def start(self) -> None:
        """Starts the nodes, deals out the slots and waits until every node serves them all."""
        for place, node in enumerate(self.nodes):
            node.start()
            first, after = SLOTS * place // NODES, SLOTS * (place + 1) // NODES
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus_port)
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Returns once every node knows an owner of every slot."""
        wait_for(self._whole, START_S_MAX, "the nodes of the cluster to find each other")

    def _whole(self) -> bool:
        replies = [node.ask("CLUSTER", "INFO") for node in self.nodes]
        wanted = {"cluster_state": "ok", "cluster_known_nodes": str(NODES)}
        return all(wanted.items() <= _fields(reply).items() for reply in replies)

    def close(self) -> None:
        """Ends the nodes and removes their files."""
        for node in self.nodes:
            node.close()


def _fields(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    lines = bytes(reply).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
