"""What a task that was verified by a person changes in the ground truth, as one plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.core.annotation_tasks import AnnotationTask, Record
from components.core.detection.matching import iou_matrix
from components.core.formats import boxes
from components.core.formats.cvat_records import Names, read_record
from components.core.formats.cvat_shapes import ShapeError
from components.core.wording import counted

UNCHANGED_PIXELS = 0.01
"""Coordinates that differ by less are the same: tools round."""

NO_BOX = (0.0, 0.0, 0.0, 0.0)

_FLAGS = ("occluded", "rotation")
_KEPT = ("type", "occluded", "points", "rotation", "z_order")
"""Of a verified shape, what a new one takes along."""


@dataclass
class Plan:
    """Changes of the annotations of one task."""

    create: list[Record] = field(default_factory=list)
    """Shapes without ids, source `manual`."""
    update: list[Record] = field(default_factory=list)
    """Whole shapes with the ids that they have."""
    delete: list[Record] = field(default_factory=list)
    """Whole shapes."""
    same: int = 0
    """Matched shapes that need no change."""
    notes: list[str] = field(default_factory=list)
    """What a person should know before saying yes."""

    def __str__(self) -> str:
        parts = [
            f"{counted(len(self.create), 'new box', 'new boxes')}",
            f"{len(self.update)} changed",
            f"{self.same} as they are",
        ]
        return ", ".join([*parts, f"{len(self.delete)} removed"] if self.delete else parts)


def plan(
    verified: AnnotationTask, truth: AnnotationTask, iou: float, remove_missing: bool = False
) -> tuple[Plan, list[str]]:
    """Compares two tasks frame by frame, box by box.

    Boxes of one frame and class are matched one to one, best overlap first. A matched box of the
    ground truth gets the verified outline if that is another; verified boxes without a match are
    added as `manual`.

    Args:
        verified: the annotations that a person has checked.
        truth: what they are brought into.
        iou: intersection over union from which two boxes are the same object.
        remove_missing: boxes of the ground truth, on frames that were verified, without a match
            are removed.

    Returns:
        The plan, and the problems because of which it must not be carried out: frames and labels
        that the ground truth does not have.
    """
    frames, problems = _frames(verified, truth)
    labels, missing = _labels(verified, truth)
    problems += missing
    done = Plan()
    done.notes += _left_out(verified, truth)
    ours, theirs = _by_place(verified.shapes, frames, labels), _by_place(truth.shapes)
    for place, shapes in ours.items():
        _compare(shapes, theirs.get(place, []), place, iou, done)
    if remove_missing:
        on_frames = set(frames.values())
        for place, shapes in theirs.items():
            if place[0] in on_frames and place not in ours:
                done.delete += shapes
    else:
        done.delete.clear()
    if others := _on_other_classes(done.create, truth, iou):
        done.notes.append(
            f"{counted(others, 'new box lies', 'new boxes lie')} on a box of another class: "
            "look at them"
        )
    return done, problems


def _compare(
    ours: Sequence[Record],
    theirs: Sequence[Record],
    place: tuple[int, Any, str],
    iou: float,
    done: Plan,
) -> None:
    pairs = matches(ours, theirs, iou)
    for number, shape in enumerate(ours):
        if number not in pairs:
            kept = {key: shape[key] for key in _KEPT if key in shape}
            about = {"frame": place[0], "label_id": place[1], "source": "manual", "group": 0}
            done.create.append({**kept, **about, "attributes": []})
            continue
        old = theirs[pairs[number]]
        if _differs(old, shape):
            new = {key: shape[key] for key in ("points", *_FLAGS) if key in shape}
            done.update.append({**old, **new, "source": "manual"})
        else:
            done.same += 1
    left = set(range(len(theirs))) - set(pairs.values())
    done.delete += [theirs[number] for number in sorted(left)]


def matches(ours: Sequence[Record], theirs: Sequence[Record], iou: float) -> dict[int, int]:
    """Position in `ours` → that in `theirs`, one to one, best overlap first."""
    if not ours or not theirs:
        return {}
    overlaps = iou_matrix(_boxes(ours), _boxes(theirs))
    order = np.argsort(-overlaps, axis=None, kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for flat in order:
        own, other = (int(i) for i in np.unravel_index(flat, overlaps.shape))
        if overlaps[own, other] < iou or overlaps[own, other] == 0:
            break
        if own not in pairs and other not in taken:
            pairs[own] = other
            taken.add(other)
    return pairs


def frame_numbers(wanted: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Name → number of the frame of this name, or the only one with the same last part.

    Names of which there is none, or several, are not in the result.
    """
    exact = _unique(names)
    last = _unique([_last(name) for name in names])
    ambiguous = {name for name, count in Counter(map(_last, wanted)).items() if count > 1}
    found = {}
    for name in wanted:
        if name in exact:
            found[name] = exact[name]
        elif _last(name) in last and _last(name) not in ambiguous:
            found[name] = last[_last(name)]
    return found


