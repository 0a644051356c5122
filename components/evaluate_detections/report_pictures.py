"""The pictures of the report, and the annotations that are worth a second look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from components.core.report import page
from components.evaluate_detections.gallery import FALSE, MISSED, RIGHT, WRONG, Entry
from components.evaluate_detections.results import Results
from components.evaluate_detections.suspects import WRONG as WRONG_CLASS
from components.evaluate_detections.suspects import Suspect

SUSPECTS_SHOWN = 20

TITLES = {
    MISSED: ("Missed objects", "Largest first; no box of any class found them."),
    FALSE: (
        "False boxes",
        "Surest first: nothing is annotated there, the object has a box already, or the box fits "
        "too poorly.",
    ),
    WRONG: ("Wrong classes", "Surest first: the box is on an object, but the class is another."),
    RIGHT: ("Found, but barely", "Right boxes with the lowest scores."),
}
KINDS = {
    "background": "nothing is annotated",
    "duplicate": "has a box already",
    "poor_box": "fits poorly",
}
KEY = "Green: annotated. Red: the box in question. Orange: other boxes."


def galleries(results: Results, shown: Mapping[str, Sequence[Entry]]) -> list[str]:
    """One section for each kind of which there is something to show."""
    parts = []
    for name, (title, hint) in TITLES.items():
        own = shown.get(name, [])
        if own:
            figures = "".join(_figure(results, entry) for entry in own)
            section = page.section(
                title, f'<div class="mistakes">{figures}</div>', hint=f"{hint} {KEY}"
            )
            parts.append(section)
    return parts


def suspicious(results: Results, found: Sequence[Suspect]) -> str:
    """The annotations to look at first."""
    rows = [
        [
            str(rank),
            f"taken for {_said(one.found)}, annotated as {_true(one.annotated)}"
            if one.kind == WRONG_CLASS
            else f"{_said(one.found)} where nothing is annotated",
            page.number(one.score),
            page.breakable(results.images[one.image].name),
            ", ".join(f"{end:.0f}" for end in one.box),
        ]
        for rank, one in enumerate(found[:SUSPECTS_SHOWN], 1)
    ]
    if not rows:
        return ""
    heads = ["", "what", "score", "image", "left, top, right, bottom"]
    rest = f" The first {len(rows)} of {len(found)}." if len(found) > len(rows) else ""
    return page.section(
        "Annotations to look at",
        page.panel(page.table(heads, rows, ["key", "", "number", "", "number"]), scroll=True),
        hint="Where a sure box contradicts the annotation, the annotation may be what is wrong: "
        f"a label that was forgotten, or of another class.{rest} All are in suspects.csv.",
    )


def _figure(results: Results, entry: Entry) -> str:
    image = results.images[entry.image]
    if entry.gallery == MISSED:
        sure = f"best box {entry.score:.2f}" if entry.score else "no box at all"
        text = f"{_true(entry.annotated)} <small>({sure})</small>"
    elif entry.gallery == WRONG:
        text = f"{_true(entry.annotated)} taken for {_said(entry.found)} {_score(entry)}"
    elif entry.gallery == RIGHT:
        text = f"{_true(entry.annotated)} {_score(entry)}"
    else:
        text = f"{_said(entry.found)} {_score(entry)} <small>{KINDS[entry.kind]}</small>"
    place = f"{image.name} at {entry.box[0]:.0f}, {entry.box[1]:.0f}"
    caption = f'{text}<span class="id">{page.breakable(place)}</span>'
    return page.picture(entry.picture, caption, f"cut of {image.name}")


def _score(entry: Entry) -> str:
    return f"<small>({entry.score:.2f})</small>"


def _true(name: str) -> str:
    return f'<span class="truth">{escape(name)}</span>'


def _said(name: str) -> str:
    return f'<span class="said">{escape(name)}</span>'
