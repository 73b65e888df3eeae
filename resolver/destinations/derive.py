"""Traits made from others where they are missing, such as a first name from a name."""

from collections.abc import Callable, Collection
from typing import Any, Final

from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Derive

Make = Callable[[dict[str, Any]], str]
"""The derived text; empty where there is nothing to make it of."""


def _words(traits: dict[str, Any]) -> list[str]:
    name = traits.get("name")
    return name.split(None, 1) if isinstance(name, str) else []


def _last(traits: dict[str, Any]) -> str:
    words = _words(traits)
    return words[1].split()[-1] if len(words) > 1 else ""


def _either(traits: dict[str, Any]) -> str:
    for name in ("firstName", "lastName"):
        value = traits.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return ""


MAKERS: Final[dict[Derive, tuple[Make, tuple[str, ...]]]] = {
    Derive.FIRST_OF_NAME: (lambda traits: "".join(_words(traits)[:1]), ("name",)),
    Derive.REST_OF_NAME: (lambda traits: "".join(_words(traits)[1:]).strip(), ("name",)),
    Derive.LAST_OF_NAME: (_last, ("name",)),
    Derive.FIRST_OR_LAST: (_either, ("firstName", "lastName")),
}
"""How each is made, and of which traits."""


class Deriver:
    """Completes traits. Nothing is made of what is excluded, or may leave only as a hash."""

    def __init__(self, spec: DestinationSpec) -> None:
        self.rules = {
            name: MAKERS[how]
            for name, how in spec.derive.items()
            if all(_open(spec, source, name) for source in MAKERS[how][1])
        }

    def completed(self, traits: dict[str, Any]) -> dict[str, Any]:
        """The traits with those that could be made."""
        made = {}
        for name, (make, _) in self.rules.items():
            if traits.get(name) in (None, ""):
                text = make(traits)
                if text:
                    made[name] = text
        return {**traits, **made} if made else traits

    def with_derived(self, names: Collection[str]) -> set[str]:
        """The names, and those of what is made of them."""
        derived = {one for one, (_, of) in self.rules.items() if not set(of).isdisjoint(names)}
        return set(names) | derived


def _open(spec: DestinationSpec, source: str, name: str) -> bool:
    """Whether a trait may be made of another."""
    return spec.takes(source) and (source not in spec.hash or name in spec.hash)
