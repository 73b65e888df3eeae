"""The only place where concrete classes meet: settings in, running parts out."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from resolver.assembly import Parts, assemble
from resolver.config import Settings
from resolver.core.consent import EVERYTHING, Audience, destination_key
from resolver.core.identifiers import ANON, EMAIL, USER
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec, Format
from resolver.edges.avro_codec import Contract, RegistryCodec, SingleObjectCodec
from resolver.edges.avro_format import AvroFormatter, split_contract
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.json_format import JsonFormatter
from resolver.edges.kafka_tools import KafkaTools, Report
from resolver.edges.redis_store import RedisStore, connect, connect_sentinel
from resolver.edges.schema_files import IDENTIFY, RESOLVED_PROFILE, schema_text
from resolver.edges.state_codec import StateCodec
from resolver.edges.telemetry import Telemetry, configure_logs, serve
from resolver.errors import ConfigError, Unavailable
from resolver.inspection import explain
from resolver.joining import Target
from resolver.offline import Account, Line, fold_lines, profiles
from resolver.ports import Decoder, Formatter, Message
from resolver.worker import Limits, Observer, Worker

if TYPE_CHECKING:
    from resolver.edges.registry import SchemaRegistry

OPT_IN_BY_CONVENTION = {"salesforce"}
"""Integrations that nobody is sent to unless an event names them."""
EVICTION_HINT = "set maxmemory-policy noeviction, or redis.allow_eviction to take the risk"


def run_worker(settings: Settings, member: str) -> None:
    """Runs one worker until SIGTERM or SIGINT; raises what ended it."""
    log = configure_logs(settings.log.level, settings.log.format)
    store = open_store(settings)
    check_store(settings, store)
    telemetry = Telemetry(log.bind(member=member))
    worker = build_worker(settings, store, telemetry, member)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if settings.http.port >= 0:
        port = serve(telemetry, settings.http.host, settings.http.port, store.ping)
        log.info("serving", metrics=f"http://{settings.http.host}:{port}/metrics")
    log.info("started", topics=[one.topic for one in settings.inputs], delivery=settings.delivery)
    worker.run()
    log.info("stopped")


def run_workers(count: int, arguments: list[str]) -> int:
    """Runs ``count`` processes of the group; ends all when one ends; returns the worst code."""
    command = [sys.executable, "-m", "resolver", "run", *arguments]
    processes = [
        subprocess.Popen(command, env={**os.environ, "RESOLVER_WORKER": str(place)})
        for place in range(count)
    ]

    def stop(*_: Any) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while all(process.poll() is None for process in processes):
        time.sleep(0.2)
    stop()
    return max(abs(process.wait()) for process in processes)


def build_worker(settings: Settings, store: RedisStore, observer: Observer, member: str) -> Worker:
    """A worker of these settings."""
    exactly_once = settings.delivery == "exactly_once"
    kafka, limits = settings.kafka, settings.limits
    shared = client_options(settings)
    transaction_ms = min(limits.transaction_timeout_ms, limits.session_timeout_ms)
    return assemble(
        Parts(
            consumer={
                **shared,
                "group.id": kafka.group_id,
                "group.protocol": kafka.group_protocol,
                "group.instance.id": member,
                "session.timeout.ms": limits.session_timeout_ms,
                **kafka.consumer,
            },
            producer={
                **shared,
                **({"transaction.timeout.ms": transaction_ms} if exactly_once else {}),
                **kafka.producer,
            },
            topics=[one.topic for one in settings.inputs],
            dead_letter_topic=settings.dead_letters,
            changelog_topic=settings.changelog,
            transactional_id=f"{kafka.group_id}-{member}" if exactly_once else None,
            store=store,
            targets=build_targets(settings),
            observer=observer,
            reading=settings.reading(),
            decoders=build_decoders(settings),
            limits=Limits(limits.batch_events_max),
        )
    )


def member_name(settings: Settings) -> str:
    """A name that is this worker's over restarts: static membership and fencing hang on it."""
    host = settings.member or socket.gethostname()
    return f"{host}-{os.environ.get('RESOLVER_WORKER', '0')}"


def client_options(settings: Settings) -> dict[str, Any]:
    """What every Kafka client is told."""
    return {"bootstrap.servers": settings.kafka.brokers, **settings.kafka.options}


def build_targets(settings: Settings) -> list[Target]:
    """Destinations, compiled."""
    registry = open_registry(settings)
    return [
        Target(spec.name, spec.topic, spec.audience(), build_formatter(spec, registry))
        for spec in settings.destinations
    ]


