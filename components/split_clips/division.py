"""The part of every group of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.core.splitting.assignment import Counts, assign
from components.core.splitting.sizes import UNUSED, Sizes, sizes

if TYPE_CHECKING:
    from components.split_clips.folders import Folders
    from components.split_clips.stage import SplitSettings

IMPORTANCE = {"train": 10_000.0, "val": 100.0, "test": 1.0, UNUSED: 0.0}
"""Where classes go that are too rare to be everywhere."""


@dataclass(frozen=True)
class Plan:
    """What the parts should get of which groups."""

    sizes: Sizes
    """Of all parts but a test part that is a fold."""
    fold: list[int]
    """Groups that are the test part, being this fold."""
    rest: list[int]
    """The other groups."""


def planned(
    settings: SplitSettings, counts: Counts, folders: Folders | None, published: bool
) -> Plan:
    """Chooses the fold, if there are any, and the sizes of the other parts.

    Args:
        settings: of the stage.
        counts: (groups, classes) clips.
        folders: the same by folders, where clips are taken evenly from them.
        published: the test part is taken already.
    """
    everything = list(range(len(counts)))
    if not settings.folds:
        wanted = {"val": settings.val_size, "test": 0.0 if published else settings.test_size}
        return Plan(sizes(wanted, settings.train_size, counts.sum(axis=0)), [], everything)
    totals = counts.sum(axis=0)
    even = np.tile(totals / settings.folds, (settings.folds, 1))
    names = [f"fold {number}" for number in range(settings.folds)]
    alike = Sizes(names, even, np.zeros_like(totals), totals)
    fold_of = _assigned(alike, counts, folders, [settings.seed])
    rest = [group for group in everything if fold_of[group] != settings.fold]
    fold = [group for group in everything if fold_of[group] == settings.fold]
    left = counts[rest].sum(axis=0)
    return Plan(sizes({"val": settings.val_size}, settings.train_size, left), fold, rest)


def divided(
    settings: SplitSettings, plan: Plan, counts: Counts, folders: Folders | None
) -> list[str]:
    """The part of each group, possibly UNUSED."""
    seed = [settings.seed, settings.fold + 1] if settings.folds else [settings.seed]
    names = plan.sizes.names
    importance = [IMPORTANCE[name] for name in names] if settings.allow_missing else []
    some = folders and folders.only(plan.rest)
    bins = _assigned(plan.sizes, counts[plan.rest], some, seed, importance)
    parts = ["test"] * len(counts)
    for group, bin_ in zip(plan.rest, bins, strict=True):
        parts[group] = names[bin_]
    return parts


def _assigned(
    found: Sizes,
    counts: Counts,
    folders: Folders | None,
    seed: Sequence[int],
    importance: Sequence[float] = (),
) -> list[int]:
    strata = (folders.counts, folders.targets(found, seed)) if folders else None
    return [int(bin_) for bin_ in assign(counts, found.targets, seed, importance, strata)]
