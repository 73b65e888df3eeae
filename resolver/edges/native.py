"""The native engine, where the installed wheel carries it: the rules and messages of
``resolver.engine.ReferenceEngine`` in Rust, and its requests to Redis. Sources are in ``native/``.
"""

from typing import Any

try:
    from ._native import Engine, Packer
except ImportError:  # installed from sources, or built without the hooks
    NATIVE_ENGINE: Any = None
    NATIVE_PACKING: Any = None
else:
    NATIVE_ENGINE, NATIVE_PACKING = Engine, Packer
