"""The Store port's contract: one suite on the memory edge, a real Redis and a real cluster."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from threading import Barrier
from typing import Any, cast

import pytest

from resolver.edges.memory import MemoryRedis, MemoryStore
from resolver.edges.redis_client import connect
from resolver.edges.redis_packing import Packer, packed_command
from resolver.edges.redis_store import KEYS_MAX, SHARDS, RedisStore
from resolver.errors import Unavailable
from resolver.ports import ABSENT, Store, Stored, Swap
from tests.conftest import running
from tests.stack.cluster import RedisCluster
from tests.stack.services import Redis

Pair = tuple[Store, Store]
Pairs = Iterator[tuple[RedisStore, RedisStore]]

PATIENCE_S = 20
"""For another thread that runs on the same busy machine."""


@pytest.fixture(params=["memory", "redis", "cluster"])
def stores(request: pytest.FixtureRequest, fresh: str) -> Iterator[Pair]:
    """Two workers' views of the same store."""
    if request.param == "memory":
        shared = MemoryRedis()
        yield MemoryStore(shared), MemoryStore(shared)
        return
    yield from two_stores(request, fresh)


@pytest.fixture(params=["redis", "cluster"])
def remote_stores(request: pytest.FixtureRequest, fresh: str) -> Pairs:
    """Two workers' connections to the same real store."""
    yield from two_stores(request, fresh)


def two_stores(request: pytest.FixtureRequest, prefix: str) -> Pairs:
    """Two stores with the same prefix; the request's parameter says on what."""
    cluster = request.param == "cluster"
    url = request.getfixturevalue("redis_cluster" if cluster else "redis_server").url
    first, second = (
        RedisStore(connect(url, cluster=cluster), f"{prefix}:", Packer, cluster=cluster)
        for _ in range(2)
    )
    yield first, second
    first.close()
    second.close()


def swapped(store: Store, *swaps: Swap) -> list[Stored | None]:
    """The replies to some swaps, whatever is stored under their keys."""
    exchanged = store.exchange([[one.key for one in swaps]], lambda _place, _stored: list(swaps))
    return [reply for _, replies in exchanged for reply in replies]


def test_what_was_never_written_is_absent(stores: Pair) -> None:
    """Version 0 is how a first swap says that it expects nothing."""
    store, _ = stores

    assert store.load(["anon:a", "user:u"]) == [ABSENT, ABSENT]
    assert store.versions(["anon:a"]) == [0]


def test_a_swap_on_the_expected_version_is_seen_by_all(stores: Pair) -> None:
    """A record is one value for every worker."""
    store, other = stores

    replies = swapped(store, Swap("user:u", 0, 7, b"state"))

    assert replies == [None]
    assert other.load(["user:u", "user:v"]) == [Stored(7, b"state"), ABSENT]
    assert other.versions(["user:v", "user:u"]) == [0, 7]


def test_a_lost_swap_changes_nothing_and_returns_what_is_there(stores: Pair) -> None:
    """Whoever lost joins again, into what won."""
    store, other = stores
    swapped(store, Swap("user:u", 0, 7, b"first"))

    replies = swapped(other, Swap("user:u", 0, 9, b"second"), Swap("user:v", 0, 9, b"v"))

    assert replies == [Stored(7, b"first"), None]
    assert store.load(["user:u", "user:v"]) == [Stored(7, b"first"), Stored(9, b"v")]


def test_of_two_swaps_on_one_version_exactly_one_is_done(stores: Pair) -> None:
    """Two workers that loaded the same state must not both replace it."""
    store, other = stores
    swapped(store, Swap("user:u", 0, 1, b"a"))

    replies = [
        *swapped(store, Swap("user:u", 1, 2, b"b")),
        *swapped(other, Swap("user:u", 1, 3, b"c")),
    ]

    assert replies == [None, Stored(2, b"b")]


