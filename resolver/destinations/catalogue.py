"""Specifications by the name of their preset."""

from pathlib import Path

from pydantic import ValidationError

from resolver.destinations.presets import Expanded, expanded, read_preset
from resolver.destinations.spec import DestinationSpec
from resolver.errors import ConfigError
from resolver.yaml_text import sentences


def load_preset(name: str, folder: Path | None = None) -> DestinationSpec:
    """A preset as a destination; ConfigError, with file and line, for every mistake in it."""
    try:
        path, stated = read_preset(name, folder)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    try:
        keys = expanded(stated.keys, folder) | {"preset": name}
        return DestinationSpec.model_validate(Expanded(keys))
    except ValidationError as error:
        raise ConfigError(sentences(error, path, stated, DestinationSpec)) from error
    except ValueError as error:
        raise ConfigError(f"{path}:{stated.lines.get(('preset',), 1)}: {error}") from error
