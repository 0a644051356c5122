"""What charts are drawn with: SVG elements as text, in the colours of the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line of a kind (`grid`, `axis`, `dashed`)."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    """A text that starts, has its middle or ends at (x, y)."""
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def polyline(
    points: Sequence[tuple[float, float]], colour: int, dotted: bool = False, joined: bool = True
) -> str:
    """A line in one of the colours; `dotted` marks its points, without `joined` they stand alone.

    A single point is always marked.
    """
    dots = ""
    if dotted or not joined or len(points) == 1:
        dots = "".join(
            f'<circle class="c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
        )
    if not joined or len(points) < 2:
        return dots
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="series c{colour}" points="{path}"/>{dots}'


def drawing(
    width: float, height: float, parts: Sequence[str], label: str, fixed: bool = False
) -> str:
    """The whole picture; `fixed` keeps its size where others scale with their place."""
    size = f' class="fixed" width="{width:.0f}" height="{height:.0f}"' if fixed else ""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}"{size} role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def spread(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis that holds low … high, also where they are one."""
    return (low, high) if high > low else (low - 0.5, low + 0.5)
