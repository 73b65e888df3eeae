"""Avro in: what was written by the contracts of ``schemas/``, alone or with a schema registry.

Payloads are the same plain dicts as in JSON; ``Json`` is unwrapped here. The native decoder
recurses on the C stack, which hostile bytes could exhaust: long input is measured first by
``_measure``, which does not recurse. A codec also says what stands before what is written.
"""

import io
import json
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import fastavro
from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    to_parsing_canonical_form,
)

from resolver.core.events import Warned
from resolver.errors import BadEvent, Fault

MARKER = b"\xc3\x01"
"""Opens Avro's single-object encoding; eight bytes of fingerprint follow."""
MAGIC = 0
"""Opens the schema registry's wire format; four bytes of schema id follow, big-endian."""
REGISTRY_HEAD = struct.Struct(">bI")

BYTES_MAX = 256 * 1024
DEPTH_MAX = 32
KEYS_MAX = 1_000
"""The bounds of a JSON event, so that a format is never a way around them."""
SHALLOW_BYTES = 2_048
"""A level costs at least one byte: so short an input cannot exhaust the C stack (8 MiB)."""
NODES_DEEP_MAX = 4 * DEPTH_MAX
"""A level of JSON is three levels of schema: container, record, union."""
WRITERS_MAX = 256
"""Parsed schemas of writers kept; a topic sees a handful in its life."""
EVERYTHING_NATIVE = (EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError)
"""What the native decoder raises on corrupt bytes (UnicodeDecodeError is a ValueError)."""
JSON_NAME = "Json"
NESTING_BYTES = (b"\x0a", b"\x0c", b"\x8a", b"\x8c")
"""How the union of ``Json`` begins at an array or object: a level has at least one of them."""


class Registry(Protocol):
    """Schemas by id, cached: no call per message. Raises Unavailable while it is away."""

    def schema_id(self, subject: str, text: str) -> int:
        """The id under which this schema is known to the subject."""

    def schema_text(self, schema_id: int) -> str | None:
        """The Avro schema with that id; None where there is no such schema."""


class Writer(NamedTuple):
    """A schema that bytes were written with; ``native`` if it is the contract itself."""

    schema: Any
    native: bool


class Contract:
    """One of the published schemas, parsed, with the way from Avro's values to plain ones.

    Its free-form fields are those of type ``Json`` or map of ``Json``.
    """

    def __init__(self, text: str) -> None:
        plain = json.loads(text)
        self.text = json.dumps(plain, separators=(",", ":"))
        self.schema = fastavro.parse_schema(plain)
        self.fingerprint = _fingerprint(plain)
        self.writer = Writer(self.schema, native=True)
        self._fields = [(field["name"], _unwrapper(field["type"])) for field in plain["fields"]]

    def read_writer(self, text: str) -> Writer:
        """Parses a writer's schema; BadEvent where it is none."""
        try:
            plain = json.loads(text)
            schema = fastavro.parse_schema(plain)
            return Writer(schema, _fingerprint(plain) == self.fingerprint)
        except (SchemaParseException, UnknownType, *EVERYTHING_NATIVE) as error:
            raise _undecodable("the writer's schema is no Avro schema") from error

    def read(self, raw: bytes, writer: Writer, warned: list[Warned]) -> dict[str, Any]:
        """The payload in bare Avro ``raw``: every field of the contract, null where unstated."""
        if len(raw) > BYTES_MAX:
            raise BadEvent(Fault.TOO_LARGE, f"more than {BYTES_MAX} bytes")
        if len(raw) > SHALLOW_BYTES and not (writer.native and _is_flat(raw)):
            _measure(raw, writer.schema)
        source = io.BytesIO(raw)
        reader = None if writer.native else self.schema
        try:
            wrapped: Any = fastavro.schemaless_reader(source, writer.schema, reader)
        except (fastavro.read.SchemaResolutionError, *EVERYTHING_NATIVE) as error:
            raise _undecodable("the bytes are not Avro of this schema") from error
        if source.tell() != len(raw):
            raise _undecodable("bytes follow the Avro record")
        found: list[str] = []
        payload = {name: unwrap(wrapped[name], 1, found) for name, unwrap in self._fields}
        if found:
            warned.append(Warned.SALVAGED_CONSTANT)
            _drop_constants(payload)
        return payload


