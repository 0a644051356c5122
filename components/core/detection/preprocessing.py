"""From an image file to the input of a detector: reading, resizing, cutting into tiles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.formats.image_files import without_range

Pixels = NDArray[np.uint8]
"""H, W, 3; RGB."""

Tile = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the image."""

_ORIENTATION = 0x0112
"""The EXIF tag that says how a player turns the picture."""

_FLIPPED_ROWS, _FLIPPED_COLUMNS, _TRANSPOSED = {3, 4, 6, 7}, {2, 3, 7, 8}, {5, 6, 7, 8}
"""Its values, by what is done to the stored pixels: the transposition last."""


def read_rgb(path: Path) -> Pixels:
    """The pixels of an image file, H, W, 3, uint8, RGB, as displayed.

    The rotation that EXIF asks for is applied: annotation tools show images so, and
    `image_files.image_size` gives these sides. Grey becomes RGB, 16 bits become 8, and
    transparency is ignored.

    Raises:
        InputError: no readable image, or pixels without a known range.
    """
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # callers say it themselves
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    orientation = _orientation(path)
    pixels = None
    if data.size and orientation:
        how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            pixels = cv2.imdecode(data, how)
        except cv2.error:  # a header that announces an enormous image
            pixels = None
    if pixels is None:
        return _read_otherwise(path)
    stored = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    return _turned(stored, orientation)


def scale_for(width: int, height: int, min_size: int, max_size: int) -> float:
    """What the sides of an image are multiplied with.

    The shorter becomes `min_size`, unless the longer would then exceed `max_size`.

    Args:
        width, height: of the image in pixels.
        min_size: 0 leaves images as they are.
        max_size: 0 for any.
    """
    if not min_size:
        return 1.0
    scale = min_size / min(width, height)
    return min(scale, max_size / max(width, height)) if max_size else scale


def resized(image: Pixels, min_size: int, max_size: int) -> tuple[Pixels, float]:
    """An image brought to its size, and what its sides were multiplied with; see `scale_for`.

    Smaller, every pixel is the mean of those that it stands for; larger, it is interpolated.
    """
    import cv2

    height, width = image.shape[:2]
    scale = scale_for(width, height, min_size, max_size)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return image, scale
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8), scale


def tiles(width: int, height: int, tile_size: int, overlap: int) -> list[Tile]:
    """Square tiles that cover an image, row by row; evenly spread, so that none is smaller.

    Along a side that is shorter than a tile there is one, of that length.

    Args:
        width, height: of the image in pixels.
        tile_size: side of a tile in pixels.
        overlap: pixels that neighbours share, at least.

    Raises:
        InputError: no size, or an overlap that leaves no way ahead.
    """
    if tile_size < 1 or not 0 <= overlap < tile_size:
        raise InputError(
            f"tiles of {tile_size} pixels that share {overlap}: tile_size must be at least 1, and "
            "tile_overlap from 0 to below it"
        )
    across, down = (_starts(side, tile_size, overlap) for side in (width, height))
    return [
        (left, top, min(left + tile_size, width), min(top + tile_size, height))
        for top in down
        for left in across
    ]


def _starts(side: int, tile_size: int, overlap: int) -> list[int]:
    if side <= tile_size:
        return [0]
    count = math.ceil((side - overlap) / (tile_size - overlap))
    return [round(k * (side - tile_size) / (count - 1)) for k in range(count)]


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    if orientation in _FLIPPED_ROWS:
        pixels = pixels[::-1]
    if orientation in _FLIPPED_COLUMNS:
        pixels = pixels[:, ::-1]
    if orientation in _TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels)


def _orientation(path: Path) -> int:
    """The EXIF tag's value; 0 for an image that is not read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return 0 if without_range(image) else int(image.getexif().get(_ORIENTATION, 1)) or 1
    except Exception:  # what OpenCV reads and Pillow does not has no orientation that we know
        return 1


def _read_otherwise(path: Path) -> Pixels:
    """Formats that OpenCV does not know."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if unusable := without_range(image):
                raise ValueError(unusable)
            return np.array(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except Exception as error:  # Pillow fails in many ways on files that are no images
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no readable image: {reason}") from None
