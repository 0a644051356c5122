"""Labelled images as every annotation format gives them: shapes, images, and what was wrong.

Coordinates are pixels as floats: (0, 0) is the upper left corner of the image, x goes right, y
down, and (width, height) is the lower right corner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from components.core.wording import counted

SHOWN = 10
"""Problems of one kind that a message lists before it only counts."""


class Kind(StrEnum):
    """What a shape is; its `points` are flat lists x, y, x, y … unless said otherwise."""

    RECTANGLE = "rectangle"
    """Left, top, right, bottom."""
    ROTATED = "rotated"
    """Left, top, right, bottom of the box before it is turned by `rotation` about its centre."""
    POLYGON = "polygon"
    POLYLINE = "polyline"
    POINTS = "points"
    ELLIPSE = "ellipse"
    """Centre x, centre y, radius x, radius y; turned by `rotation`."""
    MASK = "mask"
    """No points; see Shape.mask."""
    CUBOID = "cuboid"
    """The eight corners of a box in perspective, in CVAT's order."""
    SKELETON = "skeleton"
    """No points; see Shape.elements."""
    TAG = "tag"
    """A label of the whole image: no points."""


class Fault(StrEnum):
    """What can be wrong with annotations."""

    UNREADABLE = "unreadable"
    """A file, or an entry of it, that is not in its format."""
    NUMBER = "number"
    """A value that is no finite number."""
    TOO_FEW = "too_few_coordinates"
    ZERO_AREA = "zero_area"
    """A box without width or height, or with its corners swapped."""
    OUTSIDE = "outside"
    """A box that reaches, or lies, beyond the image."""
    UNKNOWN_CLASS = "unknown_class"
    MISSING_IMAGE = "missing_image"
    NAME = "other_name"
    """Annotations that name another image than the one that they are taken for."""
    SIZE = "size"
    """An image of another size than its annotations say."""
    NO_ENTRY = "no_entry"
    """An image that no annotation mentions."""
    DUPLICATE = "duplicate"
    LEFT_OUT = "left_out"
    """Content that is not read."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what was done about it."""

    fault: Fault
    file: str
    where: str
    """Line, element or entry; '' for the whole file."""
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.what) if part)


@dataclass(frozen=True)
class Mask:
    """Pixels of an object, as lengths of runs."""

    left: int
    """Pixels; the rectangle that the runs fill, row by row."""
    top: int
    width: int
    height: int
    counts: tuple[int, ...]
    """Background, object, background, …; what they leave at the end is background."""


@dataclass(frozen=True)
class Shape:
    """One label of an image."""

    label: str
    kind: Kind
    points: tuple[float, ...] = ()
    """Pixels; what they mean depends on `kind`."""
    rotation: float = 0.0
    """Degrees clockwise, of a rotated box or ellipse."""
    further_parts: tuple[tuple[float, ...], ...] = ()
    """Other polygons of the same object."""
    mask: Mask | None = None
    elements: tuple[Shape, ...] = ()
    """Of a skeleton."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom where the source gives a box of its own beside the outline."""
    occluded: bool = False
    outside: bool = False
    """An element of a skeleton that is not in the image."""
    crowd: bool = False
    """Many objects in one label (COCO's iscrowd)."""
    source: str = "manual"
    """`manual`, `automatic`, or what the annotation tool says."""
    score: float | None = None
    """Confidence of a predicted label."""
    attributes: dict[str, str] = field(default_factory=dict)
    track: str = ""
    """Shapes of one object in a video share it."""
    keyframe: bool = True
    """Drawn, not interpolated."""
    z_order: int = 0
    group: str = ""
    """Shapes that the annotator put together share it."""
    source_id: str = ""
    """The source's name of this label, where it has one."""


@dataclass
class AnnotatedImage:
    """One image with its labels; without any it is a negative example."""

    name: str
    """Unique, relative, with forward slashes: `<folder>/<file>`."""
    width: int = 0
    """Pixels as displayed; 0 where unknown."""
    height: int = 0
    shapes: list[Shape] = field(default_factory=list)
    path: Path | None = None
    """Where the file lies; None where it was not found or not looked for."""
    task: str = ""
    """CVAT task, or folder."""
    group: str = ""
    """Images of one video or recording share it; '' makes the image a group of its own."""
    frame: int | None = None
    """Number in its video or task."""
    part: str = ""
    """`train`, `val` or `test` where the source names the parts."""
    source_id: dict[str, str] = field(default_factory=dict)
    """How the source names it: ids of the image, task, subset …"""
    checksum: str = ""
    """SHA-256 (hex) of the file, where known."""
    lost: int = field(default=0, compare=False)
    """Labels that its reader left out as damaged: without others it is no negative example."""


@dataclass
class Annotations:
    """What a reader has found."""

    labels: list[str] = field(default_factory=list)
    """In the source's own order where it declares them, else sorted."""
    images: list[AnnotatedImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Label → number of shapes."""
        return Counter(shape.label for image in self.images for shape in image.shapes)

    def kinds(self) -> Counter[str]:
        """Kind of shape → number."""
        return Counter(str(shape.kind) for image in self.images for shape in image.shapes)

    def faults(self) -> Counter[str]:
        """Kind of problem → number."""
        return Counter(str(problem.fault) for problem in self.problems)


def part_of(name: str) -> str:
    """The part that a subset, folder or file name stands for, or ''."""
    word = name.strip().lower()
    return {
        "train": "train",
        "training": "train",
        "val": "val",
        "valid": "val",
        "validation": "val",
        "test": "test",
        "testing": "test",
    }.get(word, "")


def select_classes(
    annotations: Annotations, classes: Sequence[str], ignored: Iterable[str] = ()
) -> Annotations:
    """Keeps the given classes, in their order.

    Shapes of other labels are left out; how many of which label is told, except for those in
    `ignored`. All images stay.
    """
    wanted, silent = set(classes), set(ignored)
    images = [
        replace(image, shapes=[shape for shape in image.shapes if shape.label in wanted])
        for image in annotations.images
    ]
    others = annotations.counts()
    problems = [
        Problem(
            Fault.UNKNOWN_CLASS,
            "",
            f"class {label!r}",
            f"not among the classes {', '.join(classes)}: {counted(count, 'shape')} left out",
        )
        for label, count in sorted(others.items())
        if label not in wanted | silent
    ]
    return Annotations(list(classes), images, [*annotations.problems, *problems])


def told(problems: Iterable[Problem], limit: int = SHOWN) -> list[str]:
    """Problems as lines for people: of each kind at most `limit`, then how many more there are."""
    kinds: dict[Fault, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.fault, []).append(problem)
    lines = []
    for fault, found in kinds.items():
        lines += [str(problem) for problem in found[:limit]]
        if len(found) > limit:
            lines.append(f"and {len(found) - limit} more of the kind {fault}")
    return lines
