"""YAML files that people write: the line of every key, and their mistakes in words."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, get_origin

import yaml
from pydantic import ValidationError

from resolver.errors import ConfigError

NEAR = 0.75
"""Likeness from which a misspelt key is worth a suggestion: one slip in four letters."""

Place = tuple[str, ...]
"""Where a key stands: the keys above it, and its own."""


class Stated(NamedTuple):
    """What a file says, and the line of each of its keys."""

    keys: dict[str, Any]
    lines: dict[Place, int]


def read_yaml(path: Path) -> Stated:
    """A file of keys and values; ConfigError with file and line where it is none."""
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path | None) -> Stated:
    """The same of text that stands in a file, or in none."""
    return Stated(_parse(text, path), _lines(text, path))


def read_text(path: Path) -> str:
    """A file's text; ConfigError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(stated, dict | None):
        raise ConfigError(f"{path}:1: the file must hold keys and values, such as 'kafka:'")
    return {str(name): value for name, value in (stated or {}).items() if value is not None}


def _lines(text: str, path: Path | None) -> dict[Place, int]:
    """The line of each key, by its path; raises ConfigError where a key stands twice."""
    lines: dict[Place, int] = {}
    waiting: list[tuple[yaml.Node | None, Place]] = [(yaml.compose(text), ())]
    seen: set[int] = set()
    while waiting:
        node, place = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        lines.setdefault(place, node.start_mark.line + 1)
        for name, start, value in _inside(node):
            inner = (*place, name)
            if inner in lines:
                raise ConfigError(
                    f"{path}:{start}: {'.'.join(inner)}: it stands on line {lines[inner]} already"
                )
            lines[inner] = start
            waiting.append((value, inner))
    return lines


def _inside(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """(key or place, line, value) of everything in a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield str(place), value.start_mark.line + 1, value


CAUSES = {
    "extra_forbidden": "there is no such key",
    **dict.fromkeys(("model_type", "dict_type"), "it should hold keys and values"),
    "tuple_type": "it should be a list: [a, b], or a line '- a' for each",
    "missing": "it is missing",
    "too_short": "it should not be empty",
}


def place_of(mistake: Any) -> Place:
    """Where a mistake is, as keys."""
    return tuple(str(part) for part in mistake["loc"] if part != "[key]")


def line_of(place: Place, lines: dict[Place, int]) -> int:
    """The line of a place, or of the nearest key around it; 0 where none is known."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)


def cause(mistake: Any) -> str:
    """What is wrong, in words that do not speak of Python."""
    said = str(mistake["msg"]).removeprefix("Value error, ").replace("Input should", "it should")
    return CAUSES.get(mistake["type"], said)


def sentences(error: ValidationError, path: Path, stated: Stated, model: Any) -> str:
    """One line per mistake in a file: file and line, key, what is wrong, the nearest key."""
    found: dict[str, int] = {}
    for mistake in error.errors():
        place = place_of(mistake)
        line = line_of(place, stated.lines)
        about = f"{path}:{line}: {'.'.join(place)}" if place else f"{path}:{line}"
        found[f"{about}: {cause(mistake)}{suggestion(mistake, model)}"] = line
    return "\n".join(sorted(found, key=lambda sentence: found[sentence]))


def suggestion(mistake: Any, model: Any) -> str:
    """``; did you mean …?`` where a key is misspelt."""
    return nearest(place_of(mistake), model) if mistake["type"] == "extra_forbidden" else ""


def nearest(place: Place, model: Any) -> str:
    """``; did you mean …?`` for a key that a model does not have, if it has one like it."""
    section = model_at(place[:-1], model)
    return like(place[-1], keys_of(section)) if section else ""


def like(stated: str, known: list[str]) -> str:
    """``; did you mean …?`` where something known is like what was stated."""
    near = get_close_matches(stated, known, 1, NEAR)
    return f"; did you mean {near[0]!r}?" if near else ""


def keys_of(model: Any) -> list[str]:
    """The keys of a section, as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(place: Place, model: Any) -> Any:
    """The section at a place; None where there is none. Keys of a map lead into its sections."""
    keyed = False
    for part in place:
        if keyed or part.isdecimal():
            keyed = False
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in fields:
            return None
        annotation = fields[part].annotation
        model, keyed = next(_models(annotation), None), get_origin(annotation) is dict
        if model is None:
            return None
    return model


def _models(annotation: Any) -> Iterator[Any]:
    """The sections that an annotation speaks of."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
