"""Splits a clip data set into train, val and test.

Stratified by class, with all clips of a group (one recording) on the same side, reproducible by
seed. Parts are fractions or numbers of clips per class; with `folds` the test part is one fold
of a k-fold cross-validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.split import PARTS, Split
from components.core.errors import InputError
from components.core.settings import Settings
from components.core.stage import Job, Stage

if TYPE_CHECKING:
    from components.split_clips.assignment import Counts

UNUSED = "unused"


class SplitSettings(Settings):
    """Settings of `split_clips`."""

    train_size: float = Field(
        0.0,
        ge=0,
        description="Training part: fraction (< 1) or clips per class; 0 takes all the rest",
    )
    val_size: float = Field(
        0.15, ge=0, description="Validation part: fraction (< 1) or clips per class"
    )
    test_size: float = Field(
        0.15,
        ge=0,
        description="Test part: fraction (< 1) or clips per class; not used when folds is set",
    )
    published_test: bool = Field(
        True,
        description="Keep the test part that the source itself names, where it names one; "
        "test_size is not used then",
    )
    allow_missing: bool = Field(
        False,
        description="Accept classes that are too rare to be in every part; they train first",
    )
    folds: int = Field(0, ge=0, description="Number of cross-validation folds; 0 turns them off")
    fold: int = Field(0, ge=0, description="Which fold is the test part, from 0")
    seed: int = Field(0, ge=0, description="Seed of everything that is random")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.folds == 1:
            problems.append("folds: 1 fold leaves nothing to train on; use 0 or at least 2")
        if self.fold >= max(self.folds, 1):
            accepted = f"0 to {self.folds - 1}" if self.folds > 1 else "0, as folds is not set"
            problems.append(f"fold: got {self.fold}, accepted is {accepted}")
        sizes = [self.val_size] if self.folds else [self.train_size, self.val_size, self.test_size]
        total = sum(size for size in sizes if size < 1)
        if total > 1 or (total == 1 and not 0 < self.train_size < 1):
            problems.append(
                f"train_size, val_size, test_size: fractions add up to {total:g}, over 1"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self


def split_clips(settings: SplitSettings, job: Job) -> None:
    """Reads `clips`, writes `split`.

    Raises:
        InputError: some class would be missing from a part; says what it would need.
    """
    import numpy as np

    dataset = ClipDataset.load(job.inputs["clips"])
    clips = list(dataset.usable())
    if not clips:
        raise InputError("the data set holds no usable clip; see the reasons in its index")
    groups = _groups(clips)
    counts = np.zeros((len(groups), len(dataset.classes)))
    for row, members in enumerate(groups.values()):
        for clip in members:
            for label in clip.labels:
                counts[row, dataset.classes.index(label)] += 1
    parts = _part_of_each_group(settings, counts)
    assigned = {
        clip.id: part
        for part, members in zip(parts, groups.values(), strict=True)
        for clip in members
        if part != UNUSED
    }
    table = _count(clips, assigned, dataset.classes)
    _refuse_missing(settings, dataset.classes, table, counts)
    split = Split.create(dataset.fingerprint, dict(sorted(assigned.items())), table)
    job.outputs["split"].mkdir()
    split.save(job.outputs["split"])
    job.report.message("clips per class and part\n" + _render(table))
    job.metadata["split"] = {part: sum(row[part] for row in table.values()) for part in PARTS}


def _groups(clips: list[Clip]) -> dict[str, list[Clip]]:
    """Clips by group; a clip without a group stands alone."""
    groups: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        groups.setdefault(f"group {clip.group}" if clip.group else f"clip {clip.id}", []).append(
            clip
        )
    return groups


def _part_of_each_group(settings: SplitSettings, counts: Counts) -> list[str]:
    import numpy as np

    from components.split_clips.assignment import assign

    totals = counts.sum(axis=0)
    if not settings.folds:
        sizes = {"val": settings.val_size, "test": settings.test_size}
        names, targets = _targets(sizes, settings.train_size, totals)
        return [names[bin_] for bin_ in assign(counts, targets, [settings.seed])]
    even = np.tile(totals / settings.folds, (settings.folds, 1))
    fold_of = assign(counts, even, [settings.seed])
    rest = np.flatnonzero(fold_of != settings.fold)
    sizes = {"val": settings.val_size}
    names, targets = _targets(sizes, settings.train_size, counts[rest].sum(axis=0))
    bins = assign(counts[rest], targets, [settings.seed, settings.fold + 1])
    parts = ["test"] * len(counts)
    for group, bin_ in zip(rest, bins, strict=True):
        parts[group] = names[bin_]
    return parts


def _targets(sizes: dict[str, float], train: float, totals: Counts) -> tuple[list[str], Counts]:
    """Part names and wanted clips per class; the part without a size takes the rest."""
    import numpy as np

    wanted = {**sizes, "train": train} if train else dict(sizes)
    rows = {
        name: np.minimum(np.maximum(size * totals if size < 1 else size, 1.0), totals)
        for name, size in wanted.items()
        if size
    }
    left = np.maximum(totals - sum(rows.values(), np.zeros_like(totals)), 0.0)
    rows[UNUSED if train else "train"] = left if train else np.maximum(left, 1.0)
    names = [name for name in (*PARTS, UNUSED) if name in rows]
    return names, np.stack([rows[name] for name in names])


def _count(
    clips: list[Clip], assigned: dict[str, str], classes: list[str]
) -> dict[str, dict[str, int]]:
    table = {name: dict.fromkeys(PARTS, 0) for name in classes}
    for clip in clips:
        if clip.id in assigned:
            for label in clip.labels:
                table[label][assigned[clip.id]] += 1
    return table


def _refuse_missing(
    settings: SplitSettings,
    classes: list[str],
    table: dict[str, dict[str, int]],
    counts: Counts,
) -> None:
    asked = ["train", *(["val"] if settings.val_size else [])]
    asked += ["test"] if settings.test_size or settings.folds else []
    # a class needs one group for each part; with folds, one for each fold and one for val
    needed = settings.folds + bool(settings.val_size) if settings.folds else len(asked)
    problems = []
    for column, name in enumerate(classes):
        if missing := [part for part in asked if not table[name][part]]:
            have, groups = int(counts[:, column].sum()), int((counts[:, column] > 0).sum())
            fix = f"it needs clips of at least {needed} groups, {needed - groups} more"
            if groups >= needed:
                fix = "no arrangement of them was found; try another seed, smaller groups or parts"
            problems.append(
                f"class {name!r} is missing from {' and '.join(missing)}: "
                f"it has {have} usable clips in {groups} groups; {fix}"
            )
    if problems:
        raise InputError("cannot split:\n" + "\n".join(f"  - {line}" for line in problems))


def _render(table: dict[str, dict[str, int]]) -> str:
    width = max(5, *(len(name) for name in table))
    lines = [f"  {'class':<{width}}" + "".join(f"{part:>8}" for part in PARTS)]
    lines += [
        f"  {name:<{width}}" + "".join(f"{row[part]:>8}" for part in PARTS)
        for name, row in table.items()
    ]
    sums = {part: sum(row[part] for row in table.values()) for part in PARTS}
    return "\n".join([*lines, f"  {'all':<{width}}" + "".join(f"{sums[p]:>8}" for p in PARTS)])


STAGE = Stage(
    name="split_clips",
    settings=SplitSettings,
    function=split_clips,
    inputs={"clips": "ClipDataset to split"},
    outputs={"split": "Split: clip id to train, val or test"},
)
