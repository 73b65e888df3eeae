"""The main job once, on a broker and a store inside this process: what ``resolver demo`` runs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any

from resolver import wiring
from resolver.batch import Batch
from resolver.config import Settings, load_settings
from resolver.destinations.aliases import ALIAS
from resolver.destinations.spec import DestinationSpec
from resolver.edges import embedded
from resolver.edges.kafka_tools import KafkaTools
from resolver.errors import Unavailable
from resolver.ports import Message
from resolver.worker import Observer, Worker

DONE_S_MAX = 60.0
"""A hundred events take about a second; after this something is broken."""


@dataclass
class Tally(Observer):
    """Counts what the worker reports."""

    joined: int = 0
    skipped: int = 0
    buried: list[str] = field(default_factory=list)
    assigned_partitions: int = 0
    trouble: str = ""

    @property
    def events(self) -> int:
        """Messages accounted for."""
        return self.joined + self.skipped + len(self.buried)

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None:
        self.joined += batch.joined
        self.skipped += batch.skipped.total()
        self.buried += [one.fault.sentence for one in batch.buried]

    def waiting(self, reason: str) -> None:
        self.trouble = reason

    def aborted(self, reason: str) -> None:
        self.trouble = reason

    def assigned(self, partitions: int) -> None:
        self.assigned_partitions = partitions


@dataclass(frozen=True)
class Outcome:
    """What the demo saw: the input's account, and every destination's topic as it ended."""

    sent: int
    tally: Tally
    seconds: float
    topics: dict[str, "Topic"]
    raw: list[Message]


@dataclass
class Topic:
    """One destination's topic: how many records it holds, and the last of every key."""

    spec: DestinationSpec
    records: int = 0
    tombstones: int = 0
    aliases: int = 0
    last: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The topic's name."""
        return self.spec.topic

    @property
    def profiles(self) -> dict[str, dict[str, Any]]:
        """The keys that ended with a profile."""
        return {key: value for key, value in self.last.items() if value is not None}


def run_demo(say: Callable[[str], None]) -> Outcome:
    """Starts everything, sends the sample, waits until it is resolved, reads every topic."""
    say("starting a broker and a store inside this process")
    with embedded.store() as redis, embedded.broker() as brokers:
        with as_file(files("resolver") / "samples") as samples:
            settings = load_settings(
                samples / "demo.yaml",
                kafka={"brokers": brokers},
                redis={"url": redis},
            )
            embedded.create_topics(brokers, wiring.wanted_topics(settings))
            sample = samples / "identify.jsonl"
            sent = wiring.send(settings, [sample], lambda _: None)
        say(f"{sent} identify events as an SDK states them sent to {settings.inputs[0].topic}")
        tally, seconds = resolve_all(settings, sent)
        say("resolved; reading what every destination received")
        tools = KafkaTools(wiring.client_options(settings))
        raw = list(tools.read(settings.inputs[0].topic, follow=False, from_start=True))
        return Outcome(sent, tally, seconds, read_topics(settings, tools), raw)


def resolve_all(settings: Settings, sent: int) -> tuple[Tally, float]:
    """Runs one worker until every event is accounted for; seconds from the first assignment."""
    tally = Tally()
    worker = wiring.build_worker(settings, wiring.open_store(settings), tally, "demo-0")
    with running(worker):
        wait_for(lambda: tally.assigned_partitions > 0, tally)
        started = time.monotonic()
        wait_for(lambda: tally.events >= sent, tally)
        return tally, time.monotonic() - started


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    """The worker in a thread, for as long as the block lasts."""
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(DONE_S_MAX)


def wait_for(condition: Callable[[], bool], tally: Tally) -> None:
    """Returns once the condition holds; raises Unavailable with the worker's last trouble."""
    deadline = time.monotonic() + DONE_S_MAX
    while not condition():
        if time.monotonic() > deadline:
            reason = tally.trouble or "the worker did not report"
            raise Unavailable(f"the demo did not finish in {DONE_S_MAX:.0f} s: {reason}")
        time.sleep(0.01)


def read_topics(settings: Settings, tools: KafkaTools) -> dict[str, Topic]:
    """Every destination's topic from its beginning."""
    topics = {}
    for spec in settings.destinations:
        topic = topics[spec.name] = Topic(spec)
        for record in tools.read(spec.topic, follow=False, from_start=True):
            topic.records += 1
            topic.tombstones += record.value is None
            value = None if record.value is None else json.loads(record.value)
            if value is not None and value["type"] == ALIAS:
                topic.aliases += 1
            else:
                topic.last[(record.key or b"").decode()] = value
    return topics
