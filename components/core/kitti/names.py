"""Flat file names for images of any folders: TAO looks for images and labels in one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from components.core.formats.image_files import normal_name
from components.core.formats.shapes import AnnotatedImage

SUFFIXES = {".jpg": ".jpg", ".jpeg": ".jpg", ".png": ".png"}
"""Suffix of an image in lower case → that of its copy; all others become PNG."""


def flat_names(
    images: Sequence[AnnotatedImage], suffix: str = "", any_suffix: bool = False
) -> list[str]:
    """A file name for each image, unlike all others even in upper case.

    It is the file's own name, with that of its folders in front where another image has the same;
    `jpeg` and suffixes in upper case become `.jpg` and `.png`.

    Args:
        images: in any order.
        suffix: `.jpg` or `.png` for all; '' for what is nearest to each.
        any_suffix: suffixes stay as they are.
    """
    paths = [PurePosixPath(normal_name(image.name)) for image in images]
    stems = Counter(path.stem.lower() for path in paths)
    short = [
        path.stem if stems[path.stem.lower()] == 1 else "_".join(path.with_suffix("").parts)
        for path in paths
    ]
    taken = Counter(stem.lower() for stem in short)
    found, used = [], set(taken)
    for path, stem in zip(paths, short, strict=True):
        if taken[stem.lower()] > 1:  # a.jpg beside a.png, or a/b.jpg beside a_b.jpg
            stem = _numbered(f"{stem}_{path.suffix[1:].lower()}", used)
        own = path.suffix if any_suffix else SUFFIXES.get(path.suffix.lower(), ".png")
        found.append(stem + (suffix or own))
    return found


def _numbered(stem: str, used: set[str]) -> str:
    """The stem, or with a number that makes it new; it is used then."""
    name, number = stem, 1
    while name.lower() in used:
        number += 1
        name = f"{stem}_{number}"
    used.add(name.lower())
    return name
