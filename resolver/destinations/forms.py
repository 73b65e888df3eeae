"""Values in the forms that vendors ask for. Each form is a function: a value, or why there is none.

Dates are computed once per text and remembered: profiles repeat them at every change.
"""

import hashlib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from resolver.core.times import instant_us, iso_utc
from resolver.destinations.vocabulary import Form, Hash, Reason, Scalar

Convert = Callable[[Any], Any]
"""A value to what is sent, or to the ``Reason`` why nothing is."""

MEMO_SIZE: Final = 8_192
"""Dates remembered per form: those of the people of some batches, and a bound."""
SECOND, MILLISECOND, DAY = 1_000_000, 1_000, 86_400_000_000
DATE_TIME_FORM: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
DATE_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
NOT_PHONE: Final = re.compile(r"[\s().-]+")
E164_FORM: Final = re.compile(r"\+[1-9][0-9]{6,14}")
COUNTRY_FORM: Final = re.compile(r"[A-Za-z]{2}")
SPACE: Final = re.compile(r"\s+")

INITIALS: Final = dict.fromkeys(("m", "male", "man"), "m") | dict.fromkeys(
    ("f", "female", "woman"), "f"
)
LETTERS: Final = (
    dict.fromkeys(("m", "male", "man"), "M")
    | dict.fromkeys(("f", "w", "female", "woman"), "F")
    | dict.fromkeys(("o", "other"), "O")
    | dict.fromkeys(("n", "not applicable"), "N")
    | dict.fromkeys(("p", "prefer not to say"), "P")
)


class Keeps(NamedTuple):
    """Values that a conversion surely leaves as they are: text that is not empty and has no more
    characters than ``text``, but for what may be a date unless ``dates``; numbers, booleans; lists
    and objects as ``others``. It says nothing of the rest.
    """

    text: int
    dates: bool
    numbers: bool
    booleans: bool
    others: bool


KEEPS_ALL: Final = Keeps(1 << 30, True, True, True, True)
KEEPS_NONE: Final = Keeps(0, False, False, False, False)


def converter_of(forms: tuple[Form, ...], hashed: Hash | None = None) -> Convert | None:
    """Several forms in turn, then a hash; None where the value stays as it is."""
    steps = [CONVERTERS[form] for form in forms if form is not Form.KEEP]
    if hashed is not None:
        steps += [*([] if steps else [_normalised]), hasher(hashed)]
    return chain(steps)


def chain(steps: list[Convert]) -> Convert | None:
    """One step after the other, as far as there is something to convert."""
    if len(steps) < 2:
        return steps[0] if steps else None
    first, then = steps[0], chain(steps[1:])

    def convert(value: Any) -> Any:
        value = first(value)
        return value if then is None or type(value) is Reason else then(value)

    return convert


def json_text(value: Any) -> str:
    """A value as JSON text, as compact as it gets."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def is_date_time(text: str) -> bool:
    """Whether text is an ISO 8601 date and time, whole; digits alone are never a date."""
    return len(text) > 10 and text[4] == "-" and DATE_TIME_FORM.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Whether text is an ISO 8601 date, whole."""
    return len(text) == 10 and text[4] == "-" and DATE_FORM.fullmatch(text) is not None


def scalar(rule: Scalar) -> Convert | None:
    """What becomes of a number or a boolean."""
    return {
        Scalar.KEEP: None,
        Scalar.TEXT: to_text,
        Scalar.DIGIT: lambda value: to_text(
            int(value) if value is True or value is False else value
        ),
        Scalar.DROP: lambda _: Reason.WRONG_TYPE,
    }[rule]


def to_text(value: Any) -> Any:
    """Text as it is, a number or boolean as JSON writes it; nothing else has a text."""
    kind = type(value)
    if kind is str:
        return value
    if kind is float and value.is_integer():
        return str(int(value))
    return json_text(value) if kind in (bool, int, float) else Reason.WRONG_TYPE


