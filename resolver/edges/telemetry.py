"""What an operator sees: Prometheus metrics, health endpoints, structured logs.

Metric names are the closed list ``METRICS``. Logs and metrics hold counts, never a trait value
and never an identifier.
"""

import logging
import sys
from collections import Counter as Tally
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from resolver.batch import Batch

METRICS = {
    "events": ("resolver_events_total", "Raw messages by outcome", ["outcome"]),
    "warnings": ("resolver_warnings_total", "Accepted events that were mended", ["warning"]),
    "buried": ("resolver_dead_letters_total", "Dead letters by fault", ["fault"]),
    "emitted": ("resolver_emitted_total", "Messages emitted per destination", ["destination"]),
    "suppressed": (
        "resolver_suppressed_total",
        "Outputs passed over because nothing changed there",
        ["destination"],
    ),
    "left_out": (
        "resolver_left_out_total",
        "What a destination could not take, as often as it was shaped, by reason",
        ["destination", "reason"],
    ),
    "swaps_lost": ("resolver_swaps_lost_total", "Swaps that another worker won", []),
    "transactions": ("resolver_transactions_total", "Transactions by outcome", ["outcome"]),
    "waits": ("resolver_waits_total", "Batches tried again because a service was away", []),
    "batch_events": ("resolver_batch_events", "Messages per batch", []),
    "batch_seconds": ("resolver_batch_seconds", "Seconds from poll to commit of a batch", []),
    "lag": ("resolver_lag_messages", "Messages that wait on the assigned partitions", []),
    "partitions": ("resolver_assigned_partitions", "Partitions assigned to this worker", []),
}
BATCH_EVENTS_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
BATCH_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)


class Telemetry:
    """The worker's observer: told per batch, never per event."""

    def __init__(self, log: Any) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.log = log
        self.registry = CollectorRegistry()
        self.partitions = 0
        self.degraded: str | None = None
        self._left_out: dict[str, Tally[Any]] = {}
        self._counters = {
            name: Counter(*METRICS[name], registry=self.registry)
            for name in METRICS
            if METRICS[name][0].endswith("_total")
        }
        self._lag = Gauge(*METRICS["lag"], registry=self.registry)
        self._partitions = Gauge(*METRICS["partitions"], registry=self.registry)
        self._batch_events = Histogram(
            *METRICS["batch_events"], registry=self.registry, buckets=BATCH_EVENTS_BUCKETS
        )
        self._batch_seconds = Histogram(
            *METRICS["batch_seconds"], registry=self.registry, buckets=BATCH_SECONDS_BUCKETS
        )

    def watch(self, destination: str, left_out: Tally[Any]) -> None:
        """Takes over, after every batch, what a destination's shape counted by reason."""
        self._left_out[destination] = left_out

    def batch_done(self, batch: Batch, seconds: float, lag: int) -> None:
        """A batch is committed."""
        if self.degraded is not None:
            self.degraded = None
            self.log.info("recovered")
        skipped = sum(batch.skipped.values())
        self._count("events", batch.joined, "joined")
        self._count("events", skipped, "skipped")
        self._count("events", len(batch.buried), "buried")
        for warning, times in batch.warned.items():
            self._count("warnings", times, warning)
        for buried in batch.buried:
            self._count("buried", 1, buried.fault.fault)
        for name, times in batch.emitted.items():
            self._count("emitted", times, name)
        for name, times in batch.suppressed.items():
            self._count("suppressed", times, name)
        self._count_left_out()
        self._counters["swaps_lost"].inc(batch.swaps_lost)
        self._count("transactions", 1, "committed")
        self._batch_events.observe(batch.joined + skipped + len(batch.buried))
        self._batch_seconds.observe(seconds)
        self._lag.set(lag)
        self.log.debug(
            "batch_committed",
            joined=batch.joined,
            skipped=skipped,
            buried=len(batch.buried),
            seconds=round(seconds, 3),
            lag=lag,
        )

    def waiting(self, reason: str) -> None:
        """A service is away; the batch will be tried again."""
        self._counters["waits"].inc()
        if self.degraded is None:
            self.log.warning("waiting", reason=reason)
        self.degraded = reason

    def aborted(self, reason: str) -> None:
        """A transaction was given up; the batch will be tried again."""
        self._count("transactions", 1, "aborted")
        self.log.warning("transaction_aborted", reason=reason)

    def assigned(self, partitions: int) -> None:
        """The group gave this worker another number of partitions."""
        self.partitions = partitions
        self.degraded = None
        self._partitions.set(partitions)
        self.log.info("partitions_assigned", partitions=partitions)

    def _count(self, name: str, times: int, *labels: str) -> None:
        if times:
            self._counters[name].labels(*labels).inc(times)

    def _count_left_out(self) -> None:
        for destination, left_out in self._left_out.items():
            for reason, times in left_out.items():
                self._count("left_out", times, destination, reason)
            left_out.clear()


def serve(telemetry: Telemetry, host: str, port: int, reachable: Callable[[], bool]) -> int:
    """Serves /metrics, /healthz and /readyz until the process ends; returns the port.

    Ready means: partitions assigned, the store reachable, nothing waited for.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path, telemetry, reachable)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are not worth a line each."""

    server = ThreadingHTTPServer((host, port), Handler)
    Thread(target=server.serve_forever, name="telemetry", daemon=True).start()
    return int(server.server_address[1])


def answer(
    path: str, telemetry: Telemetry, reachable: Callable[[], bool]
) -> tuple[int, str, bytes]:
    """(status, content type, body) of a path."""
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(telemetry.registry)
    if path == "/healthz":
        return 200, "text/plain", b"alive\n"
    if path != "/readyz":
        return 404, "text/plain", b"try /metrics, /healthz or /readyz\n"
    if telemetry.partitions and telemetry.degraded is None and reachable():
        return 200, "text/plain", b"ready\n"
    reason = telemetry.degraded or ("no partitions" if not telemetry.partitions else "no store")
    return 503, "text/plain", f"not ready: {reason}\n".encode()


def configure_logs(level: str, style: str) -> Any:
    """A structlog logger on stderr: JSON lines, or coloured text on a terminal."""
    renderer: Any = structlog.processors.JSONRenderer()
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return structlog.get_logger()
