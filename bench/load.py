"""Sends events on a schedule, whatever becomes of them: an open loop in a process of its own.

``python -m bench.load ORDER`` sends each event by itself, for a trickle; see ``steady`` for more.
The n-th event is due at ``start + n / rate`` on the monotonic clock, which is one for all processes
of a machine. An event that goes out late counts from when it was due: so a stalled worker, or a
stalled sender, makes latency longer and never hides it.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from select import select
from typing import Any

from confluent_kafka import Producer

from bench.generate import Law, events_of
from tests.stack.services import ROOT, die_with_parent

STEADY_FROM = 1_000.0
"""Events a second from which a sender of its own, ``bench.steady``, sends events together: one
request for each would cost the broker more than whoever reads them."""
TICK_S = 0.001
"""How long the sender sleeps when nothing is due: what it adds to a latency at most."""
READY_S_MAX = 300.0


class LoadError(Exception):
    """A sender ended before everything it was to send was acknowledged."""


@dataclass(frozen=True)
class Order:
    """What to send: ``count`` events of a law from a seed, so many a second."""

    brokers: str
    topic: str
    rate: float
    count: int
    law: dict[str, Any]
    seed: int


class Load:
    """A sender that has generated everything and waits for its start."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.ended = 0.0
        """When the last event had been taken, once it has finished."""
        sender = "bench.steady" if order.rate >= STEADY_FROM else "bench.load"
        self.process = subprocess.Popen(
            [sys.executable, "-m", sender, json.dumps(asdict(order))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def start(self) -> float:
        """Begins now; returns when the first event is due."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdout.readline()
        start = time.monotonic() + 0.1
        print(start, file=self.process.stdin, flush=True)
        return start

    def sending(self) -> bool:
        """Whether there are events that were not sent yet."""
        assert self.process.stdout is not None
        return not select([self.process.stdout], [], [], 0)[0]

    def finish(self) -> float:
        """Waits for the last event; returns by how many seconds one went out late at most. Raises
        LoadError where the sender has given up.
        """
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        if not told:
            raise LoadError(f"the sender for {self.order.topic} has ended: it says why above")
        late, self.ended = map(float, told.split())
        self.process.wait(READY_S_MAX)
        return late

    def close(self) -> None:
        """Ends it, wherever it is."""
        self.process.kill()
        self.process.wait()


def send(order: Order) -> float:
    """Generates, says ``ready``, waits for a start on stdin, sends; returns the worst lateness."""
    events = [(one.key, one.value) for one in events_of(order.count, Law(**order.law), order.seed)]
    producer = Producer(
        {
            "bootstrap.servers": order.brokers,
            "linger.ms": 0,
            "partitioner": "murmur2_random",
        }
    )
    producer.list_topics(order.topic)
    print("ready", flush=True)
    start, late = float(sys.stdin.readline()), 0.0
    sent = 0
    while sent < order.count:
        now = time.monotonic()
        due = min(order.count, int((now - start) * order.rate) + 1) if now >= start else 0
        if sent < due:
            late = max(late, now - (start + sent / order.rate))
        for key, value in events[sent:due]:
            producer.produce(order.topic, value, key)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(TICK_S)
    producer.flush()
    return late


if __name__ == "__main__":
    print(send(Order(**json.loads(sys.argv[1]))), time.monotonic(), flush=True)
