"""The native engine, where the installed wheel carries it: the rules and messages of
``resolver.engine.ReferenceEngine`` in Rust, whose sources are in ``native/``.
"""

from typing import Any

try:
    from ._native import Engine
except ImportError:  # installed from sources, or built without the hooks
    NATIVE_ENGINE: Any = None
else:
    NATIVE_ENGINE = Engine
