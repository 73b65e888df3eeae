"""What becomes of each trait, compiled from a specification and remembered by the trait's name.

A trait has a ``Plan``: the object it goes into, its name there, and what converts its value.
Traits that go to several places have a converter that returns a ``Spread`` of them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from resolver.core.traits import INNER_NAMES, STRING_TRAITS
from resolver.destinations.custom import Values
from resolver.destinations.forms import (
    CONVERTERS,
    KEEPS_ALL,
    KEEPS_NONE,
    Convert,
    Keeps,
    chain,
    converter_of,
)
from resolver.destinations.names import fits, name_rule, surely_fits
from resolver.destinations.rules import Bound, FieldRule
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Form, Hash, Objects, Reason

NAMES_REMEMBERED: Final = 16_384
"""Trait names whose plan is kept: far more than a product has, and a bound."""
MEMBERS_REMEMBERED: Final = 1_024
"""Members of one flattened trait whose names are kept: the bound on keys at one level."""
TEXT_PARTS: Final = {
    "address": frozenset(INNER_NAMES["address"]),
    "company": frozenset(INNER_NAMES["company"]) - {"employee_count"},
}
"""Members of reserved traits that are text."""
ROOT: Final = 0


class Plan(NamedTuple):
    """Where a trait goes: which object, under which name, after which conversion, which ``keeps``
    some values as they are.
    """

    place: int
    name: str
    convert: Convert | None
    keeps: Keeps


class Spread:
    """Several fields of one value: (object, name, value), where a value may be a ``Reason``."""

    __slots__ = ("fields",)

    def __init__(self, fields: list[tuple[int, str, Any]]) -> None:
        self.fields = fields


class Places:
    """The objects of a payload's traits: number 0 is the traits, the others lie inside."""

    def __init__(self) -> None:
        self.paths: list[tuple[str, ...]] = [()]

    def of(self, path: str) -> int:
        """The number of the object at a dotted path; empty is the traits."""
        names = tuple(path.split(".")) if path else ()
        for depth in range(1, len(names) + 1):
            if names[:depth] not in self.paths:
                self.paths.append(names[:depth])
        return self.paths.index(names)

    def target(self, path: str) -> tuple[int, str]:
        """A field by its dotted path: its object, and its name there."""
        holder, _, name = path.rpartition(".")
        return self.of(holder), name

    def parents(self) -> list[tuple[int, int, str]]:
        """(object, the one it lies in, its name there), innermost first."""
        return [
            (number, self.paths.index(path[:-1]), path[-1])
            for number, path in reversed(list(enumerate(self.paths)))
            if path
        ]


