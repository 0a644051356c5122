"""From any annotation format to any other: classes renamed, images copied or linked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from components.core import files
from components.core.errors import InputError, ProblemsError
from components.core.formats import coco, cvat_xml, cwfid, voc, vott, yolo
from components.core.formats.image_files import normal_name
from components.core.formats.recognition import recognised
from components.core.formats.shapes import (
    AnnotatedImage,
    Annotations,
    Fault,
    Problem,
    Shape,
    select_classes,
)
from components.core.kitti.check import IGNORED
from components.core.kitti.layout import Form
from components.core.kitti.names import flat_names
from components.core.kitti.reading import read_kitti
from components.core.kitti.subsets import write_subsets

READERS: dict[str, Callable[[Path, Path | None], Annotations]] = {
    "coco": coco.read,
    "voc": voc.read,
    "yolo": yolo.read,
    "vott": vott.read,
    "cvat": cvat_xml.read,
    "cwfid": cwfid.read,
}
READ = ("coco", "voc", "yolo", "kitti", "vott", "cvat", "cwfid")
WRITTEN = ("coco", "voc", "yolo", "kitti", "cvat")

HARMLESS = (Fault.NO_ENTRY, Fault.LEFT_OUT, Fault.SIZE)
"""Problems that cost no label."""


def read(
    source: Path,
    form: str = "auto",
    images: Path | None = None,
    *,
    one_based: bool = False,
    unlabelled_empty: bool = False,
) -> tuple[str, Annotations]:
    """Reads annotations whose images are there; returns the format too.

    Images of which all labels are damaged are left out and told.

    Args:
        source: file or folder.
        form: one of READ; `auto` looks at the content.
        images: folder in which they are looked for; by default that of the annotations.
        one_based: Pascal VOC only: pixels are counted from 1.
        unlabelled_empty: KITTI only: images without a label file are background.

    Raises:
        InputError: nothing is there, an unknown or ambiguous format, or no image.
    """
    form = recognised(source, "the data set", "--from") if form == "auto" else form
    if not source.exists():
        raise InputError(f"the data set: {source} does not exist")
    if form == "kitti":
        found = read_kitti(source, unlabelled_empty, images)
    elif form == "voc":
        found = voc.read(source, images, one_based)
    else:
        found = READERS[form](source, images)
    there = [image for image in found.images if image.path is not None and image.width]
    if not there:
        lines = "".join(f"\n  - {problem}" for problem in found.problems[:10])
        raise InputError(
            f"{source}: none of {len(found.images)} annotated images is in "
            f"{images or source}; name their folder with --images{lines}"
        )
    what = "all its labels are damaged: left out, not taken for background"
    damaged = [image.name for image in there if image.lost and not image.shapes]
    told = [Problem(Fault.LEFT_OUT, "", f"image {name!r}", what) for name in damaged]
    kept = [image for image in there if not image.lost or image.shapes]
    return form, replace(found, images=kept, problems=[*found.problems, *told])


def renamed(
    annotations: Annotations, mapping: Mapping[str, str], classes: Sequence[str] = ()
) -> Annotations:
    """Gives classes other names, then keeps those that are wanted.

    Args:
        annotations: as read.
        mapping: class → new name, of which several may be the same; '' leaves its objects out.
        classes: to keep, in this order; () keeps all. `DontCare` always stays.

    Raises:
        ProblemsError: classes that are not there; names similar ones.
    """
    known = dict.fromkeys([*annotations.labels, *sorted(annotations.counts())])
    problems = [_unknown(name, known, "--map") for name in mapping if name not in known]
    labels = dict.fromkeys(new for name in known if (new := mapping.get(name, name)))
    problems += [_unknown(name, labels, "--class") for name in classes if name not in labels]
    if problems:
        raise ProblemsError([InputError(problem) for problem in problems], "the classes")
    images = [
        replace(image, shapes=[r for s in image.shapes if (r := _renamed(s, mapping))])
        for image in annotations.images
    ]
    found = replace(annotations, labels=list(labels), images=images)
    dropped = [name for name, new in mapping.items() if not new]
    found.problems = [
        *found.problems,
        *(
            Problem(Fault.LEFT_OUT, "", f"class {name!r}", "left out, as --map says")
            for name in dropped
        ),
    ]
    if not classes:
        return found
    kept = [*classes, *([IGNORED] if IGNORED in labels and IGNORED not in classes else [])]
    return select_classes(found, kept)


def losses(problems: Sequence[Problem]) -> list[Problem]:
    """Those that cost labels or images."""
    return [problem for problem in problems if problem.fault not in HARMLESS]


def write(
    form: str,
    folder: Path,
    images: Sequence[AnnotatedImage],
    classes: Sequence[str],
    suffix: str = "",
    progress: Callable[[int, int], None] | None = None,
    link: bool = False,
) -> list[str]:
    """Writes a data set with its images; the parts of images are those of the format.

    kitti: `<part>/image_2`, `<part>/label_2`; coco: `<part>/images`, `<part>/annotations.json`;
    voc: `JPEGImages`, `Annotations`, `ImageSets`; yolo: `images`, `labels`, `data.yaml`; cvat:
    `images`, `annotations.xml`.

    Args:
        form: one of WRITTEN.
        folder: new or empty.
        images: with files.
        classes: of the shapes, in their order.
        suffix: kitti and coco: `.jpg` or `.png` for all images; '' for each its own.
        progress: told how many images of how many are there.
        link: hard-link images where possible: a later change of the source changes them too.

    Returns:
        What differs from the source, as sentences.

    Raises:
        InputError: what the format cannot hold.
    """
    if form in ("kitti", "coco"):
        kept = [name for name in classes if name != IGNORED]
        written = write_subsets(images, folder, cast(Form, form), kept, suffix, progress, link)
        return [
            f"{part}: {note}" if len(written) > 1 else note
            for part, layout in written.items()
            for note in layout.notes
        ]
    if form == "cvat":
        named = [replace(image, name=normal_name(image.name)) for image in images]
        cvat_xml.write(folder / "annotations.xml", named, classes, folder.name)
    else:
        flat = flat_names(images, any_suffix=True)
        named = [replace(image, name=name) for image, name in zip(images, flat, strict=True)]
        if form == "voc":
            voc.write(folder, named)
        else:
            yolo.write(folder, named, classes)
    place = folder / ("JPEGImages" if form == "voc" else "images")
    put = files.link_or_copy if link else files.clone_or_copy
    for done, image in enumerate(named, 1):
        assert image.path is not None  # as `read` gives them
        target = place / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        put(image.path.resolve(), target)
        if progress:
            progress(done, len(named))
    return []


def _renamed(shape: Shape, mapping: Mapping[str, str]) -> Shape | None:
    new = mapping.get(shape.label, shape.label)
    if new == shape.label:
        return shape
    return replace(shape, label=new) if new else None


def _unknown(name: str, known: Mapping[str, None], option: str) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{option}: class {name!r} is not there; there are {', '.join(known)}{hint}"
