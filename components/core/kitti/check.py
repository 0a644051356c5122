"""Looks through a KITTI data set for what would break a training or be lost; changes nothing."""

from __future__ import annotations

import math
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import InputError
from components.core.formats import boxes, kitti_labels
from components.core.formats.image_files import ImageFiles, image_size
from components.core.formats.kitti_labels import LABEL_FOLDERS, LineError
from components.core.formats.reading import text_of
from components.core.formats.shapes import Fault, Problem, Shape, told
from components.core.wording import counted

IGNORED = "DontCare"
"""KITTI's class of regions in which nothing is annotated."""

READ_BY_TAO = (".jpg", ".jpeg", ".png")

RANGES = {"truncated": (0.0, 1.0), "occluded": (0.0, 3.0)}
"""Column → what it may be; -1 stands for not known."""


@dataclass
class CheckReport:
    """What is in a KITTI data set, and what is wrong with it."""

    folder: Path
    labels: int = 0
    """Label files."""
    images: int = 0
    """Image files."""
    empty: list[str] = field(default_factory=list)
    """Label files without an object, below `folder`: their images are background."""
    unlabelled: list[str] = field(default_factory=list)
    """Images without a label file, below `folder`."""
    classes: dict[str, int] = field(default_factory=dict)
    """Class → usable objects."""
    scores: int = 0
    """Objects with a 16th column."""
    marked: int = 0
    """Label files that begin with a byte order mark."""
    errors: list[Problem] = field(default_factory=list)
    """What cannot be used: lines, boxes, files."""
    notes: list[Problem] = field(default_factory=list)
    """What can be used as it is or is put right in a copy."""

    def text(self) -> str:
        """For people: what there is, then errors and notes, of each kind the first ones."""
        objects = ", ".join(f"{name} {count}" for name, count in self.classes.items())
        lines = [
            f"{self.folder}: {counted(self.images, 'image')}, "
            f"{counted(self.labels, 'label file')} ({len(self.empty)} empty: background)",
            f"objects: {objects or 'none'}",
        ]
        for title, problems in (("error", self.errors), ("note", self.notes)):
            lines.append(f"{counted(len(problems), title)}{':' if problems else ''}")
            lines += [f"  - {line}" for line in told(problems)]
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **vars(self),
            "folder": str(self.folder),
            "errors": [_record(problem) for problem in self.errors],
            "notes": [_record(problem) for problem in self.notes],
        }

    def require(self) -> None:
        """Raises InputError with every error, if there is any."""
        if self.errors:
            lines = "\n".join(f"  - {problem}" for problem in self.errors)
            raise InputError(
                f"{self.folder}: {counted(len(self.errors), 'error')} in the labels; put them "
                f"right, or leave these files out:\n{lines}"
            )


