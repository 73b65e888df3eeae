"""One history: a few people, several workers, everything that can go wrong; then the truth."""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resolver.batch import Batch, fold_batch
from resolver.core.events import Reading
from resolver.core.identifiers import USER
from resolver.core.profiles import project
from resolver.core.records import NOTHING
from resolver.core.values import Person, Record
from resolver.destinations.aliases import ALIAS
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import OnMerge
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.memory import (
    Logged,
    MemoryKafka,
    MemoryRedis,
    MemorySink,
    MemorySource,
    MemoryStore,
)
from resolver.edges.state_codec import StateCodec
from resolver.emission import VERSION_HEADER, Emitter
from resolver.engine import Engine, ReferenceEngine
from resolver.errors import Fenced, Unavailable
from resolver.joining import Joiner, Target
from resolver.offline import settle
from resolver.pipeline import CHUNK, Pipeline
from resolver.ports import Message
from resolver.targets import build_target
from resolver.worker import Limits, Pace, Worker
from tests.engines import native
from tests.simulation.scheduler import Crash, Scheduler, Task

RAW, CHANGELOG, DEAD = "raw", "changelog", "dead"
PARTITIONS = 3
START_MS = 1_700_000_000_000
LOST_REPLIES = (
    "store.swap.done",
    "store.load",
    "store.versions",
    "sink.commit.done",
    "sink.commit",
)
TROUBLE_RATES = (0.0, 0.01, 0.06)
"""Per step of one of these kinds, of which a history has some dozens; one rate a history."""
SPECS = (
    DestinationSpec(name="profiles", topic="out.profiles"),
    DestinationSpec(name="mixpanel", topic="out.mixpanel", on_merge=OnMerge.ALIAS),
)


@dataclass(frozen=True)
class Rules:
    """The classes that carry the protocol; a variant replaces one to switch a rule off.

    ``native`` workers have the engine that knows no such variants; a backfill never has it.
    """

    pipeline: type[Pipeline] = Pipeline
    engine: type[ReferenceEngine] = ReferenceEngine
    joiner: type[Joiner] = Joiner
    filler: type[Pipeline] = Pipeline
    worker: type[Worker] = Worker
    emitter: type[Emitter] = Emitter
    store: type[MemoryStore] = MemoryStore
    native: bool = False


