"""The page shell and the pieces that sections are made of; everything returns HTML text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from components.core.report.sorting import SORT
from components.core.report.style import CHART, COLOURS, PAGE

Interval = tuple[float, float]

SORTABLE = '<table class="sortable">'


def page(title: str, eyebrow: str, subtitle: str, sections: Iterable[str], footer: str) -> str:
    """A whole HTML document. `sections` are HTML; the other arguments are plain text."""
    body = "\n".join(section for section in sections if section)
    script = f"<script>{SORT}</script>\n" if SORTABLE in body else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · {escape(eyebrow)}</title>
<style>{COLOURS}{PAGE}{CHART}</style>
</head>
<body>
<main>
<header>
<div class="eyebrow">{escape(eyebrow)}</div>
<h1>{escape(title)}</h1>
<p class="meta">{escape(subtitle)}</p>
</header>
{body}
<footer>{escape(footer)}</footer>
</main>
{script}</body>
</html>
"""


def section(title: str, *parts: str, hint: str = "") -> str:
    """A headed section; empty when it has no content."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    below = f'<p class="hint">{escape(hint)}</p>' if hint else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{below}\n{content}\n</section>"


def panel(*parts: str, scroll: bool = False) -> str:
    """A framed box; `scroll` lets wide content move sideways on a narrow screen."""
    content = "\n".join(part for part in parts if part)
    inner = f'<div class="scroll">{content}</div>' if scroll else content
    return f'<div class="panel">{inner}</div>' if content else ""


def notes(lines: Sequence[str]) -> str:
    """A list of remarks that a reader should not miss."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if lines else ""


def breakable(name: str) -> str:
    """A name as HTML that may wrap after its underscores, hyphens and slashes."""
    return re.sub(r"([_/-])", r"\1<wbr>", escape(name))


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text, a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def span(interval: Interval | None, digits: int = 2) -> str:
    """An interval as text."""
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}" if interval else ""


def track(
    value: float | None, interval: Interval | None = None, chance: float | None = None
) -> str:
    """A scale from 0 to 1 with a point, the interval around it and a dotted line at chance."""
    marks = []
    if interval:
        left, right = (100 * _unit(end) for end in interval)
        marks.append(f'<i class="band" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>')
    if chance is not None:
        marks.append(f'<i class="chance" style="left:{100 * _unit(chance):.2f}%"></i>')
    if value is not None:
        marks.append(f'<i class="point" style="left:{100 * _unit(value):.2f}%"></i>')
    return f'<div class="track">{"".join(marks)}</div>'


def bar(value: float | None, interval: Interval | None = None) -> str:
    """A bar from 0 to `value` on a scale to 1, with a whisker for its interval."""
    marks = []
    if value is not None:
        marks.append(f'<i class="fill" style="width:{100 * _unit(value):.2f}%"></i>')
    if interval:
        left, right = (100 * _unit(end) for end in interval)
        marks.append(f'<i class="whisker" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>')
    return f'<div class="track">{"".join(marks)}</div>'


def card(
    label: str,
    value: float | None,
    interval: Interval | None = None,
    chance: float | None = None,
    about: str = "",
) -> str:
    """One headline figure between 0 and 1 with its interval, and what it does not tell."""
    remark = f'<div class="range">{escape(about)}</div>' if about else ""
    return (
        f'<div class="card"><div class="label">{escape(label)}</div>'
        f'<div class="value">{number(value)}</div>'
        f'<div class="range">{span(interval) or "&nbsp;"}</div>'
        f"{track(value, interval, chance)}{remark}</div>"
    )


def cards(items: Iterable[str]) -> str:
    """Headline figures beside each other."""
    return f'<div class="cards">{"".join(items)}</div>'


def comparison_row(
    label: str,
    value: float | None,
    interval: Interval | None,
    chance: float | None = None,
    other: bool = False,
) -> str:
    """A line of a comparison: name, scale, figure; `other` gives it the second colour."""
    kind = "other" if other else "own"
    text = f" <small>{span(interval)}</small>" if interval else ""
    return (
        f'<div class="name">{escape(label)}</div>'
        f'<div class="figure"><b>{number(value)}</b>{text}</div>'
        f'<div class="{kind}">{track(value, interval, chance)}</div>'
    )


def comparison_head(title: str, about: str = "") -> str:
    """A heading between comparison rows."""
    return f'<div class="head">{escape(title)} <small>{escape(about)}</small></div>'


def comparison(parts: Iterable[str]) -> str:
    """Comparison rows and heads as one aligned block."""
    return f'<div class="rows">{"".join(parts)}</div>'


def legend(entries: Mapping[str, str]) -> str:
    """Text → colour class (`k1` … `k6`, or `dots`)."""
    items = (f'<span><i class="{kind}"></i>{escape(text)}</span>' for text, kind in entries.items())
    return f'<div class="legend">{"".join(items)}</div>'


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    kinds: Sequence[str],
    sortable: bool = False,
) -> str:
    """A table of HTML cells; `kinds` are the cells' classes (`number`, `bar`, `key`, `code`)."""
    top = "".join(
        f'<th class="{kind}">{escape(head)}</th>' for head, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{k}">{cell}</td>' for cell, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{top}</tr></thead>" if any(heads) else ""
    opening = SORTABLE if sortable and head else "<table>"
    return f"{opening}{head}<tbody>{body}</tbody></table>"


def properties(values: Mapping[str, Any]) -> str:
    """Names and values as a two-column table."""
    rows = [(escape(str(key)), escape(_plain(value))) for key, value in values.items()]
    return table(("", ""), rows, ("key", "code")) if rows else ""


def picture(source: str, caption: str, alternative: str) -> str:
    """A figure: image data URL, caption as HTML, alternative as text."""
    image = f'<img src="{source}" alt="{escape(alternative)}">' if source else ""
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
