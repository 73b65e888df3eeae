"""Stacks as a flame graph: an SVG without scripts; a box's width is its share of the samples."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

WIDTH, ROW, TOP = 1400, 18, 40
NARROWEST = 2.0
"""Boxes below this many pixels are left out, with all that is on them."""
GLYPH = 6.6
"""Pixels of a letter, about."""
COLOURS = {"resolver": "#f0a35e", "msgspec": "#7fb7be", "redis": "#c96567", "confluent": "#8d99ae"}
OTHERS = "#d9d3c7"


@dataclass
class Frame:
    """A function as called from the frames above it: samples in it and in what it called."""

    name: str
    total: int = 0
    own: int = 0
    called: dict[str, "Frame"] = field(default_factory=dict)

    def add(self, stack: list[str], count: int) -> None:
        """Counts a stack, outermost function first."""
        self.total += count
        if not stack:
            self.own += count
            return
        inner = self.called.setdefault(stack[0], Frame(stack[0]))
        inner.add(stack[1:], count)

    def depth(self) -> int:
        """Frames on the deepest stack."""
        return 1 + max((one.depth() for one in self.called.values()), default=0)


def read_stacks(lines: Iterable[str]) -> Frame:
    """The tree of collapsed stacks, one a line: ``outer;inner 12``; threads are joined."""
    root = Frame("all")
    for line in lines:
        stack, _, count = line.rpartition(" ")
        names = [one for one in stack.split(";") if not one.startswith(("process ", "thread "))]
        root.add(names, int(count))
    return root


def flame(root: Frame, caption: str) -> str:
    """The picture, callers above what they call."""
    height = TOP + ROW * root.depth() + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">'
    )
    paper = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    said = f'<text x="10" y="24" font-size="13">{escape(caption)}</text>'
    boxes = drawn(root, 0.0, TOP, WIDTH / max(1, root.total), root.total)
    return "\n".join([head, paper, said, *boxes, "</svg>\n"])


def drawn(frame: Frame, left: float, top: float, scale: float, total: int) -> list[str]:
    """A box, and those of what it called below it."""
    width = frame.total * scale
    if width < NARROWEST:
        return []
    share = f"{frame.total / max(1, total):.1%}"
    fits = int((width - 4) / GLYPH)
    label = escape(frame.name[:fits]) if fits > 2 else ""
    boxes = [
        f"<g><title>{escape(frame.name)} {share}</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{width - 0.4:.1f}" height="{ROW - 1}"'
        f' fill="{colour(frame.name)}"/>'
        f'<text x="{left + 2:.1f}" y="{top + 12}">{label}</text></g>'
    ]
    for inner in sorted(frame.called.values(), key=lambda one: -one.total):
        boxes += drawn(inner, left, top + ROW, scale, total)
        left += inner.total * scale
    return boxes


def colour(name: str) -> str:
    """By whose code it is."""
    return next((one for part, one in COLOURS.items() if part in name), OTHERS)


def by_function(root: Frame) -> dict[str, tuple[int, int]]:
    """Samples by function: in itself alone, and with what it called (recursion counted once)."""
    found: dict[str, tuple[int, int]] = {}

    def visit(frame: Frame, above: frozenset[str]) -> None:
        own, total = found.get(frame.name, (0, 0))
        more = 0 if frame.name in above else frame.total
        found[frame.name] = (own + frame.own, total + more)
        for inner in frame.called.values():
            visit(inner, above | {frame.name})

    visit(root, frozenset())
    return found