def test_chunks_are_decided_in_turn_and_answered_in_their_order(stores: Pair) -> None:
    """Requests may overlap on the wire; whose reply is whose must not."""
    store, _ = stores
    keys = [f"anon:{number}" for number in range(3 * KEYS_MAX + 7)]
    chunks = [keys[at : at + KEYS_MAX] for at in range(0, len(keys), KEYS_MAX)]
    swapped(store, Swap(chunks[2][0], 0, 5, b"old"))

    def decide(place: int, states: list[Stored]) -> list[Swap]:
        pairs = zip(chunks[place], states, strict=True)
        if place == 1:
            return []
        return [Swap(key, state.version, 9, key.encode()) for key, state in pairs]

    replies: dict[int, list[Any]] = dict(store.exchange(chunks, decide))

    assert list(replies) == [0, 1, 2, 3]
    assert [len(replies[place]) for place in replies] == [KEYS_MAX, 0, KEYS_MAX, 7]
    assert {reply for found in replies.values() for reply in found} == {None}
    assert store.load([keys[0], chunks[1][0], chunks[2][0], keys[-1]]) == [
        Stored(9, keys[0].encode()),
        ABSENT,
        Stored(9, chunks[2][0].encode()),
        Stored(9, keys[-1].encode()),
    ]


def test_a_chunk_with_nothing_to_load_may_still_swap(stores: Pair) -> None:
    """Remembered records need no load, and are swapped all the same."""
    store, _ = stores

    exchanged = store.exchange([[]], lambda _place, _stored: [Swap("user:u", 0, 1, b"x")])

    assert list(exchanged) == [(0, [None])]
    assert store.versions(["user:u"]) == [1]


def test_an_exchange_that_is_left_half_way_does_not_spoil_the_next(stores: Pair) -> None:
    """Replies still under way belong to nobody; read by the next request they would be wrong."""
    store, _ = stores
    keys = [[f"anon:{number}"] for number in range(5)]

    def fail(place: int, _: list[Stored]) -> list[Swap]:
        if place == 2:
            raise ValueError("the decision fails")
        return [Swap(keys[place][0], 0, 1, b"x")]

    with pytest.raises(ValueError, match="decision"):
        list(store.exchange(keys, fail))

    assert store.versions([key for chunk in keys[2:] for key in chunk]) == [0, 0, 0]


def test_commits_are_known_to_everybody_and_missing_where_nobody_noted_them(stores: Pair) -> None:
    """A missing commit means in doubt, which is always safe."""
    store, other = stores

    store.note_commit("incarnation-a", 4)
    store.note_commit("incarnation-a", 5)
    store.load(["user:u"])

    assert other.commits(["incarnation-a", "incarnation-b"]) == {"incarnation-a": 5}


def test_nobody_waits_until_a_commit_is_noted(redis_server: Redis, fresh: str) -> None:
    """The next request finds the reply in front of its own; a refused note is an error there."""
    store, other = (RedisStore(connect(redis_server.url), f"{fresh}:", Packer) for _ in range(2))
    admin = connect(redis_server.url)
    store.watch()
    admin.client_pause(PATIENCE_S * 1000, all=False)
    try:
        store.note_commit("incarnation", 1)
        assert other.commits(["incarnation"]) == {}
    finally:
        admin.client_unpause()
    assert swapped(store, Swap("user:u", 0, 1, b"one")) == [None]
    assert other.commits(["incarnation"]) == {"incarnation": 1}

    admin.config_set("min-replicas-to-write", 1)
    try:
        store.note_commit("refused", 2)
        with pytest.raises(Unavailable):
            store.load(["user:u"])
    finally:
        admin.config_set("min-replicas-to-write", 0)
    assert store.load(["user:u"]) == [Stored(1, b"one")]
    for one in (store, other, admin):
        one.close()


def test_nothing_asked_is_nothing_answered(stores: Pair) -> None:
    """A batch of dead letters has no records at all."""
    store, _ = stores

    assert store.load([]) == []
    assert store.versions([]) == []
    assert list(store.exchange([], lambda _place, _stored: [])) == []
    assert store.commits([]) == {}


def test_more_keys_than_one_request_carries_are_answered_in_their_order(stores: Pair) -> None:
    """A re-check reads everything a batch emitted, in whatever order that was."""
    store, other = stores
    keys = [f"anon:{number}" for number in range(2 * KEYS_MAX + 1)]
    for at in range(0, len(keys), KEYS_MAX):
        swapped(
            store, *[Swap(key, 0, int(key[5:]) + 1, key.encode()) for key in keys[at:][:KEYS_MAX]]
        )
    asked = [*keys, "anon:absent"]
    random.Random(4).shuffle(asked)

    loaded, versions = other.load(asked), other.versions(asked)

    assert [one.state.decode() or "anon:absent" for one in loaded] == asked
    assert versions == [one.version for one in loaded]


