"""Instants as integer microseconds since the Unix epoch, and their ISO 8601 text."""

import math
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
OLDEST_US = 946_684_800_000_000
"""2000-01-01: an event stated before it comes from a clock that was never set."""
FIRST_US, END_US = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The calendar from year 1 to the end of year 9999: instants outside of it have no text."""
MILLISECONDS_FROM = 1e11
"""A number from here on counts milliseconds, below it seconds (year 5138 in seconds)."""

MEMO_SIZE = 4_096
"""Instants whose text is remembered: a profile names its last one up to three times."""


def instant_us(stated: object) -> int | None:
    """The instant of an ISO 8601 text (no zone = UTC) or an epoch number, else None."""
    if type(stated) is str:
        moment = parse_iso(stated)
        return None if moment is None else microseconds_of(moment)
    return epoch_us(stated)


def epoch_us(stated: object) -> int | None:
    """The instant of a number of seconds, or of milliseconds from 1e11 on, else None."""
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    if isinstance(stated, float) and not math.isfinite(stated):
        return None
    scale = 1_000_000 if abs(stated) < MILLISECONDS_FROM else 1_000
    instant = round(stated * scale)
    return instant if FIRST_US <= instant < END_US else None


def parse_iso(text: str) -> datetime | None:
    """An aware datetime of an ISO 8601 text with dashes; digits alone are never a date."""
    text = text.strip()
    if len(text) < 10 or text[4] != "-":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def microseconds_of(moment: datetime) -> int:
    """Since the epoch, exactly."""
    return (moment - EPOCH) // MICROSECOND


@lru_cache(maxsize=MEMO_SIZE)
def iso_utc(instant: int) -> str | None:
    """``2019-08-24T14:15:22Z``, with a fraction only if it is not zero; None past year 9999."""
    try:
        text = (EPOCH + MICROSECOND * instant).isoformat()
    except OverflowError:
        return None
    if text[19] == ".":
        return text[:26].rstrip("0") + "Z"
    return text[:19] + "Z"


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
    if "," not in text and ":" not in text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
