"""Findings as one picture: an SVG of bar charts, written by hand so that it needs no library."""

from html import escape

from bench.findings import Bars

WIDTH, LEFT, RIGHT = 760, 210, 110
ROW, TITLE, GAP = 24, 34, 18
COLOURS = {"resolver": "#0b7a75", "passthrough": "#b5b5b5"}
PEER = "#d08c3c"


def picture(charts: list[Bars], caption: str) -> str:
    """All charts below each other."""
    body, top = [], 46
    for chart in charts:
        body += drawn(chart, top)
        top += TITLE + ROW * len(chart.values) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}"'
        f' viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="13">'
    )
    paper = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    said = f'<text x="16" y="26" fill="#555555" font-size="12">{escape(caption)}</text>'
    return "\n".join([head, paper, said, *body, "</svg>\n"])


def drawn(chart: Bars, top: int) -> list[str]:
    """One chart's elements."""
    largest = max(chart.values.values(), default=1.0) or 1.0
    parts = [f'<text x="16" y="{top + 18}" font-weight="bold">{escape(chart.title)}</text>']
    for place, (name, value) in enumerate(chart.values.items()):
        y = top + TITLE + place * ROW
        length = (WIDTH - LEFT - RIGHT) * value / largest
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="17" fill="{colour(name)}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{shown} {escape(chart.unit)}</text>',
        ]
    return parts


def colour(name: str) -> str:
    """By whose bar it is."""
    return next((one for start, one in COLOURS.items() if name.startswith(start)), PEER)
