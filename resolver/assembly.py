"""A worker put together from its parts: the same for production, the demo and the tests."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resolver.core.consent import Audience
from resolver.core.events import RawEvent, Reading, Warned
from resolver.core.policy import Policy
from resolver.core.profiles import Profile
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.json_format import JsonFormatter
from resolver.edges.kafka import KafkaSink, KafkaSource
from resolver.edges.native import NATIVE_ENGINE
from resolver.edges.redis_store import RedisStore
from resolver.edges.state_codec import StateCodec
from resolver.engine import Engine, ReferenceEngine
from resolver.errors import ConfigError
from resolver.joining import Target
from resolver.pipeline import Pipeline
from resolver.ports import Decoder, Formatter, Sink
from resolver.worker import Limits, Observer, Worker

YOUNG_OBJECTS = 2_000_000
"""Objects between two garbage collections: more than a full batch holds at once, which is freed
without them. Each one in the middle of a batch would look through all of it in vain."""

Shape = Callable[[Profile], dict[str, Any] | None]


class SystemClock:
    """The wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class DecoderByTopic:
    """Reads each topic in its own format; JSON where none is named."""

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self._decoders = decoders
        self._json = JsonDecoder()

    def decode(self, topic: str, value: bytes, warned: list[Warned]) -> RawEvent:
        """The event; raises BadEvent."""
        return self._decoders.get(topic, self._json).decode(topic, value, warned)


@dataclass(frozen=True)
class Parts:
    """What a worker is made of; addresses and options as the clients take them."""

    consumer: dict[str, Any]
    producer: dict[str, Any]
    topics: Sequence[str]
    dead_letter_topic: str
    changelog_topic: str | None
    transactional_id: str | None
    store: RedisStore
    targets: Sequence[Target]
    observer: Observer
    reading: Reading = field(default_factory=Reading)
    decoders: Mapping[str, Decoder] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    engine: str = "auto"


def json_target(name: str, topic: str, audience: Audience, shape: Shape) -> Target:
    """A destination that takes JSON."""
    formatter: Formatter = JsonFormatter(shape)
    return Target(name, topic, audience, formatter)


def assemble(parts: Parts) -> Worker:
    """A worker ready to run."""
    source = KafkaSource(parts.consumer, parts.topics)
    sink = KafkaSink(parts.producer, source, parts.dead_letter_topic, parts.transactional_id)
    engine = build_engine(parts, sink)
    pipeline = Pipeline(engine=engine, store=parts.store, sink=sink, clock=SystemClock())
    spare_garbage()
    return Worker(source, sink, pipeline, parts.observer, parts.limits)


def build_engine(parts: Parts, sink: Sink) -> Engine:
    """The native engine where it is there and knows the policies, else the reference."""
    decoder = DecoderByTopic(parts.decoders)
    if is_native(parts.engine, parts.reading.policy):
        engine: Engine = NATIVE_ENGINE(
            decoder=decoder,
            reading=parts.reading,
            sink=sink,
            targets=parts.targets,
            changelog_topic=parts.changelog_topic,
            general_topics=parts.decoders.keys(),
        )
        return engine
    return ReferenceEngine(
        decoder=decoder,
        reading=parts.reading,
        codec=StateCodec(),
        digest=payload_digest,
        sink=sink,
        targets=parts.targets,
        changelog_topic=parts.changelog_topic,
    )


def is_native(wanted: str, policy: Policy) -> bool:
    """Whether the native engine is to be used; raises ConfigError where it is wanted and cannot."""
    if wanted == "native" and NATIVE_ENGINE is None:
        raise ConfigError("engine: native is not in this installation; see the README")
    if wanted == "native" and not policy.is_plain:
        raise ConfigError("engine: native knows no policies for single traits: auto, or reference")
    return wanted != "reference" and NATIVE_ENGINE is not None and policy.is_plain


def spare_garbage() -> None:
    """Keeps objects made so far out of garbage collection: what a batch makes holds no cycles,
    and looking through it cost an eighth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