def test_versions_and_states_are_kept_to_the_last_bit(stores: Pair) -> None:
    """Six bytes hold them for eight thousand years; states are bytes of any value."""
    store, other = stores
    big, state = 2**48 - 3, bytes(range(256)) * 400
    swapped(store, Swap("user:u", 0, big, state), Swap("user:é\n{}", 0, 1, b""))

    replies = swapped(other, Swap("user:u", big + 1, big + 2, b"no"))

    assert replies == [Stored(big, state)]
    assert store.load(["user:é\n{}"]) == [Stored(1, b"")]
    assert swapped(other, Swap("user:u", big, big + 1, b"yes")) == [None]
    assert store.versions(["user:u"]) == [big + 1]


def test_identifiers_that_look_alike_are_kept_apart(stores: Pair) -> None:
    """A UUID lies under its sixteen bytes: no other spelling of it may, nor what these spell."""
    store, _ = stores
    uuid = "6162636465666768696a6b6c6d6e6f70"
    dashed = f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
    alike = [uuid, dashed, dashed.upper(), dashed + "0", bytes.fromhex(uuid).decode(), "#" + dashed]
    keys = [f"{kind}:{one}" for kind in ("anon", "user") for one in alike]

    swapped(store, *[Swap(key, 0, 1, key.encode()) for key in keys])

    assert store.load(keys) == [Stored(1, key.encode()) for key in keys]


def test_a_worker_notices_that_others_swap_from_its_own_first_swap_on(stores: Pair) -> None:
    """What it emitted may have moved only then; before, it has not emitted anything."""
    store, other = stores
    swapped(other, Swap("user:other", 0, 1, b"x"))
    store.watch()
    before = store.alone()
    swapped(store, Swap("user:u", 0, 1, b"x"), Swap("user:v", 0, 1, b"x"))
    swapped(store, Swap("user:u", 7, 8, b"lost"))
    undisturbed = store.alone()

    swapped(other, Swap("user:w", 0, 1, b"x"))
    disturbed = store.alone()
    swapped(store, Swap("user:v", 1, 2, b"x"))

    on_cluster = isinstance(store, RedisStore) and store.cluster
    assert before == undisturbed == (not on_cluster)
    assert not disturbed
    assert not store.alone()


def test_a_swap_between_two_own_ones_is_noticed_too(stores: Pair) -> None:
    """The last one alone would look as if nothing had happened."""
    store, other = stores
    store.watch()
    swapped(store, Swap("user:u", 0, 1, b"x"))
    swapped(other, Swap("user:w", 0, 1, b"x"))
    swapped(store, Swap("user:v", 0, 1, b"x"))

    assert not store.alone()


@pytest.mark.parametrize(
    "theirs", [{0: "user:b"}, {0: "user:b", 1: "user:d"}], ids=["once", "twice"]
)
def test_a_foreign_swap_since_the_load_is_found_whatever_own_swaps_came_between(
    stores: Pair, theirs: dict[int, str]
) -> None:
    """Chunks are loaded ahead: a token that is the own one again says nothing of those."""
    store, other = stores
    swapped(store, Swap("user:before", 0, 1, b"x"))
    keys = [["user:a"], ["user:b"], ["user:c"], ["user:d"]]
    loaded: dict[str, Stored] = {}

    def decide(place: int, states: list[Stored]) -> list[Swap]:
        key = keys[place][0]
        loaded[key] = states[0]
        if place in theirs:
            swapped(other, Swap(theirs[place], 0, 5, b"theirs"))
        return [Swap(key, states[0].version, 9, b"own")]

    store.watch()
    replies = {keys[place][0]: found[0] for place, found in store.exchange(keys, decide)}

    for key in theirs.values():
        assert replies[key] == (Stored(5, b"theirs") if loaded[key] == ABSENT else None)
    assert all(replies[key] is None for (key,) in keys if key not in theirs.values())


