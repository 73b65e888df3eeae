"""What the native engine reads itself, it reads as the general reader does."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.core.phrases import PHRASES
from resolver.edges.native import NATIVE_PACKING
from resolver.edges.redis_packing import Packer
from resolver.ports import Message, Swap
from tests.edges.payloads import traits_of_any_shape
from tests.native.strange import events
from tests.native.twins import START_MS, Lived, check_twins

EXAMPLES = 2_000
pages = st.dictionaries(
    st.sampled_from(["path", "referrer", "search", "title", "url"]),
    st.lists(st.sampled_from(PHRASES) | st.text(max_size=300), max_size=6).map("".join),
)
"""Of names and texts that have a short form, and of texts of any script that have none."""


def read(values: Sequence[bytes | None], kind: str = "plain") -> Lived:
    """Asserts that both engines make the same of these values in one batch; returns it."""
    messages = [
        Message("raw", 0, number, START_MS, None, value) for number, value in enumerate(values)
    ]
    return check_twins([messages], kind)


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(values=st.lists(events(), min_size=1, max_size=3))
def test_whatever_bytes_come_are_read_the_same(values: list[bytes]) -> None:
    """Two readings of one event would be two states, by which of the workers read it."""
    read(values)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(traits=traits_of_any_shape)
def test_any_value_is_written_as_it_was_stated(traits: dict[str, object]) -> None:
    """Numbers of any size and texts of any characters go through two codecs on their way."""
    event = {"userId": "user-1", "traits": traits, "context": {"page": traits}}

    lived = read([json.dumps(event).encode()], "mapped")

    assert lived.accounts[0][0] + len(lived.accounts[0][2]) == 1


@settings(max_examples=300, derandomize=True, deadline=None)
@given(pages=st.lists(pages, min_size=1, max_size=3))
def test_a_context_goes_through_the_store_as_it_was_stated(pages: list[dict[str, str]]) -> None:
    """It lies there in short, and whoever comes by later writes it on."""
    events = [
        {"anonymousId": "dev-1", **user, "context": {"ip": "192.0.2.1", "page": page}}
        for page in pages
        for user in ({}, {"userId": "user-1"})
    ]
    values = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in events]
    batches = [
        [Message("raw", 0, number, START_MS, None, value.encode())]
        for number, value in enumerate(values)
    ]

    lived = check_twins(batches)

    profiles = [one for one in lived.produced if one[:2] == ("out.profiles", "user:user-1")]
    assert json.loads(profiles[-1][2])["context"]["page"] == pages[-1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b" ",
        b"{}",
        b"[]",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b'{"userId":"ab"',
        b'{"userId":"ab"}}',
        b'{"userId":"ab","channel":"serv\\u0065r"}',
        b'{"userId":"ab","traits":{"x":"\\ud83d\\ude00 \\u00e9"}}',
        b'{"userId":"ab","traits":{"y":"\\ud83d","z":"\\ude00\\ud83d"}}',
        b'{"userId":"ab","traits":{"x":"\\ud83d\\u0041"},"messageId":"\\uD83D\\uDE00"}',
        b'{"userId":"ab","integrations":{"' + b"x" * 600 + b'":false},"traits":{"x":1}}',
        b'{"userId":"ab","traits":{"' + b"x" * 600 + b'":1,"y":2}}',
        b'{"userId":"ab","context":{"page":{"n" : 1.50}},"messageId":"1234567890123456789"}',
        b'{"userId":"ab","context":{"page" : {"n" : 1.50}},"name":"' + b"[" * 33 + b'"}',
        b'{"userId":"ab","context":{"page" : {"n" : 1.50}},"name":"' + b":" * 4_000 + b'"}',
        b'{"userId":"ab","traits":{"x":"' + b"y" * 262_144 + b'"}}',
        b'{"userId":"ab","traits":' + b'{"x":' * 40 + b"1" + b"}" * 41,
        b'{"userId":"ab","traits":' + b"[" * 100_000,
        b'{"type":"track","userId":"ab","traits":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"userId":"ab","userId":null,"anonymousId":"dd","traits":{"x":1},"traits":{"x":2}}',
        b'{"userId":"ab","traits":{"company":{"Name":"x","name":"y"},"first_name":1,"firstName":2}}',
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_was_once_read_differently_is_read_the_same(value: bytes | None) -> None:
    """What a difference has shown, or might, stays among the examples."""
    read([value, b'{"userId":"user-1","traits":{"x":1}}', value])


@pytest.mark.parametrize("timestamp_ms", [-(2**63), -1, 0, START_MS, 2**53, 2**63 - 1])
def test_a_time_that_a_producer_made_up_ends_no_worker(timestamp_ms: int) -> None:
    """A message's own time is any number of 64 bits; a stamp has none for years beyond 9999."""
    values = (b'{"userId":"user-1","traits":{"x":1}}', b'{"anonymousId":"device-1"}')
    messages = [
        Message("raw", 0, number, timestamp_ms, None, value) for number, value in enumerate(values)
    ]

    lived = check_twins([messages])

    assert lived.accounts[0][0] == len(values)


def test_requests_are_packed_as_hiredis_packs_them() -> None:
    """Two packers of one protocol are one too many, unless they cannot be told apart."""
    homes = [f"r:{{{shard:x}}}" for shard in range(64)]
    own, other = NATIVE_PACKING(homes), Packer(homes)
    keys = [f"user:ü {number}" * number for number in range(1, 40)]
    keys += [
        "anon:6122e2ba-ec28-4b74-9a01-470597a2ff3c",
        "user:6122E2BA-ec28-4b74-9a01-470597a2ff3c",
    ]
    keys += [
        "anon:6122e2baaec28-4b74-9a01-470597a2ff3c",
        "user:a:6122e2ba-ec28-4b74-9a01-470597a2ff",
    ]
    swaps = [
        Swap(key, number % 3 * 2**40, 2**47 + number, b"\0\r\n" * number)
        for number, key in enumerate(keys)
    ]
    reply = [None, b"", (7).to_bytes(6, "big"), (2**47).to_bytes(6, "big") + b"state"]

    assert own.load(keys) == other.load(keys)
    assert own.swap("sha", "r:last", b"t", swaps) == other.swap("sha", "r:last", b"t", swaps)
    assert own.set_all("r:last", b"t", swaps) == other.set_all("r:last", b"t", swaps)
    assert own.arguments(swaps) == other.arguments(swaps)
    assert list(map(own.name, keys)) == list(map(other.name, keys))
    assert own.records(reply) == other.records(reply)
