"""Builds the native engine into the wheel. Runs where hooks are enabled; see pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "resolver/edges/_native"
LIBRARIES = {"darwin": "libresolver_native.dylib", "win32": "resolver_native.dll"}
NO_CARGO = "the native engine needs Rust's cargo: install it (https://rustup.rs), or build without"


class NativeEngine(BuildHookInterface):
    """Compiles the crate in ``native/`` and puts it beside the sources that load it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the compiled module to what the wheel is made of."""
        crate = Path(self.root, "native")
        target = Path(os.environ.get("CARGO_TARGET_DIR") or crate / "target")
        subprocess.run(
            [cargo(), "build", "--quiet", "--release"],
            cwd=crate,
            env={**os.environ, "CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable},
            check=True,
        )
        library = LIBRARIES.get(sys.platform, "libresolver_native.so")
        name = MODULE + sysconfig.get_config_var("EXT_SUFFIX")
        build_data["force_include"][str(target / "release" / library)] = name
        build_data["infer_tag"], build_data["pure_python"] = True, False


def cargo() -> str:
    """Where cargo is; not everybody has it on the path."""
    beside = str(Path.home() / ".cargo" / "bin")
    found = shutil.which("cargo") or shutil.which("cargo", path=beside)
    if found is None:
        raise SystemExit(NO_CARGO)
    return found