def test_no_swap_is_lost_however_two_workers_take_turns(stores: Pair) -> None:
    """Each state names all swaps before it: one that overlooks another would drop its name."""
    chance, numbers = random.Random(7), count(1)
    done: defaultdict[str, set[int]] = defaultdict(set)

    def take(store: Store, chunks: list[list[str]], between: Callable[[], None]) -> None:
        asked: dict[int, list[Swap]] = {}

        def decide(place: int, states: list[Stored]) -> list[Swap]:
            between()
            asked[place] = [
                Swap(key, state.version, number, state.state + b" %d" % number)
                for key, state, number in zip(chunks[place], states, numbers, strict=False)
            ]
            return asked[place]

        for place, replies in store.exchange(chunks, decide):
            for swap, reply in zip(asked[place], replies, strict=True):
                done[swap.key] |= {swap.version} if reply is None else set()

    def disturb() -> None:
        if chance.random() < 0.2:
            take(stores[1], [[chance.choice("abcdef")]], lambda: None)

    for _ in range(300):
        stores[0].watch()
        for _ in range(2):
            keys = chance.sample("abcdef", chance.randint(1, 6))
            take(stores[0], [[key] for key in keys], disturb)

    for key, state in zip("abcdef", stores[0].load("abcdef"), strict=True):
        assert set(map(int, state.state.split())) == done[key]


def test_a_worker_that_is_alone_compares_no_versions(own_server: Redis, fresh: str) -> None:
    """Its token says it all: no script runs, and hundreds of states are one command."""
    store = RedisStore(connect(own_server.url), f"{fresh}:", Packer)
    swapped(store, Swap("user:u", 0, 1, b"x"))
    store.client.config_resetstat()

    store.watch()
    swapped(store, Swap("user:u", 1, 2, b"y"), Swap("user:v", 0, 2, b"y"))

    commands = store.client.info("commandstats")
    assert commands.keys().isdisjoint({"cmdstat_getrange", "cmdstat_evalsha"})
    assert commands["cmdstat_mset"]["calls"] == 1
    assert store.load(["user:u", "user:v"]) == [Stored(2, b"y"), Stored(2, b"y")]
    store.close()


def test_a_worker_that_found_another_ones_token_trusts_its_own_again(
    own_server: Redis, fresh: str
) -> None:
    """One foreign swap costs one batch: what moved before the own swaps is none of theirs."""
    store, other = (RedisStore(connect(own_server.url), f"{fresh}:", Packer) for _ in range(2))
    swapped(store, Swap("user:u", 0, 1, b"x"))
    swapped(other, Swap("user:v", 0, 1, b"x"))
    chunks = [["user:u"], ["user:v"], ["user:w"]]

    def decide(place: int, states: list[Stored]) -> list[Swap]:
        return [Swap(chunks[place][0], states[0].version, states[0].version + 1, b"y")]

    store.watch()
    compared = list(store.exchange(chunks, decide))
    undisturbed = store.alone()
    store.client.config_resetstat()
    store.watch()
    trusted = list(store.exchange(chunks, decide))

    assert compared == trusted == [(0, [None]), (1, [None]), (2, [None])]
    assert undisturbed
    assert store.client.info("commandstats")["cmdstat_mset"]["calls"] == len(chunks)
    store.close()
    other.close()


class Disturbed:
    """Packs as others do, but for what a test disturbs."""

    def __init__(self, homes: list[str]) -> None:
        self.packer = Packer(homes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.packer, name)


class Intruding(Disturbed):
    """Another worker's swap comes right behind each own one, before Redis begins to watch."""

    def set_all(self, token_name: str, token: bytes, swaps: Sequence[Swap]) -> bytes:
        state = self.packer.arguments([Swap("user:b", 0, 5, b"theirs")])[1]
        unanswered = packed_command("CLIENT", "REPLY", "SKIP")
        theirs = packed_command("MSET", self.packer.name("user:b"), state, token_name, "theirs")
        return self.packer.set_all(token_name, token, swaps) + unanswered + theirs


def test_a_foreign_swap_before_the_watch_began_is_found(own_server: Redis, fresh: str) -> None:
    """Between two commands of one request there is time for another worker's."""
    packing: Any = Intruding
    store = RedisStore(connect(own_server.url), f"{fresh}:", packing)
    swapped(store, Swap("user:before", 0, 1, b"x"))
    keys = ["user:a", "user:b"]

    store.watch()
    replies = dict(
        store.exchange([[key] for key in keys], lambda place, _: [Swap(keys[place], 0, 9, b"own")])
    )

    assert replies == {0: [None], 1: [Stored(5, b"theirs")]}
    assert not store.alone()
    store.close()


