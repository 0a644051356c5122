"""Line charts and heat maps as inline SVG.

Written here rather than drawn with a plotting library because the colours are CSS variables: the
same picture suits a light page, a dark page and paper. Output depends on the data alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from components.core.report import shapes
from components.core.report.style import CHART, COLOURS

NUMBERED_CLASSES = 30
"""Up to this many classes the cells of a heat map carry their numbers."""

COLOURED = 6
"""Colours of lines; further ones repeat them."""

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 40


@dataclass(frozen=True)
class Series:
    """One line: name and points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    """1 to COLOURED; 0 for that of its place."""
    joined: bool = True
    """Whether a line joins the points."""


def standalone(svg: str) -> str:
    """An inline chart as an SVG file of its own."""
    style = f"<style>{COLOURS}{CHART}svg {{ background: var(--card); }}</style>"
    head, _, rest = svg.partition(">")
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{head}>{style}{rest}\n"


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
    mark_x: float | None = None,
    level: float | None = None,
    width: int = 480,
    height: int = 280,
    whole_x: bool = False,
    named: bool = False,
    points: bool = False,
    x_ticks: Mapping[float, str] | None = None,
) -> str:
    """Lines over a grid.

    Args:
        series: up to COLOURED keep different colours; non-finite points are left out.
        x_label: below the axis.
        y_label: above the axis.
        y_range: fixed ends of the y axis; by default rounded around the data.
        x_range: fixed ends of the x axis; by default those of the data.
        mark_x: a dotted vertical line, for example at the best epoch.
        level: a dotted horizontal line, for example at chance.
        width: of the drawing; it scales with its place in the page.
        height: of the drawing.
        whole_x: only whole numbers as ticks.
        named: write the names of the lines below, for charts that stand alone.
        points: mark each value, where lines only join single ones.
        x_ticks: x → text below the axis, for a scale of names or of powers; by default numbers.
    """
    lines = [[p for p in zip(s.x, s.y, strict=True) if _finite(p)] for s in series]
    every = [p for line in lines for p in line]
    xs, ys = [p[0] for p in every] or [0, 1], [p[1] for p in every] or [0, 1]
    x_low, x_high = x_range or shapes.spread(min(xs), max(xs))
    y_ticks = ticks(*(y_range or (min(ys), max(ys))), count=5)
    y_low, y_high = y_range or (y_ticks[0], y_ticks[-1])
    right, bottom = width - RIGHT, height - BOTTOM

    def px(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (right - LEFT)

    def py(y: float) -> float:
        return bottom - (y - y_low) / (y_high - y_low) * (bottom - TOP - 12)

    parts = []
    for tick in y_ticks:
        if y_low - 1e-9 <= tick <= y_high + 1e-9:
            parts.append(shapes.line("grid", LEFT, py(tick), right, py(tick)))
            parts.append(shapes.text(LEFT - 7, py(tick) + 4, f"{tick:.4g}", "end"))
    if x_ticks is None:
        x_ticks = {x: f"{x:.4g}" for x in ticks(x_low, x_high, count=6, whole=whole_x)}
    for tick, label in x_ticks.items():
        if x_low - 1e-9 <= tick <= x_high + 1e-9:
            parts.append(shapes.text(px(tick), bottom + 17, label, "middle"))
    parts.append(shapes.line("axis", LEFT, bottom, right, bottom))
    parts.append(shapes.text((LEFT + right) / 2, height - 5, x_label, "middle"))
    parts.append(shapes.text(4, 12, y_label, "start"))
    if mark_x is not None:
        parts.append(shapes.line("dashed", px(mark_x), TOP + 12, px(mark_x), bottom))
    if level is not None:
        parts.append(shapes.line("dashed", LEFT, py(level), right, py(level)))
    for place, (one, line) in enumerate(zip(series, lines, strict=True)):
        drawn = [(px(x), py(y)) for x, y in line]
        colour = one.colour or place % COLOURED + 1
        parts.append(shapes.polyline(drawn, colour, points, one.joined))
    if named:
        names, deep = _names([line.name for line in series], width, height)
        parts, height = parts + names, height + deep
    return shapes.drawing(width, height, parts, f"{y_label} over {x_label}")


def bar_chart(names: Sequence[str], values: Sequence[float | None], label: str) -> str:
    """Horizontal bars on a scale from 0 to 1, one per name, in the order given."""
    margin = 14 + max((len(name) for name in names), default=0) * 7
    width, height = margin + 460, 40 + 22 * len(names)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = margin + tick * 400
        parts.append(shapes.line("grid", x, 8, x, height - 30))
        parts.append(shapes.text(x, height - 14, f"{tick:g}", "middle"))
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        y = 12 + 22 * row
        parts.append(shapes.text(margin - 8, y + 11, name, "end", "name"))
        shown = "–" if value is None else f"{value:.3f}"
        end = 400 * (value or 0)
        parts.append(f'<rect class="c1" x="{margin}" y="{y}" width="{end:.1f}" height="14"/>')
        parts.append(shapes.text(margin + end + 6, y + 11, shown, "start"))
    return shapes.drawing(width, height, parts, label, fixed=True)


def heat_map(
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    row_title: str,
    column_title: str,
    relation: str = "taken for",
    totals: Sequence[int] = (),
) -> str:
    """A square table of counts, shaded by each cell's share of its row.

    Args:
        counts: rows of equal length.
        names: of the rows and of the columns.
        row_title: what the rows are.
        column_title: what the columns are.
        relation: what a row is to a column, for the text at a cell.
        totals: what the shares of each row are of; by default its sum.
    """
    size = len(names)
    numbered = size <= NUMBERED_CLASSES
    cell = (64 if size <= 8 else 44 if size <= 16 else 28) if numbered else max(3, 900 // size)
    longest = max((len(name) for name in names), default=0) * 7 + 12 if cell >= 10 else 10
    slanted = longest > cell
    left, top = longest + 26, (longest if slanted else 22) + 24
    width, height = left + size * cell + 8, top + size * cell + 8
    parts = [
        shapes.text(left + size * cell / 2, 14, column_title, "middle"),
        f'<text text-anchor="middle" transform="translate(13 {top + size * cell / 2:.0f}) '
        f'rotate(-90)">{escape(row_title)}</text>',
        f'<rect class="frame" x="{left}" y="{top}" width="{size * cell}" height="{size * cell}"/>',
    ]
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        y, total = top + row * cell, totals[row] if totals else sum(line)
        if cell >= 10:
            parts.append(shapes.text(left - 8, y + cell / 2 + 4, name, "end", "name"))
            parts.append(_column_name(left + (row + 0.5) * cell, top - 8, name, slanted))
        for column, count in enumerate(line):
            if count or numbered:
                share = count / total if total else 0.0
                title = f"{name} {relation} {names[column]}: {count} of {total}"
                parts += _cell(left + column * cell, y, cell, count, share, title, numbered)
    return shapes.drawing(width, height, parts, f"{row_title} by {column_title}", fixed=True)


def ticks(low: float, high: float, count: int = 5, whole: bool = False) -> list[float]:
    """Round numbers that cover low … high in about `count` steps."""
    low, high = shapes.spread(low, high)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _cell(
    x: float, y: float, size: int, count: int, share: float, title: str, numbered: bool
) -> list[str]:
    strength = 0.06 + 0.9 * share if count else 0.0
    parts = [
        f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{size}" height="{size}" '
        f'fill-opacity="{strength:.3f}"><title>{escape(title)}</title></rect>'
    ]
    if numbered and count:
        kind = "on" if share > 0.5 else "name"
        middle = x + size / 2
        if size >= 44:
            parts.append(shapes.text(middle, y + size / 2, f"{count}", "middle", f"strong {kind}"))
            parts.append(shapes.text(middle, y + size / 2 + 15, f"{share:.0%}", "middle", kind))
        else:
            parts.append(shapes.text(middle, y + size / 2 + 4, f"{count}", "middle", kind))
    return parts


def _column_name(x: float, y: float, name: str, slanted: bool) -> str:
    if not slanted:
        return shapes.text(x, y, name, "middle", "name")
    place = f"translate({x + 4:.1f} {y:.1f}) rotate(-90)"
    return f'<text class="name" transform="{place}">{escape(name)}</text>'


def _names(names: Sequence[str], width: int, top: int) -> tuple[list[str], int]:
    """A legend below `top`, and how deep it is."""
    parts, x, y = [], LEFT, top + 16
    for place, name in enumerate(names):
        wide = 24 + 7 * len(name)
        if x + wide > width and x > LEFT:
            x, y = LEFT, y + 20
        parts.append(f'<circle class="c{place % COLOURED + 1}" cx="{x + 5}" cy="{y - 4}" r="5"/>')
        parts.append(shapes.text(x + 16, y, name, "start", "name"))
        x += wide + 10
    return parts, y - top + 10


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])
