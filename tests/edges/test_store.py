"""The Store port's contract: one suite on the shipped memory edge and on a real Redis."""

from collections.abc import Iterator
from typing import Any

import pytest

from resolver.edges.memory import MemoryRedis, MemoryStore
from resolver.edges.redis_store import KEYS_MAX, RedisStore, connect
from resolver.ports import ABSENT, Store, Stored, Swap

Pair = tuple[Store, Store]


@pytest.fixture(params=["memory", "redis"])
def stores(request: pytest.FixtureRequest, fresh: str) -> Iterator[Pair]:
    """Two workers' views of the same store."""
    if request.param == "memory":
        shared = MemoryRedis()
        yield MemoryStore(shared), MemoryStore(shared)
        return
    url = request.getfixturevalue("redis_server").url
    first, second = (RedisStore(connect(url), f"{fresh}:") for _ in range(2))
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

    assert other.commits(["incarnation-a", "incarnation-b"]) == {"incarnation-a": 5}
