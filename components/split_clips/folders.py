"""Taking the clips of a class evenly from its folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.core.artifacts.clips import Clip
from components.core.splitting.sizes import UNUSED, Sizes, shared

if TYPE_CHECKING:
    from components.core.splitting.assignment import Counts


@dataclass(frozen=True)
class Folders:
    """The folders of every class and what each group has of them."""

    columns: list[tuple[int, str]]
    """Number of the class and folder, sorted."""
    counts: Counts
    """(groups, columns) clips."""

    @classmethod
    def of(cls, groups: Sequence[Sequence[Clip]], classes: Sequence[str]) -> Folders:
        """Counts the clips of the groups."""
        number = {name: n for n, name in enumerate(classes)}
        keys = [
            [(number[label], folder_of(clip.id)) for clip in members for label in clip.labels]
            for members in groups
        ]
        columns = sorted({key for own in keys for key in own})
        place = {key: n for n, key in enumerate(columns)}
        counts = np.zeros((len(groups), len(columns)))
        for row, own in enumerate(keys):
            for key in own:
                counts[row, place[key]] += 1
        return cls(columns, counts)

    def only(self, rows: Sequence[int] | Counts) -> Folders:
        """The same of some of the groups."""
        return Folders(self.columns, self.counts[rows])

    def targets(self, sizes: Sizes, seed: Sequence[int]) -> Counts:
        """(parts, columns) whole numbers of clips to take of each folder for each part.

        Where clips stay unused, as many as are asked for are taken evenly from the folders.
        Otherwise each part gets of every folder what its share of the class is.
        """
        targets = np.zeros((len(sizes.names), len(self.columns)))
        owner = np.array([number for number, _ in self.columns])
        named = np.array([row for row, name in enumerate(sizes.names) if name != UNUSED])
        for number in np.unique(owner):
            # in a random order, so that no folder is preferred for its place in the list
            mine = np.random.default_rng([*seed, int(number)]).permutation(
                np.flatnonzero(owner == number)
            )
            there = self.counts[:, mine].sum(axis=0)
            wanted = sizes.targets[named, number]
            total = int(there.sum())
            if UNUSED in sizes.names:
                total = min(total, round(float(wanted.sum())))
            taken = shared_evenly(total, there) if sizes.evenly else shared(total, list(there))
            targets[np.ix_(named, mine)] = mixed(shared(total, list(wanted)), taken)
            if UNUSED in sizes.names:
                targets[sizes.names.index(UNUSED), mine] = there - taken
        return targets


def folder_of(clip: str) -> str:
    """The folder of a clip: its id without the name of the file."""
    return clip.rpartition("/")[0]


def shared_evenly(total: int, there: Counts) -> Counts:
    """Whole numbers that add up to `total`, as equal as they can be with at most `there` of each.

    What does not divide evenly goes to the first that have it.
    """
    taken = np.zeros(len(there))
    while (left := int(total - taken.sum())) and (open_ := np.flatnonzero(there > taken)).size:
        if left < len(open_):
            taken[open_[:left]] += 1
        else:
            taken[open_] = np.minimum(taken[open_] + left // len(open_), there[open_])
    return taken


def mixed(rows: Counts, columns: Counts) -> Counts:
    """A table of whole numbers with these sums, every row as mixed as the whole.

    Args:
        rows: sum of each row.
        columns: sum of each column; they add up to the same total.
    """
    exact = np.outer(rows, columns) / max(float(columns.sum()), 1.0)
    table = np.floor(exact + 1e-9)
    left, open_ = rows - table.sum(axis=1), columns - table.sum(axis=0)
    while left.sum() > 0:
        lacking = np.where(np.outer(left > 0, open_ > 0), exact - table, -np.inf)
        row, column = np.unravel_index(int(np.argmax(lacking)), lacking.shape)
        table[row, column] += 1
        left[row] -= 1
        open_[column] -= 1
    return table