class Steady(Pace):
    """Time that passes by being looked at, so that a seed gives the same history."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.05
        return self.now

    def jitter(self) -> float:
        return 0.5


class Nobody:
    """An observer that does not care."""

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None: ...
    def waiting(self, reason: str) -> None: ...
    def aborted(self, reason: str) -> None: ...
    def assigned(self, partitions: int) -> None: ...


class SlowClock:
    """Milliseconds that often stand still and differ between workers."""

    def __init__(self, scheduler: Scheduler, skew_ms: int) -> None:
        self.scheduler = scheduler
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return START_MS + self.scheduler.steps // 40 + self.skew_ms


def targets(specs: Sequence[DestinationSpec] = SPECS) -> list[Target]:
    """Two destinations, so that consent, suppression and alias events are in play."""
    return [build_target(spec) for spec in specs]


class World:
    """The services, the workers on them, and the hand that meddles."""

    def __init__(self, seed: int, rules: Rules, *, exactly_once: bool = True) -> None:
        self.scheduler = Scheduler(seed)
        self.random = self.scheduler.random
        self.rules = rules
        self.exactly_once = exactly_once
        self.kafka = MemoryKafka(PARTITIONS)
        self.redis = MemoryRedis(cluster=self.random.random() < 0.5)
        self.reading = Reading()
        self.calm = False
        self.specs: tuple[DestinationSpec, ...] = SPECS
        self.trouble_rate = self.random.choice(TROUBLE_RATES)
        self.workers: dict[str, tuple[Task, Worker]] = {}
        self.raw = self._fill(history(self.random))

    def _fill(self, events: Sequence[dict[str, Any]]) -> list[Message]:
        """Puts events on the raw topic, some twice, on partitions of no particular order."""
        raw = []
        for number, event in enumerate(events):
            value = json.dumps({**event, "messageId": f"m{number}"}).encode()
            for _ in range(self.random.choice((1, 1, 1, 2))):
                partition = self.random.randrange(PARTITIONS)
                log = self.kafka.logs.setdefault((RAW, partition), [])
                raw.append(Message(RAW, partition, len(log), 0, None, value))
                log.append(Logged(None, value, [], None))
        return raw

    def run(self, workers: int) -> None:
        """Lives the history to its end: everything committed, everybody stopped."""
        names = [f"w{place}" for place in range(workers)]
        for name in names:
            self.start(name)
        self.deal(names)
        self.scheduler.spawn("hand", lambda: self.meddle(names))
        self.scheduler.run()

    def start(self, name: str) -> None:
        """A new process under a name; what an older one left is its to clear up."""
        source = MemorySource(self.kafka, name, self.step)
        sink = MemorySink(source, DEAD, name if self.exactly_once else None, self.step)
        pipeline = self.pipeline(self.rules.pipeline, sink)
        limits = Limits(self.random.choice((1, 2, 4)))
        worker = self.rules.worker(source, sink, pipeline, Nobody(), limits, Steady())
        self.workers[name] = (self.scheduler.spawn(name, worker.run), worker)

    def pipeline(
        self, kind: type[Pipeline], sink: MemorySink, filled: str | None = None
    ) -> Pipeline:
        """A pipeline as the rules have it, on the destinations there are now."""
        is_native = self.rules.native and filled is None
        engine = self.native_engine(sink) if is_native else self.reference_engine(sink, filled)
        store = self.rules.store(self.redis, self.step)
        clock = SlowClock(self.scheduler, self.random.choice((0, 0, -3, 5)))
        pipeline = kind(engine=engine, store=store, sink=sink, clock=clock)
        pipeline.chunk = self.random.choice((1, 2, CHUNK))
        return pipeline

    def native_engine(self, sink: MemorySink) -> Engine:
        """The rules in Rust."""
        return native(sink, targets(self.specs), CHANGELOG, self.reading)

    def reference_engine(self, sink: MemorySink, filled: str | None) -> Engine:
        """The rules in Python, of whose classes a variant may have replaced some."""
        engine = self.rules.engine(
            decoder=JsonDecoder(),
            reading=self.reading,
            codec=StateCodec(),
            digest=payload_digest,
            sink=sink,
            targets=targets(self.specs),
            changelog_topic=CHANGELOG,
            filled=filled,
        )
        policy = self.reading.policy
        engine.joiner = self.rules.joiner(targets(self.specs), policy, payload_digest, filled)
        engine.emitter = self.rules.emitter(sink, policy, CHANGELOG, filled)
        return engine

    def step(self, name: str) -> None:
        """What every call of a port passes: others run, and sometimes a reply is lost."""
        self.scheduler.step()
        if not self.calm and name in LOST_REPLIES and self.random.random() < self.trouble_rate:
            raise Unavailable(f"the reply of {name} was lost")

    def deal(self, names: Sequence[str]) -> None:
        """Another assignment of the partitions."""
        places = [(RAW, partition) for partition in range(PARTITIONS)]
        self.kafka.rebalance({place: self.random.choice(names) for place in places})

    def meddle(self, names: Sequence[str]) -> None:
        """Crashes, pauses, takeovers and late commits; then calm, until all is committed."""
        for _ in range(self.random.randrange(2, 9)):
            self.idle(self.random.randrange(5, 60))
            name = self.random.choice(names)
            self.random.choice((self.crash, self.crash, self.pause, self.expire, self.shuffle))(
                name
            )
        self.calm = True
        for name in names:
            self.expire(name)
        while not self.committed():
            self.idle(20)
            for name in names:
                if self.workers[name][0].ended:
                    self.restart(name)
        for _, worker in self.workers.values():
            worker.stop()

    def idle(self, steps: int) -> None:
        """Lets the others go on for a while."""
        task = self.scheduler.current
        assert task is not None
        task.wakes_at = self.scheduler.steps + steps
        self.scheduler.step()

    def crash(self, name: str) -> None:
        """kill -9 at whatever step the worker stands; the new process starts at once or later."""
        self.workers[name][0].doomed = True
        producer = self.kafka.producers.get(name)
        if producer is not None and producer.offsets:
            producer.ending = self.random.random() < 0.5
        if self.random.random() < 0.5:
            self.expire(name)
        self.restart(name)

    def restart(self, name: str) -> None:
        task, _ = self.workers[name]
        task.doomed = True
        if self.calm:
            self.expire(name)
        self.start(name)
        self.shuffle(name)

    def pause(self, name: str) -> None:
        """A zombie: stands still while the group goes on without it, then wakes."""
        self.workers[name][0].wakes_at = self.scheduler.steps + self.random.randrange(20, 300)
        self.kafka.kick(name)
        self.shuffle(name)
        if self.random.random() < 0.5:
            self.expire(name)

    def expire(self, name: str) -> None:
        """The broker ends a transaction that took too long."""
        self.kafka.expire(name)

    def shuffle(self, _: str) -> None:
        """A rebalance."""
        self.deal(list(self.workers))

    def committed(self) -> bool:
        """Whether every raw message is behind a committed offset."""
        return all(
            self.kafka.offsets.get(place, 0) >= len(log)
            for place, log in self.kafka.logs.items()
            if place[0] == RAW
        )

    def differences(self) -> list[str]:
        """Where the topics or the store do not end as the fold of all events does."""
        records = settle(fold_batch(self.raw, JsonDecoder(), self.reading), self.reading)
        found = [error for name, (task, _) in self.workers.items() for error in crashed(name, task)]
        found += self._wrong_states(records)
        for target in targets(self.specs):
            found += self._wrong_payloads(target, records)
            if target.announces:
                found += self._unannounced(target, records)
        return found

    def _unannounced(self, target: Target, records: dict[str, Record]) -> list[str]:
        """Profiles before which a reader was not told of everybody who is part of them."""
        told: dict[str, set[str]] = defaultdict(set)
        found = []
        for one in self.kafka.committed(target.topic):
            key, message = (one.key or b"").decode(), json.loads(one.value or b"null")
            merged = set(message["profile"]["merged"]) if message else set()
            if is_alias(one.value):
                told[key] |= merged
            elif key.startswith(USER) and merged - told[key]:
                found.append(f"{target.name}: {key} took in {merged - told[key]} without an alias")
        for key, record in records.items():
            profile = project(record, key, target.audience, self.reading.policy)
            if key.startswith(USER) and profile is not None and set(profile.merged) - told[key]:
                found.append(f"{target.name}: {key} has {profile.merged}, told were {told[key]}")
        return found

    def _wrong_states(self, records: dict[str, Record]) -> list[str]:
        found = []
        for key, record in records.items():
            stored = self.redis.records.get(key)
            logged = [
                one.value for one in self.kafka.committed(CHANGELOG) if one.key == key.encode()
            ]
            if self.exactly_once:
                logged = logged[-1:]
            if not stored or decoded(key, stored.state) != plain(record):
                found.append(f"{key} in the store is not the fold of its events")
            if plain(record) not in [decoded(key, one) for one in logged]:
                found.append(f"{key} in the changelog is not the fold of its events")
        return found

    def _wrong_payloads(self, target: Target, records: dict[str, Record]) -> list[str]:
        seen = self.kafka.committed(target.topic)
        if not self.exactly_once:
            seen = sorted((one for one in seen if not is_alias(one.value)), key=version_of)
        last = {(one.key or b"").decode(): one.value for one in seen}
        found = []
        for key in records.keys() | last.keys():
            profile = project(records[key], key, target.audience, self.reading.policy)
            expected = None if profile is None else target.formatter.stable(profile)
            if stable(last.get(key)) != stable(expected):
                found.append(f"{target.name}: {key} is {last.get(key)!r}, not {expected!r}")
        return found


def is_alias(value: bytes | None) -> bool:
    """Whether a record's value is an alias event, which is no state of a profile."""
    return value is not None and json.loads(value)["type"] == ALIAS


