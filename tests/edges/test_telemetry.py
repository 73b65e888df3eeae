"""What an operator sees: metrics, health, logs; counts only, never a person."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from resolver.batch import Batch, fold_batch
from resolver.core.events import Reading
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.telemetry import METRICS, Telemetry, answer, configure_logs, serve
from resolver.ports import Message


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def folded(*values: bytes) -> Batch:
    """A batch of raw values."""
    messages = [Message("raw", 0, place, 0, None, one) for place, one in enumerate(values)]
    return fold_batch(messages, JsonDecoder(), Reading())


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(structlog.testing.CapturingLogger())


def scraped(telemetry: Telemetry) -> dict[str, float]:
    """Every sample of the metrics page: name and labels → value."""
    status, kind, body = answer("/metrics", telemetry, lambda: True)
    assert status == 200
    assert kind.startswith("text/plain")
    return {
        ",".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_a_batch_is_counted_by_what_became_of_its_messages(telemetry: Telemetry) -> None:
    """Joined, skipped and buried must add up to what came in, or something was lost."""
    batch = folded(b'{"userId": "u"}', b'{"type": "track"}', b"{no", b'{"userId": "null"}', b"7")

    telemetry.batch_done(batch, 0.03, 17)

    seen = scraped(telemetry)
    assert seen["resolver_events_total,joined"] == 1
    assert seen["resolver_events_total,skipped"] == 1
    assert seen["resolver_events_total,buried"] == 3
    assert seen["resolver_dead_letters_total,undecodable"] == 1
    assert seen["resolver_dead_letters_total,not_an_event"] == 1
    assert seen["resolver_dead_letters_total,no_identifier"] == 1
    assert seen["resolver_warnings_total,illegal_id"] == 1
    assert seen["resolver_transactions_total,committed"] == 1
    assert seen["resolver_batch_events_sum"] == 5
    assert seen["resolver_batch_seconds_sum"] == 0.03
    assert seen["resolver_lag_messages"] == 17


def test_outputs_are_counted_per_destination(telemetry: Telemetry) -> None:
    """A destination that falls silent is seen on a graph before it is missed."""
    batch = folded()
    batch.emitted, batch.suppressed = Counter(Mixpanel=2), Counter(Mixpanel=1, profiles=4)
    batch.swaps_lost = 3

    telemetry.batch_done(batch, 0.01, 0)
    telemetry.batch_done(batch, 0.01, 0)

    seen = scraped(telemetry)
    assert seen["resolver_emitted_total,Mixpanel"] == 4
    assert seen["resolver_suppressed_total,Mixpanel"] == 2
    assert seen["resolver_suppressed_total,profiles"] == 8
    assert seen["resolver_swaps_lost_total"] == 6


def test_metric_names_are_the_closed_list(telemetry: Telemetry) -> None:
    """Dashboards and the table in the documents are made from that list."""
    families = {family.name for family in telemetry.registry.collect()}

    assert families == {name.removesuffix("_total") for name, _, _ in METRICS.values()}


def test_ready_means_assigned_reachable_and_not_waiting(telemetry: Telemetry) -> None:
    """A worker that cannot work must not count as one during a deployment."""

    def said(reachable: bool = True) -> tuple[int, bytes]:
        status, _, body = answer("/readyz", telemetry, lambda: reachable)
        return status, body

    assert said() == (503, b"not ready: no partitions\n")
    telemetry.assigned(3)
    assert said() == (200, b"ready\n")
    assert said(reachable=False) == (503, b"not ready: no store\n")
    telemetry.waiting("Redis is away")
    assert said() == (503, b"not ready: Redis is away\n")
    telemetry.batch_done(folded(), 0.1, 0)
    assert said() == (200, b"ready\n")
    telemetry.assigned(0)
    assert said() == (503, b"not ready: no partitions\n")


def test_alive_is_not_ready(telemetry: Telemetry) -> None:
    """A worker that waits for Redis must not be restarted for it."""
    telemetry.waiting("Redis is away")

    assert answer("/healthz", telemetry, lambda: False)[::2] == (200, b"alive\n")


def test_an_outage_is_logged_once_and_so_is_its_end() -> None:
    """A line per retry would bury the one that matters."""
    with structlog.testing.capture_logs() as lines:
        telemetry = Telemetry(structlog.get_logger())
        for _ in range(5):
            telemetry.waiting("Redis is away")
        telemetry.batch_done(folded(), 0.1, 0)

    assert [one["event"] for one in lines] == ["waiting", "recovered", "batch_committed"]
    assert scraped(telemetry)["resolver_waits_total"] == 5


def test_neither_metrics_nor_logs_hold_a_person() -> None:
    """Both are kept for long, and read by people who may not see profiles."""
    secret = b'{"userId": "zoe-the-user", "anonymousId": "zoe-device", "traits": {"zoe": "zoe"}}'
    buried = b'{"userId": "%s", "zoe": "zoe"}' % (b"zoe" * 200)

    with structlog.testing.capture_logs() as lines:
        telemetry = Telemetry(structlog.get_logger())
        telemetry.batch_done(folded(secret, buried, b"zoe"), 0.1, 0)

    assert "zoe" not in json.dumps(lines)
    assert b"zoe" not in answer("/metrics", telemetry, lambda: True)[2]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/metrics", 200, "resolver_assigned_partitions"),
        ("/healthz", 200, "alive"),
        ("/readyz", 503, "no partitions"),
        ("/", 404, "try /metrics, /healthz or /readyz"),
    ],
)
def test_the_endpoints_answer_over_http(
    telemetry: Telemetry, path: str, status: int, said: str
) -> None:
    """Port 0 takes a free port, and the returned one is where they are."""
    port = serve(telemetry, "127.0.0.1", 0, lambda: True)

    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            found, body = reply.status, reply.read()
    except HTTPError as error:
        found, body = error.code, error.read()

    assert found == status
    assert said in body.decode()


def test_a_port_that_is_taken_is_an_error_at_once(telemetry: Telemetry) -> None:
    """A worker that serves no metrics because another does would be invisible."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(telemetry, "127.0.0.1", taken.getsockname()[1], lambda: True)


def test_logs_are_json_lines_with_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A log collector parses each line; one odd line and it drops the field names."""
    log: Any = configure_logs("info", "json")

    log.debug("unheard")
    log.warning("waiting", reason="Redis is away")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["level"], one["reason"]) for one in lines] == [
        ("waiting", "warning", "Redis is away")
    ]
    assert lines[0]["timestamp"].endswith("Z")


def test_what_destinations_could_not_take_is_counted_per_batch(telemetry: Telemetry) -> None:
    """A mapping that loses a field loses it for everybody, silently, until somebody looks."""
    left_out = Counter({"not_taken": 3})
    telemetry.watch("Mixpanel", left_out)

    telemetry.batch_done(folded(b'{"userId": "u"}'), 0.03, 0)
    left_out["not_taken"] += 1
    telemetry.batch_done(folded(b'{"userId": "u"}'), 0.03, 0)

    assert scraped(telemetry)["resolver_left_out_total,Mixpanel,not_taken"] == 4
    assert not left_out
