"""Bars of counts, one for each range of values, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from components.core.report import shapes

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 12, 12, 30, 52


def range_names(limits: Sequence[float]) -> list[str]:
    """What the bars between limits are called: `< 8`, `8–16`, …, `≥ 1024`."""
    texts = [f"{limit:.3g}" if limit < 1000 else f"{limit:.0f}" for limit in limits]
    between = [f"{low}–{high}" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *between, f"≥ {texts[-1]}"]


def count_names(limits: Sequence[int]) -> list[str]:
    """What the bars of whole numbers from 0 on are called: `0`, `1`, `2–4`, …, `51 or more`."""
    ends = zip([0, *limits], limits, strict=False)
    spans = [f"{low}" if high == low + 1 else f"{low}–{high - 1}" for low, high in ends]
    return [*spans, f"≥ {limits[-1]}"]


def histogram(names: Sequence[str], counts: Sequence[int], x_label: str) -> str:
    """Upright bars with their counts.

    Args:
        names: of the bars.
        counts: their heights.
        x_label: below them.
    """
    most = max([1, *counts])
    step = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    bottom = HEIGHT - BOTTOM
    parts = [shapes.line("axis", LEFT, bottom, WIDTH - RIGHT, bottom)]
    for place, (name, count) in enumerate(zip(names, counts, strict=True)):
        x, tall = LEFT + place * step, count / most * (bottom - TOP)
        parts.append(
            f'<rect class="c1" x="{x + 3:.1f}" y="{bottom - tall:.1f}" width="{step - 6:.1f}" '
            f'height="{tall:.1f}"/>'
        )
        middle = x + step / 2
        if count:
            parts.append(shapes.text(middle, bottom - tall - 6, str(count), "middle", "name"))
        parts.append(shapes.text(middle, bottom + 17, name, "middle"))
    parts.append(shapes.text(WIDTH / 2, HEIGHT - 10, x_label, "middle"))
    return shapes.drawing(WIDTH, HEIGHT, parts, x_label)
