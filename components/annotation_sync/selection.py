"""What of the gathered annotations goes into the data set, and what was left out of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from components.annotation_sync.naming import ImageNames, TaskNames, shown
from components.annotation_sync.stage import CVAT, FILES, AnnotationSyncSettings
from components.core.errors import InputError
from components.core.formats.shapes import (
    AnnotatedImage,
    Annotations,
    Fault,
    Kind,
    Problem,
    select_classes,
    told,
)
from components.core.stage import Job
from components.core.wording import counted

DONT_CARE = "DontCare"
"""KITTI's label of regions with objects that nobody labelled."""


@dataclass
class Selection:
    """What is written."""

    classes: list[str]
    images: list[AnnotatedImage]
    problems: list[Problem]
    notes: list[str] = field(default_factory=list)
    """What was left out or changed, in sentences."""


@dataclass(frozen=True)
class Chosen:
    """Images that the settings do not leave out by name."""

    images: list[AnnotatedImage]
    notes: list[str]


def chosen_images(settings: AnnotationSyncSettings, images: Sequence[AnnotatedImage]) -> Chosen:
    """The images of the wanted tasks, without those that are excluded.

    Raises:
        InputError: a task that is not there.
    """
    notes = []
    if settings.origin == FILES:
        tasks = TaskNames(settings.tasks)
        owners = {(image.source_id.get("task", ""), image.task) for image in images}
        tasks.refuse_absent(sorted(owners), "the annotations")
        images = [i for i in images if tasks.takes(i.source_id.get("task", ""), i.task)]
    excluded = ImageNames(settings.excluded_images)
    kept = [image for image in images if not excluded.mean(image)]
    if len(kept) < len(images):
        notes.append(f"{counted(len(images) - len(kept), 'image')} left out by excluded_images")
    if unmet := excluded.unmet():
        notes.append(f"excluded_images: no image is meant by {shown(unmet)}")
    return Chosen(kept, notes)


def selected(settings: AnnotationSyncSettings, found: Annotations, job: Job) -> Selection:
    """The images and classes of the data set; everything else is told.

    Raises:
        InputError: nothing is left, or, with `strict`, there is any problem.
    """
    chosen = chosen_images(settings, found.images)
    notes = chosen.notes
    found = _without_blanks(replace(found, images=chosen.images), notes)
    found = _renamed(found, settings, notes)
    classes = settings.classes or _own_classes(found, settings, notes)
    _refuse_without(classes, found)
    odd = _odd_names(classes, found, settings)
    if regions := found.counts()[DONT_CARE] if DONT_CARE not in classes else 0:
        notes.append(
            f"{DONT_CARE}, KITTI's word for regions that nobody labelled, is no class: "
            f"{counted(regions, 'shape')} left out; name it in classes if it is one"
        )
    found = select_classes(found, classes, [*settings.ignored_classes, DONT_CARE])
    if empty := [name for name in classes if not found.counts()[name]]:
        notes.append(f"classes without any shape: {', '.join(empty)}")
    usable = [image for image in found.images if image.path and image.width and image.height]
    problems = found.problems
    if lost := len(found.images) - len(usable):
        problems = [*problems, *_untold(found)]
        notes.append(
            f"{lost} of {counted(len(found.images), 'image')} left out: no file of them can be read"
        )
    fetched = settings.origin == CVAT and not settings.images  # they lie where we put them
    if moved := "" if fetched else _elsewhere(usable):
        notes.append(moved)
    _tell(problems, settings.strict, job)
    if not usable:
        raise InputError(
            f"none of the {counted(len(found.images), 'image')} that the annotations name was "
            "found: set images to the folder or s3://bucket/prefix that holds them"
        )
    usable, damaged = without_damaged(usable)
    notes += damaged
    kept = usable if settings.keep_empty else [i for i in usable if has_boxes(i)]
    if len(kept) < len(usable):
        empty_ones = counted(len(usable) - len(kept), "image")
        notes.append(f"{empty_ones} without shapes left out (keep_empty: false)")
    if not kept:
        reason = "" if settings.keep_empty else ", and keep_empty is false"
        raise InputError("; ".join([f"no image has a shape of the classes{reason}", *damaged]))
    for note in notes:
        job.report.message(note)
    for warning in odd:
        job.report.warn(warning)
    return Selection(list(classes), kept, problems, [*notes, *odd])


def without_damaged(images: Sequence[AnnotatedImage]) -> tuple[list[AnnotatedImage], list[str]]:
    """Images without those of which only damaged labels are known; and what was done, if any was.

    Such an image shows something that nobody can say: it is no negative example.
    """
    damaged = [image.name for image in images if image.lost and not has_boxes(image)]
    if not damaged:
        return list(images), []
    note = (
        f"{counted(len(damaged), 'image')} left out, of which labels are damaged and no other is "
        f"left, so that none becomes a negative example: {shown(damaged)}"
    )
    return [image for image in images if not image.lost or has_boxes(image)], [note]


def has_boxes(image: AnnotatedImage) -> bool:
    """Whether an image has a shape that is no mere tag."""
    return any(shape.kind is not Kind.TAG for shape in image.shapes)