class Breaking(Disturbed):
    """What sets all at once fails only when the transaction is carried out."""

    def set_all(self, token_name: str, *_: Any) -> bytes:
        wrong = packed_command("LPUSH", token_name, "x")
        return packed_command("MULTI") + wrong + packed_command("EXEC")


def test_a_transaction_that_fails_within_is_no_swap(own_server: Redis, fresh: str) -> None:
    """Redis carries it out and reports the fault among the replies of its commands."""
    packing: Any = Breaking
    store = RedisStore(connect(own_server.url), f"{fresh}:", packing)
    swapped(store, Swap("user:u", 0, 1, b"x"))
    store.watch()

    with pytest.raises(Unavailable, match="WRONGTYPE"):
        swapped(store, Swap("user:u", 1, 2, b"y"))
    store.watch()

    assert swapped(store, Swap("user:u", 1, 2, b"y")) == [None]
    store.close()


def test_an_exchange_broken_off_after_a_refusal_leaves_nothing_behind(
    own_server: Redis, fresh: str
) -> None:
    """A load's reply that was read early belongs to nobody then, least of all to the next load."""
    store, other = (RedisStore(connect(own_server.url), f"{fresh}:", Packer) for _ in range(2))
    keys = ["user:a", "user:b", "user:c"]
    swapped(store, *[Swap(key, 0, 1, key.encode()) for key in keys])

    def decide(place: int, states: list[Stored]) -> list[Swap]:
        if place == 0:
            swapped(other, Swap("user:d", 0, 5, b"theirs"))
        return [Swap(keys[place], states[0].version, 9, b"own")]

    store.watch()
    with closing(cast(Any, store.exchange([[key] for key in keys], decide))) as exchange:
        first = next(exchange)

    assert first == (0, [None])
    assert store.load(["user:d"]) == [Stored(5, b"theirs")]
    store.close()
    other.close()


def test_a_token_dies_with_its_connection(own_server: Redis, fresh: str) -> None:
    """A request that was given up may be carried out later, behind whatever others swapped."""
    store = RedisStore(connect(own_server.url), f"{fresh}:", Packer)
    swapped(store, Swap("user:u", 0, 1, b"x"))

    with pytest.raises(ValueError, match="decision"):
        list(store.exchange([["user:u"]], failing))
    store.watch()

    assert swapped(store, Swap("user:u", 7, 8, b"stale")) == [Stored(1, b"x")]
    store.close()


def failing(place: int, _: list[Stored]) -> list[Swap]:
    """A decision that breaks an exchange off."""
    raise ValueError("the decision fails")


def test_of_swaps_at_the_same_moment_exactly_one_is_done_per_key(
    remote_stores: tuple[RedisStore, RedisStore],
) -> None:
    """Both workers have read the same versions before either writes: no write may be lost."""
    keys = [f"user:{number}" for number in range(50)]
    both_have_read = Barrier(2)

    def contend(store: Store, name: bytes) -> list[Stored | None]:
        def decide(_: int, states: list[Stored]) -> list[Swap]:
            both_have_read.wait(PATIENCE_S)
            return [Swap(key, 0, 1, name) for key in keys]

        return [one for _, replies in store.exchange([keys], decide) for one in replies]

    with ThreadPoolExecutor(2) as threads:
        left, right = threads.map(contend, remote_stores, (b"left", b"right"))

    final = remote_stores[0].load(keys)
    for one, other, stored in zip(left, right, final, strict=True):
        assert (one is None) != (other is None)
        assert (one or other) == stored
        assert stored.state == (b"left" if one is None else b"right")


def test_a_prefix_keeps_deployments_apart(redis_server: Any, fresh: str) -> None:
    """Two resolvers may share a Redis."""
    one, other = (RedisStore(connect(redis_server.url), f"{fresh}{end}:", Packer) for end in "ab")
    swapped(one, Swap("user:u", 0, 1, b"one"))
    one.note_commit("incarnation", 3)

    assert other.load(["user:u"]) == [ABSENT]
    assert other.commits(["incarnation"]) == {}
    one.close()
    other.close()


@pytest.fixture
def own_server() -> Iterator[Redis]:
    """A Redis that a test may take down."""
    yield from running(Redis())


