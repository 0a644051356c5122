"""Images brought to one size, with their boxes: letterboxed or stretched.

What the other columns of KITTI say (truncation, occlusion, 3D sizes and places in metres) holds for
the object and stays; a camera calibration does not fit the new images.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.kitti.names import flat_names

if TYPE_CHECKING:
    from components.core.detection.preprocessing import Pixels

STEP = 16
"""Sides are multiples of it: detectnet_v2 and others divide their input by as much."""

MOST = 16384
"""Pixels of a side at the most."""

FILL = 114
"""Grey around a letterboxed image, 0 to 255 in each channel."""

PLAIN = (Kind.RECTANGLE, Kind.POLYGON, Kind.POLYLINE, Kind.POINTS, Kind.CUBOID)
"""Shapes that are lists of points; others become the box around them."""


@dataclass(frozen=True)
class Placement:
    """Where an image comes to lie in the new one; pixels."""

    width: int
    """Of the resized image."""
    height: int
    left: int
    """Of the border before it."""
    top: int
    across: float
    """What x is multiplied with."""
    down: float

    def shape(self, shape: Shape) -> Shape:
        """A shape at its new place."""
        if shape.kind is Kind.TAG:
            return shape
        if shape.kind not in PLAIN:
            around = boxes.box(shape)
            assert around is not None  # readers leave others out
            shape = Shape(
                shape.label,
                Kind.RECTANGLE,
                around,
                occluded=shape.occluded,
                crowd=shape.crowd,
                source=shape.source,
                score=shape.score,
                attributes=shape.attributes,
                track=shape.track,
                source_id=shape.source_id,
            )
        box = self._moved(shape.box) if shape.box else None
        return replace(
            shape,
            points=self._moved(shape.points),
            further_parts=tuple(self._moved(part) for part in shape.further_parts),
            box=(box[0], box[1], box[2], box[3]) if box else None,
        )

    def _moved(self, points: Sequence[float]) -> tuple[float, ...]:
        return tuple(
            n * self.down + self.top if place % 2 else n * self.across + self.left
            for place, n in enumerate(points)
        )


def size_of(text: str) -> tuple[int, int]:
    """Width and height of a text such as `960x544`.

    Raises:
        InputError: another form, sides above 16384, or no multiples of 16; names the next ones.
    """
    found = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", text)
    if not found:
        raise InputError(f"size: got {text!r}, accepted is <width>x<height>, such as 960x544")
    size = int(found[1]), int(found[2])
    if problems := size_problems(size):
        raise InputError(f"size {text}: {'; '.join(problems)}")
    return size


def size_problems(size: tuple[int, int]) -> list[str]:
    """What is wrong with a width and height in pixels."""
    found = []
    for name, side in zip(("width", "height"), size, strict=True):
        if side < STEP or side % STEP:
            low, high = side // STEP * STEP, (side // STEP + 1) * STEP
            nearest = f"{low} and {high}" if low else f"{high}"
            are = "next ones are" if low else "smallest is"
            found.append(f"{name} {side} is no multiple of {STEP}; the {are} {nearest}")
        if side > MOST:
            found.append(f"{name} {side} is above {MOST}, the most that is accepted")
    return found


def placement(width: int, height: int, size: tuple[int, int], letterbox: bool) -> Placement:
    """Where an image of `width` x `height` pixels comes to lie in one of `size`."""
    if not letterbox:
        return Placement(*size, 0, 0, size[0] / width, size[1] / height)
    scale = min(size[0] / width, size[1] / height)
    new = [
        min(max(1, round(side * scale)), most)
        for side, most in zip((width, height), size, strict=True)
    ]
    left, top = (size[0] - new[0]) // 2, (size[1] - new[1]) // 2
    return Placement(new[0], new[1], left, top, new[0] / width, new[1] / height)


def resized(
    images: Sequence[AnnotatedImage],
    size: tuple[int, int],
    folder: Path,
    letterbox: bool = True,
    suffix: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> list[AnnotatedImage]:
    """Writes resized images into a folder, several at a time; those that are there stay.

    So a second call continues the first one, provided that it is for the same images and sizes.

    Args:
        images: with `path` and size.
        size: width and height in pixels, multiples of 16.
        folder: for this call and those that continue it; images of any folders lie in it flat.
        letterbox: keep the proportions, with a grey border; else stretch.
        suffix: `.jpg` or `.png`; '' for each its own.
        progress: told how many images of how many are there.

    Returns:
        The images in their order, of their new size; rectangles and polygons at their new places,
        masks, ellipses and turned boxes as the boxes around them.

    Raises:
        InputError: a wrong size, an image without a file, or one that cannot be read.
    """
    problems = size_problems(size)
    problems += [f"image {image.name!r} has no file" for image in images if image.path is None]
    if problems:
        raise InputError("cannot resize:\n" + "\n".join(f"  - {problem}" for problem in problems))
    folder.mkdir(parents=True, exist_ok=True)

    files = flat_names(images, suffix)
    names = _names(images, files)

    def work(place: int) -> AnnotatedImage:
        image = _resized(images[place], folder / files[place], size, letterbox)
        return replace(image, name=names[place])

    done: list[AnnotatedImage] = []
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for image in pool.map(work, range(len(images))):
            done.append(image)
            if progress:
                progress(len(done), len(images))
    return done


def _names(images: Sequence[AnnotatedImage], files: Sequence[str]) -> list[str]:
    """The images' own names with the suffixes of the files, or the files' where two are alike."""
    pairs = [(PurePosixPath(image.name), file) for image, file in zip(images, files, strict=True)]
    plain = [str(path.with_suffix(PurePosixPath(file).suffix)) for path, file in pairs]
    often = Counter(plain)
    return [
        name if often[name] == 1 else str(path.with_name(file))
        for name, (path, file) in zip(plain, pairs, strict=True)
    ]


def _resized(
    image: AnnotatedImage, path: Path, size: tuple[int, int], letterbox: bool
) -> AnnotatedImage:
    place = placement(image.width, image.height, size, letterbox)
    if not path.is_file():
        from components.core.detection.preprocessing import read_rgb
        from components.core.kitti.pixels import write

        assert image.path is not None
        write(path, fill(read_rgb(image.path), place, size))
    return replace(
        image,
        width=size[0],
        height=size[1],
        shapes=[place.shape(shape) for shape in image.shapes],
        path=path,
        checksum="",
    )


def fill(pixels: Pixels, place: Placement, size: tuple[int, int]) -> Pixels:
    """An image of `size` (width, height) with the resized one at its place; H, W, 3, uint8, RGB."""
    import cv2
    import numpy as np

    # the sides that shrink first, each pixel the mean of those that it stands for
    less = min(place.width, pixels.shape[1]), min(place.height, pixels.shape[0])
    small = cv2.resize(pixels, less, interpolation=cv2.INTER_AREA)
    if less != (place.width, place.height):
        small = cv2.resize(small, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    if (place.width, place.height) == size:
        return np.asarray(small, np.uint8)
    canvas = np.full((size[1], size[0], 3), FILL, np.uint8)
    canvas[place.top : place.top + place.height, place.left : place.left + place.width] = small
    return canvas
