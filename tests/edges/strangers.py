"""Avro as another library writes it: plain values wrapped into the contract's records."""

import io
import json
from typing import Any

import fastavro

from resolver.edges.avro_codec import AvroCodec, Contract

JSON_OBJECT = "identity_resolver.JsonObject"
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


def written(contract: Contract, payload: dict[str, Any]) -> bytes:
    """Bare Avro by fastavro; fields that the contract does not have are left out."""
    types = {field["name"]: field["type"] for field in json.loads(contract.text)["fields"]}
    record = {name: wrapped(payload[name], types[name]) for name in types if name in payload}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, contract.schema, record)
    return out.getvalue()


def message(codec: AvroCodec, contract: Contract, payload: dict[str, Any]) -> bytes:
    """The value of a record on a topic."""
    return codec.head() + written(contract, payload)


def wrapped(value: Any, declared: Any) -> Any:
    """A field's value as fastavro takes it."""
    for branch in declared if isinstance(declared, list) else [declared]:
        if branch == "Json":
            return json_record(value)
        if isinstance(branch, dict) and branch["type"] == "map" and isinstance(value, dict):
            return {name: json_record(value[name]) for name in value}
    return value


def json_record(value: Any) -> dict[str, Any]:
    """Any JSON value as the record ``Json``; an integer beyond 64 bits as a string."""
    if isinstance(value, dict):
        members = [{"name": name, "value": json_record(one)} for name, one in value.items()]
        return {"value": (JSON_OBJECT, {"members": members})}
    if isinstance(value, list):
        return {"value": [json_record(element) for element in value]}
    if type(value) is int and not LONG_MIN <= value <= LONG_MAX:
        return {"value": str(value)}
    return {"value": value}