def build_formatter(spec: DestinationSpec, registry: "SchemaRegistry | None") -> Formatter:
    """The destination's payloads in its format."""
    shape = Shape(spec)
    if spec.format is Format.JSON:
        return JsonFormatter(shape.shape)
    text = schema_text(RESOLVED_PROFILE)
    contract = Contract(text)
    codec = (
        SingleObjectCodec(contract)
        if registry is None
        else RegistryCodec(contract, registry, f"{spec.topic}-value")
    )
    stable, revision = map(Contract, split_contract(text))
    return AvroFormatter(shape.shape, codec.head, stable, revision)


class AvroDecoder:
    """Raw events of one Avro topic."""

    def __init__(self, codec: SingleObjectCodec | RegistryCodec) -> None:
        self._codec = codec

    def decode(self, topic: str, value: bytes, warned: list[Any]) -> dict[str, Any]:
        """The event as plain JSON values; raises BadEvent."""
        return self._codec.decode(value, warned)


def build_decoders(settings: Settings) -> dict[str, Decoder]:
    """Decoders of the topics that are not JSON."""
    registry = open_registry(settings)
    contract = Contract(schema_text(IDENTIFY))
    return {
        one.topic: AvroDecoder(
            SingleObjectCodec(contract)
            if registry is None
            else RegistryCodec(contract, registry, f"{one.topic}-value")
        )
        for one in settings.inputs
        if one.format is Format.AVRO
    }


def open_registry(settings: Settings) -> "SchemaRegistry | None":
    """The schema registry, where one is configured."""
    url = settings.kafka.schema_registry
    if not url:
        return None
    try:
        from resolver.edges.registry import SchemaRegistry
    except ImportError as error:
        raise ConfigError(
            "kafka.schema_registry needs its client: pip install 'identity-resolver[registry]'"
        ) from error
    return SchemaRegistry(url)


def open_store(settings: Settings) -> RedisStore:
    """The store; nothing connects yet."""
    redis = settings.redis
    if redis.sentinel is not None:
        hosts = [(host, int(port)) for host, _, port in map(_split_host, redis.sentinel.hosts)]
        return RedisStore(connect_sentinel(hosts, redis.sentinel.service), redis.prefix)
    try:
        client = connect(redis.url, cluster=redis.cluster)
    except ValueError as error:
        raise ConfigError(f"redis.url: {error}") from error
    return RedisStore(client, redis.prefix, cluster=redis.cluster)


def _split_host(address: str) -> tuple[str, str, str]:
    return address.rpartition(":")


def check_store(settings: Settings, store: RedisStore) -> None:
    """Refuses a Redis that may drop profiles when memory is short."""
    policy = store.eviction_policy()
    if policy not in (None, "noeviction") and not settings.redis.allow_eviction:
        raise ConfigError(f"Redis evicts keys (maxmemory-policy {policy}): {EVICTION_HINT}")


