"""Splits a clip data set into train, val and test.

Stratified by class, with all clips of a group (one recording) and all copies of one file on the
same side, reproducible by seed. Parts are fractions or numbers of clips per class, which may be
taken evenly from the folders of a class. The test part is the one that the data set names, if it
does; with `folds` it is one fold of a k-fold cross-validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.split import PARTS, Split
from components.core.errors import InputError, SettingsError
from components.core.settings import Settings
from components.core.stage import Job, Stage
from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.splitting.assignment import Counts
    from components.core.splitting.sizes import Sizes

SHOWN = 10
"""Groups or clips that a message lists."""


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
    spread: bool = Field(
        False,
        description="Clips per class are taken evenly from the folders of the class, and copies of "
        "one file once; fractions hold in every folder",
    )
    allow_short: bool = Field(
        False,
        description="Accept classes with fewer clips than are asked for; they are shared out in "
        "the proportions asked for, at least one clip for each part",
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
        problems += [
            f"{name}: got {size:g}, accepted are a fraction below 1 and whole numbers of clips"
            for name in ("train_size", "val_size", "test_size")
            if (size := getattr(self, name)) > 1 and size != int(size)
        ]
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
        InputError: some class has fewer clips than are asked for, or would be missing from a part;
            says what it would need.
        SettingsError: folds of a data set that names its own test part.
    """
    from components.core.splitting import missing
    from components.core.splitting.sizes import UNUSED
    from components.split_clips import content, division, table
    from components.split_clips.folders import Folders

    dataset = ClipDataset.load(job.inputs["clips"])
    clips = list(dataset.usable())
    if not clips:
        raise InputError("the data set holds no usable clip; see the reasons in its index")
    if warning := content.contradictions(clips):
        job.report.warn(warning)
    published = _published(settings, clips)
    rest = _without_copies(clips, published, job)
    if settings.spread:
        rest = _once(rest, job)
    groups = content.grouped(rest)
    counts = _counts(groups, dataset.classes)
    folders = Folders.of([*groups.values()], dataset.classes) if settings.spread else None
    plan = division.planned(settings, counts, folders, bool(published))
    _tell_short(plan.sizes, settings, dataset.classes, job)
    parts = division.divided(settings, plan, counts, folders)
    assigned = dict.fromkeys(published, "test")
    for part, members in zip(parts, groups.values(), strict=True):
        if part != UNUSED:
            assigned.update((clip.id, part) for clip in members)
    if published:
        _tell_published(clips, assigned, job)
    rows = table.by_class(clips, assigned, dataset.classes)
    asked = [part for part in PARTS if _asks_for(settings, part)]
    assignable = [part for part in asked if not (published and part == "test")]
    kept = ["test"] if published else []
    problems = missing.problems(rows, counts, assignable, kept, folds=settings.folds)
    if problems and not settings.allow_missing:
        raise InputError(missing.refusal(problems))
    sizes = {**dict.fromkeys(PARTS, 0), **Counter(assigned.values())}
    if empty := [part for part in asked if not sizes[part]]:
        raise InputError(
            f"cannot split: no clip is left for {' and '.join(empty)}; the clips to divide are "
            f"{len(rest)} in {len(groups)} groups, which stay whole: add groups, or ask for fewer "
            "parts"
        )
    if problems:
        job.report.warn(missing.warning(problems))
    split = Split.create(dataset.fingerprint, dict(sorted(assigned.items())), rows)
    job.outputs["split"].mkdir()
    split.save(job.outputs["split"])
    by_folder = table.by_folder(clips, assigned) if settings.spread else {}
    text = table.rendered(rows, sizes, by_folder, _lacking(plan.sizes, rows))
    job.report.message(f"clips per class and part\n{text}")
    job.metadata["split"] = {part: sizes[part] for part in PARTS}


def _asks_for(settings: SplitSettings, part: str) -> bool:
    """Whether a part is to hold anything."""
    sizes = {"val": settings.val_size, "test": settings.test_size or settings.folds}
    return part == "train" or bool(sizes[part])


