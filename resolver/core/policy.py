"""Which of several statements of one trait wins, and how objects are merged.

The default needs no look at the trait: the greater (tier, stamp). A trait can be named for
another rule; a deep trait is split into one register per leaf, so that the rules stay the same.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from resolver.core.values import Stamp

PATH_SEPARATOR: Final = "\x1f"
EMPTY_OBJECT: Final = "\x1e"
"""The leaf that says "an empty object stood here": a register apart from that of the null or the
value which it does not take back.
"""


class Precedence(StrEnum):
    """How a trait's statements compare."""

    IDENTIFIED = "identified"
    LATEST = "latest"
    FIRST = "first"
    MAX = "max"
    MIN = "min"


EXTREME: Final = frozenset({Precedence.FIRST, Precedence.MAX, Precedence.MIN})


@dataclass(frozen=True)
class Policy:
    """The rule for all traits, the rules for named ones, and which merge key by key."""

    everywhere: Precedence = Precedence.IDENTIFIED
    named: dict[str, Precedence] = field(default_factory=dict)
    deep: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether the default rule holds for all traits, none of which merges key by key."""
        return not (self.named or self.deep) and self.everywhere is Precedence.IDENTIFIED

    def rule(self, register: str) -> Precedence:
        """The precedence of a register, which may be a leaf of a deep trait."""
        if not self.named:
            return self.everywhere
        return self.named.get(register.split(PATH_SEPARATOR, 1)[0], self.everywhere)

    def extreme(self, register: str) -> bool:
        """Whether the register keeps an extreme instead of the latest statement."""
        return bool(self.named) and self.rule(register) in EXTREME

    def split(self, traits: dict[str, Any]) -> dict[str, Any]:
        """Registers of traits: a deep trait's leaves each get one; the others stay whole."""
        if self.deep.isdisjoint(traits):
            return traits
        registers: dict[str, Any] = {}
        for name, value in traits.items():
            if name in self.deep:
                _split_into(registers, name, value)
            else:
                registers[name] = value
        return registers

    def rank(self, register: str, value: Any, stamp: Stamp) -> tuple[Any, ...]:
        """Greater wins among statements of an extreme register; null never competes."""
        rule = self.rule(register)
        if value is None:
            return (0,)
        if rule is Precedence.FIRST:
            return (1, _Reversed(stamp))
        size, amount = _size(value)
        if rule is Precedence.MIN:
            return (1, size, _Reversed(amount), stamp)
        return (1, size, amount, stamp)


class _Reversed:
    """A value that compares the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)

    def __lt__(self, other: "_Reversed") -> bool:
        return bool(other.value < self.value)


def _size(value: Any) -> tuple[int, Any]:
    """Numbers compare as numbers and texts as texts, numbers before texts; anything else loses to
    both, and ties: the stamp decides.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 2, value
    if isinstance(value, str):
        return 1, value
    return 0, 0


def _split_into(registers: dict[str, Any], path: str, value: Any) -> None:
    if not isinstance(value, dict):
        registers[path] = value
        return
    if not value:
        registers[path + PATH_SEPARATOR + EMPTY_OBJECT] = value
    for name, inner in value.items():
        _split_into(registers, path + PATH_SEPARATOR + name, inner)


def assemble(leaves: list[tuple[Any, str, Any]]) -> dict[str, Any]:
    """Deep traits from (rank, register, value) leaves: later ranks replace what lies below."""
    traits: dict[str, Any] = {}
    for _, register, value in sorted(leaves, key=lambda leaf: leaf[:2]):
        *parents, name = register.split(PATH_SEPARATOR)
        place = traits
        for parent in parents:
            inner = place.get(parent)
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        if value is None:
            place.pop(name, None)
        elif name != EMPTY_OBJECT:
            place[name] = dict(value) if isinstance(value, dict) else value
    return {name: _in_order(value) for name, value in traits.items()}


def _in_order(value: Any) -> Any:
    """Objects with their keys sorted: the order of leaves is not the order of what they say."""
    if not isinstance(value, dict):
        return value
    return {name: _in_order(value[name]) for name in sorted(value)}
