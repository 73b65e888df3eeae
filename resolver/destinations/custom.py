"""Values of custom traits: one function per type, compiled from the rules and limits."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from resolver.destinations.forms import (
    CONVERTERS,
    KEEPS_ALL,
    Convert,
    Keeps,
    chain,
    is_date,
    is_date_time,
    json_text,
    scalar,
    to_text,
)
from resolver.destinations.names import cut, fits, surely_fits
from resolver.destinations.rules import Bound, Limits, ValueRules
from resolver.destinations.vocabulary import Beyond, Deeper, Lists, Objects, Reason

BYTES_OF_WRITTEN: Final = 6
"""The most bytes of JSON for a character of Python's own text of a value: that of an escape."""


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

    def converter(self, of_objects: Convert | None = None) -> Convert | None:
        """The rule for any value; None where every value stays as it is.

        ``of_objects`` takes the place of the rule for objects.
        """
        by_type = dict(self.by_type)
        if of_objects is not None:
            by_type[dict] = of_objects
        if not any(by_type[kind] for kind in (str, int, float, bool, list, dict)):
            return None

        def convert(value: Any) -> Any:
            change = by_type[type(value)]
            return value if change is None else change(value)

        return convert

    def keeps(self, of_objects: Convert | None = None) -> Keeps:
        """What ``converter`` leaves as it is."""
        values, bound = self.values, self.limits.text
        most = KEEPS_ALL.text if bound is None else surely_fits(bound)
        looks = of_objects is not None or self.by_type[dict] or self.by_type[list]
        return Keeps(
            text=0 if CONVERTERS.get(values.text) else most,
            dates=not (CONVERTERS.get(values.date_time) or CONVERTERS.get(values.date)),
            numbers=scalar(values.number) is None,
            booleans=scalar(values.boolean) is None,
            others=not looks,
        )

    def _text_rule(self) -> Convert | None:
        rules = self.values
        date_time, date = CONVERTERS.get(rules.date_time), CONVERTERS.get(rules.date)
        plain, number = self._plain_text_rule(), scalar(rules.number)
        if date_time is None and date is None:
            return plain

        def convert(text: str) -> Any:
            if len(text) > 9 and text[4] == "-":
                value: Any = None
                if date is not None and is_date(text):
                    value = date(text)
                elif date_time is not None and is_date_time(text):
                    value = date_time(text)
                if type(value) is int and number is not None:
                    return number(value)
                if value is not None and value is not Reason.WRONG_TYPE:
                    return value
            return text if plain is None else plain(text)

        return convert

    def _plain_text_rule(self) -> Convert | None:
        """The rule for text that is no date."""
        steps = [
            CONVERTERS.get(self.values.text),
            None if self.values.empty else _not_empty,
            None if self.limits.text is None else self._limit(self.limits.text),
        ]
        return chain([step for step in steps if step is not None])

    def _limit(self, bound: Bound) -> Convert:
        surely = surely_fits(bound)

        def limited(text: Any) -> Any:
            if type(text) is not str or len(text) <= surely or fits(text, bound):
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
        if most is None or len(repr(within)) * BYTES_OF_WRITTEN <= most:
            return within
        return within if len(json_text(within).encode()) <= most else Reason.TOO_LONG

    def _within(self, value: Any, depth: int) -> Any:
        """A list or an object with everything in it, or why it is left out."""
        bound, limits = self.limits.depth, self.limits
        if bound is not None and depth > bound.max:
            return self.written(value) if bound.beyond is Deeper.TEXT else Reason.TOO_DEEP
        if type(value) is dict:
            if limits.keys is not None and len(value) > limits.keys:
                return Reason.TOO_MANY
            return dict(self._inside(value.items(), depth))
        if limits.list is not None and len(value) > limits.list.max:
            if limits.list.beyond is Beyond.DROP:
                return Reason.TOO_MANY
            self.counts[Reason.CUT] += 1
            value = value[: limits.list.max]
        return [one for _, one in self._inside(enumerate(value), depth)]

    def _inside(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> Iterator[tuple[Any, Any]]:
        """What may stay of a list or an object; the rest is counted."""
        text = self.text
        for name, value in pairs:
            kind = type(value)
            if kind is str:
                value = value if text is None else text(value)
            elif kind is dict or kind is list:
                value = self._within(value, depth + 1)
            if type(value) is Reason:
                self.counts[value] += 1
            else:
                yield name, value


def _not_empty(text: Any) -> Any:
    return Reason.EMPTY if text == "" else text
