"""Contexts in short: nothing is lost, and what is no short form is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.core.packing import DESTINATIONS, NAMES, OTHER
from resolver.core.phrases import CODE, PHRASES, lengthen, shorten
from resolver.destinations.presets import preset_names

BROWSER = (
    b'{"ip":"203.0.113.9","locale":"en-GB","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit'
    b'/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36","page":{"path":"/shop","referrer"'
    b':"","search":"","title":"Acme","url":"https://acme.test/shop"},"library":{"name":"analytics.j'
    b's","version":"2.11.1"}}'
)
texts = st.lists(
    st.sampled_from(PHRASES) | st.text(max_size=8) | st.sampled_from(['{"ip":"', "1.2.3.4", '"']),
    max_size=12,
).map("".join)


@given(text=texts)
def test_a_context_is_read_back_as_it_was(text: str) -> None:
    """It goes into every message of the profile."""
    assert lengthen(shorten(text.encode())) == text.encode()


@given(text=st.binary(max_size=600))
def test_whatever_bytes_are_read_back(text: bytes) -> None:
    """Letters of every script, and control characters, have a form too."""
    assert lengthen(shorten(text)) == text


def test_what_a_browser_says_takes_a_third() -> None:
    """That is what it is done for: a third of a state would be context."""
    assert len(shorten(BROWSER)) * 3 < len(BROWSER)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "255.255.255.255", "1.2.3.04", "256.1.1.1", "1.2.3", "1.2.3.4.5", "::1"]
)
def test_only_an_address_that_is_written_so_takes_four_bytes(address: str) -> None:
    """``1.2.3.04`` would come back as ``1.2.3.4``."""
    text = f'{{"ip":"{address}"}}'.encode()

    assert lengthen(shorten(text)) == text


@pytest.mark.parametrize("short", [b"\x00", b"\x01", b"\x01\x02a", b"\x02\x01\x02\x03", b"\xff"])
def test_what_is_no_short_form_is_refused(short: bytes) -> None:
    """A damaged state must be told from a strange context."""
    with pytest.raises((ValueError, IndexError)):
        lengthen(short)


def test_every_phrase_has_a_code() -> None:
    """One too many would be the code of what is refused, one too short would never be found."""
    assert len(set(PHRASES)) == len(PHRASES) <= 0xFF - CODE
    assert all(len(phrase) >= 3 and phrase.isascii() for phrase in PHRASES)


def test_words_have_codes_below_those_of_others() -> None:
    """A well-known name could otherwise be read as the length of another."""
    for words in (NAMES, DESTINATIONS):
        assert len(set(words)) == len(words) < OTHER
    assert set(DESTINATIONS) <= {"profiles", *preset_names()}
