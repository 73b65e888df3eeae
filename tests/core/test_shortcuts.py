"""What is read the short way is read as the long way reads it."""

from hypothesis import example, given
from hypothesis import strategies as st

from resolver.core.identifiers import (
    IllegalValues,
    Kind,
    identifier_of_address,
    read_identifier,
)
from resolver.core.times import instant_us, microseconds_of, parse_iso

THE_LONG_WAY = IllegalValues(literals={Kind.ANON: frozenset({"nobody is called that"})})
"""With anything listed, no id is taken as it stands."""

instants = st.from_regex(
    r"[ 0-9]{2}[0-9W-]{8}[Tt 0-9][0-9:]{5}[:0-9][0-9+ ]{2}[.,:][0-9_]{3}[Zz]", fullmatch=True
) | st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z")
ids = st.text(max_size=30) | st.from_regex(r"[0-]{1,20}|[A-Za-z0-9_.:@+ -]{1,30}", fullmatch=True)
addresses = ids | st.from_regex(r"[a-zA-Z0-9._:+ -]{0,9}@[a-z0-9._:+@ -]{0,15}", fullmatch=True)


@given(stated=instants)
@example(stated="2026-12-31T23:59:60.000Z")
@example(stated="2026-W01-1T10:00:00.000Z")
@example(stated="  20260101T10:00:00.000Z")
@example(stated="2026-01-01T10:00:00.00\u0660Z")
def test_an_instant_of_the_usual_form_is_what_any_form_of_it_is(stated: str) -> None:
    """Browsers write one form, and nearly all events have it."""
    moment = parse_iso(stated)

    assert instant_us(stated) == (None if moment is None else microseconds_of(moment))


@given(stated=ids)
@example(stated="0" * 20)
@example(stated="0-0")
@example(stated="00000000-0000-0000-0000-00000000000")
def test_a_plain_id_is_legal_or_not_as_any_other(stated: str) -> None:
    """Illegal ids merge strangers: no shortcut may let one through."""
    assert read_identifier(stated, Kind.USER, IllegalValues()) == read_identifier(
        stated, Kind.USER, THE_LONG_WAY
    )


@given(stated=addresses)
@example(stated="a@b.c.")
@example(stated="-a@b.c")
@example(stated="A@b..C")
@example(stated=f"{'a' * 250}@b.c")
@example(stated=f"{'a' * 251}@b.c")
@example(stated=f"{'a' * 252}@b.c")
def test_a_plain_address_identifies_as_any_other(stated: str) -> None:
    """An address is a person's lead; two readings of it would be two people."""
    assert identifier_of_address(stated, IllegalValues()) == identifier_of_address(
        stated, THE_LONG_WAY
    )
