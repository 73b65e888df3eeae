"""JSON in and out: a fast decoder, and a slow one that salvages what real SDKs send."""

import json
import re
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Raw, defstruct

from resolver.core.events import CONTEXT_FIELDS, PlainEvent, RawEvent, Warned
from resolver.errors import BadEvent, Fault

BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 32
KEYS_MAX: Final = 1_000
KEY_BYTES_MIN: Final = 4
"""A member is at least four bytes long (``"":0``): shorter values cannot hold too many keys."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
OUTLINE: Final = bytes.maketrans(b"123456789[", b"000000000{")
LONG_NUMBER: Final = b"0" * 19
"""Nineteen digits in a row may be an integer beyond 64 bits: such an event is read slowly.

Looked for in the bytes with every digit made a zero, and every bracket the same one so that
nesting is counted in the same pass: 0.6 µs where a pattern takes 7.
"""
SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A string, to its end or that of the text, or a bracket; never looks back, so never quadratic."""
ABSENT: Final = Raw()


class _Constant:
    """Stands for NaN, Infinity or -Infinity while an event is salvaged."""


CONTEXT: Final[Any] = defstruct(
    "Context",
    [("active", Any, None), ("traits", Any, None), *((one, Raw, ABSENT) for one in CONTEXT_FIELDS)],
    omit_defaults=True,
    gc=False,
)
"""CONTEXT_FIELDS in their order, as text that nobody takes apart; and what decides."""

EVENT: Final[Any] = defstruct(
    "Event",
    [
        ("type", str | None, None),
        ("message_id", Any, None),
        ("user_id", Any, None),
        ("anonymous_id", Any, None),
        ("traits", Any, None),
        ("context", CONTEXT | None, None),
        ("integrations", Any, None),
        ("timestamp", Any, None),
        ("original_timestamp", Any, None),
        ("received_at", Any, None),
        ("sent_at", Any, None),
        ("channel", Any, None),
        ("context_traits", Any, None),
        ("active", Any, None),
        ("seen", Any, None),
    ],
    rename="camel",
    gc=False,
)
"""A RawEvent straight from the bytes: 1 µs where a dictionary with its objects takes 2.

The last three fields are never read from the bytes: ``decode`` overwrites them.
"""


class JsonDecoder:
    """Decodes events; ``decode`` never raises anything but BadEvent, whatever the bytes."""

    def __init__(self) -> None:
        self._event = msgspec.json.Decoder(EVENT).decode
        self._any = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, topic: str, value: bytes, warned: list[Warned]) -> RawEvent:
        """The event; ``warned`` collects what was mended."""
        size = len(value)
        if size > BYTES_MAX:
            raise BadEvent(Fault.TOO_LARGE, f"more than {BYTES_MAX} bytes")
        outline = value.translate(OUTLINE)
        many_keys = size > KEYS_MAX * KEY_BYTES_MIN and value.count(b":") > KEYS_MAX
        if many_keys or LONG_NUMBER in outline or outline.count(b"{") > DEPTH_MAX:
            return PlainEvent(self.plain(value, warned))
        try:
            if not value.isascii():
                value.decode()
            return self._with_context(self._event(value))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return PlainEvent(self.plain(value, warned))

    def plain(self, value: bytes, warned: list[Warned]) -> dict[str, Any]:
        """The event as plain JSON values, from whatever does not look like most events."""
        if LONG_NUMBER in value.translate(OUTLINE):
            event = _salvage(value, warned)
        else:
            try:
                event = self._any(value)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                event = _salvage(value, warned)
        if type(event) is not dict:
            raise BadEvent(Fault.NOT_AN_EVENT, "the value is no JSON object")
        if not isinstance(event.get("type"), str | None):
            raise BadEvent(Fault.NOT_AN_EVENT, "its type is no string")
        check_shape(event)
        return event

    def _with_context(self, event: Any) -> RawEvent:
        context = event.context or CONTEXT()
        if type(event.channel) is str and context.channel is ABSENT:
            context.channel = Raw(self._encode(event.channel))
        event.context_traits, event.active = context.traits, context.active
        context.traits = context.active = None
        event.seen = self._encode(context)
        made: RawEvent = event
        return made