class Plans:
    """Plans by trait; ``counts`` learns of what was left out inside a value."""

    def __init__(self, spec: DestinationSpec, places: Places, counts: Counter[Reason]) -> None:
        self.spec = spec
        self.places = places
        self.counts = counts
        self.bucket = places.of(spec.custom.into)
        self.plans: dict[str, Plan] = {}
        self.fixed: dict[str, list[tuple[int, str]]] = {}
        self.name_of = name_rule(spec)
        self.values = Values(spec.values, spec.limits, counts)
        self.convert = self.values.converter()
        for name, rule in spec.traits.items():
            self.fixed[name] = list(self._targets(rule))
        self.mapped = {target for targets in self.fixed.values() for target in targets}

    def plan(self, name: str) -> Plan:
        """The plan of a trait, made when it is first seen."""
        if len(self.plans) >= NAMES_REMEMBERED:
            self.plans.clear()
        plan = self.plans[name] = self._make(name)
        return plan

    def targets(self, name: str) -> list[tuple[int, str]]:
        """The fields of a trait whatever its value; none where it is left out."""
        if not self.spec.takes(name):
            return []
        if name in self.fixed:
            return self.fixed[name]
        custom = self.name_of(name)
        if self.spec.custom.drop or isinstance(custom, Reason):
            return []
        return [(self.bucket, custom)]

    def _make(self, name: str) -> Plan:
        if not self.spec.takes(name):
            return left_out(Reason.EXCLUDED)
        hashed = self.spec.hash.get(name)
        rule = self.spec.traits.get(name)
        if rule is not None:
            return self._mapped(rule, name, hashed)
        return self._custom(name, hashed)

    def _targets(self, rule: FieldRule) -> Iterator[tuple[int, str]]:
        """Every field that a rule names."""
        yield from map(self.places.target, rule.to)
        for inner in rule.parts.values():
            yield from self._targets(inner)

    def _mapped(self, rule: FieldRule, name: str, hashed: Hash | None) -> Plan:
        if rule.drop:
            return left_out(Reason.NOT_TAKEN)
        if rule.parts:
            return Plan(ROOT, name, self._taken_apart(rule, name, hashed), KEEPS_NONE)
        text = name in STRING_TRAITS and bool(rule.to)
        convert = self._converter(rule, hashed, text=text)
        if not rule.to:
            plan = self._custom(name, hashed)
            keeps = plan.keeps if convert is None else KEEPS_NONE
            steps = [one for one in (convert, plan.convert) if one]
            return plan._replace(convert=chain(steps), keeps=keeps)
        targets = list(map(self.places.target, rule.to))
        if len(targets) == 1:
            keeps = KEEPS_ALL if convert is None else self._keeps(rule, hashed, text=text)
            return Plan(*targets[0], convert, keeps)
        return Plan(ROOT, name, _to_several(targets, convert), KEEPS_NONE)

    def _keeps(self, rule: FieldRule, hashed: Hash | None, *, text: bool) -> Keeps:
        """What ``_converter`` leaves as it is."""
        bound = self.spec.limits.text
        if hashed is not None or rule.form:
            return KEEPS_NONE
        most = KEEPS_ALL.text if bound is None else surely_fits(bound)
        if rule.max is not None:
            most = rule.max
        return Keeps(most, dates=True, numbers=not text, booleans=not text, others=not text)

    def _converter(self, rule: FieldRule, hashed: Hash | None, *, text: bool) -> Convert | None:
        """How a field's value is converted; ``text``: it is text where no form says otherwise.

        The limit of text holds here too. What is longer is left out: half an address is another
        one. The field's own ``max`` cuts.
        """
        if hashed is not None:
            return converter_of(rule.form, hashed)
        bound = self.spec.limits.text
        if text and not rule.form and rule.max is None:
            return _text_converter(bound)
        forms = (Form.PLAIN_TEXT,) if text and not rule.form else rule.form
        steps = [converter_of(forms)]
        if rule.max is not None:
            steps.append(self._cutter(rule.max))
        elif bound is not None:
            steps.append(_limiter(bound))
        return chain([step for step in steps if step is not None])

    def _cutter(self, most: int) -> Convert:
        def cut(value: Any) -> Any:
            if type(value) is not str or len(value) <= most:
                return value
            self.counts[Reason.CUT] += 1
            return value[:most]

        return cut

    def _taken_apart(self, rule: FieldRule, name: str, hashed: Hash | None) -> Convert:
        """An object's members to their fields; a plain value to the rule's own, if it has one."""
        parts = {
            inner: [
                (
                    *self.places.target(path),
                    self._converter(part, hashed, text=inner in TEXT_PARTS.get(name, ())),
                )
                for path in part.to
            ]
            for inner, part in rule.parts.items()
            if not part.drop
        }
        alone = self._converter(rule, hashed, text=name in TEXT_PARTS)
        plain = [(*self.places.target(path), alone) for path in rule.to]
        rest = self._custom(name, hashed) if rule.rest else left_out(Reason.NOT_TAKEN)

        def convert(value: Any) -> Any:
            if type(value) is not dict:
                return _converted(plain, value) if plain else Reason.WRONG_TYPE
            spread, others = Spread([]), {}
            for inner, member in value.items():
                if member is None:
                    continue
                if inner in parts:
                    spread.fields += _converted(parts[inner], member).fields
                else:
                    others[inner] = member
            if others and is_left_out(rest):
                spread.fields += [(ROOT, inner, Reason.NOT_TAKEN) for inner in others]
            elif others:
                _append(spread, rest, others)
            return spread

        return convert

    def _custom(self, name: str, hashed: Hash | None) -> Plan:
        """The plan of a trait without a field of its own."""
        if self.spec.custom.drop:
            return left_out(Reason.NOT_TAKEN)
        if hashed is None and self.spec.values.object is Objects.FLATTEN:
            return self._flattened(name)
        target = self.name_of(name)
        if isinstance(target, Reason):
            return left_out(target)
        wrapped = hashed is not None or self.spec.custom.wrap
        keeps = KEEPS_NONE if wrapped else self.values.keeps()
        return Plan(self.bucket, target, self._value(hashed), keeps)

    def _value(self, hashed: Hash | None, of_objects: Convert | None = None) -> Convert | None:
        """How a custom trait's value is converted and wrapped."""
        convert = self.values.converter(of_objects) if of_objects is not None else self.convert
        steps = [converter_of((), hashed) if hashed is not None else convert]
        wrap = self.spec.custom.wrap
        if wrap:
            steps.append(lambda value: value if type(value) is Spread else {wrap: value})
        return chain([step for step in steps if step is not None])

    def _flattened(self, name: str) -> Plan:
        """The same where objects become one field per member, names joined."""
        leaf, bound = self._value(None), self.spec.limits.depth
        deepest = bound.max if bound is not None else None
        known: dict[str, str | Reason] = {}

        def flatten(value: dict[str, Any]) -> Any:
            spread = Spread([])
            for path, one in self._leaves(name, value, deepest):
                target = known.get(path)
                if target is None:
                    if len(known) >= MEMBERS_REMEMBERED:
                        known.clear()
                    target = known[path] = self.name_of(path)
                if type(target) is Reason:
                    spread.fields.append((self.bucket, path, target))
                else:
                    spread.fields.append((self.bucket, target, one if leaf is None else leaf(one)))
            return spread

        target = self.name_of(name)
        convert = self._value(None, flatten)
        if isinstance(target, Reason):
            refused = target
            return Plan(
                self.bucket,
                name,
                lambda value: flatten(value) if type(value) is dict else refused,
                KEEPS_NONE,
            )
        keeps = KEEPS_NONE if self.spec.custom.wrap else self.values.keeps(flatten)
        return Plan(self.bucket, target, convert, keeps)

    def _leaves(
        self, name: str, value: dict[str, Any], deeper: int | None
    ) -> Iterator[tuple[str, Any]]:
        """(joined names, value) of everything in an object that is none, or lies too deep."""
        further = None if deeper is None else deeper - 1
        separator, deep = self.spec.values.separator, deeper is None or deeper > 2
        for inner, member in value.items():
            path = f"{name}{separator}{inner}"
            if type(member) is dict and deep:
                yield from self._leaves(path, member, further)
            elif member is not None:
                yield path, member