def _renamed(found: Annotations, settings: AnnotationSyncSettings, notes: list[str]) -> Annotations:
    new = settings.renamed
    if not new:
        return found
    counts = found.counts()
    for old, name in new.items():
        if old in found.labels or counts[old]:
            notes.append(f"{old} became {name}: {counted(counts[old], 'shape')}")
        else:
            notes.append(f"merge_classes: there is no label {old}")
    return _relabelled(found, new)


def _without_blanks(found: Annotations, notes: list[str]) -> Annotations:
    """Labels without the blanks around them, which no annotator means."""
    counts = found.counts()
    new = {name: name.strip() for name in dict.fromkeys([*found.labels, *counts])}
    if odd := [f"{name!r} ({counts[name]})" for name in new if name != new[name]]:
        notes.append(f"blanks around labels left out: {', '.join(odd)}")
    return _relabelled(found, new) if odd else found


def _relabelled(found: Annotations, new: Mapping[str, str]) -> Annotations:
    images = [
        replace(
            image,
            shapes=[
                replace(shape, label=new.get(shape.label, shape.label)) for shape in image.shapes
            ],
        )
        for image in found.images
    ]
    labels = list(dict.fromkeys(new.get(label, label) for label in found.labels))
    return Annotations(labels, images, found.problems)


def _own_classes(
    found: Annotations, settings: AnnotationSyncSettings, notes: list[str]
) -> list[str]:
    """The labels that the source has boxes of, in its own order."""
    used = Counter(s.label for i in found.images for s in i.shapes if s.kind is not Kind.TAG)
    ignored = {*settings.ignored_classes, DONT_CARE}
    wanted = [label for label in found.labels if label not in ignored]
    classes = [label for label in wanted if used[label]]
    if classes:
        notes.append(
            f"the classes are those of the annotations: {', '.join(classes)}; set classes to keep "
            "their order whatever comes"
        )
    if unused := [label for label in wanted if not used[label]]:
        notes.append(f"labels without any box are no classes: {', '.join(unused)}")
    return classes


def _odd_names(
    classes: Sequence[str], found: Annotations, settings: AnnotationSyncSettings
) -> list[str]:
    """What names of classes, and of labels that are left out, are hardly meant so."""
    counts, ignored = found.counts(), settings.ignored_classes
    names = dict.fromkeys([*classes, *(name for name in counts if name not in ignored)])
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault("".join(name.split()).casefold(), []).append(name)
    warnings = []
    for same in (same for same in alike.values() if len(same) > 1):
        shown_counts = ", ".join(f"{name} ({counts[name]})" for name in same)
        warnings.append(
            f"labels that differ in case or blanks only are not one class: {shown_counts}; make "
            f"them one with merge_classes, such as {same[1]}={same[0]}"
        )
    for name in (name for name in classes if name.casefold() == "background"):
        warnings.append(
            f"{name} is an ordinary class, that boxes are found of ({counts[name]}); detectors "
            "need no such class: leave it out with ignored_classes"
        )
    return warnings


def _refuse_without(classes: Sequence[str], found: Annotations) -> None:
    counts = found.counts()
    if classes and any(counts[name] for name in classes):
        return
    there = ", ".join(f"{label} ({count})" for label, count in counts.most_common(20))
    lines = "".join(f"\n  - {line}" for line in told(found.problems))
    wanted = f"of the classes {', '.join(classes)}" if classes else "with a box"
    raise InputError(
        f"the annotations hold no shape {wanted}; their labels are {there or 'none'}"
        f"{lines and '. Problems:'}{lines}"
    )


def _elsewhere(images: Sequence[AnnotatedImage]) -> str:
    """Says which files lie in another folder than their images name, so that somebody looks."""
    found = []
    for image in images:
        folder = PurePosixPath(image.name).parent.name
        if folder and image.path is not None and folder not in image.path.parts:
            found.append(f"{image.name} at {image.path}")
    if not found:
        return ""
    return (
        f"{counted(len(found), 'image')} taken from another folder than the annotations name, "
        f"since only there is a file of that name: {shown(found)}"
    )


def _untold(found: Annotations) -> list[Problem]:
    """Images without a file of which no reader has said so."""
    lost = [p for p in found.problems if p.fault in (Fault.MISSING_IMAGE, Fault.UNREADABLE)]
    said = {name for p in lost for name in re.findall(r"image (['\"].+?['\"])", p.what)}
    said |= {repr(PurePosixPath(problem.file).name) for problem in lost}
    return [
        Problem(Fault.MISSING_IMAGE, "", f"image {image.name!r}", "has no file: left out")
        for image in found.images
        if not image.path and not said & {repr(image.name), repr(PurePosixPath(image.name).name)}
    ]


def _tell(problems: Sequence[Problem], strict: bool, job: Job) -> None:
    if not problems:
        return
    kinds = Counter(str(problem.fault) for problem in problems)
    head = f"{counted(len(problems), 'problem')} in the annotations: "
    head += ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    text = "\n".join([head, *(f"  - {line}" for line in told(problems))])
    if strict:
        raise InputError(f"{text}\nstrict is true, so nothing was written: mend them, or leave out "
                         "what is not wanted with ignored_classes and excluded_images")  # fmt: skip
    job.report.warn(text)
