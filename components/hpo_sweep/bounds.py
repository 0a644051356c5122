"""Constraints on the best trial, such as `val_loss <= 0.7`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

_BOUND = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*")


def problems(bounds: Sequence[str]) -> list[str]:
    """What is wrong with constraints."""
    return [
        f"{text!r} is no constraint; expected a validation figure and a bound, such as "
        "val_loss <= 0.7"
        for text in bounds
        if _parsed(text) is None
    ]


def violations(bounds: Sequence[str], figures: Mapping[str, float]) -> dict[str, float]:
    """By how much figures miss each constraint; 0 and below keep it.

    A figure that is not there misses its constraint by more than any other could.
    """
    found = {}
    for text in bounds:
        parsed = _parsed(text)
        assert parsed is not None
        name, relation, bound = parsed
        value = figures.get(name, math.inf if relation == "<=" else -math.inf)
        missed = value - bound if relation == "<=" else bound - value
        found[text] = min(missed, 1e30)  # databases hold no infinity
    return found


def _parsed(text: str) -> tuple[str, str, float] | None:
    match = _BOUND.fullmatch(text)
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        return None
    return (match[1], match[2], bound) if match and math.isfinite(bound) else None
