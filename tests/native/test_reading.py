"""What the native engine reads itself, it reads as the general reader does."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.ports import Message
from tests.edges.payloads import traits_of_any_shape
from tests.native.strange import events
from tests.native.twins import START_MS, Lived, check_twins

EXAMPLES = 2_000


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
