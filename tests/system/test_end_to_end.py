"""The main job on a real Kafka and a real Redis."""

import itertools
import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from bench.generate import generate
from resolver.core.consent import Audience, destination_key
from tests.stack.services import Redis
from tests.system.world import World, wait_until

DATA = Path(__file__).parent.parent / "data"
SCENARIOS = [json.loads(line) for line in (DATA / "scenarios.jsonl").read_text().splitlines()]
PAYLOADS = sorted(path for path in (DATA / "sdk").glob("*.jsonl") if "meta" not in path.name)


@pytest.fixture
def world(fresh: str, kafka: Any, redis_server: Any) -> World:
    return World(fresh, kafka.bootstrap, redis_server.url)


def crowd(count: int = 2_000, seed: int = 3) -> list[bytes]:
    """Generated events of few enough people that they meet again and again."""
    chance = random.Random(seed)
    events = []
    for _, value in generate(count, skewed=True):
        event = json.loads(value)
        event["integrations"] = chance.choice([{}, {}, {"Mixpanel": False}, {"All": False}])
        events.append(json.dumps(event).encode())
    return events


def test_every_worked_example_passes_through_the_topics(world: World) -> None:
    """What is right in memory must be right after decoding, storing and emitting."""
    values: list[bytes | None] = []
    expected: dict[str, dict[str, Any]] = {"profiles": {}, "mixpanel": {}}
    for number, scenario in enumerate(SCENARIOS):
        text = json.dumps(renamed(scenario, number))
        told = json.loads(text)
        values += [json.dumps(event).encode() for event in told["events"]]
        seen_by = destination_key(scenario.get("destination", "profiles"))
        if seen_by in expected:
            expected[seen_by].update(told["profiles"])
    random.Random(5).shuffle(values)
    world.send(values)

    with world.worker():
        world.wait_until_committed()

    for topic, profiles in expected.items():
        final = world.final(topic)
        assert {key: final[key]["traits"] for key in profiles} == profiles
    world.assert_final()


KEPT = ("", "undefined", "null", "123")
"""Identifiers that an example is about: they stay as they are."""


def renamed(scenario: dict[str, Any], number: int) -> dict[str, Any]:
    """The scenario with people of its own, so that all can share one topic."""

    def own(identifier: Any) -> Any:
        if not isinstance(identifier, str) or identifier in KEPT:
            return identifier
        return f"s{number}.{identifier}"

    events = []
    for event in scenario["events"]:
        event = dict(event)
        for name in ("anonymousId", "userId"):
            if name in event:
                event[name] = own(event[name]) if not isinstance(event[name], int) else event[name]
        if "email" in event.get("traits", {}) and event["traits"]["email"] is not None:
            event["traits"] = {**event["traits"], "email": own(event["traits"]["email"])}
        events.append(event)
    profiles = {}
    for key, traits in scenario["profiles"].items():
        kind, value = key.split(":", 1)
        traits = {**traits, "email": own(traits["email"])} if "email" in traits else traits
        profiles[f"{kind}:{own(value)}"] = traits
    return {"events": events, "profiles": profiles}


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.name)
def test_real_payloads_are_all_accounted_for(world: World, path: Path) -> None:
    """Nothing real SDKs send may stop a partition or vanish from it."""
    lines: list[bytes | None] = list(path.read_bytes().splitlines())
    world.send(lines)

    with world.worker():
        world.wait_until_committed()

    world.assert_final()
    buried = world.records("dead")
    assert all(record.value in lines for record in buried)
    for record in buried:
        assert {name for name, _ in record.headers or ()} >= {"resolver.fault", "resolver.offset"}


def test_three_workers_and_repeated_shuffled_events_end_in_the_offline_result(
    world: World,
) -> None:
    """Concurrency, repeats and order must not show in any profile."""
    values: list[bytes | None] = [*crowd(), *crowd()]
    random.Random(8).shuffle(values)
    chance = random.Random(9)

    with world.worker(0), world.worker(1), world.worker(2):
        world.send(values, lambda _: chance.randrange(12))
        world.wait_until_committed()

    world.assert_final()


@pytest.mark.parametrize("step", ["sink.flush", "sink.commit_offsets", "store.note_commit"])
def test_a_kill_between_swap_and_commit_loses_no_output(world: World, step: str) -> None:
    """The store already has what the topics have not: the next worker must notice."""
    world.send(list(crowd(300)))

    with world.worker(0, crash_at=step) as doomed:
        wait_until(lambda: doomed.poll() == -signal.SIGKILL, "the worker to die")
    with world.worker(0):
        world.wait_until_committed()

    world.assert_final()


def test_replaying_the_topic_emits_nothing_new(world: World) -> None:
    """Downstream services must not be flooded because somebody reset an offset."""
    world.send(list(crowd(500)))
    with world.worker():
        world.wait_until_committed()
    before = {one: world.records(one) for one in ("profiles", "mixpanel", "changelog")}

    with world.worker(group=f"{world.name}-again"):
        world.wait_until_committed(f"{world.name}-again")

    assert before == {one: world.records(one) for one in before}


def test_a_paused_worker_that_wakes_after_a_takeover_changes_nothing(world: World) -> None:
    """A zombie must be fenced, whatever it still holds, and its partitions be read to their end."""
    with world.worker(0, session_ms=2000, messages_max=50) as paused:
        world.send(list(crowd(1_500)))
        wait_until(lambda: bool(world.records("changelog")), "the first worker to be at work")
        paused.send_signal(signal.SIGSTOP)
        with world.worker(1, session_ms=2000, messages_max=50):
            world.wait_until_committed()
            world.assert_final()
            for seed in range(11, 14):
                paused.send_signal(signal.SIGCONT)
                world.send(list(crowd(1_000, seed=seed)))
                paused.send_signal(signal.SIGSTOP)
                world.wait_until_committed()
            paused.send_signal(signal.SIGCONT)
            world.send(list(crowd(300, seed=14)))
            world.wait_until_committed()

    world.assert_final()


def test_a_store_that_is_away_for_a_while_loses_nothing(fresh: str, kafka: Any) -> None:
    """Redis restarts happen; the worker waits, and nothing is dropped or buried."""
    server = Redis()
    server.start()
    world = World(fresh, kafka.bootstrap, server.url)
    values = crowd(3_000)
    try:
        with world.worker(messages_max=100):
            world.send(list(values[:1_500]))
            wait_until(lambda: bool(world.records("changelog")), "the worker to be at work")
            server.stop()
            world.send(list(values[1_500:]))
            for _ in itertools.repeat(None, 10):
                world.records("dead")
            server.start()
            world.wait_until_committed()
        world.assert_final()
        assert not world.records("dead")
    finally:
        server.close()


def test_at_least_once_ends_in_the_same_profiles(world: World) -> None:
    """The cheaper mode may repeat a record; it must not change the last one."""
    world.send(list(crowd(500)))

    with world.worker(exactly_once=False):
        world.wait_until_committed()

    assert world.final("mixpanel") == world.expected(Audience(("mixpanel",)))
    world.assert_final()
