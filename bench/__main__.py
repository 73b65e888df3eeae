"""``python -m bench``: the resolver beside a passthrough, in turn, on the same broker and events.

Only the ratios mean something: machines differ, and so do their minutes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from bench.generate import generate
from resolver.edges.kafka_tools import KafkaTools
from tests.stack.services import Kafka, Redis

CONTENDERS = ("passthrough", "exactly_once", "at_least_once")
Figures = dict[str, float]


def main() -> None:
    """Generates, runs the contenders in turn, prints and optionally saves the table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", choices=("uniform", "skewed", "both"), default="both")
    parser.add_argument("--json", help="also write the figures to this file")
    chosen = parser.parse_args()
    laws = ("uniform", "skewed") if chosen.keys == "both" else (chosen.keys,)
    console = Console()
    with services() as (brokers, redis):
        measured = {
            law: measure(brokers, redis, law, chosen.events, chosen.rounds, console) for law in laws
        }
    for law, runs in measured.items():
        console.print(table_of(law, chosen.events, runs))
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(measured, file, indent=1)


@contextmanager
def services() -> Iterator[tuple[str, str]]:
    """A broker and a Redis: given addresses, else started here."""
    given = os.environ.get("RESOLVER_TEST_KAFKA"), os.environ.get("RESOLVER_TEST_REDIS")
    if given[0] and given[1]:
        yield given[0], given[1]
        return
    kafka, redis = Kafka(), Redis()
    try:
        kafka.start()
        redis.start()
        yield kafka.bootstrap, redis.url
    finally:
        redis.close()
        kafka.close()


def measure(
    brokers: str, redis: str, law: str, events: int, rounds: int, console: Console
) -> dict[str, list[Figures]]:
    """The figures of every round by contender; the same bytes for all of them."""
    raw = f"bench-{law}-{uuid.uuid4().hex[:8]}"
    KafkaTools({"bootstrap.servers": brokers}).create({raw: False}, 12, 1)
    fill(brokers, raw, events, skewed=law == "skewed")
    runs: dict[str, list[Figures]] = {contender: [] for contender in CONTENDERS}
    for number in range(rounds):
        for contender in CONTENDERS:
            name = f"{raw}-{contender}-{number}"
            setup = {"brokers": brokers, "redis": redis, "raw": raw, "name": name}
            figures = run_contender(contender, {**setup, "events": events})
            runs[contender].append(figures)
            console.print(
                f"{law} round {number + 1}: {contender} {figures['events_per_s']:,.0f} events/s,"
                f" {figures['cpu_us_per_event']:.1f} µs CPU per event",
                highlight=False,
            )
            time.sleep(1)
    return runs


def fill(brokers: str, topic: str, events: int, *, skewed: bool) -> None:
    """Puts the generated events on the raw topic."""
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number, (key, value) in enumerate(generate(events, skewed=skewed)):
        producer.produce(topic, value, key)
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush()


def run_contender(contender: str, setup: dict[str, Any]) -> Figures:
    """A contender in a process of its own."""
    command = [sys.executable, "-m", "bench.contender", contender, json.dumps(setup)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def table_of(law: str, events: int, runs: dict[str, list[Figures]]) -> Table:
    """Medians, each beside the passthrough's of the same run."""
    table = Table(title=f"{events:,} events, {law} keys, one worker, medians", title_justify="left")
    for column in ("contender", "events/s", "of passthrough", "CPU µs/event", "memory MiB"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    ceiling = median(runs["passthrough"], "events_per_s")
    for contender, figures in runs.items():
        rate = median(figures, "events_per_s")
        cpu_us, memory = median(figures, "cpu_us_per_event"), median(figures, "memory_mib")
        name = contender.replace("_", " ")
        table.add_row(
            name, f"{rate:,.0f}", f"{rate / ceiling:.3f}", f"{cpu_us:.1f}", f"{memory:.0f}"
        )
    return table


def median(figures: list[Figures], measure_of: str) -> float:
    """The middle one of a contender's rounds."""
    return statistics.median(one[measure_of] for one in figures)


if __name__ == "__main__":
    main()
