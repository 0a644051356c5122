"""What is in every part: images, annotations and recordings; what is missing, and what leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.core.artifacts.split import PARTS
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.splitting.assignment import Counts
from components.core.wording import counted
from components.split_images.grouping import recordings
from components.split_images.stage import SplitSettings

EMPTY = "(no object)"
"""Row of the images without annotations."""

ALL = "all"


@dataclass(frozen=True)
class Amount:
    """How much there is of a class in a part."""

    images: int = 0
    annotations: int = 0
    groups: int = 0
    """Recordings."""


@dataclass(frozen=True)
class Coverage:
    """What the parts hold."""

    rows: dict[str, dict[str, Amount]]
    """Class, EMPTY or ALL → part → amount."""
    parts_of: dict[str, dict[str, int]]
    """Recording → part, or '' for images that no part has → images."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know before he trusts a figure."""

    def annotations(self, classes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Class → part → annotations, as a Split records them."""
        return {
            name: {part: self.rows[name][part].annotations for part in PARTS} for name in classes
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Part → images."""
        return {part: self.rows[ALL][part].images for part in PARTS}


def objects(image: AnnotatedImage) -> list[Shape]:
    """The shapes of an image that are single objects: no tags and no crowds."""
    return [shape for shape in image.shapes if shape.kind is not Kind.TAG and not shape.crowd]


def is_empty(image: AnnotatedImage) -> bool:
    """Whether nothing is annotated on an image, so that it is a negative example."""
    return all(shape.kind is Kind.TAG for shape in image.shapes)


def counts(groups: Iterable[Sequence[AnnotatedImage]], classes: Sequence[str]) -> Counts:
    """(groups, classes + 1) annotations; in the last column images without any."""
    column = {name: number for number, name in enumerate(classes)}
    rows = []
    for members in groups:
        row = np.zeros(len(classes) + 1)
        for image in members:
            row[-1] += is_empty(image)
            for shape in objects(image):
                row[column[shape.label]] += 1
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, len(classes) + 1))


def covered(
    images: Sequence[AnnotatedImage],
    parts: Mapping[str, str],
    classes: Sequence[str],
    settings: SplitSettings,
) -> Coverage:
    """Counts what the parts hold, and looks for leaks.

    Args:
        images: of the data set.
        parts: image name → part, for those that have one.
        classes: of the data set.
        settings: of the stage; say what a recording is.
    """
    found = recordings(images, settings)
    tallies = {name: {part: _Tally() for part in PARTS} for name in (*classes, EMPTY, ALL)}
    parts_of: dict[str, dict[str, int]] = {}
    for name, own in found.items():
        here = parts_of.setdefault(name, {})
        for image in own:
            part = parts.get(image.name, "")
            here[part] = here.get(part, 0) + 1
            if part:
                for label, number in _labels(image).items():
                    tallies[label][part].add(number, name)
    rows = {
        name: {part: tally.amount() for part, tally in row.items()} for name, row in tallies.items()
    }
    return Coverage(rows, parts_of, [*_leaks(found, parts), *_copies(images, parts)])


def table(coverage: Coverage) -> str:
    """Annotations, or images, per class and part as text."""
    rows = [("class", list(PARTS))]
    for name, row in coverage.rows.items():
        whole = name in (EMPTY, ALL)
        cells = [row[part].images if whole else row[part].annotations for part in PARTS]
        rows.append((f"{name} images" if whole else name, [str(cell) for cell in cells]))
    width = max(len(title) for title, _ in rows)
    return "\n".join(
        f"  {title:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for title, cells in rows
    )


@dataclass
class _Tally:
    images: int = 0
    annotations: int = 0
    groups: set[str] = field(default_factory=set)

    def add(self, annotations: int, group: str) -> None:
        self.images += 1
        self.annotations += annotations
        self.groups.add(group)

    def amount(self) -> Amount:
        return Amount(self.images, self.annotations, len(self.groups))


def _labels(image: AnnotatedImage) -> Counter[str]:
    """Row of the table → annotations of the image in it."""
    found = Counter(shape.label for shape in objects(image))
    found[ALL] = found.total()
    if is_empty(image):
        found[EMPTY] = 0
    return found


def _leaks(found: Mapping[str, Sequence[AnnotatedImage]], parts: Mapping[str, str]) -> list[str]:
    """Images that are tested while others of their recording are trained on."""
    notes = []
    for part in ("val", "test"):
        same = near = total = 0
        for own in found.values():
            where = [parts[image.name] for image in own if image.name in parts]
            mine = where.count(part)
            total += mine
            if not mine or "train" not in where:
                continue
            same += mine
            near += sum(
                place == part and "train" in where[max(0, n - 1) : n + 2]
                for n, place in enumerate(where)
            )
        if same:
            notes.append(
                f"{same} of {counted(total, 'image')} in the {part} part are of recordings that "
                f"are trained on as well, {near} of them right beside a frame that is: figures on "
                "them flatter the model"
            )
    return notes


def _copies(images: Iterable[AnnotatedImage], parts: Mapping[str, str]) -> list[str]:
    """Files that are in several parts."""
    where: dict[str, set[str]] = {}
    for image in images:
        if image.checksum and image.name in parts:
            where.setdefault(image.checksum, set()).add(parts[image.name])
    several = sum(len(found) > 1 for found in where.values())
    if not several:
        return []
    return [f"{counted(several, 'file')} with copies in more than one part: remove the copies"]
