"""The rules in Rust, where the installed wheel carries them: the engine, the fold of lines, and
requests to Redis. Sources are in ``native/``.
"""

from typing import Any

try:
    from ._native import Engine, Lines, Packer
except ImportError:  # installed from sources, or built without the hooks
    NATIVE_ENGINE: Any = None
    NATIVE_LINES: Any = None
    NATIVE_PACKING: Any = None
else:
    NATIVE_ENGINE, NATIVE_LINES, NATIVE_PACKING = Engine, Lines, Packer
