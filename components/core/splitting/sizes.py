"""How many clips of each class every part should get, and which classes have too few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.core.artifacts.split import PARTS

if TYPE_CHECKING:
    from components.core.splitting.assignment import Counts

UNUSED = "unused"
"""The part of clips that no part asks for."""


@dataclass(frozen=True)
class Sizes:
    """The wanted clips of each class."""

    names: list[str]
    """Parts in their order; the last may be UNUSED."""
    targets: Counts
    """(parts, classes) wanted clips."""
    asked: Counts
    """(classes,) clips that all parts ask for together; 0 where all of them are fractions."""
    there: Counts
    """(classes,) clips to divide."""

    @property
    def evenly(self) -> bool:
        """Whether counts are asked for and the rest is not used, so that folders can be chosen."""
        return UNUSED in self.names and bool(self.asked.any())

    @property
    def short(self) -> list[int]:
        """Numbers of the classes that have fewer clips than are asked for."""
        return [int(number) for number in np.flatnonzero(self.asked > self.there)]


def sizes(wanted: dict[str, float], train: float, there: Counts) -> Sizes:
    """What each part gets; the part without a size takes the rest.

    Where clips per class are asked for, every other part asks for at least one clip as well. A
    class with fewer than that is shared out in the proportions that are asked for; a training part
    that takes the rest counts as much as the others together.

    Args:
        wanted: part → fraction (< 1) or clips per class; 0 for none. Without `train`.
        train: that of the training part; 0 takes the rest.
        there: (classes,) clips to divide.
    """
    given = {**wanted, "train": train} if train else dict(wanted)
    given = {name: size for name, size in given.items() if size}
    rows = {
        name: np.minimum(np.maximum(size * there if size < 1 else size, 1.0), there)
        for name, size in given.items()
    }
    asked = np.full(len(there), sum(max(size, 1.0) for size in given.values()) + (not train))
    if all(size < 1 for size in given.values()):
        asked[:] = 0
    left = np.maximum(there - sum(rows.values(), np.zeros_like(there)), 0.0)
    rows[UNUSED if train else "train"] = left if train else np.maximum(left, 1.0)
    names = [name for name in (*PARTS, UNUSED) if name in rows]
    found = Sizes(names, np.stack([rows[name] for name in names]), asked, there)
    for column in found.short:
        weights = [_weight(name, given, float(there[column])) for name in names]
        found.targets[:, column] = shared(int(there[column]), weights)
    return found


def _weight(name: str, given: dict[str, float], there: float) -> float:
    """Share of a part in a class that is short."""
    each = {part: size * there if size < 1 else size for part, size in given.items()}
    return each.get(name, 0.0 if name == UNUSED else sum(each.values()))


def shared(total: int, weights: list[float]) -> Counts:
    """Whole numbers that add up to `total`, in proportion to `weights`.

    Each positive weight gets at least 1; where there are more of them, the first ones do.
    """
    weight = np.asarray(weights, np.float64)
    least = np.zeros(len(weight))
    least[np.flatnonzero(weight > 0)[:total]] = 1.0
    exact = weight / weight.sum() * total if weight.any() else least
    whole = np.maximum(np.floor(exact), least)
    while whole.sum() > total:
        whole[np.argmax(np.where(whole > least, whole - exact, -np.inf))] -= 1
    while whole.sum() < total:
        whole[np.argmax(np.where(weight > 0, exact - whole, -np.inf))] += 1
    return whole


def shortage(found: Sizes, classes: list[str]) -> str:
    """The classes that are short, as text."""
    rows = [("class", "asked", "there", "short by")]
    for number in found.short:
        asked, there = found.asked[number], found.there[number]
        rows.append((classes[number], f"{asked:g}", f"{there:g}", f"{asked - there:g}"))
    width = max(len(row[0]) for row in rows)
    lines = [f"  {row[0]:<{width}}" + "".join(f"{c:>10}" for c in row[1:]) for row in rows]
    return "\n".join([f"{len(found.short)} classes have fewer clips than are asked for:", *lines])
