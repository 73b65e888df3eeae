"""Changing destinations of a running resolver: adding, filling, remapping, removing."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from bench.generate import generate
from resolver.edges.kafka_tools import KafkaTools, Offsets
from resolver.edges.redis_packing import VERSION_BYTES
from resolver.edges.state_codec import StateCodec
from tests.system.test_commands import VERB_S_MAX, Desk
from tests.system.world import wait_until

PARTITIONS = 3
EVENTS = 500
SMALL_BATCHES = {"RESOLVER_LIMITS__BATCH_EVENTS_MAX": "5"}


class Shop(Desk):
    """A desk whose destinations change."""

    def __init__(self, folder: Path, name: str, bootstrap: str, url: str) -> None:
        super().__init__(folder, name, bootstrap, url)
        self.tools = KafkaTools({"bootstrap.servers": bootstrap})
        self.redis: Any = redis.from_url(url)
        self.group = f"{name}.backfill.late"

    def sends_to(self, *destinations: dict[str, Any]) -> None:
        """Other destinations in the settings, and their topics."""
        file = self.folder / "resolver.yaml"
        settings = json.loads(file.read_text())
        settings["destinations"] = [
            {"topic": f"{self.name}.{one['name']}", **one} for one in destinations
        ]
        file.write_text(json.dumps(settings))
        self.verb("topics", "create", "--partitions", str(PARTITIONS))

    def write(self, name: str, events: list[Any]) -> str:
        (self.folder / name).write_text("".join(json.dumps(one) + "\n" for one in events))
        return name

    def resolve(self, *events: Any) -> None:
        """Sends events and runs a worker until they are committed."""
        self.verb("send", self.write("events", list(events)))
        with self.running() as worker:
            worker.wait_for_messages(len(events))
            assert worker.end(signal.SIGTERM) == 0

    @contextmanager
    def filling(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A backfill as a process that may be killed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "resolver", "backfill", "late"],
            cwd=self.folder,
            env={**self.environment, **environment},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(VERB_S_MAX)

    def lines(self, destination: str) -> list[tuple[str, Any]]:
        """Every record of the destination's topic."""
        printed, _ = self.verb("tail", destination, "--no-follow")
        pairs = (line.split("\t") for line in printed.splitlines())
        return [(key, json.loads(value)) for key, value in pairs]

    def final(self, destination: str) -> dict[str, Any]:
        """The traits of the last record of each key that was not taken back."""
        last = dict(self.lines(destination))
        return {key: value["traits"] for key, value in last.items() if value is not None}

    def remembered(self) -> set[str]:
        """The destinations of which some record in Redis has a digest."""
        found: set[str] = set()
        for key in self.redis.scan_iter(f"{self.name}:{{*"):
            name = key.partition(b"}")[2].decode("latin-1").replace("#", ":", 1)
            if name.startswith(("anon:", "email:", "user:")):
                state = self.redis.get(key)[VERSION_BYTES:]
                found |= StateCodec().decode(name, state).shown.keys()
        return found

    def progress(self) -> Offsets:
        """How far an unfinished backfill has come."""
        return self.tools.committed(self.group, f"{self.name}.changelog", PARTITIONS)


@pytest.fixture
def shop(tmp_path: Path, fresh: str, kafka: Any, redis_server: Any) -> Shop:
    made = Shop(tmp_path, fresh, kafka.bootstrap, redis_server.url)
    made.sends_to({"name": "profiles"})
    return made


def crowd(seed: int = 1) -> list[Any]:
    """Events of people who meet again and again."""
    return [json.loads(value) for _, value in generate(EVENTS * 2, skewed=True)][seed - 1 :: 2]


def test_a_destination_added_later_receives_everybody_while_events_flow(shop: Shop) -> None:
    """Nobody stops the resolver for a new customer of its profiles."""
    shop.resolve(*crowd(1))
    shop.sends_to({"name": "profiles"}, {"name": "late"})
    flowing = [sys.executable, "-m", "resolver", "send", shop.write("more", crowd(2))]

    with shop.running(**SMALL_BATCHES) as worker:
        worker.wait_until_ready()
        sender = subprocess.Popen(flowing, cwd=shop.folder, env=shop.environment)
        _, told = shop.verb("backfill", "late", RESOLVER_LIMITS__BATCH_EVENTS_MAX="5")
        assert sender.wait(VERB_S_MAX) == 0
        worker.wait_for_messages(EVENTS)

    assert "sent to late" in told
    assert shop.final("late") == shop.final("profiles") != {}


