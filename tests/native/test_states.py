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
    '{"anonymousId":"dev-1","traits":{"a":-1,"e":"z"},"context":{"ip":"1.2.3.4","active":true,'
    '"page":{"path":"/größe","title":"大小"}}}'.encode(),
)


def another(schema: int) -> str:
    """The sentence about what begins as a state of another schema would."""
    return (
        f"a stored state has schema {schema} and this release reads 3, or it is no state at all: "
        "is the key prefix shared?"
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
@pytest.mark.parametrize("schema", [0, 1, 2, 4, 15])
def test_a_state_of_another_schema_is_refused_by_name(key: str, schema: int) -> None:
    """Who runs an older release beside a newer one must read which of them it is."""
    state = bytes([stored()[key][0] & 0xF0 | schema]) + stored()[key][1:]

    check_refused(key, state, another(schema))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "state",
    [
        *(b"", b"text", b"\x00", b"\x10", b"\x03", b"\x83", b"\xff" * 12, b"\x80" * 9 + b"\x7f"),
        *map(msgspec.msgpack.encode, [None, 2.0, "2", {}, {2: 2}, ["x"], [2.0], [True], [[2]]]),
    ],
    ids=lambda state: repr(state)[:30],
)
def test_what_others_store_is_refused(key: str, state: bytes) -> None:
    """A shared key prefix is a mistake that is easily made."""
    refused = outcome(reference, key, state)

    assert refused == NO_STATE or refused in map(another, range(16))
    assert outcome(native, key, state) == refused


def test_a_value_that_is_too_deep_is_refused() -> None:
    """Neither engine may run out of stack: the process would end without a word."""
    state = stored()["anon:dev-1"]
    deep = b"\x91" * 200_000 + b"\xc0"

    check_refused("anon:dev-1", state.replace(b"\x21e\xa1z", b"\x21e" + deep))


@settings(max_examples=3000, derandomize=True, deadline=None)
@given(
    key=st.sampled_from(KEYS),
    at=st.integers(0, 10_000),
    cut=st.integers(0, 20),
    new=st.binary(max_size=20),
)
def test_what_one_engine_refuses_the_other_refuses(key: str, at: int, cut: int, new: bytes) -> None:
    """A worker with the one engine must not go on from what stops a worker with the other."""
    state = stored()[key]
    at %= len(state)
    damaged = state[:at] + new + state[at + cut :]

    found, expected = outcome(native, key, damaged), outcome(reference, key, damaged)

    assert (type(found) is str) == (type(expected) is str)


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
