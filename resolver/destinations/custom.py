"""Values of custom traits: one function per type, compiled from the rules and limits."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from resolver.destinations.forms import (
    CONVERTERS,
    Convert,
    is_date,
    is_date_time,
    json_text,
    scalar,
    to_text,
)
from resolver.destinations.names import cut, length
from resolver.destinations.rules import Bound, Limits, ValueRules
from resolver.destinations.vocabulary import Beyond, Deeper, Lists, Objects, Reason

SHORT = 4
"""Bytes that a character takes at most: text this much shorter than a limit is not measured."""


class Values:
    """Converts any JSON value; what cannot be sent becomes a ``Reason``.

    ``counts`` learns of what was cut or left out inside a value, which itself is sent.
    """

    def __init__(self, values: ValueRules, limits: Limits, counts: Counter[Reason]) -> None:
        self.values = values
        self.limits = limits
        self.counts = counts
        self.text = self._text_rule()
        self.written = self._then_text(json_text)
        self.by_type: dict[type, Convert | None] = {
            str: self.text,
            int: scalar(values.number),
            float: scalar(values.number),
            bool: scalar(values.boolean),
            list: self._list_rule(),
            dict: self._object_rule(),
            type(None): lambda _: Reason.EMPTY,
        }

    def converter(self) -> Convert | None:
        """The rule for any value; None where every value stays as it is."""
        by_type = self.by_type
        if not any(by_type[kind] for kind in (str, int, float, bool, list, dict)):
            return None

        def convert(value: Any) -> Any:
            change = by_type[type(value)]
            return value if change is None else change(value)

        return convert

    def _text_rule(self) -> Convert | None:
        rules, bound, empty = self.values, self.limits.text, self.values.empty
        date_time, date, other = (
            CONVERTERS.get(form) for form in (rules.date_time, rules.date, rules.text)
        )
        if not (date_time or date or other or bound) and empty:
            return None
        limit = self._limit(bound) if bound is not None else None

        def convert(text: str) -> Any:
            value: Any = text
            if date_time is not None and is_date_time(text):
                value = date_time(text)
            elif date is not None and is_date(text):
                value = date(text)
            elif other is not None:
                return finish(other(text))
            return finish(text if value is Reason.WRONG_TYPE else value)

        def finish(value: Any) -> Any:
            if type(value) is not str:
                return value
            if not value and not empty:
                return Reason.EMPTY
            return value if limit is None else limit(value)

        return convert

    def _limit(self, bound: Bound) -> Callable[[str], Any]:
        surely, unit, most = bound.max // SHORT, bound.unit, bound.max

        def limited(text: str) -> Any:
            if len(text) <= surely or length(text, unit) <= most:
                return text
            if bound.beyond is Beyond.DROP:
                return Reason.TOO_LONG
            self.counts[Reason.CUT] += 1
            return cut(text, bound)

        return limited

    def _list_rule(self) -> Convert | None:
        rule = self.values.list
        if rule is Lists.DROP:
            return lambda _: Reason.WRONG_TYPE
        if rule is Lists.TEXT:
            return self.written
        if rule is Lists.JOIN:
            return self._then_text(self._joined)
        return self._inner if self._looks_inside() else None

    def _object_rule(self) -> Convert | None:
        """For ``flatten`` the compiled shape takes objects apart itself, before they come here."""
        rule = self.values.object
        if rule is Objects.DROP:
            return lambda _: Reason.WRONG_TYPE
        if rule in (Objects.TEXT, Objects.FLATTEN):
            return self.written
        return self._inner if self._looks_inside() else None

    def _looks_inside(self) -> bool:
        limits = self.limits
        return bool(self.text or limits.list or limits.keys or limits.depth or limits.value_bytes)

    def _then_text(self, change: Callable[[Any], str]) -> Convert:
        limit = self._limit(self.limits.text) if self.limits.text is not None else None
        empty = self.values.empty

        def convert(value: Any) -> Any:
            text = change(value)
            if not text and not empty:
                return Reason.EMPTY
            return text if limit is None else limit(text)

        return convert

    def _joined(self, value: list[Any]) -> str:
        """A list as text; entries that are no plain values as JSON."""
        texts = (
            text if type(text) is str else json_text(one)
            for one, text in zip(value, map(to_text, value), strict=True)
        )
        joined = self.values.join.join(texts)
        end = self.values.join if self.values.join_ends and value else ""
        return f"{end}{joined}{end}"

    def _inner(self, value: Any) -> Any:
        """A list or an object that is kept, held to the limits."""
        within = self._within(value, 1)
        most = self.limits.value_bytes
        if most is not None and len(json_text(within).encode()) > most:
            return Reason.TOO_LONG
        return within

    def _within(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return value if self.text is None else self.text(value)
        if kind is not list and kind is not dict:
            return value
        bound = self.limits.depth
        if bound is not None and depth > bound.max:
            return self.written(value) if bound.beyond is Deeper.TEXT else Reason.TOO_DEEP
        if kind is list:
            return self._entries(value, depth)
        return self._members(value, depth)

    def _entries(self, value: list[Any], depth: int) -> Any:
        bound = self.limits.list
        if bound is not None and len(value) > bound.max:
            if bound.beyond is Beyond.DROP:
                return Reason.TOO_MANY
            self.counts[Reason.CUT] += 1
            value = value[: bound.max]
        return [one for one in (self._counted(one, depth) for one in value) if one is not DROPPED]

    def _members(self, value: dict[str, Any], depth: int) -> Any:
        if self.limits.keys is not None and len(value) > self.limits.keys:
            return Reason.TOO_MANY
        inner = {name: self._counted(one, depth) for name, one in value.items()}
        return {name: one for name, one in inner.items() if one is not DROPPED}

    def _counted(self, value: Any, depth: int) -> Any:
        """A value inside another; what is left out of it is counted."""
        within = self._within(value, depth + 1)
        if type(within) is not Reason:
            return within
        self.counts[within] += 1
        return DROPPED


DROPPED = object()
"""Stands for a value inside another that was left out."""