def version_of(record: Logged) -> int:
    """The version of the state that a record shows, by which a reader may order records."""
    if record.value is None:
        return int(dict(record.headers)[VERSION_HEADER])
    version: int = json.loads(record.value)["profile"]["version"]
    return version


def decoded(key: str, raw: bytes | None) -> Any:
    """A stored or logged state's record, comparable."""
    return plain(StateCodec().decode(key, raw or b"").record)


def crashed(name: str, task: Task) -> list[str]:
    """What ended a worker, if it was not expected to happen."""
    if task.error is None or isinstance(task.error, Fenced | Crash):
        return []
    return [f"{name} ended by {task.error!r}"]


def plain(record: Record | None) -> Any:
    """A record without the versions of what others contributed."""
    if isinstance(record, Person):
        said = {name: (one.identified, one.anonymous) for name, one in record.sources.items()}
        shares = {name: share for name, share in said.items() if share != NOTHING}
        return (record.own, shares, record.claim)
    return record


def stable(payload: bytes | None) -> Any:
    """A payload without what tells of its own change."""
    if payload is None:
        return None
    message = json.loads(payload)
    message.pop("messageId", None)
    kept = ("id", "firstSeenAt", "lastSeenAt", "anonymousIds", "emails")
    message["profile"] = {name: message["profile"].get(name) for name in kept}
    return message


def history(chance: random.Random) -> list[dict[str, Any]]:
    """Identify events of few people who share devices, addresses and minutes."""
    return [event(chance) for _ in range(chance.randrange(3, 11))]


def event(chance: random.Random) -> dict[str, Any]:
    at = START_MS + 60_000 * chance.randrange(6)
    traits: dict[str, Any] = {chance.choice("pq"): chance.randrange(3)}
    if chance.random() < 0.4:
        traits["email"] = chance.choice(("e@x.io", "f@x.io"))
    stated: dict[str, Any] = {
        "type": "identify",
        "traits": traits,
        "timestamp": at,
        "receivedAt": at,
        "integrations": chance.choice(({}, {}, {"All": False, "mixpanel": True})),
    }
    if chance.random() < 0.8:
        stated["anonymousId"] = chance.choice("ab")
    if chance.random() < 0.5 or "anonymousId" not in stated:
        stated["userId"] = chance.choice(("u", "v", "e@x.io"))
    return stated


def live(seed: int, rules: Rules, *, exactly_once: bool = True) -> tuple[World, list[str]]:
    """A history from its seed, and where its end is not the fold of its events."""
    world = World(seed, rules, exactly_once=exactly_once)
    world.run(workers=2 + seed % 2)
    return world, world.differences()
