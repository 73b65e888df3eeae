"""A worker lives for months: the native engine keeps nothing of the batches before."""

import json
import os
from pathlib import Path

from resolver.edges.memory import MemoryStore
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from resolver.ports import Message
from tests.engines import native
from tests.native.twins import CHANGELOG, START_MS, Clock, Tape, targets

PEOPLE = 500
WARM, BATCHES = 40, 200
GROWTH_MAX = 8 << 20
"""Far less than any of what a batch holds (200 kB of bytes alone) would come to, if it stayed."""
STATM = Path("/proc/self/statm")


def resident() -> int:
    """The bytes of memory that the process holds."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def event(number: int) -> bytes:
    """What somebody new says."""
    named = {"anonymousId": f"device-{number}", "userId": f"user-{number}"}
    traits = {"email": f"e{number}@x.io", "plan": "pro", "about": "x" * 200}
    return json.dumps({**named, "messageId": f"m-{number}", "traits": traits}).encode()


def test_nothing_of_a_batch_stays() -> None:
    """What grows by a little with every new person ends every worker some day."""
    tape, store = Tape(), MemoryStore()
    engine = native(tape, targets("plain"), CHANGELOG)
    worker = Pipeline(engine=engine, store=store, sink=tape, clock=Clock())

    def run(batch: int) -> int:
        first = batch * PEOPLE
        messages = [
            Message("raw", 0, number, START_MS, None, event(number))
            for number in range(first, first + PEOPLE)
        ]
        worker.run(messages, Tag("worker", batch))
        tape.produced.clear()
        store.shared.records.clear()
        return resident()

    warm = [run(batch) for batch in range(WARM)]
    held = [run(batch) for batch in range(WARM, WARM + BATCHES)]

    assert max(held) - max(warm) < GROWTH_MAX
