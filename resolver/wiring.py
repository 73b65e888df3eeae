"""The only place where concrete classes meet: settings in, running parts out."""

import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from resolver.assembly import Parts, assemble, is_native
from resolver.config import Settings
from resolver.core.events import PlainEvent, RawEvent, Warned
from resolver.destinations.vocabulary import Format
from resolver.edges.avro_codec import AvroCodec
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.kafka_tools import (
    KafkaTools,
    Letter,
    Outgoing,
    Report,
    check_options,
    key_of,
    missing_topics,
    read_letter,
    replays,
)
from resolver.edges.native import NATIVE_LINES, NATIVE_PACKING
from resolver.edges.redis_client import connect, connect_sentinel
from resolver.edges.redis_packing import Packer
from resolver.edges.redis_store import RedisStore
from resolver.edges.schema_files import IDENTIFY, schema_text
from resolver.edges.state_codec import StateCodec
from resolver.edges.telemetry import Telemetry, configure_logs, serve
from resolver.errors import ConfigError, Fault, ResolverError, Unavailable
from resolver.inspection import candidates_of, check_store, explain, reaching_store, store_address
from resolver.offline import (
    Account,
    audience_of,
    fold_lines,
    profiles,
    read_lines,
    resolve_natively,
    spec_of,
)
from resolver.offline import (
    count_lines as count_lines,
)
from resolver.ports import Decoder
from resolver.targets import build_codec, build_targets, open_registry, profile_reader
from resolver.worker import Limits, Observer, Worker

CLIENT_LOG = logging.getLogger("resolver.kafka_client")
WORKER = "RESOLVER_WORKER"
"""The variable that tells a process of several its number."""
SENTINEL_PORT = 26379
TOO_LARGE = "larger than message.max.bytes: raise it in kafka.producer and on the topic"
Refuse = Callable[[str], None]


def run_worker(settings: Settings, member: str) -> None:
    """Runs one worker until SIGTERM or SIGINT; raises what ended it."""
    log = configure_logs(settings.log.level, settings.log.format).bind(member=member)
    CLIENT_LOG.addHandler(ClientLog(log))
    CLIENT_LOG.propagate = False
    store = check_services(settings)
    telemetry = Telemetry(log)
    worker = build_worker(settings, store, telemetry, member)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if settings.http.port >= 0:
        port = serve_telemetry(settings, telemetry, store)
        log.info("serving", metrics=f"http://{settings.http.host}:{port}/metrics")
    log.info(
        "started",
        topics=[one.topic for one in settings.inputs],
        delivery=settings.delivery,
        engine=engine_name(settings),
    )
    worker.run()
    log.info("stopped")


class ClientLog(logging.Handler):
    """Kafka's client library among the resolver's own structured logs."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        getattr(self._log, record.levelname.lower())("kafka_client", said=record.getMessage())


def check_services(settings: Settings) -> RedisStore:
    """The store; raises what is wrong with it, Kafka's settings, Kafka or its topics."""
    store = open_store(settings)
    check_store(settings, store)
    check_clients(settings)
    there = KafkaTools(client_options(settings)).topics()
    missing = [name for name in wanted_topics(settings) if name not in there]
    if missing:
        raise ConfigError(missing_topics(missing))
    return store


def serve_telemetry(settings: Settings, telemetry: Telemetry, store: RedisStore) -> int:
    """Serves metrics and health; the n-th worker of a process group at the n-th port."""
    http, number = settings.http, os.environ.get(WORKER, "0")
    port = http.port + int(number) if http.port and number.isdecimal() else http.port
    try:
        return serve(telemetry, http.host, port, store.ping)
    except OSError as error:
        raise ConfigError(
            f"http.port: {http.host}:{port} cannot be served ({error.strerror}): choose another,"
            " 0 for any free one, or -1 for none"
        ) from error


def build_worker(settings: Settings, store: RedisStore, observer: Observer, member: str) -> Worker:
    """A worker of these settings."""
    watch = observer.watch if isinstance(observer, Telemetry) else None
    exactly_once = settings.delivery == "exactly_once"
    return assemble(
        Parts(
            consumer={**consumer_options(settings, member), "logger": CLIENT_LOG},
            producer={**producer_options(settings), "logger": CLIENT_LOG},
            topics=[one.topic for one in settings.inputs],
            dead_letter_topic=settings.dead_letters,
            changelog_topic=settings.changelog,
            transactional_id=f"{settings.kafka.group_id}-{member}" if exactly_once else None,
            store=store,
            targets=build_targets(settings, watch),
            observer=observer,
            reading=settings.reading(),
            decoders=build_decoders(settings),
            limits=Limits(settings.limits.batch_events_max),
            engine=settings.engine,
        )
    )


