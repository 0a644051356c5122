"""One folder per subset of a data set: `train/`, `val/`, `test/`, and `full/` for the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from components.core import files
from components.core.errors import InputError
from components.core.formats.shapes import AnnotatedImage
from components.core.kitti.layout import Form, Layout, tao_layout
from components.core.kitti.names import flat_names

WHOLE = "full"
"""Subset of the images that belong to no part."""


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yields a new folder beside `target` that takes its name when all is done.

    Raises:
        InputError: `target` holds something, or nothing can be created there.
    """
    if files.holds_something(target):
        raise InputError(files.occupied(target))
    if problem := files.place_problem(target):
        raise InputError(problem)
    with files.full_disk_named(target), files.atomic_path(target) as temporary:
        temporary.mkdir()
        yield temporary


def write_subsets(
    images: Sequence[AnnotatedImage],
    folder: Path,
    form: Form = "kitti",
    classes: Sequence[str] = (),
    suffix: str = "",
    progress: Callable[[int, int], None] | None = None,
    link: bool = False,
) -> dict[str, Layout]:
    """Writes each part as `tao_layout` does, into a folder of its name; see there for arguments.

    All subsets have the same classes. Where no image has a part, it is `folder` itself that holds
    them.

    Args:
        images: with their `part`.
        folder: new or empty.
        form, classes, suffix, progress, link: as `tao_layout`.

    Returns:
        Part, or `full`, → what lies there.

    Raises:
        InputError: as `tao_layout`.
    """
    from components.core.kitti.check import IGNORED

    names = list(classes) or sorted({s.label for i in images for s in i.shapes} - {IGNORED})
    if not any(image.part for image in images):
        return {WHOLE: tao_layout(images, folder, form, names, suffix, progress, link)}
    if form == "coco":  # several documents are read as one data set, in which names are unique
        flat = flat_names(images)
        images = [replace(image, name=name) for image, name in zip(images, flat, strict=True)]
    found: dict[str, Layout] = {}
    before = 0
    for part in ("train", "val", "test", ""):
        own = [image for image in images if image.part == part]
        if own:
            told = _after(progress, before, len(images))
            found[part or WHOLE] = tao_layout(
                own, folder / (part or WHOLE), form, names, suffix, told, link
            )
        before += len(own)
    return found


def _after(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    return (lambda done, _: progress(before + done, total)) if progress else None


def moved(layout: Layout, old: Path, new: Path) -> Layout:
    """A layout whose folder was renamed from below `old` to below `new`."""
    images = [
        replace(image, path=new / os.path.relpath(image.path, old)) if image.path else image
        for image in layout.images
    ]
    return replace(layout, folder=new / os.path.relpath(layout.folder, old), images=images)
