"""One exported frame: read, checked, and packed as it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.renderings import AuxView
from components.core.errors import InputError
from components.core.formats import inovis_folders as folders
from components.core.formats.inovis_blobs import parse_blob
from components.core.formats.inovis_images import linear_depth, parse_depth, parse_picture
from components.core.rendering.layout import (
    ALIGNMENT,
    LEVELS,
    FrameLayout,
    Precision,
    encoded_coordinates,
    encoded_depth,
    packed,
)
from components.core.rendering.lookup import coordinates

Floats = NDArray[np.float32]

NOTHING_COUNTS = "mask: none of its pixels counts"
"""What is wrong with frames that no figure can be of."""

Load = Callable[[str], tuple[bytes, str]]
"""Sub-folder → content and name of the frame's file in it."""


@dataclass(frozen=True)
class Options:
    """How frames are converted."""

    lod: str
    aux: int
    precision: Precision
    near: float
    far: float
    """Distances of the planes; 0 keeps depths as they are."""


@dataclass(frozen=True)
class Picture:
    """A photo, or the depth of one, as stored."""

    name: str
    """SHA-256 (hex) of its content, shortened."""
    height: int
    width: int
    content: bytes


@dataclass(frozen=True)
class Converted:
    """A frame as stored."""

    layout: FrameLayout
    content: bytes
    """Of the frame's file."""
    target: Picture
    aux: list[AuxView]


def convert(
    load: Load,
    photo: Callable[[bytes, str], Picture],
    depth: Callable[[Picture], None],
    mask: bool,
    options: Options,
) -> Converted:
    """Reads the files of a frame.

    Args:
        load: gives them.
        photo: makes or finds the stored photo of a file's content and name.
        depth: stores the depth of an aux photo.
        mask: whether there is one.
        options: how.

    Raises:
        InputError: files that are damaged, of other kinds, or whose sizes do not fit together.
    """
    lod = options.lod
    target = photo(*load(folders.TARGET))
    pictures = [parse_picture(*load(folders.input_folder(k, lod))) for k in range(LEVELS)]
    depths = [_depth(load, folders.depth_folder(k, lod), options) for k in range(LEVELS)]
    height, width = pictures[0].shape[:2]
    problems = _size_problems(pictures, depths, target)
    views, found = [], []
    for number in range(1, options.aux + 1):
        names = folders.aux_folders(number, lod)
        view = photo(*load(names[0]))
        values = _depth(load, names[1], options)
        motion = _motion(load, names[2])
        problems += _view_problems(number, view, values, motion, (height, width))
        stored = stored_picture(packed([encoded_depth(values, options.precision)]), values)
        depth(stored)
        found.append(coordinates(motion))
        share = round(float(found[-1][2].mean()), 6)
        views.append(AuxView(photo=view.name, depth=stored.name, height=view.height,
                             width=view.width, coverage=share))  # fmt: skip
    weights = _mask(load, (height, width), target) if mask else None
    if mask and weights is None:
        problems.append(f"mask: it has neither the {width} x {height} pixels of the renderings "
                        "nor the photo's size")  # fmt: skip
    elif weights is not None and not weights.any():
        problems.append(f"{NOTHING_COUNTS}; masks are white where pixels count")
    if problems:
        raise InputError("; ".join(problems))
    layout = FrameLayout(height, width, options.aux, options.precision, mask)
    arrays = [encoded_coordinates(places, options.precision) for places in found]
    arrays += [encoded_depth(values, options.precision) for values in depths]
    arrays += [picture.transpose(2, 0, 1) for picture in pictures]
    arrays += [] if weights is None else [weights]
    content = packed(arrays)
    assert len(content) == layout.bytes
    return Converted(layout, content, target, views)


def stored_picture(content: bytes, like: NDArray[np.generic]) -> Picture:
    """The picture with this content and the height and width of an array (H, W, …)."""
    name = hashlib.sha256(content).hexdigest()[:32]
    return Picture(name, like.shape[0], like.shape[1], content)


def stored_photo(data: bytes, name: str) -> Picture:
    """The photo in a file."""
    pixels = parse_picture(data, name)
    return stored_picture(packed([pixels.transpose(2, 0, 1)]), pixels)


def _depth(load: Load, folder: str, options: Options) -> Floats:
    values = parse_depth(*load(folder))
    return linear_depth(values, options.near, options.far) if options.near else values


def _motion(load: Load, folder: str) -> Floats:
    data, name = load(folder)
    motion = parse_blob(data, name)
    if motion.shape[2] < 2:
        raise InputError(f"{name} has {motion.shape[2]} channel; lookup coordinates have 2 or 3")
    return motion


def _mask(load: Load, size: tuple[int, int], target: Picture) -> NDArray[np.uint8] | None:
    """(H, W) uint8 weights; None where the mask has another size than rendering and photo."""
    values = parse_picture(*load(folders.MASK))[..., 0]
    if values.shape == (target.height, target.width):
        top, left = (target.height - size[0]) // 2, (target.width - size[1]) // 2
        values = values[top : top + size[0], left : left + size[1]]
    return values if values.shape == size else None


def _size_problems(
    pictures: list[NDArray[np.uint8]], depths: list[Floats], target: Picture
) -> list[str]:
    height, width = pictures[0].shape[:2]
    problems = []
    if height % ALIGNMENT or width % ALIGNMENT:
        problems.append(
            f"the renderings have {width} x {height} pixels; both must be multiples of "
            f"{ALIGNMENT}: export without Enforce Resolution"
        )
    for level, (picture, depth) in enumerate(zip(pictures, depths, strict=True)):
        wanted = height >> level, width >> level
        for kind, shape in (("input", picture.shape[:2]), ("depth", depth.shape)):
            if shape != wanted:
                problems.append(
                    f"{kind} of level {level} has {shape[1]} x {shape[0]} pixels, not "
                    f"{wanted[1]} x {wanted[0]}"
                )
    if target.height < height or target.width < width:
        problems.append(
            f"the photo has {target.width} x {target.height} pixels, less than the renderings' "
            f"{width} x {height}; photos are not enlarged"
        )
    return problems


def _view_problems(
    number: int, photo: Picture, depth: Floats, motion: Floats, size: tuple[int, int]
) -> list[str]:
    problems = []
    if depth.shape != (photo.height, photo.width):
        problems.append(
            f"aux view {number}: its depth has {depth.shape[1]} x {depth.shape[0]} pixels, its "
            f"photo {photo.width} x {photo.height}"
        )
    if motion.shape[:2] != size:
        problems.append(
            f"aux view {number}: its coordinates have {motion.shape[1]} x {motion.shape[0]} "
            f"pixels, the renderings {size[1]} x {size[0]}; they are not resampled"
        )
    return problems