def engine_name(settings: Settings) -> str:
    """Which engine a worker of these settings has."""
    return "native" if is_native(settings.engine, settings.reading().policy) else "reference"


def member_name(settings: Settings) -> str:
    """A name that is this worker's over restarts: static membership and fencing hang on it."""
    host = settings.member or socket.gethostname()
    return f"{host}-{os.environ.get(WORKER, '0')}"


def consumer_options(settings: Settings, member: str) -> dict[str, Any]:
    """What the worker's consumer is told."""
    kafka = settings.kafka
    session_ms = {"session.timeout.ms": settings.limits.session_timeout_ms}
    return {
        **client_options(settings),
        "group.id": kafka.group_id,
        "group.protocol": kafka.group_protocol,
        "group.instance.id": member,
        **(session_ms if kafka.group_protocol == "classic" else {}),
        **kafka.consumer,
    }


def producer_options(settings: Settings) -> dict[str, Any]:
    """What the worker's producer is told."""
    timeout = {"transaction.timeout.ms": settings.limits.transaction_timeout_ms}
    return {
        **client_options(settings),
        **(timeout if settings.delivery == "exactly_once" else {}),
        **settings.kafka.producer,
    }


def client_options(settings: Settings) -> dict[str, Any]:
    """What every Kafka client is told."""
    return {"bootstrap.servers": settings.kafka.brokers, **settings.kafka.options}


class AvroDecoder:
    """Raw events of one Avro topic."""

    def __init__(self, codec: AvroCodec) -> None:
        self._codec = codec

    def decode(self, _: str, value: bytes, warned: list[Warned]) -> RawEvent:
        return PlainEvent(self._codec.decode(value, warned))


def build_decoders(settings: Settings) -> dict[str, Decoder]:
    """Decoders of the topics that are not JSON."""
    registry, schema = open_registry(settings), schema_text(IDENTIFY)
    return {
        one.topic: AvroDecoder(build_codec(schema, registry, one.topic))
        for one in settings.inputs
        if one.format is Format.AVRO
    }


def open_store(settings: Settings) -> RedisStore:
    """The store; nothing connects yet."""
    redis = settings.redis
    reference = settings.engine == "reference" or NATIVE_PACKING is None
    packing = Packer if reference else NATIVE_PACKING
    if redis.sentinel is not None:
        addresses = (one.partition(":") for one in redis.sentinel.hosts)
        hosts = [(host, int(port or SENTINEL_PORT)) for host, _, port in addresses]
        client = connect_sentinel(hosts, redis.sentinel.service, redis.url)
        return RedisStore(client, redis.prefix, packing)
    try:
        with reaching_store(settings):
            client = connect(redis.url, cluster=redis.cluster)
    except ValueError as error:
        raise ConfigError(f"redis.url: {error}") from error
    return RedisStore(client, redis.prefix, packing, cluster=redis.cluster)


def check(settings: Settings) -> Iterator[tuple[str, ResolverError | None]]:
    """(what was looked at, what is wrong or None), one by one."""
    deeds: dict[str, Callable[[], object]] = {
        f"Redis at {store_address(settings)}": lambda: check_store(settings, open_store(settings))
    }
    registry = open_registry(settings)
    if registry is not None:
        deeds[f"the schema registry at {settings.kafka.schema_registry}"] = registry.check
    faults: list[tuple[str, str | None]] = []
    if settings.engine == "native":
        deeds["the native engine"] = lambda: engine_name(settings)
    deeds["Kafka's options"] = lambda: check_clients(settings)
    deeds[f"Kafka at {settings.kafka.brokers}"] = lambda: faults.extend(topic_faults(settings))
    for subject, deed in deeds.items():
        try:
            deed()
            yield subject, None
        except (ConfigError, Unavailable) as error:
            yield subject, error
    for name, fault in faults:
        yield f"topic {name}", ConfigError(f"topic {name} {fault}") if fault else None


def topic_faults(settings: Settings) -> list[tuple[str, str | None]]:
    """Each topic, and what is wrong with it."""
    return KafkaTools(client_options(settings)).faults(wanted_topics(settings))


def check_clients(settings: Settings) -> None:
    """Raises ConfigError if Kafka's client refuses a setting."""
    check_options(consumer_options(settings, "-"), producer_options(settings))


def wanted_topics(settings: Settings) -> dict[str, bool]:
    """Every topic the settings name, and whether it must be compacted."""
    topics = {one.topic: False for one in settings.inputs}
    topics[settings.dead_letters] = False
    topics[settings.changelog] = True
    return topics | {one.topic: True for one in settings.destinations}


