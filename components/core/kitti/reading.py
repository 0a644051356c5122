"""A KITTI folder as annotated images, on request with those that have no label file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from components.core.errors import InputError
from components.core.formats import kitti_labels
from components.core.formats.image_files import image_size
from components.core.formats.kitti_labels import IMAGE_FOLDERS, LABEL_FOLDERS
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Problem

OTHER_CAMERAS = ("image_0", "image_1", "image_3")
"""Folders of images that labels of `label_2` do not speak of."""


def read_kitti(
    folder: Path, unlabelled_empty: bool = False, images: Path | None = None
) -> Annotations:
    """Reads a KITTI folder as `components.core.formats.kitti_labels.read` does, images with files.

    Args:
        folder: with `image_2` and `label_2`, or with subsets that have them.
        unlabelled_empty: an image without a label file is background, as one with an empty file;
            by default it is left out and told, for nobody may have looked at it.
        images: folder in which the images are looked for; by default `folder`.

    Raises:
        InputError: there is no label file.
    """
    found = kitti_labels.read(folder, images)
    found.images = [image for image in found.images if image.path is not None]
    if not unlabelled_empty:
        return found
    top = images or (folder.parent if folder.name in LABEL_FOLDERS else folder)
    problems: list[Problem] = []
    for problem in found.problems:
        image = _background(Path(problem.file), top) if problem.fault is Fault.NO_ENTRY else None
        if image is None:
            problems.append(problem)
        else:
            found.images.append(image)
    found.problems = problems
    found.images.sort(key=lambda image: image.name)
    return found


def _background(path: Path, top: Path) -> AnnotatedImage | None:
    """The image of a file that no label file mentions; None where it is none of this camera."""
    place = PurePosixPath(path.relative_to(top).as_posix())
    if any(name in OTHER_CAMERAS for name in place.parts):
        return None
    try:
        width, height = image_size(path)
    except InputError:
        return None
    parts = [name for name in place.parent.parts if name not in IMAGE_FOLDERS.values()]
    return AnnotatedImage(
        "/".join([*parts, place.name]),
        width,
        height,
        path=path,
        task="/".join(parts),
        part=kitti_labels.part_in(parts),
    )
