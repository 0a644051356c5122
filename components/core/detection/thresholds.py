"""Scores from which a detection counts, class by class, as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from components.core.settings import closest

OFF = "off"
"""In the place of a threshold: the class is left out."""

NEVER = math.inf
"""A threshold that no score reaches."""


def parse_thresholds(text: str) -> dict[str, float]:
    """Class → threshold of `weed=0.4, crop=off`.

    Raises:
        ValueError: with every entry that cannot be read.
    """
    found: dict[str, float] = {}
    problems = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in entry.rpartition("="))
        number = _threshold(value)
        if not sign or not name or number is None:
            problems.append(
                f"{entry!r} is not of the form class=number with a number from 0 to 1, or class=off"
            )
        elif name in found:
            problems.append(f"class {name!r} is there twice")
        else:
            found[name] = number
    if problems:
        raise ValueError("; ".join(problems))
    return found


def unknown_classes(thresholds: Mapping[str, float], classes: Sequence[str]) -> list[str]:
    """What to say about each class with a threshold that the model does not know."""
    have = f"; it has {', '.join(classes)}"
    return [
        f"the model has no class {name!r}{closest(name, classes) or have}"
        for name in thresholds
        if name not in classes
    ]


def _threshold(text: str) -> float | None:
    if text.lower() == OFF:
        return NEVER
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
