"""From a data set to the part of each of its images, and what is told about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from components.core import files
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import PARTS, Split
from components.core.errors import InputError, SettingsError
from components.core.formats.shapes import AnnotatedImage
from components.core.splitting import missing
from components.core.splitting.assignment import Counts
from components.core.splitting.sizes import UNUSED
from components.core.stage import Job
from components.core.wording import counted
from components.split_images import coverage, division, grouping
from components.split_images.stage import CHOSEN, SplitSettings

if TYPE_CHECKING:
    from components.split_images.embedding import Embedding

SHOWN = 10
"""Images that a message lists."""

STEP = 10
"""Of `every_tenth`."""


def run(settings: SplitSettings, job: Job) -> None:
    """Does what `components.split_images.stage.split_images` says."""
    directory = job.inputs["dataset"]
    dataset = DetectionDataset.load(directory)
    images = dataset.images(directory)
    fixed = _kept(settings, images)
    kept = tuple(part for part in PARTS if part in fixed.values())
    rest, notes = _without_copies(images, fixed)
    _check_pattern(rest, settings)
    groups = grouping.grouped(rest, settings)
    if settings.strategy in CHOSEN:
        division.fractions(settings, len(rest), kept)  # refuses before anything takes long
    embedding = _embedded(settings, dataset, images, job)
    counts = coverage.counts(groups.values(), dataset.classes)
    if settings.strategy == "every_tenth":
        parts = {**every_tenth(images, fixed), **fixed}
        notes.append(
            f"each {STEP}th image validates, whatever it is next to; sizes and groups have no "
            "effect on it"
        )
    else:
        parts = {**_chosen(settings, groups, counts, embedding, kept), **fixed}
    if near := grouping.too_near(images, parts, settings):
        parts = {name: part for name, part in parts.items() if name not in near}
        notes.append(
            f"{counted(len(near), 'image')} left out, being within {settings.frame_gap} frames of "
            "one in another part"
        )
    found = coverage.covered(images, parts, dataset.classes, settings)
    asked = _asked(settings, kept)
    _refuse_empty(asked, found, len(rest), len(groups), settings)
    rows = found.annotations(dataset.classes)
    assigned = [part for part in asked if part not in kept]
    lacking = missing.problems(
        rows, counts, assigned, kept, folds=settings.folds, items="images", usable="annotations"
    )
    if lacking and not settings.allow_missing:
        raise InputError(missing.refusal(lacking))
    single = grouping.unknown(rest, settings)
    alone = (
        [
            f"no recording is known of {counted(len(single), 'image')}: each is taken for itself. "
            "Where they are frames of videos, name these by group_pattern or group_by"
        ]
        if single and settings.strategy in CHOSEN
        else []
    )
    told = [*notes, *found.notes, *(embedding.notes if embedding else ())]
    if kept:
        job.report.message(
            f"{' and '.join(kept)}: as the data set names them, "
            + ", ".join(f"{found.sizes[part]} images" for part in kept)
        )
    for note in alone:
        job.report.message(note)
    for note in [*told, *([missing.warning(lacking)] if lacking else [])]:
        job.report.warn(note)
    job.report.message(f"annotations per class and part\n{coverage.table(found)}")
    split = Split.create(dataset.fingerprint, dict(sorted(parts.items())), rows)
    job.outputs["split"].mkdir()
    if embedding:
        embedding.write(job.outputs["split"], parts)
    split.save(job.outputs["split"])
    from components.split_images.report import html_report

    page = html_report(settings, dataset, found, [*told, *alone, *lacking], embedding, parts)
    files.write_text(job.outputs["report"], page)
    job.metadata["split"] = found.sizes


def every_tenth(images: Sequence[AnnotatedImage], fixed: Mapping[str, str]) -> dict[str, str]:
    """Image name → part by the place among the annotated images: 0, 10, 20 … validate.

    Images without annotations are counted for themselves.
    """
    parts: dict[str, str] = {}
    for empty in (False, True):
        rows = [image for image in images if coverage.is_empty(image) == empty]
        rows = [image for image in rows if image.name not in fixed]
        parts |= {image.name: "train" if row % STEP else "val" for row, image in enumerate(rows)}
    return parts


def _kept(settings: SplitSettings, images: Sequence[AnnotatedImage]) -> dict[str, str]:
    """Image name → part, of those that stay where the source has them."""
    fixed = {image.name: image.part for image in images if image.part in settings.kept}
    if settings.strategy == "published" and not fixed:
        named = sorted({image.part for image in images} - {""})
        raise InputError(
            f"strategy: published, but the data set names {' and '.join(named) or 'no parts'}, "
            "neither val nor test; choose another strategy"
        )
    if fixed and settings.folds:
        raise SettingsError(
            [
                f"folds: got {settings.folds}, but the data set names its own test part of "
                f"{len(fixed)} images; set published_test: false to divide all images into folds, "
                "or folds: 0"
            ],
            "split_images",
        )
    if len(fixed) == len(images):
        raise InputError(
            "all images are in the parts that the data set names for validation and testing; none "
            "is left to train on: set published_test: false, or add images"
        )
    return fixed


def _without_copies(
    images: Sequence[AnnotatedImage], fixed: Mapping[str, str]
) -> tuple[list[AnnotatedImage], list[str]]:
    """The images to divide: not in a part that the source names, nor copies of one there."""
    taken = {image.checksum for image in images if image.name in fixed} - {""}
    rest = [image for image in images if image.name not in fixed]
    copies = sorted(image.name for image in rest if image.checksum in taken)
    if not copies:
        return rest, []
    shown = ", ".join(copies[:SHOWN]) + (", …" if len(copies) > SHOWN else "")
    note = (
        f"{counted(len(copies), 'image')} left out, having the content of images in a part that "
        f"the data set names ({shown})"
    )
    return [image for image in rest if image.checksum not in taken], [note]


def _check_pattern(images: Sequence[AnnotatedImage], settings: SplitSettings) -> None:
    if settings.group_pattern and len(grouping.unknown(images, settings)) == len(images):
        raise InputError(
            f"group_pattern: {settings.group_pattern!r} is in no image's name; they are like "
            f"{images[0].name!r}"
        )


def _embedded(
    settings: SplitSettings,
    dataset: DetectionDataset,
    images: Sequence[AnnotatedImage],
    job: Job,
) -> Embedding | None:
    if settings.strategy != "embedding":
        return None
    from components.split_images.embedding import embed

    return embed(settings, dataset.document(job.inputs["dataset"]), images, job)


def _chosen(
    settings: SplitSettings,
    groups: Mapping[str, Sequence[AnnotatedImage]],
    counts: Counts,
    embedding: Embedding | None,
    kept: tuple[str, ...],
) -> dict[str, str]:
    """Image name → part, of those that a part is chosen for."""
    members = list(groups.values())
    images = np.array([float(len(own)) for own in members])
    cells = embedding.cells(members) if embedding else np.zeros((len(members), 0))
    chosen = division.divided(settings, division.Groups(images, counts, cells), kept)
    return {
        image.name: part
        for part, own in zip(chosen, members, strict=True)
        if part != UNUSED
        for image in own
    }


def _asked(settings: SplitSettings, kept: tuple[str, ...]) -> list[str]:
    """The parts that are to hold something."""
    if settings.strategy == "every_tenth":
        return [part for part in PARTS if part in ("train", "val", *kept)]
    sizes = {"train": 1, "val": settings.val_size, "test": settings.test_size or settings.folds}
    return [part for part in PARTS if sizes[part] or part in kept]


def _refuse_empty(
    asked: Sequence[str],
    found: coverage.Coverage,
    images: int,
    groups: int,
    settings: SplitSettings,
) -> None:
    empty = [part for part in asked if not found.sizes[part]]
    if not empty:
        return
    whole = groups < images
    there = f"{images} in {counted(groups, 'group')}, which stay whole" if whole else f"{images}"
    first = (
        "; as allow_missing is set, classes of fewer groups than parts train first, and these are "
        "in all of them"
        if settings.allow_missing and groups >= len(asked) and "train" not in empty
        else ""
    )
    fixes = ["add recordings" if whole else "add images", "ask for fewer parts"]
    if whole:
        windows = "set frame_window to divide recordings into windows of so many frames"
        fixes = [windows, "choose another group_by", *fixes]
    if settings.frame_gap:
        fixes.append("set a smaller frame_gap")
    raise InputError(
        f"cannot split: no image is left for {' and '.join(empty)}; the images to divide are "
        f"{there}{first}: {', '.join(fixes[:-1])} or {fixes[-1]}"
    )
