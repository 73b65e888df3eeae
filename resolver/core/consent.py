"""What an event's ``integrations`` object allows, and to whom.

A restriction is kept as a short canonical text, so that equal statements are equal strings:
``""`` restricts nothing; ``"+;mixpanel=0"`` is everybody but Mixpanel; ``"-;warehouse=1"`` is
the warehouse alone. Explicit keys are always kept, because an opt-in destination needs one.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from resolver.core.values import Statement

MEMO_SIZE: Final = 4_096
"""Spellings and restrictions remembered: far more than any sender uses, and a bound."""

OPT_IN_BY_CONVENTION: Final = {"salesforce"}
"""Keys of destinations that nobody is sent to unless an event names them."""


@lru_cache(maxsize=MEMO_SIZE)
def destination_key(name: str) -> str:
    """A destination's name as names are compared: letters and digits only, lower-cased."""
    return "".join(filter(str.isalnum, name)).lower()


def read_integrations(stated: Any) -> tuple[str, dict[str, Any], bool]:
    """The restriction, the options per destination key, and whether a value was odd."""
    if not stated:
        return "", {}, stated is not None and stated != {}
    if not isinstance(stated, dict):
        return "", {}, True
    everybody, odd = True, False
    named: dict[str, bool] = {}
    options: dict[str, Any] = {}
    for name, value in stated.items():
        key = destination_key(name)
        if not isinstance(value, bool | dict | list):
            odd = True
        if key == "all":
            everybody = everybody and value is not False
            continue
        named[key] = named.get(key, True) and value is not False
        if isinstance(value, dict):
            options[key] = value
    return restriction_text(everybody, named), options, odd


def restriction_text(everybody: bool, named: dict[str, bool]) -> str:
    """The canonical text of a restriction."""
    if everybody and not named:
        return ""
    parts = [f"{key}={int(on)}" for key, on in sorted(named.items())]
    return ";".join(["+" if everybody else "-", *parts])


@dataclass
class Audience:
    """Who reads a view: a destination with its aliases, or (no keys) one who sees everything."""

    keys: tuple[str, ...] = ()
    opt_in: bool = False
    memo: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def permitted(self, statements: list[Statement]) -> list[Statement]:
        """The statements that may be shown; ``statements`` itself where all of them may."""
        for one in statements:
            if not self.may_see(one.restriction):
                return [one for one in statements if self.may_see(one.restriction)]
        return statements

    def may_see(self, restriction: str) -> bool:
        """Whether a write that came with this restriction may be shown."""
        allowed = self.memo.get(restriction)
        if allowed is None:
            if len(self.memo) >= MEMO_SIZE:
                self.memo.clear()
            allowed = self.memo[restriction] = self._decide(restriction)
        return allowed

    def _decide(self, restriction: str) -> bool:
        if not self.keys:
            return True
        everybody, *parts = restriction.split(";") if restriction else ["+"]
        stated = dict(part.rsplit("=", 1) for part in parts)
        explicit = [stated[key] == "1" for key in self.keys if key in stated]
        if explicit:
            return all(explicit)
        return everybody == "+" and not self.opt_in


EVERYTHING: Final = Audience()
