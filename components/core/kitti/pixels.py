"""Image files as TAO reads them: JPEG or PNG, stored as they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core import files
from components.core.errors import InputError

if TYPE_CHECKING:
    from components.core.detection.preprocessing import Pixels

QUALITY = 95
"""Of JPEG."""

COMPRESSION = 3
"""Of PNG: quick, and hardly larger than the most."""

_ORIENTATION = 0x0112
"""The EXIF tag; TAO does not look at it."""

FORMATS = {".jpg": "JPEG", ".png": "PNG"}
"""Suffix → Pillow's name of the format."""


def needs_writing(source: Path, target: Path) -> bool:
    """Whether a file cannot be linked as it is: another format, or shown rotated."""
    from PIL import Image

    try:
        with Image.open(source) as image:
            turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
            return turned or image.format != FORMATS[target.suffix]
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{source} is no readable image: {error}") from None


def write_upright(source: Path, target: Path) -> None:
    """Writes an image as it is shown, in the format of the suffix of `target`.

    Raises:
        InputError: no readable image.
    """
    from components.core.detection.preprocessing import read_rgb

    write(target, read_rgb(source))


def write(target: Path, pixels: Pixels) -> None:
    """Writes H, W, 3, uint8, RGB pixels as JPEG or PNG; the file is there whole or not at all."""
    import cv2

    how = (
        [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION]
        if target.suffix == ".png"
        else [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    done, data = cv2.imencode(target.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)
    if not done:
        raise InputError(f"{target}: {pixels.shape[1]} x {pixels.shape[0]} pixels do not encode")
    with files.atomic_path(target) as temporary:
        temporary.write_bytes(data.tobytes())
