"""Records in Redis: one string per record, its version in front of its state.

The shard in a record's key is a hash tag, one of a fixed number, so that on Redis Cluster one
script still carries many keys.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final, Protocol
from zlib import crc32

from hiredis import pack_command
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from resolver.errors import ConfigError, Unavailable
from resolver.ports import Decide, Stored, Swap

SHARDS: Final = 64
"""Virtual shards of a cluster: enough for dozens of nodes, few enough to fill a script."""
KEYS_MAX: Final = 500
"""Keys a request carries: a script of so many blocks the server for about two milliseconds."""
AHEAD: Final = 2
"""Loads under way while replies are worked on: the server is busy meanwhile, and what comes back of
loads and of swaps takes turns."""
COMMIT_KEPT_S: Final = 30 * 24 * 3600
"""How long a commit is remembered: a record in doubt for a month is at worst emitted again."""
TOKEN: Final = "last"
"""The name, in a shard, of the last request's token: no identifier, those have a kind."""
NO_TOKEN: Final = b""
FAILURES: Final = (RedisError, RedisClusterException)


class Packing(Protocol):
    """Requests for records as bytes, and what the replies hold; see ``Packer``."""

    def load(self, keys: Sequence[str]) -> bytes: ...
    def swap(self, script: str, token_name: str, token: bytes, swaps: Sequence[Swap]) -> bytes: ...
    def set_all(self, token_name: str, token: bytes, swaps: Sequence[Swap]) -> bytes: ...
    def arguments(self, swaps: Sequence[Swap]) -> list[bytes]: ...
    def name(self, key: str) -> bytes: ...
    def records(self, reply: Sequence[bytes | None]) -> list[Stored]: ...


