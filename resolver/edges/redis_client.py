"""Clients of Redis: standalone, Sentinel or Cluster."""

from collections.abc import Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUTS: Final = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "retry": Retry(NoBackoff(), 0),
}
"""Seconds; waiting and trying again is the worker's, which stays in its group meanwhile."""


def connect(url: str, *, cluster: bool = False, **options: Any) -> Any:
    """A client for a URL (``redis://``, ``rediss://``); connects when first used."""
    settings = {**TIMEOUTS, **options}
    if cluster:
        return redis.RedisCluster.from_url(url, **settings)
    return redis.Redis.from_url(url, **settings)


def connect_sentinel(
    hosts: Sequence[tuple[str, int]], service: str, url: str = "", **options: Any
) -> Any:
    """A client for the master that the sentinels name; credentials, TLS and database of ``url``."""
    read: Any = redis.connection.parse_url
    stated = read(url) if url else {}
    kept = {name: value for name, value in stated.items() if name not in ("host", "port", "path")}
    if kept.pop("connection_class", None) is redis.SSLConnection:
        kept["ssl"] = True
    settings = {**TIMEOUTS, **options}
    sentinel: Any = redis.Sentinel
    return sentinel(list(hosts), **settings).master_for(service, **settings, **kept)
