"""Records in Redis: one string per record, its version in front of its state.

A record lies under ``PREFIX{SHARD}identifier``; the shard is a hash tag, one of a fixed number,
so that on Redis Cluster one script still carries many keys.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from zlib import crc32

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from resolver.errors import ConfigError, Unavailable
from resolver.ports import ABSENT, Stored, Swap

SHARDS = 64
"""Virtual shards of a cluster: enough for dozens of nodes, few enough to fill a script."""
KEYS_MAX = 500
"""Keys a script carries: it blocks the server for about two milliseconds."""
COMMIT_KEPT_S = 30 * 24 * 3600
"""How long a commit is remembered: a record in doubt for a month is at worst emitted again."""
VERSION_BYTES = 8
TIMEOUTS = {"socket_timeout": 10, "socket_connect_timeout": 5, "retry": Retry(NoBackoff(), 0)}
"""Seconds; waiting and trying again is the worker's, which stays in its group meanwhile."""


class RedisStore:
    """The Store port on redis-py: standalone, Sentinel or Cluster."""

    def __init__(self, client: Any, prefix: str, *, cluster: bool = False) -> None:
        self.client = client
        self.prefix = prefix
        self.cluster = cluster
        self.calls = 0
        self.generation = 0
        self._watch_connections()
        package = files("resolver.edges")
        self._swap = client.register_script((package / "swap.lua").read_text())
        self._versions = client.register_script((package / "versions.lua").read_text())

    def load(self, keys: Sequence[str]) -> list[Stored]:
        loaded = self._by_group(keys, lambda names, _: self.client.mget(names))
        return [ABSENT if raw is None else _stored(raw) for raw in loaded]

    def swap(self, swaps: Sequence[Swap]) -> list[Stored | None]:
        def run(names: list[str], places: list[int]) -> Any:
            arguments: list[bytes] = []
            for place in places:
                one = swaps[place]
                expected = _packed(one.expected) if one.expected else b""
                arguments += (expected, _packed(one.version) + one.state)
            return self._swap(keys=names, args=arguments)

        replies = self._by_group([one.key for one in swaps], run)
        return [None if reply is None else _stored(reply) for reply in replies]

    def versions(self, keys: Sequence[str]) -> list[int]:
        replies = self._by_group(keys, lambda names, _: self._versions(keys=names))
        return [int.from_bytes(reply, "big") for reply in replies]

    def commits(self, incarnations: Sequence[str]) -> Mapping[str, int]:
        with self._translated():
            known = [self.client.get(self._commit_key(one)) for one in incarnations]
        pairs = zip(incarnations, known, strict=True)
        return {one: int(sequence) for one, sequence in pairs if sequence is not None}

    def note_commit(self, incarnation: str, sequence: int) -> None:
        with self._translated():
            self.client.set(self._commit_key(incarnation), sequence, ex=COMMIT_KEPT_S)

    def _watch_connections(self) -> None:
        """Counts connections: behind a new one there may be another server, or an emptier one."""

        def connected(connection: Any) -> None:
            if not self.cluster:
                connection.on_connect()
            self.generation += 1

        if self.cluster:
            self.client.user_on_connect_func = connected
        else:
            self.client.connection_pool.connection_kwargs["redis_connect_func"] = connected

    def ping(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def eviction_policy(self) -> str | None:
        """``maxmemory-policy``, or None where the server does not tell."""
        try:
            return str(self.client.config_get("maxmemory-policy")["maxmemory-policy"])
        except (redis.ResponseError, KeyError):
            return None
        except RedisError as error:
            raise Unavailable(_sentence(error)) from error

    def close(self) -> None:
        self.client.close()

    def name(self, key: str) -> str:
        """Where a record lies."""
        return f"{self.prefix}{{{crc32(key.encode()) % SHARDS:x}}}{key}"

    def _commit_key(self, incarnation: str) -> str:
        return f"{self.prefix}commit:{incarnation}"

    def _by_group(
        self, keys: Sequence[str], run: Callable[[list[str], list[int]], Any]
    ) -> list[Any]:
        """Runs ``run(names, places)`` per group of keys; the replies in the keys' order."""
        replies: list[Any] = [None] * len(keys)
        with self._translated():
            for places in self._groups(keys):
                found = run([self.name(keys[place]) for place in places], places)
                for place, reply in zip(places, found, strict=True):
                    replies[place] = reply
        return replies

    def _groups(self, keys: Sequence[str]) -> Iterator[list[int]]:
        if not self.cluster:
            for start in range(0, len(keys), KEYS_MAX):
                yield list(range(start, min(start + KEYS_MAX, len(keys))))
            return
        shards: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            shards.setdefault(crc32(key.encode()) % SHARDS, []).append(place)
        yield from shards.values()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        self.calls += 1
        try:
            yield
        except (redis.AuthenticationError, NoPermissionError) as error:
            raise ConfigError(f"Redis refuses the credentials: {_sentence(error)}") from error
        except RedisError as error:
            raise Unavailable(f"Redis: {_sentence(error)}") from error


def connect(url: str, *, cluster: bool = False, **options: Any) -> Any:
    """A client for a URL (``redis://``, ``rediss://``); connects when first used."""
    settings = {**TIMEOUTS, **options}
    if cluster:
        return redis.RedisCluster.from_url(url, **settings)
    return redis.Redis.from_url(url, **settings)


def connect_sentinel(hosts: Sequence[tuple[str, int]], service: str, **options: Any) -> Any:
    """A client for the master that the sentinels name."""
    settings = {**TIMEOUTS, **options}
    sentinel: Any = redis.Sentinel
    return sentinel(list(hosts), **settings).master_for(service, **settings)


def _packed(version: int) -> bytes:
    return version.to_bytes(VERSION_BYTES, "big")


def _stored(raw: bytes) -> Stored:
    return Stored(int.from_bytes(raw[:VERSION_BYTES], "big"), raw[VERSION_BYTES:])


def _sentence(error: Exception) -> str:
    """The first line of what the server or the network said."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