def _text_converter(bound: Bound | None) -> Convert:
    """Text, or a number as text, within the limit: most fields, so all of it in one step."""
    plain = CONVERTERS[Form.PLAIN_TEXT]
    if bound is None:
        return lambda value: value if type(value) is str else plain(value)
    surely = surely_fits(bound)

    def convert(value: Any) -> Any:
        if type(value) is not str:
            value = plain(value)
            if type(value) is Reason:
                return value
        return value if len(value) <= surely or fits(value, bound) else Reason.TOO_LONG

    return convert


def _limiter(bound: Bound) -> Convert:
    """Leaves out text that is longer than the limit."""

    def limited(value: Any) -> Any:
        if type(value) is str and not fits(value, bound):
            return Reason.TOO_LONG
        return value

    return limited


def left_out(reason: Reason) -> Plan:
    """The plan of a trait that is never sent."""
    return Plan(ROOT, "", lambda _: reason, KEEPS_NONE)


def is_left_out(plan: Plan) -> bool:
    """Whether the plan sends nothing, whatever the value."""
    return not plan.name


def _same(value: Any) -> Any:
    return value


def _to_several(targets: list[tuple[int, str]], convert: Convert | None) -> Convert:
    fields: list[tuple[int, str, Convert | None]] = [(*target, convert) for target in targets]
    return lambda value: _converted(fields, value)


def _converted(fields: list[tuple[int, str, Convert | None]], value: Any) -> Spread:
    return Spread(
        [
            (place, name, value if convert is None else convert(value))
            for place, name, convert in fields
        ]
    )


def _append(spread: Spread, plan: Plan, value: Any) -> None:
    """Adds what a plan makes of a value."""
    made = value if plan.convert is None else plan.convert(value)
    if type(made) is Spread:
        spread.fields += made.fields
    else:
        spread.fields.append((plan.place, plan.name, made))
