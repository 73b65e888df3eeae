"""Every reserved trait in every preset: the fields and formats were worked out by hand."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.core.traits import RESERVED_TRAITS
from resolver.destinations.presets import preset_names
from tests.destinations.profiles import leaves, traits_of

TABLE = yaml.safe_load((Path(__file__).parents[1] / "data/reserved_traits.yaml").read_text())
SAMPLE, PRESETS = TABLE["sample"], TABLE["presets"]
BASE = {"email": "base@y.io", "name": "Base"}
"""Enough for every preset to send the person at all."""
PARTS_OF_NAMES = ("name", "firstName", "lastName")
NEED_A_NAME = ("zendesk", "pipedrive")
HASHED = "sha256 of "
CELLS = [(preset, trait) for preset in PRESETS for trait in PRESETS[preset]]


def read(expected: Any, trait: str) -> dict[tuple[str, ...], Any]:
    """A cell of the table as leaves."""
    if expected == "=":
        return leaves({trait: SAMPLE[trait]})
    return {path: hashed(value) for path, value in leaves(expected).items() if path}


def hashed(value: Any) -> Any:
    """A value of the table; ``sha256 of …`` is computed."""
    if isinstance(value, str) and value.startswith(HASHED):
        return sha256(value.removeprefix(HASHED).encode()).hexdigest()
    return value


@pytest.mark.parametrize(("preset", "trait"), CELLS)
def test_a_reserved_trait_has_the_vendors_name_and_format(preset: str, trait: str) -> None:
    """A field under the wrong name is dropped by most vendors without a word."""
    nameless = trait in PARTS_OF_NAMES and preset not in NEED_A_NAME
    base = {"email": BASE["email"]} if nameless else BASE
    before = leaves(traits_of(preset, base))

    after = leaves(traits_of(preset, {**base, trait: SAMPLE[trait]}))

    changed = {path: value for path, value in after.items() if before.get(path) != value}
    assert changed == read(PRESETS[preset][trait], trait)


def test_the_table_has_every_trait_of_every_preset() -> None:
    """A preset that nobody worked out would be whatever the code makes of it."""
    assert sorted(PRESETS) == preset_names()
    assert all(set(cells) == RESERVED_TRAITS for cells in PRESETS.values())
