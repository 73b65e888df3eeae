"""The published contracts as files: those of ``schemas/``, which the wheel carries along."""

from importlib import resources
from pathlib import Path

from resolver.errors import ConfigError

IDENTIFY = "identify.avsc"
RESOLVED_PROFILE = "resolved_profile.avsc"


def schema_text(file_name: str) -> str:
    """A file of ``schemas/``: from the installed package, else from the source checkout.

    ConfigError where neither has it.
    """
    for folder in (resources.files("resolver") / "_schemas", Path(__file__).parents[2] / "schemas"):
        candidate = folder / file_name
        if candidate.is_file():
            return candidate.read_text(encoding="utf-8")
    raise ConfigError(f"this installation has no schema {file_name}: install the package again")
