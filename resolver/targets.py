"""Destinations put together: specifications in, what makes their messages out."""

import json
import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resolver.config import Settings
from resolver.core.profiles import Profile
from resolver.destinations.contract import PayloadContract
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Format, Reason
from resolver.edges.avro_codec import AvroCodec, Contract, RegistryCodec, SingleObjectCodec
from resolver.edges.avro_format import AvroFormatter, Revise, split_contract
from resolver.edges.json_format import JsonFormatter
from resolver.edges.schema_files import RESOLVED_PROFILE, schema_text
from resolver.errors import BadEvent, ConfigError
from resolver.joining import Target
from resolver.ports import Formatter

if TYPE_CHECKING:
    from resolver.edges.registry import SchemaRegistry

Watch = Callable[[str, Counter[Reason]], None]
"""Told of a destination's name and its counts of what was left out."""


def build_targets(settings: Settings, watch: Watch | None = None) -> list[Target]:
    """Destinations, compiled."""
    registry = open_registry(settings)
    return [
        Target(spec.name, spec.topic, spec.audience(), build_formatter(spec, registry, watch))
        for spec in settings.destinations
    ]


def build_formatter(
    spec: DestinationSpec, registry: "SchemaRegistry | None", watch: Watch | None = None
) -> Formatter:
    """The destination's payloads in its format."""
    shape = Shape(spec)
    if watch is not None:
        watch(spec.name, shape.left_out)
    if spec.format is Format.JSON:
        return JsonFormatter(shape.shape, shape.revise if shape.revises else None)
    return _avro_formatter(shape, registry)


def _avro_formatter(shape: Shape, registry: "SchemaRegistry | None") -> AvroFormatter:
    contract = payload_contract(shape.spec)
    stable, revision = map(Contract, split_contract(contract.text))
    head = build_codec(contract.text, registry, shape.spec.topic).head

    def packed(profile: Profile) -> dict[str, Any] | None:
        return contract.pack(shape.shape(profile), profile)

    def revise(
        profile: Profile,
        changed: list[str] | None,
        removed: list[str] | None,
        merged: list[str],
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        payload, after = shape.revise(profile, changed, removed, merged)
        return contract.pack(payload, profile), after

    said: Revise | None = revise if shape.revises else None
    return AvroFormatter(packed, head, stable, revision, said)


def payload_contract(spec: DestinationSpec) -> PayloadContract:
    """The Avro contract of a destination's topic."""
    return PayloadContract(spec, schema_text(RESOLVED_PROFILE))


def build_codec(schema: str, registry: "SchemaRegistry | None", topic: str) -> AvroCodec:
    """Avro as the registry frames it, or on its own where there is none."""
    contract = Contract(schema)
    if registry is None:
        return SingleObjectCodec(contract)
    return RegistryCodec(contract, registry, f"{topic}-value")


def open_registry(settings: Settings) -> "SchemaRegistry | None":
    """The schema registry, where one is configured."""
    url = settings.kafka.schema_registry
    if not url:
        return None
    try:
        with warnings.catch_warnings(record=True):  # its client's client is ageing
            from resolver.edges.registry import SchemaRegistry
    except ImportError as error:
        raise ConfigError(
            "kafka.schema_registry needs its client: pip install 'identity-resolver[registry]'"
        ) from error
    return SchemaRegistry(url)


def profile_reader(settings: Settings, spec: DestinationSpec) -> Callable[[bytes], str]:
    """Values of a destination's topic as JSON text."""
    if spec.format is Format.JSON:
        return lambda value: value.decode(errors="replace")
    contract = payload_contract(spec)
    codec = build_codec(contract.text, open_registry(settings), spec.topic)

    def read(value: bytes) -> str:
        try:
            return json.dumps(contract.unpack(codec.decode(value)), ensure_ascii=False)
        except BadEvent as fault:
            return json.dumps({"error": str(fault)})

    return read
