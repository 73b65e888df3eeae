"""A backfill put together: one destination receives every stored profile, beside the workers.

Its consumer group, ``<group>.backfill.<destination>``, only keeps how far it came: an interrupted
backfill goes on there, a completed one deletes it.
"""

import signal
from collections.abc import Callable
from typing import Any

from resolver.assembly import SystemClock, spare_garbage
from resolver.batch import Batch
from resolver.config import Settings
from resolver.core.consent import destination_key
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.kafka import KafkaSink, WholeTopic
from resolver.edges.kafka_tools import KafkaTools, Report
from resolver.edges.redis_store import RedisStore
from resolver.edges.state_codec import StateCodec
from resolver.engine import ReferenceEngine
from resolver.errors import ConfigError
from resolver.filling import Filling
from resolver.pipeline import Pipeline
from resolver.targets import build_targets
from resolver.wiring import check_services, client_options, producer_options
from resolver.worker import Limits, Worker

Say = Callable[[str], None]


class Account:
    """What came of a backfill; an observer that says what is waited for, each reason once."""

    def __init__(self, name: str, say: Say) -> None:
        self.name = name
        self.say = say
        self.trouble = ""
        self.looked_at = 0
        self.sent = 0

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None:
        self.trouble = ""
        self.looked_at += batch.joined
        self.sent += batch.emitted[self.name]

    def waiting(self, reason: str) -> None:
        if reason != self.trouble:
            self.say(f"waiting: {reason}")
        self.trouble = reason

    def aborted(self, reason: str) -> None:
        self.waiting(reason)

    def assigned(self, partitions: int) -> None:
        """It has all partitions from the start."""


class Backfill:
    """One run towards the changelog's end as it was when this was made.

    ``total`` counts the offsets of the way, ``resumed`` those an interrupted run has behind it.
    Of two that fill one destination at once the older one is fenced (with transactions).
    Raises ConfigError or Unavailable where a service or a topic is missing.
    """

    def __init__(self, settings: Settings, name: str, *, anew: bool = False) -> None:
        key = destination_key(name)
        if not key:
            raise ConfigError(f"{name!r} is no name of a destination")
        self.settings = settings
        found = [one.name for one in settings.destinations if key in one.keys]
        self.configured = bool(found)
        self.name = found[0] if found else name
        role = f"backfill.{destination_key(self.name)}"
        self.group = f"{settings.kafka.group_id}.{role}"
        self.transactional_id = f"{settings.kafka.group_id}-{role}"
        self.store = check_services(settings)
        self.tools = KafkaTools(client_options(settings))
        topic = settings.changelog
        self.partitions = self.tools.topics()[topic]
        if anew:
            self.tools.forget_group(self.group)
        self.goals = self.tools.ends(topic, self.partitions)
        known = self.tools.committed(self.group, topic, self.partitions)
        self.begins = {one: known[one] for one in known if known[one] <= self.goals[one]}
        self.resumed = sum(self.begins.values())
        self.total = sum(goal - self.begins.get(place, 0) for place, goal in self.goals.items())

    def run(self, report: Report, say: Say) -> tuple[bool, Account]:
        """Runs to the end, or to SIGTERM or SIGINT; whether it is complete, and the account."""
        account = Account(self.name, say)
        filling, worker = self._assemble(account, report)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        spare_garbage()
        worker.run()
        self.store.close()
        if filling.done:
            self.tools.forget_group(self.group)
        return filling.done, account

    def _assemble(self, account: Account, report: Report) -> tuple[Filling, Worker]:
        settings = self.settings
        source = WholeTopic(self._consumer(), settings.changelog, self.partitions)
        exactly_once = settings.delivery == "exactly_once"
        sink = KafkaSink(
            {"log_level": 0, **producer_options(settings)},
            source,
            settings.dead_letters,
            self.transactional_id if exactly_once else None,
        )
        filling = Filling(
            source,
            begins=self.begins,
            goals=self.goals,
            advanced=report,
            exhausted=lambda: worker.stop(),
        )
        pipeline = self._pipeline(self.store, sink)
        limits = Limits(settings.limits.batch_events_max)
        worker = Worker(filling, sink, pipeline, account, limits)
        return filling, worker

    def _pipeline(self, store: RedisStore, sink: KafkaSink) -> Pipeline:
        engine = ReferenceEngine(
            decoder=JsonDecoder(),
            reading=self.settings.reading(),
            codec=StateCodec(),
            digest=payload_digest,
            sink=sink,
            targets=build_targets(self.settings),
            changelog_topic=self.settings.changelog,
            filled=self.name,
        )
        return Pipeline(engine=engine, store=store, sink=sink, clock=SystemClock())

    def _consumer(self) -> dict[str, Any]:
        kafka = self.settings.kafka
        options = {**client_options(self.settings), **kafka.consumer}
        return {"log_level": 0, **options, "group.id": self.group}