def create_topics(
    settings: Settings, partitions: int, replication: int, changelog_partitions: int | None = None
) -> dict[str, bool]:
    """Creates the missing topics; for each, whether it was made."""
    tools = KafkaTools(client_options(settings))
    tools.topics()  # raises within seconds where there is no broker
    wanted = wanted_topics(settings)
    log = {settings.changelog: wanted.pop(settings.changelog)}
    of_log = changelog_partitions or partitions_of_changelog(partitions)
    return tools.create(wanted, partitions, replication) | tools.create(log, of_log, replication)


def partitions_of_changelog(partitions: int) -> int:
    """How many suffice where other topics have so many: every one that a batch writes to costs a
    request and a marker, and nobody reads a changelog while workers work.
    """
    return max(1, partitions // 4)


def resolve(
    settings: Settings, paths: list[Path], destination: str | None
) -> tuple[Iterator[bytes], Account]:
    """Final profiles as JSON lines, and the account of the input."""
    audience, reading = audience_of(settings, destination), settings.reading()
    lines, decoder, start_us = read_lines(paths), JsonDecoder(), time.time_ns() // 1_000
    gc.disable()  # records hold no cycles, and looking for some would take half of the time
    if is_native(settings.engine, reading.policy):
        return resolve_natively(NATIVE_LINES, lines, decoder, reading, start_us, audience)
    records, account = fold_lines(lines, decoder, reading, start_us)
    encode = msgspec.json.Encoder().encode
    found = profiles(records, reading, audience, msgspec.Raw)
    return (encode(one) for one in found), account


def send(
    settings: Settings, paths: list[Path], report: Report, refuse: Refuse = lambda _: None
) -> int:
    """Sends lines to the first raw topic, keyed by whom they are about; returns the count.

    ``refuse`` is told, in a sentence, of each line that is too large for Kafka.
    """
    topic = settings.inputs[0]
    if topic.format is not Format.JSON:
        raise ConfigError(f"topic {topic.topic} takes {topic.format.value}; lines are JSON")
    lines = read_lines(paths)
    tools = KafkaTools(client_options(settings))
    if topic.topic not in tools.topics():
        raise ConfigError(missing_topics([topic.topic]))
    place = ""

    def messages() -> Iterator[Outgoing]:
        nonlocal place
        for line in lines:
            place = f"{line.file}:{line.number}"
            yield Outgoing(topic.topic, key_of(line.raw), line.raw.strip())

    return tools.send(messages(), report, lambda _: refuse(f"{place}: {TOO_LARGE}"))


def tail(settings: Settings, destination: str, *, follow: bool, from_start: bool) -> Iterator[str]:
    """A destination's records as lines ``key<TAB>value``; a tombstone's value is ``null``."""
    spec = spec_of(settings, destination)
    tools = KafkaTools(client_options(settings))
    decode = profile_reader(settings, spec)
    for record in tools.read(spec.topic, follow=follow, from_start=from_start):
        key = (record.key or b"").decode(errors="replace")
        yield f"{key}\t{'null' if record.value is None else decode(record.value)}"


def show(settings: Settings, identifier: str) -> dict[str, Any]:
    """What is stored of a person, found by any identifier; see ``resolver.inspection``."""
    store, codec = open_store(settings), StateCodec()

    def load(key: str) -> Any:
        stored = store.load([key])[0]
        return codec.decode(key, stored.state).record if stored.version else None

    with reaching_store(settings):
        return explain(candidates_of(identifier), load, settings.reading())


def dead_letters(settings: Settings) -> Iterator[Letter]:
    """Every dead letter that is still there."""
    tools = KafkaTools(client_options(settings))
    found = tools.read(settings.dead_letters, follow=False, from_start=True)
    return (letter for letter in map(read_letter, found) if letter is not None)


def replay_dead_letters(
    settings: Settings, fault: str | None, report: Report, refuse: Refuse
) -> int:
    """Sends each buried event back to where it came from, once; returns the count."""
    if fault is not None and fault not in set(Fault):
        raise ConfigError(f"there is no fault {fault!r}; there are {', '.join(Fault)}")
    tools = KafkaTools(client_options(settings))
    there = tools.topics()

    def messages() -> Iterator[Outgoing]:
        for one in replays(dead_letters(settings), fault):
            if one.topic in there:
                yield one
            else:
                refuse(missing_topics([one.topic]))

    return tools.send(messages(), report, lambda one: refuse(f"{one.topic}: {TOO_LARGE}"))