def hasher(name: Hash) -> Convert:
    """The hash of text, in lower-case hexadecimal; empty text has none."""
    make = getattr(hashlib, name.value)

    def digest(text: str) -> str:
        hexadecimal: str = make(text.encode()).hexdigest()
        return hexadecimal

    known = lru_cache(MEMO_SIZE)(digest)

    def convert(value: Any) -> Any:
        if type(value) is not str:
            return Reason.WRONG_TYPE
        return known(value) if value else Reason.EMPTY

    return convert


def _normalised(value: Any) -> Any:
    """Text as it is hashed where no other form is named: trimmed, in lower case."""
    text = to_text(value)
    return text.strip().lower() if type(text) is str else text


def _of_text(change: Callable[[str], str]) -> Convert:
    """A form of any text; of anything else there is none."""
    return lambda value: change(value) if type(value) is str else Reason.WRONG_TYPE


def _of_some_text(change: Callable[[str], str | None]) -> Convert:
    """A form that not all text has."""

    def convert(value: Any) -> Any:
        return (change(value) or Reason.WRONG_TYPE) if type(value) is str else Reason.WRONG_TYPE

    return convert


def _of_instant(render: Callable[[int], Any]) -> Convert:
    """A form of an instant, stated as ISO 8601 or as a number."""

    def rendered(value: str | int | float) -> Any:
        instant = instant_us(value)
        return Reason.WRONG_TYPE if instant is None else render(instant)

    known = lru_cache(MEMO_SIZE)(rendered)

    def convert(value: Any) -> Any:
        return known(value) if type(value) in (str, int, float) else Reason.WRONG_TYPE

    return convert


def _iso(instant: int) -> str:
    return iso_utc(instant) or ""


def _e164(text: str) -> str | None:
    bare = NOT_PHONE.sub("", text)
    return bare if E164_FORM.fullmatch(bare) else None


def _country(text: str) -> str | None:
    bare = text.strip()
    return bare.upper() if COUNTRY_FORM.fullmatch(bare) else None


def _number(value: Any) -> Any:
    return value if type(value) in (int, float) else Reason.WRONG_TYPE


CONVERTERS: Final[dict[Form, Convert]] = {
    Form.TEXT: to_text,
    Form.PLAIN_TEXT: lambda value: (
        value
        if type(value) is str
        else Reason.WRONG_TYPE
        if type(value) is bool
        else to_text(value)
    ),
    Form.TRIMMED: _of_text(str.strip),
    Form.LOWER: _of_text(lambda text: text.strip().lower()),
    Form.SQUEEZED: _of_text(lambda text: SPACE.sub("", text).lower()),
    Form.NUMBER: _number,
    Form.DIGITS: _of_some_text(lambda text: "".join(filter("0123456789".__contains__, text))),
    Form.E164: _of_some_text(_e164),
    Form.COUNTRY_CODE: _of_some_text(_country),
    Form.GENDER_INITIAL: _of_some_text(lambda text: INITIALS.get(text.strip().lower())),
    Form.GENDER_LETTER: _of_some_text(lambda text: LETTERS.get(text.strip().lower())),
    Form.LIST: lambda value: [value],
    Form.ISO: _of_instant(_iso),
    Form.ISO_MS: _of_instant(
        lambda us: f"{_iso(us)[:19]}.{us % SECOND // MILLISECOND:03d}Z",
    ),
    Form.EPOCH_S: _of_instant(lambda us: us // SECOND),
    Form.EPOCH_MS: _of_instant(lambda us: us // MILLISECOND),
    Form.EPOCH_US: _of_instant(lambda us: us),
    Form.MIDNIGHT_MS: _of_instant(lambda us: us // DAY * (DAY // MILLISECOND)),
    Form.DATE: _of_instant(lambda us: _iso(us)[:10]),
    Form.DATE_COMPACT: _of_instant(lambda us: _iso(us)[:10].replace("-", "")),
    Form.SPACED: _of_instant(lambda us: _iso(us)[:19].replace("T", " ")),
    Form.SPACED_OFFSET: _of_instant(lambda us: f"{_iso(us)[:19].replace('T', ' ')} +00:00"),
}
"""Every form but ``keep``."""
