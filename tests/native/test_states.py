"""What is stored but no state is refused by both engines, with the same sentence."""

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.edges.memory import MemoryRedis, MemoryStore
from resolver.errors import ResolverError
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from resolver.ports import Message, Stored
from tests.engines import Build, native, reference
from tests.native.twins import CHANGELOG, START_MS, Clock, Tape, targets

NO_STATE = "a stored state is no state of the resolver: is the key prefix shared?"
KEYS = ("anon:dev-1", "email:e@x.io", "user:user-1")
HISTORY = (
    b'{"anonymousId":"dev-1","traits":{"a":[1,2.5,"x",null,{"k":true}]}}',
    b'{"anonymousId":"dev-1","userId":"e@x.io","traits":{"b":1},"integrations":{"crm":false}}',
    b'{"userId":"e@x.io","traits":{"c":"y"}}',
    b'{"anonymousId":"dev-1","userId":"user-1","traits":{"email":"e@x.io","d":1e9}}',
    b'{"anonymousId":"dev-1","traits":{"a":-1,"e":"z"},"context":{"ip":"1","active":true}}',
)
strange: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats()),
        *(st.text(max_size=5), st.binary(max_size=40)),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


def message(number: int, value: bytes) -> Message:
    """A value at its place."""
    return Message("raw", 0, number, START_MS + 600_000 * number, None, value)


def pipeline(build: Build, shared: MemoryRedis, tape: Tape) -> Pipeline:
    """A worker's pipeline on a store."""
    engine = build(tape, targets("plain"), CHANGELOG)
    return Pipeline(engine=engine, store=MemoryStore(shared), sink=tape, clock=Clock())


@cache
def stored() -> dict[str, bytes]:
    """States of all kinds, with points, claims, contributions, restrictions and what is shown."""
    shared = MemoryRedis()
    worker = pipeline(reference, shared, Tape())
    for number, value in enumerate(HISTORY):
        worker.run([message(number, value)], Tag("worker", number))
    return {key: shared.records[key].state for key in KEYS}


def outcome(build: Build, key: str, state: bytes) -> Any:
    """What an engine makes of a state that it finds under a key, or the sentence of its refusal."""
    shared, tape = MemoryRedis(), Tape()
    shared.records = {one: Stored(START_MS, raw) for one, raw in stored().items()}
    shared.records[key] = Stored(START_MS, state)
    worker = pipeline(build, shared, tape)
    again = [message(9 + number, value) for number, value in enumerate(HISTORY)]
    try:
        worker.run(again, Tag("other", 0))
    except ResolverError as error:
        return str(error)
    except Exception as error:  # a panic is none of these
        return type(error)
    return tape.produced, shared.records


def check_refused(key: str, state: bytes, sentence: str = NO_STATE) -> None:
    """Asserts that both engines refuse a state so."""
    assert outcome(reference, key, state) == sentence
    assert outcome(native, key, state) == sentence


@pytest.mark.parametrize("key", KEYS)
def test_a_state_that_is_cut_off_is_refused(key: str) -> None:
    """Wherever it is: half of a record must not be taken for all of it."""
    state = stored()[key]
    assert outcome(native, key, state) == outcome(reference, key, state)

    for length in range(len(state)):
        check_refused(key, state[:length])
    check_refused(key, state + b"\xc0")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("schema", [0, 1, 3, 127, 128, -1, -33, 2**31, -(2**63), 2**64 - 1])
def test_a_state_of_another_schema_is_refused_by_name(key: str, schema: int) -> None:
    """Who runs an older release beside a newer one must read which of them it is."""
    flat = msgspec.msgpack.decode(stored()[key])
    state = msgspec.msgpack.encode([schema, *flat[1:]])

    check_refused(key, state, f"a stored state has schema {schema}; this release reads 2")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"text",
        b"\xc1",
        b"\x90",
        b"\x91\x02",
        b"\xdd\xff\xff\xff\xff\x02",
        b"\xdf\xff\xff\xff\xff",
        *map(msgspec.msgpack.encode, [None, 2, "2", {}, {2: 2}, ["x"], [2.0], [True], [[2]]]),
    ],
    ids=lambda state: repr(state)[:30],
)
def test_what_others_store_is_refused(key: str, state: bytes) -> None:
    """A shared key prefix is a mistake that is easily made."""
    check_refused(key, state)


def test_a_value_that_is_too_deep_is_refused() -> None:
    """Neither engine may run out of stack: the process would end without a word."""
    state = stored()["anon:dev-1"]
    deep = b"\x91" * 200_000 + b"\xc0"

    check_refused("anon:dev-1", state.replace(b"\xa1e\xa1z", b"\xa1e" + deep))


def changed(flat: Any, path: list[int], new: Any) -> Any:
    """A copy in which what the path leads to is another."""
    if not path or not isinstance(flat, list | dict) or not flat:
        return new
    if isinstance(flat, list):
        at = path[0] % len(flat)
        return [*flat[:at], changed(flat[at], path[1:], new), *flat[at + 1 :]]
    name = sorted(flat)[path[0] % len(flat)]
    return {**flat, name: changed(flat[name], path[1:], new)}


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(
    key=st.sampled_from(KEYS),
    path=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    new=strange,
)
def test_an_element_of_another_kind_ends_no_process(key: str, path: list[int], new: Any) -> None:
    """What the engine in Python refuses, the native one refuses; it takes nothing with a panic."""
    flat = msgspec.msgpack.decode(stored()[key])
    state = msgspec.msgpack.encode(changed(flat, path, new))

    found, expected = outcome(native, key, state), outcome(reference, key, state)

    assert found == NO_STATE or expected != NO_STATE


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(
    key=st.sampled_from(KEYS),
    at=st.integers(0, 10_000),
    byte=st.binary(min_size=1, max_size=1),
)
def test_a_byte_of_another_value_ends_no_process(key: str, at: int, byte: bytes) -> None:
    """What a disk or an operator has spoilt must not end all workers that touch it in a panic."""
    state = stored()[key]
    at %= len(state)

    outcome(native, key, state[:at] + byte + state[at + 1 :])