def test_a_server_that_goes_and_comes_back_is_waited_for_and_noticed(
    own_server: Redis, fresh: str
) -> None:
    """Who swapped meanwhile was not counted: from then on nobody is known to be alone."""
    store = RedisStore(connect(own_server.url), f"{fresh}:", Packer)
    store.watch()
    swapped(store, Swap("user:u", 0, 1, b"x"))

    own_server.kill()
    with pytest.raises(Unavailable):
        store.load(["user:u"])
    own_server.start()

    assert store.versions(["user:v"]) == [0]
    assert not store.alone()
    store.close()


def test_a_server_that_forgets_its_scripts_costs_one_more_try(
    own_server: Redis, fresh: str
) -> None:
    """SCRIPT FLUSH and failovers take them away; whoever waits and tries again must get on."""
    store = RedisStore(connect(own_server.url), f"{fresh}:", Packer)
    swapped(store, Swap("user:u", 0, 1, b"x"))
    store.client.script_flush()

    with pytest.raises(Unavailable):
        swapped(store, Swap("user:u", 1, 2, b"y"))

    assert swapped(store, Swap("user:u", 1, 2, b"y")) == [None]
    store.close()


@pytest.fixture
def spread(redis_cluster: RedisCluster, fresh: str) -> Iterator[RedisStore]:
    """A store on the cluster."""
    client = connect(redis_cluster.url, cluster=True)
    store = RedisStore(client, f"{fresh}:", Packer, cluster=True)
    yield store
    store.close()


def test_records_spread_over_the_nodes_in_as_many_requests_as_shards(
    redis_cluster: RedisCluster, spread: RedisStore
) -> None:
    """A cluster that holds everything on one node, or is asked key by key, is none."""
    keys = [f"anon:{number}" for number in range(4 * SHARDS)]
    before = [node.ask("DBSIZE") for node in redis_cluster.nodes]

    swapped(spread, *[Swap(key, 0, 1, b"x") for key in keys])

    after = [node.ask("DBSIZE") for node in redis_cluster.nodes]
    grown = [new - old for new, old in zip(after, before, strict=True)]
    assert sum(grown) == len(keys)
    assert min(grown) > 0
    assert spread.calls <= 2 * SHARDS


def test_a_node_that_is_away_is_waited_for(redis_cluster: RedisCluster, spread: RedisStore) -> None:
    """A third of the records out of reach is trouble of the store, not of the events."""
    keys = [f"anon:{number}" for number in range(SHARDS)]
    swapped(spread, *[Swap(key, 0, 1, b"x") for key in keys])

    redis_cluster.nodes[1].kill()
    with pytest.raises(Unavailable):
        spread.load(keys)
    redis_cluster.nodes[1].start()
    redis_cluster.wait_until_whole()

    assert len(spread.load(keys)) == len(keys)


def test_records_may_move_to_another_node_while_they_are_used(
    redis_cluster: RedisCluster, spread: RedisStore
) -> None:
    """Resharding: half moved they are waited for, moved they are found, none is lost."""
    first, *others = in_one_shard(spread, 3)
    swapped(spread, *[Swap(key, 0, 1, key.encode()) for key in (first, *others)])
    slot = spread.client.keyslot(spread.name(first))
    owner = spread.client.get_node_from_key(spread.name(first)).port
    source, target = sorted(redis_cluster.nodes, key=lambda node: node.port != owner)[:2]
    ids = [node.ask("CLUSTER", "MYID").decode() for node in (source, target)]

    def move(key: str) -> None:
        source.ask("MIGRATE", "127.0.0.1", target.port, spread.name(key), 0, 5000)

    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    move(first)
    assert swapped(spread, Swap(first, 1, 2, b"moved")) == [None]
    with pytest.raises(Unavailable):
        spread.load([first, *others])
    for key in others:
        move(key)
    for node in (target, source):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    assert spread.load([first, *others]) == [
        Stored(2, b"moved"),
        *[Stored(1, key.encode()) for key in others],
    ]
    assert swapped(spread, *[Swap(key, 1, 2, b"x") for key in others]) == [None] * len(others)


def in_one_shard(store: RedisStore, count: int) -> list[str]:
    """Identifiers whose records lie in the same slot."""
    found: dict[bytes, list[str]] = {}
    for number in range(count * SHARDS):
        key = f"anon:{number}"
        shard = store.name(key).removesuffix(key.encode())
        found.setdefault(shard, []).append(key)
    return max(found.values(), key=len)[:count]