class SingleObjectCodec:
    """Avro without a registry: the marker, the schema's fingerprint, the record."""

    def __init__(self, contract: Contract, known: Iterable[str] = ()) -> None:
        """``known`` holds the texts of further schemas that writers may have used."""
        self._contract = contract
        self._writers = {
            _fingerprint(json.loads(text)): contract.read_writer(text) for text in known
        }
        self._writers[contract.fingerprint] = contract.writer

    def head(self) -> bytes:
        """What stands before each record."""
        return MARKER + self._contract.fingerprint

    def decode(self, raw: bytes, warned: list[Warned] | None = None) -> dict[str, Any]:
        """Raises BadEvent, and nothing else, whatever the bytes."""
        if raw[:2] != MARKER:
            raise _undecodable("the value does not begin like an Avro single object")
        if raw[2:10] not in self._writers:
            raise _undecodable("the Avro schema's fingerprint is unknown")
        writer = self._writers[raw[2:10]]
        return self._contract.read(raw[10:], writer, [] if warned is None else warned)


class RegistryCodec:
    """Avro in the schema registry's wire format: a zero, the schema's id, the record."""

    def __init__(self, contract: Contract, registry: Registry, subject: str) -> None:
        self._contract = contract
        self._registry = registry
        self._subject = subject
        self._framed = b""
        self._writers: dict[int, Writer] = {}

    def head(self) -> bytes:
        """What stands before each record; asks the registry once, Unavailable while it is away."""
        if not self._framed:
            schema_id = self._registry.schema_id(self._subject, self._contract.text)
            self._framed = REGISTRY_HEAD.pack(MAGIC, schema_id)
        return self._framed

    def decode(self, raw: bytes, warned: list[Warned] | None = None) -> dict[str, Any]:
        """Raises BadEvent whatever the bytes, and Unavailable while the registry is away."""
        if len(raw) < REGISTRY_HEAD.size or raw[0] != MAGIC:
            raise _undecodable("the value does not begin like the registry's wire format")
        writer = self._writer(REGISTRY_HEAD.unpack_from(raw)[1])
        body = raw[REGISTRY_HEAD.size :]
        return self._contract.read(body, writer, [] if warned is None else warned)

    def _writer(self, schema_id: int) -> Writer:
        if schema_id not in self._writers:
            text = self._registry.schema_text(schema_id)
            if text is None:
                raise _undecodable(f"the registry has no Avro schema with id {schema_id}")
            if len(self._writers) >= WRITERS_MAX:
                self._writers.clear()
            self._writers[schema_id] = self._contract.read_writer(text)
        return self._writers[schema_id]


AvroCodec = SingleObjectCodec | RegistryCodec


def _undecodable(sentence: str) -> BadEvent:
    return BadEvent(Fault.UNDECODABLE, sentence)


