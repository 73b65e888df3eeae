"""Presets: specifications that come with the resolver, or lie in a folder of its owner's.

This module reads and merges them as plain keys and values; ``catalogue`` makes specifications.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from resolver.core.consent import destination_key
from resolver.errors import ConfigError
from resolver.yaml_text import Stated, like, parse_yaml, read_yaml

SUFFIX = ".yaml"
CHAIN_MAX = 8
"""Presets that start from one another: nobody means a longer chain, and a circle ends here."""
TAKEN_ALONG = "aliases"


class Expanded(dict[str, Any]):
    """Keys of a specification into which its preset was merged."""


def preset_names(folder: Path | None = None) -> list[str]:
    """Every preset, sorted; those of the folder among them."""
    shipped = [one.name for one in resources.files(__package__).joinpath("presets").iterdir()]
    own = [one.name for one in folder.iterdir()] if folder is not None else []
    return sorted({one.removesuffix(SUFFIX) for one in shipped + own if one.endswith(SUFFIX)})


def own_preset(name: str, folder: Path | None) -> Path | None:
    """The file of a preset in the owner's folder; None where it has none of that name."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise ConfigError(f"presets: {folder} is no folder")
    wanted = destination_key(name)
    found = (
        one for one in sorted(folder.glob(f"*{SUFFIX}")) if destination_key(one.stem) == wanted
    )
    return next(found, None)


def read_preset(name: str, folder: Path | None = None) -> tuple[Path, Stated]:
    """A preset's file and what it says; the folder's own before a shipped one.

    ValueError, naming the nearest, where there is none.
    """
    path = own_preset(name, folder)
    if path is not None:
        return path, read_yaml(path)
    wanted = destination_key(name)
    for one in resources.files(__package__).joinpath("presets").iterdir():
        if destination_key(one.name.removesuffix(SUFFIX)) == wanted:
            return Path(one.name), parse_yaml(one.read_text(encoding="utf-8"), Path(one.name))
    near = like(name.lower(), preset_names(folder)) or f": {', '.join(preset_names(folder))}"
    raise ValueError(f"there is no preset {name!r}{near}")


def expanded(stated: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The keys with their preset's, and that one's preset's, below them.

    ValueError where a preset does not exist.
    """
    layers, name = [stated], stated.get("preset")
    while isinstance(name, str) and len(layers) <= CHAIN_MAX:
        keys = read_preset(name, folder)[1].keys
        layers.append(keys)
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
