"""Full-HD cuts of 4k images, with their shapes.

OBDB's rule: of 3840 x 2160 pixels rows 1080 to 2160 and columns 960 to 2880 are used, where the
weeds near the camera are. A shape that reaches less than MARGIN pixels past an edge where something
is cut off is left out, for what is left of it tells nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from components.core import files
from components.core.artifacts import base
from components.core.formats import boxes, masks
from components.core.formats.shapes import AnnotatedImage, Kind, Mask, Shape
from components.core.stage import Job
from components.core.wording import counted

MARGIN = 30.0
"""Pixels."""

THREADS = 8


@dataclass(frozen=True)
class Crop:
    """A part of images of one size; pixels."""

    width: int
    """Of the images that are cut."""
    height: int
    left: int
    top: int
    right: int
    bottom: int

    def fits(self, image: AnnotatedImage) -> bool:
        """Whether an image is of the size that is cut."""
        return (image.width, image.height) == (self.width, self.height)

    def keeps(self, box: boxes.Box) -> bool:
        """Whether a box reaches far enough past the edges where something is cut off."""
        left, top, right, bottom = box
        return not (
            (self.top > 0 and bottom <= self.top + MARGIN)
            or (self.bottom < self.height and top >= self.bottom - MARGIN)
            or (self.right < self.width and left >= self.right - MARGIN)
            or (self.left > 0 and right <= self.left + MARGIN)
        )

    def cut(self, shape: Shape) -> Shape | None:
        """A shape in the cut image; None where it is left out. Rectangles end at its edges."""
        if shape.kind is Kind.TAG:
            return shape
        found = boxes.box(shape)
        if found is None or not self.keeps(found):
            return None
        width, height = self.right - self.left, self.bottom - self.top
        moved = _moved(shape, -self.left, -self.top)
        if moved.mask is not None:
            moved = replace(moved, mask=_inside(moved.mask, width, height))
        usable, _, _ = boxes.fit(moved, width, height)
        return usable


FULL_HD = Crop(3840, 2160, left=960, top=1080, right=2880, bottom=2160)


def cropped(
    images: Sequence[AnnotatedImage], crop: Crop, quality: int, job: Job
) -> tuple[list[AnnotatedImage], list[str]]:
    """Cuts the images of the crop's size; others stay as they are.

    Args:
        images: with files.
        crop: what is kept of them.
        quality: JPEG quality; 0 writes PNG.
        job: cut files are kept in its `work`, by the content of the original.

    Returns:
        All images, in their order, and what was done, in sentences.
    """
    folder = job.work / "cropped"
    folder.mkdir(parents=True, exist_ok=True)
    cut = partial(_cropped, crop=crop, quality=quality, folder=folder)
    number = sum(map(crop.fits, images))
    done: list[AnnotatedImage] = []
    taken = {image.name for image in images if not crop.fits(image)}
    with ThreadPoolExecutor(THREADS) as pool:
        found = job.report.track(pool.map(cut, images), len(images), "images")
        for original, image in zip(images, found, strict=True):
            done.append(_named(image, taken) if crop.fits(original) else image)
            taken.add(done[-1].name)
    lost = sum(len(image.shapes) for image in images) - sum(len(image.shapes) for image in done)
    notes = [
        f"{counted(number, 'image')} of {crop.width} x {crop.height} pixels cut to rows {crop.top} "
        f"to {crop.bottom} and columns {crop.left} to {crop.right}; "
        f"{counted(lost, 'shape')} outside or within {MARGIN:g} pixels of a cut edge left out"
    ]
    size = crop.right - crop.left, crop.bottom - crop.top
    others = Counter((i.width, i.height) for i in images if not crop.fits(i))
    others.pop(size, None)
    if others:
        sizes = ", ".join(f"{count} of {w} x {h}" for (w, h), count in others.most_common(10))
        notes.append(f"full_hd changes no images of other sizes: {sizes}")
    return done, notes


def _cropped(image: AnnotatedImage, crop: Crop, quality: int, folder: Path) -> AnnotatedImage:
    if not crop.fits(image) or image.path is None:
        return image
    suffix = ".jpg" if quality else ".png"
    path = folder / f"{base.content(image.path)}-{quality}{suffix}"
    if not path.is_file():
        _write(image.path, path, crop, quality)
    shapes = [cut for shape in image.shapes if (cut := crop.cut(shape)) is not None]
    return replace(
        image,
        name=str(PurePosixPath(image.name).with_suffix(suffix)),
        width=crop.right - crop.left,
        height=crop.bottom - crop.top,
        shapes=shapes,
        path=path,
        checksum="",
    )


def _named(image: AnnotatedImage, taken: set[str]) -> AnnotatedImage:
    """The image under a name of its own: a.jpg and a.bmp would both become a.png."""
    path, number = PurePosixPath(image.name), 1
    while image.name in taken:
        number += 1
        image = replace(image, name=str(path.with_name(f"{path.stem}-{number}{path.suffix}")))
    return image


def _write(source: Path, target: Path, crop: Crop, quality: int) -> None:
    from PIL import Image

    from components.core.detection.preprocessing import read_rgb

    pixels = read_rgb(source)[crop.top : crop.bottom, crop.left : crop.right]
    cut = Image.fromarray(np.ascontiguousarray(pixels))
    with files.atomic_path(target) as temporary:
        if quality:
            cut.save(temporary, format="JPEG", quality=quality)
        else:
            cut.save(temporary, format="PNG", compress_level=3)


def _moved(shape: Shape, right: float, down: float) -> Shape:
    """The shape by so many pixels further right and down."""
    mask = shape.mask
    if mask is not None:
        mask = replace(mask, left=mask.left + int(right), top=mask.top + int(down))
    return replace(
        shape,
        points=_points(shape, right, down),
        further_parts=tuple(_shifted(part, right, down) for part in shape.further_parts),
        elements=tuple(_moved(element, right, down) for element in shape.elements),
        box=_box(shape.box, right, down),
        mask=mask,
    )


def _inside(mask: Mask, width: int, height: int) -> Mask:
    """The part of a mask in an image of the given size."""
    left, top = max(-mask.left, 0), max(-mask.top, 0)
    pixels = masks.pixels(mask)[top : height - mask.top, left : width - mask.left]
    return masks.of_pixels(pixels, mask.left + left, mask.top + top)


def _points(shape: Shape, right: float, down: float) -> tuple[float, ...]:
    if shape.kind is Kind.ELLIPSE:  # a centre and two radii
        return (*_shifted(shape.points[:2], right, down), *shape.points[2:])
    return _shifted(shape.points, right, down)


def _shifted(points: Sequence[float], right: float, down: float) -> tuple[float, ...]:
    return tuple(n + (down if place % 2 else right) for place, n in enumerate(points))


def _box(box: boxes.Box | None, right: float, down: float) -> boxes.Box | None:
    if box is None:
        return None
    left, top, far_right, bottom = box
    return left + right, top + down, far_right + right, bottom + down
