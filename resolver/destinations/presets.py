"""Presets: specifications that come with the resolver, or lie in a folder of its owner's.

This module reads and merges them as plain keys and values; ``catalogue`` makes specifications.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from resolver.core.consent import destination_key
from resolver.errors import ConfigError
from resolver.yaml_text import Stated, like, parse_yaml, read_yaml

SUFFIX = ".yaml"
CHAIN_MAX = 8
"""Presets that start from one another: nobody means a longer chain."""
TAKEN_ALONG = "aliases"


class Expanded(dict[str, Any]):
    """Keys of a specification into which its preset was merged."""


def preset_names(folder: Path | None = None) -> list[str]:
    """Every preset, sorted; those of the folder among them."""
    shipped = [one.name for one in _shipped().iterdir()]
    names = shipped + [one.name for one in own_presets(folder)]
    return sorted({one.removesuffix(SUFFIX) for one in names if one.endswith(SUFFIX)})


def own_presets(folder: Path | None) -> list[Path]:
    """The files of the owner's folder, sorted; ConfigError where it is no folder."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigError(f"presets: {folder} is no folder")
    return sorted(folder.glob(f"*{SUFFIX}"))


def own_preset(name: str, folder: Path | None) -> Path | None:
    """The file of a preset in the owner's folder; None where it has none of that name."""
    wanted = destination_key(name)
    found = (one for one in own_presets(folder) if destination_key(one.stem) == wanted)
    return next(found, None)


def read_preset(name: str, folder: Path | None = None) -> tuple[Path, Stated]:
    """A preset's file and what it says; the folder's own before a shipped one.

    ValueError, naming the nearest, where there is none.
    """
    path = own_preset(name, folder)
    if path is not None:
        return path, read_yaml(path)
    wanted = destination_key(name)
    for one in _shipped().iterdir():
        if destination_key(one.name.removesuffix(SUFFIX)) == wanted:
            return Path(one.name), parse_yaml(one.read_text(encoding="utf-8"), Path(one.name))
    near = like(name.lower(), preset_names(folder)) or f": {', '.join(preset_names(folder))}"
    raise ValueError(f"there is no preset {name!r}{near}")


def expanded(stated: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The keys with their preset's, and that one's preset's, below them.

    ValueError where a preset does not exist.
    """
    layers, name = [stated], stated.get("preset")
    seen: set[str] = set()
    while isinstance(name, str):
        # A preset of one's own may start from the shipped one of its name, but not from itself.
        key = destination_key(name)
        if key in seen and key not in map(destination_key, preset_names()):
            raise ValueError(f"presets start from one another, {name!r} from itself")
        keys = read_preset(name, None if key in seen else folder)[1].keys
        seen.add(key)
        layers.append(keys)
        if len(layers) > CHAIN_MAX:
            raise ValueError(f"more than {CHAIN_MAX} presets start from one another")
        name = keys.get("preset")
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = merge(merged, _with_old_name(merged, layer))
    return Expanded(merged)


def merge(below: Any, above: Any) -> Any:
    """Objects member by member, anything else replaced; null takes a key of the preset back."""
    if isinstance(below, str) and isinstance(above, dict) and "to" not in above:
        below = {"to": below}
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = dict(below)
    for name, value in above.items():
        if value is None and name in below:
            merged.pop(name)
        else:
            merged[name] = merge(below.get(name), value)
    return merged


def _with_old_name(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """A new name keeps the preset's as an alias: whoever refuses the vendor refuses this one."""
    old = below.get("name")
    if not old or above.get("name") in (None, old) or TAKEN_ALONG in above:
        return above
    return {**above, TAKEN_ALONG: [old, *below.get(TAKEN_ALONG, ())]}


def _shipped() -> Traversable:
    return resources.files(__package__).joinpath("presets")