def check(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """(what was looked at, what is wrong or None), one by one."""
    try:
        store = open_store(settings)
        check_store(settings, store)
        yield f"Redis at {settings.redis.url.rpartition('@')[2]} answers and evicts nothing", None
    except (ConfigError, Unavailable) as error:
        yield "Redis", str(error)
    tools = KafkaTools(client_options(settings))
    try:
        there = tools.topics()
    except Unavailable as error:
        yield "Kafka", str(error)
        return
    yield f"Kafka at {settings.kafka.brokers} answers", None
    wanted = wanted_topics(settings)
    for name in wanted:
        missing = None if name in there else "is missing: resolver topics create"
        yield f"topic {name}", missing
    compacted = [name for name, compact in wanted.items() if compact and name in there]
    for name, policy in tools.cleanup_policies(compacted).items():
        if "compact" not in policy:
            yield f"topic {name}", f"has cleanup.policy={policy}; it should be compact"


def wanted_topics(settings: Settings) -> dict[str, bool]:
    """Every topic the settings name, and whether it must be compacted."""
    topics = {one.topic: False for one in settings.inputs}
    topics[settings.dead_letters] = False
    topics[settings.changelog] = True
    return topics | {one.topic: True for one in settings.destinations}


def create_topics(settings: Settings, partitions: int, replication: int) -> dict[str, bool]:
    """Creates the missing topics; for each, whether it was made."""
    tools = KafkaTools(client_options(settings))
    tools.topics()
    return tools.create(wanted_topics(settings), partitions, replication)


def resolve(
    settings: Settings, lines: Iterable[Line], destination: str | None
) -> tuple[Iterator[bytes], Account]:
    """Final profiles as JSON lines, and the account of the input."""
    reading = settings.reading()
    start_us = time.time_ns() // 1_000
    records, account = fold_lines(lines, JsonDecoder(), reading, start_us)
    encode = msgspec.json.Encoder().encode
    audience = audience_of(settings, destination)
    return (encode(one) for one in profiles(records, reading, audience)), account


def audience_of(settings: Settings, destination: str | None) -> Audience:
    """A configured destination's, or that of any integration name; without one, everything."""
    if destination is None:
        return EVERYTHING
    key = destination_key(destination)
    if not key:
        raise ConfigError(f"{destination!r} names no destination")
    for spec in settings.destinations:
        if key in spec.keys:
            return spec.audience()
    return Audience((key,), key in OPT_IN_BY_CONVENTION)


def read_lines(paths: list[Path]) -> Iterator[Line]:
    """Lines of files in turn, or of standard input."""
    for path in paths or [Path("-")]:
        if str(path) == "-":
            yield from _lines("stdin", sys.stdin.buffer)
            continue
        try:
            with path.open("rb") as file:
                yield from _lines(str(path), file)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(name: str, file: Iterable[bytes]) -> Iterator[Line]:
    for number, raw in enumerate(file, 1):
        yield Line(name, number, raw)


def send(settings: Settings, paths: list[Path], report: Report) -> int:
    """Sends lines to the first raw topic, keyed by whom they are about; returns the count."""
    topic = settings.inputs[0]
    if topic.format is not Format.JSON:
        raise ConfigError(f"topic {topic.topic} takes {topic.format.value}; lines are JSON")
    tools = KafkaTools(client_options(settings))
    tools.topics()
    keyed = ((_key(line.raw), line.raw.strip(), None) for line in read_lines(paths))
    return tools.send(topic.topic, keyed, report)


def _key(raw: bytes) -> bytes | None:
    """The anonymousId, else the userId: events of one device stay in order."""
    try:
        event = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    chosen = event.get("anonymousId") or event.get("userId")
    return None if chosen is None else str(chosen).encode()


def tail(settings: Settings, destination: str, *, follow: bool, from_start: bool) -> Iterator[str]:
    """A destination's records as lines ``key<TAB>value``; a tombstone's value is ``null``."""
    spec = spec_of(settings, destination)
    tools = KafkaTools(client_options(settings))
    decode = profile_reader(settings, spec)
    for record in tools.read(spec.topic, follow=follow, from_start=from_start):
        key = (record.key or b"").decode(errors="replace")
        yield f"{key}\t{'null' if record.value is None else decode(record.value)}"


def spec_of(settings: Settings, destination: str) -> DestinationSpec:
    """A configured destination by name or alias."""
    for spec in settings.destinations:
        if destination_key(destination) in spec.keys:
            return spec
    known = ", ".join(spec.name for spec in settings.destinations)
    raise ConfigError(f"there is no destination {destination!r}; configured: {known}")


def profile_reader(settings: Settings, spec: DestinationSpec) -> Any:
    """Values of a destination's topic as JSON text."""
    if spec.format is Format.JSON:
        return lambda value: value.decode(errors="replace")
    contract = Contract(schema_text(RESOLVED_PROFILE))
    registry = open_registry(settings)
    codec = (
        SingleObjectCodec(contract)
        if registry is None
        else RegistryCodec(contract, registry, f"{spec.topic}-value")
    )
    return lambda value: json.dumps(codec.decode(value), ensure_ascii=False)


def show(settings: Settings, identifier: str) -> dict[str, Any]:
    """What is stored of a person, found by any identifier; see ``resolver.inspection``."""
    store, codec = open_store(settings), StateCodec()

    def load(key: str) -> Any:
        stored = store.load([key])[0]
        return codec.decode(key, stored.state).record if stored.version else None

    candidates = [identifier]
    if not identifier.startswith((ANON, EMAIL, USER)):
        candidates = [USER + identifier, EMAIL + identifier.lower(), ANON + identifier]
    return explain(candidates, load, settings.reading())


def dead_letters(settings: Settings) -> Iterator[Message]:
    """Every dead letter that is still there."""
    tools = KafkaTools(client_options(settings))
    yield from tools.read(settings.dead_letters, follow=False, from_start=True)


def replay_dead_letters(settings: Settings, fault: str | None, report: Report) -> int:
    """Sends dead letters back to where they came from; returns the count."""
    tools = KafkaTools(client_options(settings))
    by_topic: dict[str, list[tuple[bytes | None, bytes, Any]]] = {}
    for letter in dead_letters(settings):
        told = dict(letter.headers or [])
        if fault is not None and told.get("resolver.fault") != fault.encode():
            continue
        kept = [one for one in letter.headers or [] if not one[0].startswith("resolver.")]
        origin = told.get("resolver.topic", b"").decode()
        by_topic.setdefault(origin, []).append((letter.key, letter.value or b"", kept))
    return sum(tools.send(topic, letters, report) for topic, letters in by_topic.items())
