"""The whole way by hand: every verb as a person types it, on a real Kafka and a real Redis."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import redis

from resolver.edges.kafka_tools import KafkaTools
from tests.stack.services import Redis
from tests.system.world import wait_until

VERB_S_MAX = 60.0
NOBODY = "127.0.0.1:1"
EVENTS = [
    {"anonymousId": "device-1", "traits": {"plan": "free"}, "timestamp": "2024-01-01T00:00:00Z"},
    {
        "anonymousId": "device-1",
        "userId": "u1",
        "traits": {"email": "Zoe@Example.com", "plan": "pro"},
        "timestamp": "2024-01-01T00:05:00Z",
    },
    {"userId": "robot", "traits": {"nickname": "Zoe"}},
    {"type": "track", "userId": "u1"},
]
BAD = [b"{no json from Zoe\n", b"\n", b'{"traits": {"name": "Zoe"}}\n']
PERSONAL = ("zoe", "device-1", "nickname", "user:u1", "robot")


class Desk:
    """A folder with settings of its own, and the resolver's verbs to use there."""

    def __init__(self, folder: Path, name: str, bootstrap: str, url: str) -> None:
        self.folder = folder
        self.name = name
        self.environment = {
            variable: value
            for variable, value in os.environ.items()
            if not variable.startswith("RESOLVER_")
        }
        settings = {
            "kafka": {"brokers": bootstrap, "group_id": name},
            "redis": {"url": url, "prefix": f"{name}:"},
            "inputs": [{"topic": f"{name}.raw"}],
            "destinations": [{"name": "profiles", "topic": f"{name}.profiles"}],
            "changelog": f"{name}.changelog",
            "dead_letters": f"{name}.dead",
            "http": {"port": 0},
            "log": {"level": "debug", "format": "json"},
        }
        (folder / "resolver.yaml").write_text(json.dumps(settings))

    def verb(self, *arguments: str, code: int = 0, **environment: str) -> tuple[str, str]:
        """What a verb prints and says, once it has ended as it should."""
        ended = subprocess.run(
            [sys.executable, "-m", "resolver", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=VERB_S_MAX,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout, ended.stderr

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator["Running"]:
        """``resolver run``, killed at the latest when the block ends."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "resolver", "run", *arguments],
                cwd=self.folder,
                env={**self.environment, **environment},
                stderr=log,
            )
        try:
            yield Running(process, self.folder / "log")
        finally:
            process.terminate()
            process.wait(VERB_S_MAX)

    def tail(self) -> dict[str, Any]:
        """The last record of each key that the destination has."""
        printed, _ = self.verb("tail", "profiles", "--no-follow")
        pairs = (line.split("\t") for line in printed.splitlines())
        return {key: json.loads(value) for key, value in pairs}


class Running:
    """A worker, or a group of them, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event; each line so far must be JSON."""
        lines = self.log.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in told if line["event"] == event]

    def wait_until_ready(self, workers: int = 1) -> list[str]:
        """Waits until each worker is ready; where they serve."""

        def ready() -> bool:
            found = [line["metrics"] for line in self.said("serving")]
            return len(found) == workers and all(status(one, "readyz") == 200 for one in found)

        wait_until(ready, "every worker to be ready", 30)
        return [line["metrics"] for line in self.said("serving")]

    def wait_for_messages(self, count: int) -> None:
        """Waits until that many messages are committed."""

        def committed() -> bool:
            done = self.said("batch_committed")
            total: int = sum(one["joined"] + one["skipped"] + one["buried"] for one in done)
            return total >= count

        wait_until(committed, f"{count} messages to be committed", 30)

    def end(self, by: signal.Signals) -> int:
        """The exit code after a signal."""
        self.process.send_signal(by)
        return self.process.wait(30)


def status(metrics: str, path: str) -> int:
    """The status of another path beside the metrics."""
    try:
        with urlopen(metrics.replace("metrics", path), timeout=5) as reply:
            return int(reply.status)
    except HTTPError as error:
        return error.code


def page(metrics: str) -> str:
    with urlopen(metrics, timeout=5) as reply:
        return str(reply.read().decode())


@pytest.fixture
def desk(tmp_path: Path, fresh: str, kafka: Any, redis_server: Any) -> Desk:
    desk = Desk(tmp_path, fresh, kafka.bootstrap, redis_server.url)
    (tmp_path / "events.jsonl").write_bytes(
        b"".join(json.dumps(one).encode() + b"\n" for one in EVENTS) + b"".join(BAD)
    )
    return desk


def test_the_whole_way_from_topics_to_a_replayed_letter(desk: Desk) -> None:
    """These are the README's five minutes; each verb must do what the next one needs."""
    made, _ = desk.verb("topics", "create", "--partitions", "3")
    again, _ = desk.verb("topics", "create")
    assert made.count("created") == again.count("was there") == 4

    _, told = desk.verb("send", "events.jsonl")
    assert told == f"6 events sent to {desk.name}.raw\n"

    with desk.running(RESOLVER_POLICIES__ILLEGAL_IDS='{"user": ["robot"]}') as running:
        metrics = running.wait_until_ready()[0]
        running.wait_for_messages(6)
        seen = page(metrics)
        alive = status(metrics, "healthz")
        ended = running.end(signal.SIGTERM)
        log = running.log.read_text()

    assert (alive, ended) == (200, 0)
    assert log.count('"stopped"') == 1
    assert [name for name in PERSONAL if name in log.lower()] == []
    for sample in (
        'resolver_events_total{outcome="joined"} 2.0',
        'resolver_events_total{outcome="skipped"} 1.0',
        'resolver_events_total{outcome="buried"} 3.0',
        'resolver_dead_letters_total{fault="no_identifier"} 2.0',
        'resolver_warnings_total{warning="illegal_id"} 1.0',
        'resolver_emitted_total{destination="profiles"}',
        "resolver_assigned_partitions 3.0",
        "resolver_lag_messages 0.0",
        "resolver_swaps_lost_total 0.0",
        "resolver_batch_events_bucket",
        "resolver_batch_seconds_bucket",
    ):
        assert sample in seen
    assert [name for name in PERSONAL if name in seen.lower()] == []

    assert desk.tail()["user:u1"]["traits"] == {"email": "Zoe@Example.com", "plan": "pro"}
    listed, told = desk.verb("dlq", "list")
    assert sorted(line.split("\t")[1] for line in listed.splitlines()) == [
        "no_identifier",
        "no_identifier",
        "undecodable",
    ]
    assert told == "3 dead letters\n"
    assert "Zoe" not in listed

    _, told = desk.verb("dlq", "replay", "--fault", "no_identifier")
    assert told == "2 dead letters sent back\n"
    with desk.running() as running:
        running.wait_for_messages(2)
        assert running.end(signal.SIGINT) == 0
    assert desk.tail()["user:robot"]["traits"] == {"nickname": "Zoe"}
    _, told = desk.verb("dlq", "replay")
    assert told == "3 dead letters sent back\n", "a letter that came back counts once"


def test_a_person_is_shown_by_any_identifier_with_what_lost(desk: Desk) -> None:
    """Support has an address, a developer a device id; both ask why the plan is pro."""
    desk.verb("topics", "create", "--partitions", "1")
    desk.verb("send", "events.jsonl")
    with desk.running() as running:
        running.wait_for_messages(6)

    shown = [
        desk.verb("show", identifier)[0]
        for identifier in ("u1", "user:u1", "device-1", "anon:device-1")
    ]
    _, told = desk.verb("show", "nobody", code=1)

    assert len(set(shown)) == 1
    found = json.loads(shown[0])
    assert found["identifiers"] == ["anon:device-1", "user:u1"]
    assert found["because"]["plan"]["won"]["value"] == "pro"
    assert found["because"]["plan"]["won"]["position"] == f"{desk.name}.raw[0]@1"
    assert [(one["value"], one["from"]) for one in found["because"]["plan"]["lost"]] == [
        ("free", "anon:device-1")
    ]
    assert told == "nobody is known as 'nobody' in this Redis\n"


def test_a_replayed_event_keeps_its_first_time(desk: Desk) -> None:
    """Said last year and replayed today, it must not beat what was said in between."""
    desk.verb("topics", "create", "--partitions", "1")
    desk.verb("send", "events.jsonl")
    with desk.running(RESOLVER_POLICIES__ILLEGAL_IDS='{"user": ["robot"]}') as running:
        running.wait_for_messages(6)

    desk.verb("dlq", "replay")
    later = {"userId": "robot", "traits": {"nickname": "later"}}
    (desk.folder / "later.jsonl").write_text(json.dumps(later))
    desk.verb("send", "later.jsonl")
    desk.verb("dlq", "replay")
    with desk.running() as running:
        running.wait_for_messages(7)

    assert desk.tail()["user:robot"]["traits"] == {"nickname": "later"}


def test_two_workers_share_the_partitions_and_stop_together(desk: Desk) -> None:
    """One command for a machine with several cores, and one signal to end it."""
    desk.verb("topics", "create", "--partitions", "4")
    with desk.running("--workers", "2") as running:
        metrics = running.wait_until_ready(2)
        desk.verb("send", "events.jsonl")
        running.wait_for_messages(6)
        assigned = ["resolver_assigned_partitions 2.0" in page(one) for one in metrics]
        ended = running.end(signal.SIGTERM)
        stopped = running.said("stopped")

    assert assigned == [True, True]
    assert ended == 0
    assert len(stopped) == 2
    assert desk.tail()["user:u1"]["traits"]["plan"] == "pro"


def test_a_worker_that_is_killed_ends_its_group_with_code_4(desk: Desk) -> None:
    """Half a group that looks whole is worse than a group that is restarted."""
    desk.verb("topics", "create", "--partitions", "1")
    with desk.running("--workers", "2") as running:
        wait_until(lambda: len(running.said("started")) == 2, "two workers to start", 30)
        pid = running.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

        assert running.process.wait(30) == 4
        assert len(running.said("stopped")) == 1


def test_run_refuses_to_start_without_its_topics(desk: Desk) -> None:
    """A topic that the broker makes up on the fly would not be compacted."""
    names = ("raw", "dead", "changelog", "profiles")
    listed = ", ".join(f"{desk.name}.{one}" for one in names)

    _, told = desk.verb("run", code=2)

    assert told == f"Kafka has no topic {listed}: create it with 'resolver topics create'\n"


@pytest.mark.parametrize(
    ("asked", "found"), [((), 2), (("--changelog-partitions", "5"), 5)], ids=["as usual", "said"]
)
def test_a_changelog_has_fewer_partitions_than_what_is_read_and_written_by_many(
    desk: Desk, kafka: Any, asked: tuple[str, ...], found: int
) -> None:
    """Every partition that a batch writes to costs a request, and nobody waits for a changelog."""
    desk.verb("topics", "create", "--partitions", "8", *asked)

    there = KafkaTools({"bootstrap.servers": kafka.bootstrap}).topics()
    own = {name: count for name, count in there.items() if name.startswith(f"{desk.name}.")}
    assert own.pop(f"{desk.name}.changelog") == found
    assert set(own.values()) == {8}


def test_too_many_replicas_are_answered_with_what_to_choose(desk: Desk) -> None:
    """Three is right in production and impossible on a laptop."""
    _, told = desk.verb("topics", "create", "--replication", "9", code=2)

    assert told.startswith(f"topic {desk.name}.")
    assert told.endswith("Choose --replication up to the number of brokers.\n")


def test_what_is_too_large_for_kafka_is_named_and_the_rest_is_sent(desk: Desk) -> None:
    """One giant line must not keep a million others back."""
    giant = json.dumps({"userId": "u", "traits": {"x": "y" * 1_100_000}})
    (desk.folder / "big.jsonl").write_text(f'{{"userId": "a"}}\n{giant}\n{{"userId": "b"}}\n')
    desk.verb("topics", "create", "--partitions", "1")

    _, told = desk.verb("send", "big.jsonl", code=1)

    assert told.splitlines() == [
        "big.jsonl:2: larger than message.max.bytes: raise it in kafka.producer and on the topic",
        f"2 events sent to {desk.name}.raw, 1 refused",
    ]


def test_check_names_everything_that_is_wrong_at_once(desk: Desk) -> None:
    """The command to run before the first start and after every change."""
    missing, _ = desk.verb("config", "check", code=2)
    desk.verb("topics", "create", "--partitions", "1")
    fine, _ = desk.verb("config", "check")
    no_redis, _ = desk.verb("config", "check", "--redis", f"redis://{NOBODY}", code=3)
    swapped = {"changelog": f"{desk.name}.raw", "inputs": [{"topic": f"{desk.name}.changelog"}]}
    path = desk.folder / "resolver.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), **swapped}))
    wrong, _ = desk.verb("config", "check", code=2)

    assert missing.count("is missing: create it with 'resolver topics create'") == 4
    assert "WRONG" not in fine
    assert fine.count("ok ") == 8
    assert f"WRONG Redis at redis://{NOBODY} does not answer" in no_redis
    assert no_redis.count("WRONG") == 1
    assert f"topic {desk.name}.raw has cleanup.policy=delete: set compact" in wrong
    assert f"topic {desk.name}.changelog has cleanup.policy=compact: set delete" in wrong


def test_a_redis_that_evicts_is_refused_by_check_and_by_run(desk: Desk) -> None:
    """Profiles that vanish when memory is short are noticed months later."""
    server = Redis()
    server.start()
    try:
        redis.Redis.from_url(server.url).config_set("maxmemory-policy", "allkeys-lru")
        printed, _ = desk.verb("config", "check", "--redis", server.url, code=2)
        _, told = desk.verb("run", "--redis", server.url, code=2)
    finally:
        server.close()

    sentence = f"Redis at {server.url} evicts keys (maxmemory-policy allkeys-lru): set "
    assert f"WRONG {sentence}" in printed
    assert told.startswith(sentence)
