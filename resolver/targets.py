"""Destinations put together: specifications in, what makes their messages out."""

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from resolver.config import Settings
from resolver.core.consent import EVERYTHING, destination_key
from resolver.core.profiles import Profile, project
from resolver.destinations.aliases import Aliases
from resolver.destinations.catalogue import load_preset
from resolver.destinations.contract import PayloadContract
from resolver.destinations.explain import Explained as Explained
from resolver.destinations.explain import explain
from resolver.destinations.presets import preset_names as preset_names
from resolver.destinations.recipe import recipe_of
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Format, OnMerge, Reason
from resolver.edges.avro_codec import AvroCodec, Contract, RegistryCodec, SingleObjectCodec
from resolver.edges.avro_format import AvroFormatter, split_contract
from resolver.edges.avro_writer import ContractWriter
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.json_format import JsonFormatter
from resolver.edges.schema_files import RESOLVED_PROFILE, schema_text
from resolver.errors import BadEvent, ConfigError
from resolver.joining import Envelope, Target
from resolver.offline import Account, fold_lines, read_lines
from resolver.ports import Announce, Formatter, Revise

if TYPE_CHECKING:
    from resolver.edges.registry import SchemaRegistry

Watch = Callable[[str, Counter[Reason]], None]
"""Told of a destination's name and its counts of what was left out."""

OF_NO_PAYLOAD = ("name", "preset", "about", "choices", "aliases", "topic", "opt_in", "format")
"""What of a specification does not bear on what a payload says."""


def build_targets(settings: Settings, watch: Watch | None = None) -> list[Target]:
    """Destinations, compiled."""
    registry = open_registry(settings)
    return [build_target(spec, registry, watch) for spec in settings.destinations]


def build_target(
    spec: DestinationSpec, registry: "SchemaRegistry | None" = None, watch: Watch | None = None
) -> Target:
    """One destination, compiled."""
    shape = Shape(spec)
    if watch is not None:
        watch(spec.name, shape.left_out)
    formatter = _formatter(shape, registry)
    envelope = envelope_of(spec)
    head = formatter.head if isinstance(formatter, AvroFormatter) else None
    return Target(
        spec.name,
        spec.topic,
        spec.audience(),
        formatter,
        announces=spec.on_merge is OnMerge.ALIAS,
        tells_merged=spec.on_merge is not OnMerge.TOMBSTONE,
        envelope=envelope if head is None else None,
        avro=(*envelope, head) if envelope is not None and head is not None else None,
        recipe=recipe_of(spec, shape, msgspec.json.encode, msgspec.msgpack.decode),
    )


def envelope_of(spec: DestinationSpec) -> Envelope | None:
    """What a destination that takes profiles just as they are calls itself, and the keys of its
    options; None of one that takes them in some other way.
    """
    return (spec.name, spec.keys) if spec.differs_only_in(OF_NO_PAYLOAD) else None


def build_formatter(spec: DestinationSpec, registry: "SchemaRegistry | None") -> Formatter:
    """The destination's payloads in its format."""
    return _formatter(Shape(spec), registry)


def _formatter(shape: Shape, registry: "SchemaRegistry | None") -> Formatter:
    spec = shape.spec
    if spec.format is Format.JSON:
        ample_bytes = shape.ample_bytes
        return JsonFormatter(
            shape.shape if ample_bytes is None else shape.draft,
            shape.revise if shape.revises else None,
            shape.names if shape.renames else None,
            announce=_announce(spec),
            tells_merged=spec.on_merge is not OnMerge.TOMBSTONE,
            bounded=None if ample_bytes is None else shape.shape,
            ample_bytes=ample_bytes or 0,
        )
    return _avro_formatter(shape, registry)


def _announce(spec: DestinationSpec) -> Announce | None:
    """What makes the destination's alias events, where it gets any."""
    return Aliases(spec).of if spec.on_merge is OnMerge.ALIAS else None


def _avro_formatter(shape: Shape, registry: "SchemaRegistry | None") -> AvroFormatter:
    contract = payload_contract(shape.spec)
    stable, revision = map(ContractWriter, split_contract(contract.text))
    head = build_codec(contract.text, registry, shape.spec.topic).head

    def packed(profile: Profile) -> dict[str, Any] | None:
        return contract.pack(shape.shape(profile))

    def revise(
        profile: Profile,
        changed: list[str] | None,
        removed: list[str] | None,
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        payload, after = shape.revise(profile, changed, removed)
        return contract.pack(payload), after

    said: Revise | None = revise if shape.revises else None
    names = shape.names if shape.renames else None
    return AvroFormatter(
        packed,
        head,
        stable,
        revision,
        said,
        names,
        whole=ContractWriter(contract.text),
        announce=_announce(shape.spec),
        tells_merged=shape.spec.on_merge is not OnMerge.TOMBSTONE,
    )


def explain_lines(
    settings: Settings, spec: DestinationSpec, paths: list[Path]
) -> tuple[Iterator[Explained], Account]:
    """What the destination would receive of events in files, and why; the account of the input."""
    reading, start_us = settings.reading(), time.time_ns() // 1_000
    records, account = fold_lines(read_lines(paths), JsonDecoder(), reading, start_us)
    audience = spec.audience()

    def explained() -> Iterator[Explained]:
        for key in sorted(records):
            whole = project(records[key], key, EVERYTHING, reading.policy)
            if whole is not None:
                seen = project(records[key], key, audience, reading.policy)
                yield explain(spec, whole, seen)

    return explained(), account


def spec_named(settings: Settings, name: str) -> DestinationSpec:
    """A configured destination by name or alias, else a preset."""
    wanted = destination_key(name)
    for spec in settings.destinations:
        if wanted and wanted in spec.keys:
            return spec
    try:
        return load_preset(name, settings.presets)
    except ConfigError as error:
        known = ", ".join(spec.name for spec in settings.destinations)
        raise ConfigError(
            f"no destination is called {name!r} (there is {known}), and {error}"
        ) from error


def spec_text(spec: DestinationSpec) -> str:
    """A specification as YAML, with what is not the default."""
    stated = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text: str = yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, width=96)
    return text


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
