"""How a round is cut into requests of the store."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generate import generate
from resolver.assembly import SystemClock
from resolver.edges.memory import MemoryKafka, MemorySink, MemorySource, MemoryStore
from resolver.joining import Tag
from resolver.pipeline import CHUNK, CHUNK_MIN, REQUESTS, Pipeline, chunk_for, chunks_of
from resolver.ports import Decide, Message, Stored
from tests.engines import reference


class Listening(MemoryStore):
    """Remembers how many keys each load had, round by round."""

    def __init__(self, *, overlaps: bool) -> None:
        super().__init__()
        self.overlaps = overlaps
        self.rounds: list[list[int]] = []

    def exchange(
        self, loads: Sequence[Sequence[str]], decide: Decide
    ) -> Iterator[tuple[int, list[Stored | None]]]:
        self.rounds.append(list(map(len, loads)))
        return super().exchange(loads, decide)


@given(pending=st.integers(1, 20_000))
def test_a_round_is_many_requests_where_it_has_records_enough(pending: int) -> None:
    """The store stands still while the worker works on the only reply there is."""
    chunks = chunks_of([object()] * pending, chunk_for(pending))

    assert sum(map(len, chunks)) == pending
    assert max(map(len, chunks)) <= CHUNK
    assert len(chunks) >= min(REQUESTS, pending // CHUNK_MIN)


@given(pending=st.integers(1, 20_000))
def test_no_request_is_smaller_than_it_is_worth(pending: int) -> None:
    """Each costs both sides a turn, whatever it carries; only the last one is what is left."""
    chunks = chunks_of([object()] * pending, chunk_for(pending))

    assert all(len(one) >= CHUNK_MIN for one in chunks[:-1])


@pytest.mark.parametrize("overlaps", [True, False])
def test_only_a_store_that_overlaps_gets_small_requests(overlaps: bool) -> None:
    """Where one request waits for another, as on a cluster, more of them are only more waiting."""
    store = Listening(overlaps=overlaps)
    sink = MemorySink(MemorySource(MemoryKafka(), "w"), "dead", None)
    pipeline = Pipeline(engine=reference(sink, []), store=store, sink=sink, clock=SystemClock())
    events = enumerate(generate(800, skewed=False))

    pipeline.run([Message("raw", 0, at, 0, key, value) for at, (key, value) in events], Tag("a", 0))

    devices, *_ = store.rounds
    assert sum(devices) > CHUNK
    assert len(devices) == (REQUESTS if overlaps else 2)