def check_shape(event: Any) -> None:
    """Raises BadEvent beyond DEPTH_MAX levels or KEYS_MAX keys at one level; never recurses."""
    level = [event]
    for _ in range(DEPTH_MAX):
        if any(isinstance(node, dict) and len(node) > KEYS_MAX for node in level):
            raise BadEvent(Fault.TOO_LARGE, f"over {KEYS_MAX} keys at one level")
        inside = (node.values() if isinstance(node, dict) else node for node in level)
        level = [node for node in chain(*inside) if isinstance(node, dict | list)]
        if not level:
            return
    raise BadEvent(Fault.TOO_LARGE, f"nested deeper than {DEPTH_MAX}")


def _salvage(value: bytes, warned: list[Warned]) -> Any:
    """Reads what the strict decoder refuses; drops traits that hold NaN, mends surrogates."""
    if value.count(b"{") + value.count(b"[") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        raise BadEvent(Fault.TOO_LARGE, f"nested deeper than {DEPTH_MAX}")
    found: set[Warned] = set()
    constant = _Constant()

    def read_constant(_: str) -> _Constant:
        found.add(Warned.SALVAGED_CONSTANT)
        return constant

    def read_int(digits: str) -> int | str:
        if len(digits) < 19 or (len(digits) < 21 and INT_MIN <= int(digits) <= INT_MAX):
            return int(digits)
        found.add(Warned.BIG_INTEGER)
        return digits

    def read_float(digits: str) -> float | _Constant:
        number = float(digits)
        return number if number - number == 0 else read_constant(digits)

    try:
        text = value.decode("utf-8", "surrogatepass")
        event = json.loads(
            text, parse_constant=read_constant, parse_int=read_int, parse_float=read_float
        )
    except (ValueError, RecursionError) as error:
        raise BadEvent(Fault.UNDECODABLE, "the value is not JSON") from error
    if Warned.SALVAGED_CONSTANT in found and isinstance(event, dict):
        event = _without_constants(event)
    if SURROGATE.search(text) or ESCAPED_SURROGATE.search(value):
        event = _mend_surrogates(event, found)
    warned.extend(sorted(found))
    return event


def _depth(value: bytes) -> int:
    """Nesting by brackets outside of strings."""
    depth = deepest = 0
    for token in TOKEN.finditer(value):
        first = token[0][0]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _holds_constant(node: Any) -> bool:
    if isinstance(node, dict):
        return any(map(_holds_constant, node.values()))
    if isinstance(node, list):
        return any(map(_holds_constant, node))
    return isinstance(node, _Constant)


def _without_constants(event: dict[str, Any]) -> dict[str, Any]:
    """Drops each top-level trait that holds a constant; elsewhere the constant becomes null."""
    for holder in (event, event.get("context")):
        traits = holder.get("traits") if isinstance(holder, dict) else None
        if isinstance(traits, dict):
            for name in [name for name, value in traits.items() if _holds_constant(value)]:
                del traits[name]
    cleaned = _nulled(event)
    return cleaned if isinstance(cleaned, dict) else {}


def _nulled(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _nulled(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_nulled(value) for value in node]
    return None if isinstance(node, _Constant) else node


def _mend_surrogates(node: Any, found: set[Warned]) -> Any:
    """Lone surrogates become U+FFFD, in keys and values."""
    if isinstance(node, str):
        if not SURROGATE.search(node):
            return node
        found.add(Warned.SALVAGED_SURROGATE)
        return SURROGATE.sub("\ufffd", node)
    if isinstance(node, dict):
        return {
            _mend_surrogates(name, found): _mend_surrogates(value, found)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_mend_surrogates(value, found) for value in node]
    return node