class RedisStore:
    """The Store port on redis-py: standalone, Sentinel or Cluster.

    Records travel over one connection of its own, so that a request can be under way while the
    reply before it is worked on.
    """

    def __init__(
        self,
        client: Any,
        prefix: str,
        packing: Callable[[list[str]], Packing],
        *,
        cluster: bool = False,
    ) -> None:
        """``packing`` makes what packs requests, from what keys begin with, by shard."""
        self.client = client
        self.prefix = prefix
        self.cluster = cluster
        self.overlaps = not cluster
        self.calls = 0
        package = files("resolver.edges")
        self._swap_script = client.register_script((package / "swap.lua").read_text())
        self._versions_script = client.register_script((package / "versions.lua").read_text())
        homes = [f"{prefix}{{{shard:x}}}" for shard in range(SHARDS)]
        self._packer = packing(homes)
        self._token_name = homes[0] + TOKEN
        self._process = secrets.token_urlsafe(9)
        self._requests = 0
        self._own = self._own_before = NO_TOKEN
        self._first = True
        self._alone = False
        self._undisturbed = False
        self._wire: Any = None
        self._noted = self._guarded = False
        self._early: deque[Any] = deque()
        guard = (("UNWATCH",), ("WATCH", self._token_name), ("GET", self._token_name))
        self._guard = b"".join(packed_command(*one) for one in guard)

    def exchange(
        self, loads: Sequence[Sequence[str]], decide: Decide
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        with self._translated():
            if self.cluster:
                yield from self._exchange_by_shard(loads, decide)
            else:
                yield from self._exchange_ahead(loads, decide)

    def load(self, keys: Sequence[str]) -> list[Stored]:
        with self._translated():
            return self._by_group(keys, self._load_group)

    def versions(self, keys: Sequence[str]) -> list[int]:
        with self._translated():
            replies = self._by_group(keys, self._versions_group)
        return [int.from_bytes(reply, "big") for reply in replies]

    def watch(self) -> None:
        if self._wire is None and not self.cluster:
            with self._translated():
                self._connect()
        self._first, self._alone = True, not self.cluster
        self._undisturbed = self._own != NO_TOKEN

    def alone(self) -> bool:
        """As the port says; on a cluster there is no token, and the answer is no."""
        if not self._alone or self._first:
            return self._alone
        with self._translated():
            self._ask("GET", self._token_name)
            return bool(self._reply() == self._own)

    def commits(self, incarnations: Sequence[str]) -> Mapping[str, int]:
        with self._translated():
            self._hear_note()
            known = [self.client.get(self._commit_key(one)) for one in incarnations]
        pairs = zip(incarnations, known, strict=True)
        return {one: int(sequence) for one, sequence in pairs if sequence is not None}

    def note_commit(self, incarnation: str, sequence: int) -> None:
        with self._translated():
            if self.cluster:
                self.client.set(self._commit_key(incarnation), sequence, ex=COMMIT_KEPT_S)
            else:
                self._ask("SET", self._commit_key(incarnation), sequence, "EX", COMMIT_KEPT_S)
                self._noted = True

    def ping(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(self.client.ping())
        except FAILURES:
            return False

    def eviction_policy(self) -> str | None:
        """``maxmemory-policy``, or None where the server does not tell."""
        with self._translated():
            try:
                return str(self.client.config_get("maxmemory-policy")["maxmemory-policy"])
            except (ResponseError, KeyError):
                return None

    def close(self) -> None:
        self._hang_up()
        self.client.close()

    def name(self, key: str) -> bytes:
        """Where a record lies."""
        return self._packer.name(key)

    def _commit_key(self, incarnation: str) -> str:
        return f"{self.prefix}commit:{incarnation}"

    def _exchange_ahead(
        self, loads: Sequence[Sequence[str]], decide: Decide
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        """Loads and swaps of different chunks alternate on the wire; replies keep that order. They
        are yielded once the next requests are under way: the server need not wait meanwhile.
        """
        for chunk in loads[:AHEAD]:
            self._ask_load(chunk)
        before: tuple[int, Sequence[Swap]] | None = None
        for place, chunk in enumerate(loads):
            stored = self._packer.records(self._reply()) if chunk else []
            swaps = decide(place, stored)
            behind = loads[place + 1 : place + AHEAD]
            replies = [] if before is None else self._swap_replies(before[1], behind)
            self._ask_swap(swaps)
            self._ask_load(loads[place + AHEAD] if place + AHEAD < len(loads) else ())
            if before is not None:
                yield before[0], replies
            before = place, swaps
        if before is not None:
            yield before[0], self._swap_replies(before[1])

    def _ask_load(self, keys: Sequence[str]) -> None:
        if keys:
            self._send(self._packer.load(keys))

    def _ask_swap(self, swaps: Sequence[Swap]) -> None:
        """Where the last guard held and nobody has disturbed the batch, Redis compares nothing: it
        sets all states unless the token moves first. Else the script does, which also tells.
        """
        if not swaps:
            return
        self._guarded = self._guarded and self._undisturbed
        self._requests += 1
        self._own_before, self._own = self._own, f"{self._process}:{self._requests}".encode()
        if self._guarded:
            packed = self._packer.set_all(self._token_name, self._own, swaps)
        else:
            script: str = self._swap_script.sha
            packed = self._packer.swap(script, self._token_name, self._own, swaps)
        self._send(packed + self._guard)

    def _swap_replies(
        self, swaps: Sequence[Swap], behind: Sequence[Sequence[str]] = ()
    ) -> list[Stored | None]:
        """What became of them; ``behind`` are the loads under way after them."""
        if not swaps:
            return []
        replies = self._answer(len(swaps))
        if replies is None:
            early = [self._reply() for chunk in behind if chunk]
            self._ask_swap(swaps)
            replies = self._answer(len(swaps))
            self._early.extend(early)
        last = replies.pop()
        self._told(is_own=last == self._own_before and last != NO_TOKEN)
        return self._lost(replies)

    def _answer(self, count: int) -> Any:
        """What the script returned, or would have where all was set at once; None if nothing was as
        the token had moved. Then the guard: whether it was the own one when the watch began.
        """
        if self._guarded:
            _, _, done = self._reply(), self._reply(), self._reply()
            if done and isinstance(done[0], RedisError):
                raise done[0]
            answer = done and [*[None] * count, self._own_before]
        else:
            answer = self._reply()
        _, _, token = self._reply(), self._reply(), self._reply()
        self._guarded = token == self._own
        return answer

    def _told(self, *, is_own: bool) -> None:
        """Whether the token before this request's was its worker's own."""
        self._undisturbed = self._undisturbed and is_own
        self._alone = self._alone and (self._first or is_own)
        self._first = False

    def _exchange_by_shard(
        self, loads: Sequence[Sequence[str]], decide: Decide
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        """One request after another: on a cluster each shard's keys go to a node of their own."""
        for place, chunk in enumerate(loads):
            swaps = decide(place, self._by_group(chunk, self._load_group))
            by_key = {one.key: one for one in swaps}

            def swap(keys: Sequence[str], by_key: dict[str, Swap] = by_key) -> list[Any]:
                arguments = self._packer.arguments([by_key[key] for key in keys])
                names = list(map(self.name, keys))
                replies = self._swap_script(keys=names, args=[NO_TOKEN, *arguments])
                return self._lost(replies[:-1])

            yield place, self._by_group([one.key for one in swaps], swap)

    def _by_group(
        self, keys: Sequence[str], run: Callable[[Sequence[str]], list[Any]]
    ) -> list[Any]:
        """Runs ``run`` per group of keys that one request may carry; replies in the keys' order."""
        replies: dict[str, Any] = {}
        for group in self._groups(keys):
            self.calls += self.cluster
            replies.update(zip(group, run(group), strict=True))
        return [replies[key] for key in keys]

    def _groups(self, keys: Sequence[str]) -> Iterator[Sequence[str]]:
        if not self.cluster:
            for start in range(0, len(keys), KEYS_MAX):
                yield keys[start : start + KEYS_MAX]
            return
        shards: dict[int, list[str]] = {}
        for key in keys:
            shards.setdefault(crc32(key.encode()) % SHARDS, []).append(key)
        for shard in shards.values():
            for start in range(0, len(shard), KEYS_MAX):
                yield shard[start : start + KEYS_MAX]

    def _load_group(self, keys: Sequence[str]) -> list[Stored]:
        names = list(map(self.name, keys))
        if self.cluster:
            return self._packer.records(self.client.mget(names))
        self._ask("MGET", *names)
        return self._packer.records(self._reply())

    def _lost(self, replies: Sequence[bytes | None]) -> list[Stored | None]:
        """What a script's replies say that is there instead, None where a swap was done."""
        return [None if one is None else self._packer.records([one])[0] for one in replies]

    def _versions_group(self, keys: Sequence[str]) -> list[bytes]:
        names = list(map(self.name, keys))
        replies: list[bytes]
        if self.cluster:
            replies = self._versions_script(keys=names)
            return replies
        self._ask("EVALSHA", self._versions_script.sha, len(names), *names)
        replies = self._reply()
        return replies

    def _ask(self, *command: Any) -> None:
        """Sends a command on the records' own connection."""
        self._send(packed_command(*command))

    def _send(self, packed: bytes) -> None:
        if self._wire is None:
            self._connect()
        self._hear_note()
        self.calls += 1
        self._wire.send_packed_command([packed], check_health=False)

    def _reply(self) -> Any:
        return self._early.popleft() if self._early else self._wire.read_response()

    def _hear_note(self) -> None:
        """Reads the reply to a noted commit: no batch waits for it, the next one finds it."""
        if self._noted:
            self._noted = False
            self._reply()

    def _connect(self) -> None:
        self._wire = self.client.connection_pool.get_connection()
        self._alone = False
        for script in (self._swap_script, self._versions_script):
            self._ask("SCRIPT", "LOAD", script.script)
            self._reply()

    def _hang_up(self) -> None:
        """Drops the connection with whatever replies are still under way on it. A request of it may
        yet be carried out: its token must not tell anything.
        """
        wire, self._wire = self._wire, None
        self._own, self._noted, self._guarded = NO_TOKEN, False, False
        self._early.clear()
        if wire is not None:
            wire.disconnect()
            self.client.connection_pool.release(wire)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        finished = False
        try:
            yield
            finished = True
        except (AuthenticationError, NoPermissionError) as error:
            raise ConfigError(f"Redis refuses the credentials: {_sentence(error)}") from error
        except FAILURES as error:
            raise Unavailable(f"Redis: {_sentence(error)}") from error
        finally:
            if not finished:
                self._hang_up()


def packed_command(*command: Any) -> bytes:
    """A command as Redis reads it."""
    whole: Any = command
    packed: bytes = pack_command(whole)
    return packed


def _sentence(error: Exception) -> str:
    """The first line of what the server or the network said."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