def test_a_killed_backfill_goes_on_and_completes(shop: Shop) -> None:
    """A backfill of everybody takes long enough for something to happen."""
    shop.resolve(*crowd())
    shop.sends_to({"name": "profiles"}, {"name": "late"})

    with shop.filling(**SMALL_BATCHES) as doomed:
        wait_until(lambda: bool(shop.progress()), "the backfill to be at work")
        doomed.send_signal(signal.SIGKILL)
        assert doomed.wait(VERB_S_MAX) == -signal.SIGKILL
    unfinished = shop.final("late")
    _, told = shop.verb("backfill", "late")

    assert "going on where the last one was interrupted" in told
    assert len(unfinished) < len(shop.final("profiles"))
    assert shop.final("late") == shop.final("profiles")
    assert not shop.progress()


def test_a_stopped_backfill_says_that_it_is_not_complete(shop: Shop) -> None:
    """A script that goes on after it must not take half for all."""
    shop.resolve(*crowd())
    shop.sends_to({"name": "profiles"}, {"name": "late"})

    with shop.filling(**SMALL_BATCHES) as process:
        wait_until(lambda: bool(shop.progress()), "the backfill to be at work")
        process.send_signal(signal.SIGTERM)
        assert process.wait(VERB_S_MAX) == 1
    _, told = shop.verb("backfill", "late", "--anew")

    assert "going on" not in told
    assert shop.final("late") == shop.final("profiles")


def test_a_second_backfill_sends_everybody_again(shop: Shop) -> None:
    """Somebody emptied their database, and asks for all of it once more."""
    shop.sends_to({"name": "profiles"}, {"name": "late"})
    shop.resolve({"userId": "u", "traits": {"n": 1}}, {"userId": "v", "traits": {"n": 2}})
    before = len(shop.lines("profiles"))

    for _ in range(2):
        shop.verb("backfill", "late")

    assert len(shop.lines("late")) == 6
    assert len(shop.lines("profiles")) == before


def test_a_changed_mapping_is_sent_at_the_next_touch_or_at_once(shop: Shop) -> None:
    """A new name for a field must reach those who are still heard of, and all on request."""
    shop.sends_to({"name": "late"})
    shop.resolve({"userId": "u", "traits": {"n": 1}}, {"userId": "v", "traits": {"n": 2}})
    shop.sends_to({"name": "late", "traits": {"n": {"to": "number"}}})

    shop.resolve({"userId": "u", "traits": {}})
    touched = shop.final("late")
    shop.verb("backfill", "late")

    assert touched == {"user:u": {"number": 1}, "user:v": {"n": 2}}
    assert shop.final("late") == {"user:u": {"number": 1}, "user:v": {"number": 2}}


def test_a_destination_of_changes_begins_with_everything(shop: Shop) -> None:
    """What changed says nothing to somebody who never had the rest."""
    shop.resolve({"userId": "u", "traits": {"n": 1}}, {"userId": "v", "traits": {"n": 2}})
    shop.sends_to({"name": "profiles"}, {"name": "late", "payload": "changes"})

    shop.resolve({"userId": "u", "traits": {"m": 3}})
    touched = shop.final("late")
    shop.resolve({"userId": "u", "traits": {"m": 4}})
    once_more = shop.final("late")
    shop.verb("backfill", "late")

    assert touched == {"user:u": {"n": 1, "m": 3}}
    assert once_more == {"user:u": {"m": 4}}
    assert shop.final("late") == {"user:u": {"n": 1, "m": 4}, "user:v": {"n": 2}}


def test_a_removed_destination_leaves_nothing_behind(shop: Shop) -> None:
    """Bytes that nobody will read are paid for ever, and mislead if it is added again."""
    shop.sends_to({"name": "profiles"}, {"name": "late"})
    shop.resolve(*crowd()[:50])
    assert shop.remembered() == {"profiles", "late"}
    shop.sends_to({"name": "profiles"})
    sent = len(shop.lines("profiles"))

    _, told = shop.verb("backfill", "late")

    assert "it is forgotten" in told
    assert shop.remembered() == {"profiles"}
    assert len(shop.lines("profiles")) == sent


def test_a_missing_topic_is_named(shop: Shop) -> None:
    """The new destination's topic is what people forget."""
    file = shop.folder / "resolver.yaml"
    text = file.read_text()
    file.write_text(text.replace(f"{shop.name}.profiles", f"{shop.name}.absent"))

    _, told = shop.verb("backfill", "profiles", code=2)

    assert f"{shop.name}.absent" in told
    assert "resolver topics create" in told
