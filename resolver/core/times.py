"""Instants as integer microseconds since the Unix epoch, and their ISO 8601 text."""

import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST_US: Final = 946_684_800_000_000
"""2000-01-01: an event stated before it comes from a clock that was never set."""
FIRST_US, END_US = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The calendar from year 1 to the end of year 9999: instants outside of it have no text."""
MILLISECONDS_FROM: Final = 1e11
"""A number from here on counts milliseconds, below it seconds (year 5138 in seconds)."""

MEMO_SIZE: Final = 4_096
"""Days whose text is remembered, eleven years of them, and minutes that are: three days."""
FIRST_DAY: Final = date(1970, 1, 1).toordinal()
MINUTE_TEXTS: Final = tuple(f"T{minute // 60:02d}:{minute % 60:02d}" for minute in range(1_440))
SECOND_TEXTS: Final = tuple(f":{second:02d}" for second in range(60))
MILLI_TEXTS: Final = tuple(f".{millis:03d}".rstrip("0") + "Z" for millis in range(1_000))
MINUTE: Final = 16
"""Characters of a minute, ``2026-01-01T10:00``."""
DATE_ENDS: Final = "Tt "
"""What separates a date from its time."""
RFC2822_FORM: Final = re.compile(
    r"(?:[a-z]{3},\s*)?\d{1,2}\s+[a-z]{3}\s+(?:\d{4}|\d{2})\s+\d{1,2}:\d{2}(?::\d{2})?"
    r"(?:\s+(?:[+-]\d{4}|ut|utc|gmt|z|[ecmp][sd]t))?(?:\s*\([^()]*\))?",
    re.IGNORECASE | re.ASCII,
)
SECONDS_BEYOND: Final = 1e18
"""More than any calendar holds, in whatever unit."""


def instant_us(stated: object) -> int | None:
    """The instant of an ISO 8601 text (no zone = UTC) or an epoch number, else None."""
    if type(stated) is str:
        if len(stated) == MINUTE + 8:
            instant = _usual_instant(stated)
            if instant is not None:
                return instant
        moment = parse_iso(stated)
        return None if moment is None else microseconds_of(moment)
    return epoch_us(stated)


def _usual_instant(text: str) -> int | None:
    """Of the form that JavaScript writes (``2026-01-01T10:00:00.000Z``), put together from its
    minute, second and millisecond: 0.15 µs instead of 0.3.
    """
    if text[MINUTE] != ":" or text[MINUTE + 3] != "." or text[MINUTE + 7] != "Z":
        return None
    second, millis = _digits(text, MINUTE + 1, 2), _digits(text, MINUTE + 4, 3)
    if not 0 <= second < 60 or millis < 0:
        return None
    minute: int | None = _minute_us(text[:MINUTE])
    return None if minute is None else minute + second * 1_000_000 + millis * 1_000


def _digits(text: str, start: int, count: int) -> int:
    """The number that so many ASCII digits are, or -1."""
    number = 0
    for place in range(start, start + count):
        digit = ord(text[place]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@lru_cache(maxsize=MEMO_SIZE)
def _minute_us(text: str) -> int | None:
    moment = parse_iso(text + "Z")
    return None if moment is None else microseconds_of(moment)


def epoch_us(stated: object) -> int | None:
    """The instant of a number of seconds, or of milliseconds from 1e11 on, else None."""
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    if not abs(stated) < SECONDS_BEYOND:
        return None
    scale = 1_000_000 if abs(stated) < MILLISECONDS_FROM else 1_000
    instant = round(stated * scale)
    return instant if FIRST_US <= instant < END_US else None


def parse_iso(text: str) -> datetime | None:
    """An aware datetime of an ISO 8601 text; digits alone are never a date."""
    text = text.strip()
    if len(text) < 10 or not text.isascii():
        return None
    if text[4] == "-":
        if len(text) > 10 and text[10] not in DATE_ENDS:
            return None
    elif text[8] not in "Tt":
        return None
    if text[-1] == "z":
        text = text[:-1] + "Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def microseconds_of(moment: datetime) -> int:
    """Since the epoch, exactly."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def iso_utc(instant: int) -> str | None:
    """``2019-08-24T14:15:22Z``, with a fraction only if it is not zero; None past year 9999.

    Put together from the day's text and the minute's: 0.4 µs where ``isoformat`` takes 1.2.
    """
    if not FIRST_US <= instant < END_US:
        return None
    seconds = instant // 1_000_000
    micros = instant % 1_000_000
    minutes = seconds // 60
    day: str = _day_text(minutes // 1_440)
    text = day + MINUTE_TEXTS[minutes % 1_440] + SECOND_TEXTS[seconds % 60]
    if not micros:
        return text + "Z"
    millis = micros // 1_000
    if millis * 1_000 == micros:
        return text + MILLI_TEXTS[millis]
    return f"{text}.{micros:06d}".rstrip("0") + "Z"


@lru_cache(maxsize=MEMO_SIZE)
def _day_text(days: int) -> str:
    return date.fromordinal(FIRST_DAY + days).isoformat()


def read_date_time(value: object) -> str | None:
    """A date-time trait as ISO 8601 UTC: from ISO 8601, RFC 2822 or an epoch number."""
    if isinstance(value, str):
        moment = parse_iso(value) or _parse_rfc2822(value)
        if moment is None:
            return None
        return iso_utc(microseconds_of(moment))
    instant = epoch_us(value)
    return None if instant is None else iso_utc(instant)


def read_date(value: object) -> str | None:
    """A calendar date as ``YYYY-MM-DD``; a text's date is the one it states, in its own zone."""
    if isinstance(value, str):
        moment = parse_iso(value) or _parse_rfc2822(value)
        return None if moment is None else date.isoformat(moment.date())
    text = read_date_time(value)
    return None if text is None else text[:10]


def _parse_rfc2822(text: str) -> datetime | None:
    """Only what has the form: the library's reader ignores what it does not understand."""
    if not RFC2822_FORM.fullmatch(text.strip()):
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
