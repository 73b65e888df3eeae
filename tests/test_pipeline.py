"""How a round is cut into requests of the store."""

from hypothesis import given
from hypothesis import strategies as st

from resolver.pipeline import CHUNK, CHUNK_MIN, REQUESTS, chunk_for, chunks_of


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