def check(folder: Path, classes: Sequence[str] = ()) -> CheckReport:
    """Looks through a KITTI folder, or one with several (`train/label_2`, `val/label_2` …).

    Args:
        folder: with `image_2` and `label_2`, or `images` and `labels`, at any depth.
        classes: the ones that are expected; () for any.

    Raises:
        InputError: no such folder, or no label file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    paths = kitti_labels.label_files(folder)
    if not paths:
        raise InputError(
            f"{folder} holds no label files *.txt, and no folder {' or '.join(LABEL_FOLDERS)} with "
            "such files"
        )
    top = folder.parent if folder.name in LABEL_FOLDERS else folder
    images = ImageFiles(top)
    found = CheckReport(folder, labels=len(paths), images=len(images.names))
    counts: Counter[str] = Counter()
    for path in paths:
        size = _image(path, top, images, found)
        labels = _objects(path, size, found)
        counts.update(labels)
        raw = path.read_bytes()
        if raw.startswith(BOM_UTF8):
            found.marked += 1
            what = "a byte order mark, which TAO takes for a part of the class: copies have none"
            found.notes.append(Problem(Fault.LEFT_OUT, str(path), "", what))
        if not labels and not raw.removeprefix(BOM_UTF8).strip():
            found.empty.append(path.relative_to(top).as_posix())
    found.classes = dict(sorted(counts.items()))
    found.unlabelled = images.unused()
    found.notes += [
        Problem(Fault.NO_ENTRY, str(top / name), "", "has no label file: it is no background")
        for name in found.unlabelled
    ]
    _look_at_names(images.names, top, found)
    _look_at_labels(paths, found)
    _look_at_classes(found, classes)
    return found


def _record(problem: Problem) -> dict[str, str]:
    return {key: str(value) for key, value in vars(problem).items()}


def _image(path: Path, top: Path, images: ImageFiles, found: CheckReport) -> tuple[int, int]:
    """Width and height of the image of a label file; 0, 0 where there is none."""
    place = path.relative_to(top)
    image = kitti_labels.image_file(place, images)
    if image is None:
        found.errors.append(Problem(Fault.MISSING_IMAGE, str(path), "", _missing(place, images)))
        return 0, 0
    try:
        return image_size(image)
    except InputError as error:
        what = str(error).removeprefix(f"{image} ")
        found.errors.append(Problem(Fault.UNREADABLE, str(image), "", what))
        return 0, 0


def _missing(place: Path, images: ImageFiles) -> str:
    stem = place.stem
    several = images.candidates(stem)
    if several:
        return f"its image may be each of {', '.join(several)}: keep one"
    alike = [name for name in images.names if Path(name).stem.lower() == stem.lower()]
    if alike:
        return f"its image {alike[0]} is spelt otherwise (upper and lower case): rename one"
    return f"there is no image {stem}.* in {images.folder}"


def _objects(path: Path, size: tuple[int, int], found: CheckReport) -> list[str]:
    """The classes of the usable objects of a file."""
    try:
        lines = text_of(path).splitlines()
    except InputError as error:
        what = str(error).removeprefix(f"{path} ")
        found.errors.append(Problem(Fault.UNREADABLE, str(path), "", what))
        return []
    labels = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            shape = kitti_labels.parsed(line)
        except LineError as error:
            found.errors.append(Problem(error.fault, str(path), where, str(error)))
            continue
        usable, fault, what = boxes.fit(shape, *size)
        if fault is not None:
            (found.errors if usable is None else found.notes).append(
                Problem(fault, str(path), where, what.removesuffix(": left out"))
            )
        if usable is None:
            continue
        labels.append(shape.label)
        found.notes += [Problem(Fault.NUMBER, str(path), where, what) for what in _beyond(shape)]
        if shape.score is not None:
            found.scores += 1
            what = "a 16th column, the score of a prediction: TAO takes 15, copies have no score"
            found.notes.append(Problem(Fault.LEFT_OUT, str(path), where, what))
    return labels


def _beyond(shape: Shape) -> Iterable[str]:
    for name, (low, high) in RANGES.items():
        value = float(shape.attributes.get(name, "0"))
        if value != -1 and not (math.isfinite(value) and low <= value <= high):
            yield f"{name} is {value:g}, accepted are {low:g} to {high:g}, or -1"


def _look_at_names(names: Sequence[str], top: Path, found: CheckReport) -> None:
    """Images that differ only in their suffix, and suffixes that TAO does not know."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(Path(name).with_suffix("").as_posix().lower(), []).append(name)
    for own in stems.values():
        if len(own) > 1:
            what = f"has one label file with {', '.join(own[1:])}: keep one, or rename"
            found.errors.append(Problem(Fault.DUPLICATE, str(top / own[0]), "", what))
    suffixes = Counter(Path(name).suffix for name in names)
    for suffix, count in suffixes.items():
        if suffix.lower() not in READ_BY_TAO:
            what = f"{counted(count, 'image')}: TAO reads {', '.join(READ_BY_TAO)}; copies are PNG"
            found.notes.append(Problem(Fault.LEFT_OUT, str(top), f"*{suffix}", what))
        elif suffix != suffix.lower():
            what = f"{counted(count, 'image')}: copies have the suffix in lower case"
            found.notes.append(Problem(Fault.LEFT_OUT, str(top), f"*{suffix}", what))
    if len({suffix.lower() for suffix in suffixes}) > 1:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in suffixes.most_common())
        what = f"images of several suffixes ({kinds}): a TAO convert spec names one image_extension"
        found.notes.append(Problem(Fault.LEFT_OUT, str(top), "", what))


def _look_at_labels(paths: Sequence[Path], found: CheckReport) -> None:
    odd = [path for path in paths if path.suffix != ".txt"]
    found.notes += [
        Problem(Fault.LEFT_OUT, str(path), "", "its copy is called .txt") for path in odd
    ]


def _look_at_classes(found: CheckReport, classes: Sequence[str]) -> None:
    alike: dict[str, list[str]] = {}
    for name in found.classes:
        alike.setdefault(name.lower(), []).append(name)
    for own in alike.values():
        if len(own) > 1:
            what = "differ in upper and lower case only, which TAO does not tell apart"
            named = f"classes {' and '.join(map(repr, own))}"
            found.notes.append(Problem(Fault.UNKNOWN_CLASS, str(found.folder), named, what))
    for name, count in found.classes.items():
        where = f"class {name!r}"
        if classes and name not in classes and name != IGNORED:
            what = f"{counted(count, 'object')}; expected are {', '.join(classes)}"
            found.errors.append(Problem(Fault.UNKNOWN_CLASS, str(found.folder), where, what))
        elif not any(character.isalpha() for character in name):
            what = f"{counted(count, 'object')}: a number as a class; is it another format?"
            found.notes.append(Problem(Fault.UNKNOWN_CLASS, str(found.folder), where, what))