def _left_out(verified: AnnotationTask, truth: AnnotationTask) -> list[str]:
    """What is not compared."""
    boxless = sum(not _has_box(shape) for shape in verified.shapes)
    kinds = {"track": len(verified.tracks), "tag": len(verified.tags), "shape": boxless}
    notes = [
        f"{counted(count, kind)}{' without a box' if kind == 'shape' else ''} cannot be brought in"
        for kind, count in kinds.items()
        if count
    ]
    if truth.tracks:
        tracks = counted(len(truth.tracks), "track")
        notes.append(f"{tracks} of {truth.name!r} are not compared: look for double boxes")
    return notes


def _frames(verified: AnnotationTask, truth: AnnotationTask) -> tuple[dict[int, int], list[str]]:
    """Frame number → that in the ground truth; and what has no counterpart."""
    numbers = frame_numbers([f.name for f in verified.frames], [f.name for f in truth.frames])
    frames = {
        number: numbers[frame.name]
        for number, frame in enumerate(verified.frames)
        if frame.name in numbers and number not in verified.deleted
    }
    used = {int(shape["frame"]) for shape in verified.shapes} - set(frames) - verified.deleted
    problems = [
        f"frame {_name(verified, number)!r} of {verified.name!r} is not in {truth.name!r}, or "
        "several of its frames have that name"
        for number in sorted(used)
    ]
    for number, other in sorted(frames.items()):
        mine, theirs = verified.frames[number], truth.frames[other]
        if (mine.width, mine.height) != (theirs.width, theirs.height):
            problems.append(
                f"frame {mine.name!r} has {mine.width} x {mine.height} pixels in "
                f"{verified.name!r}, but {theirs.width} x {theirs.height} in {truth.name!r}"
            )
            del frames[number]
    return frames, problems


def _labels(verified: AnnotationTask, truth: AnnotationTask) -> tuple[dict[Any, Any], list[str]]:
    """Label id → that in the ground truth; and labels that are used but not there."""
    known = {label["name"]: label["id"] for label in truth.labels}
    names = {label["id"]: label["name"] for label in verified.labels}
    labels = {number: known[name] for number, name in names.items() if name in known}
    used = {shape["label_id"] for shape in verified.shapes} - set(labels)
    missing = sorted(str(names.get(number, number)) for number in used)
    return labels, [
        f"{truth.name!r} has no label {name!r}, which {verified.name!r} uses: add it there, or "
        f"rename it{_have(known)}"
        for name in missing
    ]


def _by_place(
    shapes: Sequence[Record],
    frames: Mapping[int, int] | None = None,
    labels: Mapping[Any, Any] | None = None,
) -> dict[tuple[int, Any, str], list[Record]]:
    """(frame, label id, type) → shapes with a box, those of other frames and labels left out."""
    found: dict[tuple[int, Any, str], list[Record]] = defaultdict(list)
    for shape in shapes:
        frame, label = int(shape["frame"]), shape["label_id"]
        if frames is not None:
            frame = frames.get(frame, -1)
        if labels is not None:
            label = labels.get(label)
        if frame >= 0 and label is not None and _has_box(shape):
            found[frame, label, str(shape["type"])].append(shape)
    return found


def _boxes(shapes: Sequence[Record]) -> Any:
    return np.array([_box(shape) for shape in shapes], np.float32).reshape(-1, 4)


def _has_box(shape: Record) -> bool:
    return len(shape.get("points") or ()) >= 4


def _box(shape: Record) -> boxes.Box:
    """Left, top, right, bottom; without an area where there is no box."""
    try:
        found = boxes.box(read_record(shape, Names(), str(shape["label_id"])))
    except (ShapeError, ValueError):
        return NO_BOX
    return found or NO_BOX


def _differs(old: Record, new: Record) -> bool:
    before, after = ([float(n) for n in shape["points"]] for shape in (old, new))
    if len(before) != len(after):
        return True
    moved = max((abs(a - b) for a, b in zip(before, after, strict=True)), default=0.0)
    flags = any((old.get(key) or 0) != (new.get(key) or 0) for key in _FLAGS)
    return moved > UNCHANGED_PIXELS or flags


def _on_other_classes(new: Sequence[Record], truth: AnnotationTask, iou: float) -> int:
    """How many of the new shapes lie on one of another class."""
    frames: dict[int, list[Record]] = defaultdict(list)
    for shape in truth.shapes:
        if _has_box(shape):
            frames[int(shape["frame"])].append(shape)
    count = 0
    for shape in new:
        others = [o for o in frames[shape["frame"]] if o["label_id"] != shape["label_id"]]
        if others:
            count += bool((iou_matrix(_boxes([shape]), _boxes(others)) >= iou).any())
    return count


def _unique(names: Sequence[str]) -> dict[str, int]:
    """Name → position, of the names that are there once."""
    counts = Counter(names)
    return {name: number for number, name in enumerate(names) if counts[name] == 1}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _name(task: AnnotationTask, frame: int) -> str:
    return task.frames[frame].name if 0 <= frame < len(task.frames) else str(frame)


def _have(names: Mapping[str, Any]) -> str:
    return f" (it has {', '.join(names)})" if names else ""
