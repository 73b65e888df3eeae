"""Names of custom traits, as a destination allows them. Pure, and remembered by the caller."""

import re
from collections.abc import Callable
from typing import Final

from resolver.core.traits import RESERVED_TRAITS
from resolver.destinations.rules import Bound, NameRules
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Beyond, Case, Reason, Unit

HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
GAP: Final = re.compile(r"[\s_-]+")
NOT_COLUMN: Final = re.compile(r"[^A-Za-z0-9]+")
BYTES_OF_CHARACTER: Final = 4
"""The most that UTF-8 takes."""
DIGIT_EDGE: Final = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")


def name_rule(spec: DestinationSpec) -> Callable[[str], str | Reason]:
    """What a custom trait is called there, or why it cannot be sent."""
    rules, bound, case = spec.names, spec.limits.name, CASES[spec.case]
    forbidden = re.compile(rules.forbidden) if rules.forbidden else None
    allowed = re.compile(rules.pattern) if rules.pattern else None
    reserved, escaped = (
        {name.lower() for name in names} for names in (rules.reserved, rules.escaped)
    )

    def shaped(name: str) -> str | Reason:
        name = case(name)
        if forbidden is not None:
            name = forbidden.sub(rules.replacement, name)
        if not name:
            return Reason.ILLEGAL_NAME
        name = f"{rules.prefix}{name}{rules.suffix}"
        if name.lower() in escaped:
            name = f"_{name}"
        if name.lower() in reserved or _starts(name, rules):
            return Reason.RESERVED_NAME
        if allowed is not None and not allowed.fullmatch(name):
            return Reason.ILLEGAL_NAME
        return name if bound is None else _bounded(name, bound)

    return shaped


def length(text: str, unit: Unit) -> int:
    """How long text is, as a limit counts."""
    return len(text) if unit is Unit.CHARACTERS else len(text.encode())


def surely_fits(bound: Bound) -> int:
    """The characters of text that is within a limit without being measured."""
    return bound.max if bound.unit is Unit.CHARACTERS else bound.max // BYTES_OF_CHARACTER


def fits(text: str, bound: Bound) -> bool:
    """Whether text is within a limit."""
    return len(text) <= surely_fits(bound) or length(text, bound.unit) <= bound.max


def cut(text: str, bound: Bound) -> str:
    """The text as far as the limit allows, whole characters."""
    if bound.unit is Unit.CHARACTERS:
        return text[: bound.max]
    return text.encode()[: bound.max].decode(errors="ignore")


def _starts(name: str, rules: NameRules) -> bool:
    return bool(rules.reserved_prefixes) and name.lower().startswith(
        tuple(map(str.lower, rules.reserved_prefixes))
    )


def _bounded(name: str, bound: Bound) -> str | Reason:
    if length(name, bound.unit) <= bound.max:
        return name
    return cut(name, bound) if bound.beyond is Beyond.CUT else Reason.NAME_TOO_LONG


def _words(name: str) -> list[str]:
    return [word.lower() for word in GAP.split(HUMP.sub("_", name)) if word]


def _snake(name: str) -> str:
    return "_".join(_words(name)) or name


def _camel(name: str) -> str:
    """Reserved traits keep their names, which are camel case but for one."""
    words = [] if name in RESERVED_TRAITS else _words(name)
    return words[0] + "".join(map(str.capitalize, words[1:])) if words else name


def _column(name: str) -> str:
    """Words of ASCII letters and digits joined by ``_``; empty where there is no such word."""
    pieces = "_".join(piece for piece in NOT_COLUMN.split(name) if piece)
    words = DIGIT_EDGE.sub("_", HUMP.sub("_", pieces)).lower()
    if not words:
        return ""
    leading = "_" * (len(name) - len(name.lstrip("_")))
    return leading + words if leading else f"_{words}" if words[0].isdigit() else words


CASES: Final[dict[Case, Callable[[str], str]]] = {
    Case.AS_SENT: str,
    Case.CAMEL: _camel,
    Case.SNAKE: _snake,
    Case.LOWER: str.lower,
    Case.COLUMN: _column,
    Case.UPPER_COLUMN: lambda name: _column(name).upper(),
}