def _fingerprint(plain: Any) -> bytes:
    """CRC-64-AVRO of the canonical form, little-endian as the single-object encoding has it."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(plain), "CRC-64-AVRO"))


def _unwrapper(declared: Any) -> Callable[[Any, int, list[str]], Any]:
    """How values of a contract's field become plain ones; most are as they are.

    What is read is held to the bounds of an event.
    """
    branches = declared if isinstance(declared, list) else [declared]
    for branch in branches:
        if branch == JSON_NAME:
            return _unwrap
        if isinstance(branch, dict) and branch["type"] == "map":
            return _unwrap_map
    return lambda value, _, __: value


def _unwrap(wrapped: Any, depth: int, found: list[str]) -> Any:
    """The plain value of a ``Json``; appends to ``found`` for a double that JSON has not."""
    value = wrapped["value"]
    kind = type(value)
    if kind is dict:
        members = value["members"]
        return _unwrap_map({one["name"]: one["value"] for one in members}, depth, found)
    if kind is list:
        _check(depth + 1, value)
        return [_unwrap(element, depth + 1, found) for element in value]
    if kind is float and value - value != 0:
        found.append(str(value))
    return value


def _unwrap_map(value: Any, depth: int, found: list[str]) -> Any:
    if value is None:
        return None
    _check(depth + 1, value)
    return {name: _unwrap(member, depth + 1, found) for name, member in value.items()}


def _check(depth: int, container: dict[str, Any] | list[Any]) -> None:
    if depth > DEPTH_MAX:
        raise BadEvent(Fault.TOO_LARGE, f"nested deeper than {DEPTH_MAX}")
    if isinstance(container, dict) and len(container) > KEYS_MAX:
        raise BadEvent(Fault.TOO_LARGE, f"over {KEYS_MAX} keys at one level")


def _drop_constants(payload: dict[str, Any]) -> None:
    """Drops each top-level trait that holds NaN or an infinity; elsewhere it becomes null."""
    for holder in (payload, payload.get("context") or {}):
        traits = holder.get("traits")
        if isinstance(traits, dict):
            for name in [name for name, value in traits.items() if _nulled(value) != value]:
                del traits[name]
    payload.update(_nulled(payload))


def _nulled(value: Any) -> Any:
    """The same with null for NaN and infinities: equal to the value only where it holds none."""
    if isinstance(value, dict):
        return {name: _nulled(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_nulled(element) for element in value]
    return None if isinstance(value, float) and value - value != 0 else value


FIXED_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
STEPS_PER_BYTE_MAX = 16
"""Far more nodes than an honest byte can stand for: elements without bytes end here."""


def _is_flat(raw: bytes) -> bool:
    """Whether bare Avro of a contract cannot nest too deep, whatever its bytes say."""
    return sum(map(raw.count, NESTING_BYTES)) <= DEPTH_MAX


def _measure(raw: bytes, schema: Any) -> None:
    """Walks bare Avro without recursion; BadEvent where it nests too deep or breaks off."""
    walk = _Walk(raw)
    pending: list[tuple[Any, int]] = [(schema, 1)]
    for _ in range(STEPS_PER_BYTE_MAX * (len(raw) + 1)):
        if not pending:
            return
        node, depth = pending.pop()
        if depth > NODES_DEEP_MAX:
            raise BadEvent(Fault.TOO_LARGE, f"nested deeper than {DEPTH_MAX}")
        pending.extend((part, depth + deeper) for part, deeper in walk.step(node))
    raise _undecodable("the bytes hold more elements than they can")


class _Repeat(NamedTuple):
    """What is left of an array's or a map's block; nothing left: at the next block's head."""

    element: Any
    keyed: bool
    left: int


class _Walk:
    """A place in bare Avro bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._named: dict[str, Any] = {}

    def step(self, node: Any) -> list[tuple[Any, int]]:
        """Passes one node; returns what follows, last first, and how much deeper it lies."""
        if isinstance(node, _Repeat):
            return self._repeat(node)
        if isinstance(node, list):
            index = self._long()
            if not 0 <= index < len(node):
                raise _undecodable("a union has no such branch")
            return [(node[index], 1)]
        if isinstance(node, str):
            node = self._named.get(node, {"type": node})
        if "name" in node:
            self._named[node["name"]] = node
        kind = node["type"]
        if kind in ("record", "error"):
            return [(field["type"], 1) for field in reversed(node["fields"])]
        if kind in ("array", "map"):
            keyed = kind == "map"
            return [(_Repeat(node["values" if keyed else "items"], keyed, 0), 0)]
        if not isinstance(kind, str) or kind in self._named:
            return [(kind, 0)]
        return self._primitive(kind, node.get("size", 0))

    def _repeat(self, block: _Repeat) -> list[tuple[Any, int]]:
        left = block.left
        if left == 0:
            left = self._long()
            if left < 0:
                left = -left
                self._long()
            return [(block._replace(left=left), 0)] if left else []
        if block.keyed:
            self._skip(self._long())
        return [(block._replace(left=left - 1), 0), (block.element, 1)]

    def _primitive(self, kind: str, size: int) -> list[tuple[Any, int]]:
        if kind in ("int", "long", "enum"):
            self._long()
        elif kind in ("string", "bytes"):
            self._skip(self._long())
        else:
            self._skip(FIXED_SIZES.get(kind, size))
        return []

    def _skip(self, count: int) -> None:
        self._at += count
        if count < 0 or self._at > len(self._raw):
            raise _undecodable("the bytes break off")

    def _long(self) -> int:
        number = shift = 0
        while shift < 70:
            self._skip(1)
            byte = self._raw[self._at - 1]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise _undecodable("a number is longer than 64 bits")
