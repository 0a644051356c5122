"""The part of every group of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.artifacts.split import PARTS
from components.core.errors import InputError
from components.core.splitting.assignment import RESTARTS, Counts, assign
from components.core.splitting.sizes import UNUSED, sizes
from components.split_images.stage import SplitSettings

IMPORTANCE = {"train": 10_000.0, "val": 100.0, "test": 1.0, UNUSED: 0.0}
"""Where classes go that are too rare to be everywhere."""


PLACINGS = 40_000
"""Of groups, over all passes of an assignment: with many groups one pass is like the other."""


@dataclass(frozen=True)
class Groups:
    """What is in the groups of images that are to be divided."""

    images: Counts
    """(groups,)"""
    classes: Counts
    """(groups, classes + 1) annotations of each class; the last column are images without any."""
    cells: Counts
    """(groups, cells) finer divisions of which each part should get its share; may have none."""

    def only(self, rows: list[int]) -> Groups:
        """Some of the groups."""
        return Groups(self.images[rows], self.classes[rows], self.cells[rows])

    @property
    def strata(self) -> Counts:
        """(groups, strata) what is to be spread evenly: classes, cells and images themselves."""
        return np.hstack([self.classes, self.cells, self.images[:, None]])


def fractions(settings: SplitSettings, images: int, kept: tuple[str, ...]) -> dict[str, float]:
    """Part → wanted fraction of the images to divide; `train` only where it is limited.

    Args:
        settings: of the stage.
        images: to divide.
        kept: parts that the source has named, so that no image is wanted for them.

    Raises:
        InputError: there are fewer images than are asked for.
    """
    asked = {"train": settings.train_size, "val": settings.val_size, "test": settings.test_size}
    if settings.folds:
        asked["test"] = 0.0
    asked = {part: size for part, size in asked.items() if size and part not in kept}
    found = {part: size if size < 1 else size / images for part, size in asked.items()}
    total = sum(found.values())
    if total > 1 + 1e-9 or (total > 1 - 1e-9 and "train" not in found):
        listed = ", ".join(f"{part}_size {size:g}" for part, size in asked.items())
        raise InputError(
            f"cannot split: {listed} ask for more than the {images} images to divide"
            f"{'' if 'train' in found else ', of which some have to train'}; ask for fewer"
        )
    return found


def divided(settings: SplitSettings, groups: Groups, kept: tuple[str, ...]) -> list[str]:
    """The part of each group, possibly UNUSED.

    Raises:
        InputError: there are fewer images than are asked for.
    """
    everything = list(range(len(groups.images)))
    parts = ["test"] * len(everything)
    rest = everything
    if settings.folds:
        even = {f"fold {n}": 1 / settings.folds for n in range(settings.folds)}
        numbers = _assigned(groups, even, [settings.seed])
        rest = [group for group in everything if numbers[group] != f"fold {settings.fold}"]
    seed = [settings.seed, settings.fold + 1] if settings.folds else [settings.seed]
    some = groups.only(rest)
    wanted = fractions(settings, int(some.images.sum()), kept)
    chosen = _assigned(some, wanted, seed, settings.allow_missing) if rest else []
    for group, part in zip(rest, chosen, strict=True):
        parts[group] = part
    return parts


def _assigned(
    groups: Groups, wanted: dict[str, float], seed: list[int], by_importance: bool = False
) -> list[str]:
    """The part, or fold, of each group."""
    share, least = _shares(groups.classes, wanted)
    names = list(share)
    weight = np.array([[share[name]] for name in names])
    whole = np.array([[float(name != UNUSED)] for name in names])
    total = groups.strata.sum(axis=0)
    # what enough groups hold is wanted at least once in each part
    common = (groups.strata > 0).sum(axis=0) >= whole.sum()
    targets = np.maximum(weight * total, whole * np.where(common, 1.0, 0.0))
    bins = assign(
        groups.classes,
        least,
        seed,
        [IMPORTANCE[name] for name in names] if by_importance else (),
        (groups.strata, targets),
        polish=True,
        restarts=min(RESTARTS, max(2, PLACINGS // len(groups.images))),
    )
    return [names[bin_] for bin_ in bins]


def _shares(classes: Counts, wanted: dict[str, float]) -> tuple[dict[str, float], Counts]:
    """Part → share of everything, and the (parts, classes) annotations wanted for each."""
    there = classes.sum(axis=0)
    if not set(wanted) <= set(PARTS):  # folds
        return wanted, np.outer(list(wanted.values()), there)
    others = {part: size for part, size in wanted.items() if part != "train"}
    found = sizes(others, wanted.get("train", 0.0), there)
    left = max(1.0 - sum(wanted.values()), 0.0)
    share = {**wanted, (UNUSED if "train" in wanted else "train"): left}
    return {name: share[name] for name in found.names}, found.targets
