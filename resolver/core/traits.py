"""Traits as the resolver keeps them: reserved names in one spelling and one type."""

import re
from collections.abc import Callable
from typing import Any, Final

from resolver.core.times import read_date, read_date_time

Traits = dict[str, Any]

STRING_TRAITS: Final = frozenset(
    (
        "avatar",
        "description",
        "email",
        "firstName",
        "gender",
        "id",
        "lastName",
        "name",
        "phone",
        "title",
        "username",
        "website",
    )
)
RESERVED_TRAITS: Final = STRING_TRAITS | {"address", "age", "birthday", "company", "createdAt"}
INNER_NAMES: Final = {
    "address": ("city", "country", "postalCode", "state", "street"),
    "company": ("name", "id", "industry", "employee_count", "plan"),
}
NUMBER_FORM: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
MEMO_SIZE: Final = 16_384
"""Spellings remembered: a product has hundreds of trait names, a sender of junk is bounded."""


def fold_name(name: str) -> str:
    """How spellings are compared: lower case, without ``_``, ``-`` and spaces."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


CANONICAL: Final = {fold_name(name): name for name in RESERVED_TRAITS}
CANONICAL_INNER: Final = {
    trait: {fold_name(name): name for name in names} for trait, names in INNER_NAMES.items()
}


def canonical_name(name: str) -> str:
    """The reserved spelling of a trait's name, or the name as it came."""
    return CANONICAL.get(fold_name(name), name)


def normalise_traits(stated: Traits, names: dict[str, str]) -> tuple[Traits, list[str]]:
    """The traits in canonical names and types, and the names that could not be converted.

    ``names`` remembers spellings: "" for a name whose value is kept just as it comes.
    """
    traits: Traits = {}
    unconverted: list[str] = []
    for name, value in stated.items():
        canonical = names.get(name)
        if canonical is None:
            canonical = _remembered(name, names)
        if not canonical:
            traits[name] = value
            continue
        if canonical != name and (canonical in stated or canonical in traits):
            continue
        traits[canonical], converted = convert(canonical, value)
        if not converted:
            unconverted.append(canonical)
    return traits, unconverted


def _remembered(name: str, names: dict[str, str]) -> str:
    if len(names) >= MEMO_SIZE:
        names.clear()
    canonical = canonical_name(name)
    if canonical == name and name not in RESERVED_TRAITS:
        canonical = ""
    names[name] = canonical
    return canonical


def convert(name: str, value: Any) -> tuple[Any, bool]:
    """A reserved trait's value in its type, and whether it could be had; null stays null."""
    if value is None:
        return None, True
    if name in STRING_TRAITS:
        if type(value) is str:
            return value, True
        return _or_as_it_came(_read_string, value)
    if name in INNER_NAMES:
        return _rename_inner(name, value), True
    return _or_as_it_came(READERS[name], value)


def _or_as_it_came(read: Callable[[Any], Any], value: Any) -> tuple[Any, bool]:
    converted = read(value)
    return (value, False) if converted is None else (converted, True)


def _read_string(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _read_number(value: Any) -> int | float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not NUMBER_FORM.fullmatch(text):
        return None
    return float(text) if "." in text else int(text)


def _rename_inner(trait: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    names: dict[str, str] = CANONICAL_INNER[trait]
    renamed: dict[str, Any] = {}
    for name, inner in value.items():
        canonical: str = names.get(fold_name(name)) or name
        if canonical != name and (canonical in value or canonical in renamed):
            continue
        renamed[canonical] = inner
    return renamed


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "age": _read_number,
    "createdAt": read_date_time,
    "birthday": read_date,
}