def _once(clips: list[Clip], job: Job) -> list[Clip]:
    """The clips without copies of one file within a class."""
    from components.split_clips import content

    kept, copies = content.once(clips)
    if copies:
        shown = ", ".join(copies[:SHOWN]) + (", …" if len(copies) > SHOWN else "")
        job.report.message(f"{counted(len(copies), 'clip')} left out, being copies: {shown}")
    return kept


def _tell_short(sizes: Sizes, settings: SplitSettings, classes: list[str], job: Job) -> None:
    """Refuses classes with fewer clips than are asked for, or warns where that is allowed."""
    from components.core.splitting.sizes import shortage

    if not sizes.short:
        return
    if not settings.allow_short:
        raise InputError(
            f"cannot split: {shortage(sizes, classes)}\nA part that is a fraction or takes the "
            "rest asks for 1. Ask for fewer, add clips, or set allow_short: true, which shares "
            "such classes out in the proportions asked for"
        )
    job.report.warn(shortage(sizes, classes))


def _lacking(sizes: Sizes, rows: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Class → clips by which it falls short of what is asked for."""
    parts = [name for name in sizes.names if name in PARTS]
    got = [sum(row[part] for part in parts) for row in rows.values()]
    lacking = (int(asked - have) for asked, have in zip(sizes.asked, got, strict=True))
    return {name: number for name, number in zip(rows, lacking, strict=True) if number > 0}


def _published(settings: SplitSettings, clips: list[Clip]) -> set[str]:
    """Ids of the test clips that the source names, if they are to be kept."""
    found = {clip.id for clip in clips if clip.part == "test"} if settings.published_test else set()
    if found and settings.folds:
        raise SettingsError(
            [
                f"folds: got {settings.folds}, but the data set names its own test part of "
                f"{len(found)} clips; set published_test: false to divide all clips into folds, "
                "or folds: 0"
            ],
            "split_clips",
        )
    if len(found) == len(clips):
        raise InputError(
            "all usable clips are in the test part that the data set names; none is left to train "
            "on: set published_test: false, or add clips"
        )
    return found


def _without_copies(clips: list[Clip], published: set[str], job: Job) -> list[Clip]:
    """The clips to divide: not in the test part that the source names, nor copies of its clips."""
    tested = {clip.checksum for clip in clips if clip.id in published} - {""}
    rest = [clip for clip in clips if clip.id not in published]
    copies = sorted(clip.id for clip in rest if clip.checksum in tested)
    if copies:
        shown = ", ".join(copies[:SHOWN]) + (", …" if len(copies) > SHOWN else "")
        job.report.warn(
            f"{counted(len(copies), 'clip')} outside of the test part that the data set names "
            f"left out, having the content of clips in it ({shown}); published_test: false "
            "keeps them together"
        )
    return [clip for clip in rest if clip.checksum not in tested]


def _tell_published(clips: list[Clip], assigned: dict[str, str], job: Job) -> None:
    """Says what is kept, and whether it shares groups with what is trained on."""
    by_part: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for clip in clips:
        if clip.id in assigned:
            by_part[assigned[clip.id] == "test"][clip.group] += 1
    test, others = by_part[True], by_part[False]
    job.report.message(
        f"the test part is the one that the data set names: "
        f"{counted(test.total(), 'clip')} of {counted(len(test), 'group')}"
    )
    if shared := sorted((test.keys() & others.keys()) - {""}):
        count = sum(test[group] for group in shared)
        shown = ", ".join(shared[:SHOWN]) + (", …" if len(shared) > SHOWN else "")
        job.report.warn(
            f"{counted(len(shared), 'group')} with clips in the test part and outside of it "
            f"({shown}), which flatters the figures of {counted(count, 'test clip')}; "
            "published_test: false keeps groups together"
        )


def _counts(groups: dict[str, list[Clip]], classes: list[str]) -> Counts:
    """(groups, classes) clips with each label in each group."""
    import numpy as np

    column = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(groups), len(classes)))
    for row, members in enumerate(groups.values()):
        for clip in members:
            for label in clip.labels:
                counts[row, column[label]] += 1
    return counts


STAGE = Stage(
    name="split_clips",
    settings=SplitSettings,
    function=split_clips,
    inputs={
        "clips": "ClipDataset to split",
        "task": "Task whose settings take the place of those given (optional)",
    },
    outputs={"split": "Split: clip id to train, val or test"},
)
