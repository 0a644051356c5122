"""A data set as TAO reads it: KITTI for the TensorFlow heads, COCO for those of PyTorch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from components.core import files
from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.formats import boxes, coco, kitti_labels
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.kitti.check import IGNORED
from components.core.kitti.names import flat_names
from components.core.kitti.pixels import needs_writing, write_upright
from components.core.wording import counted

Form = Literal["kitti", "coco"]

IMAGES: dict[Form, str] = {"kitti": "image_2", "coco": "images"}
LABELS, ANNOTATIONS, CLASSES = "label_2", "annotations.json", "labels.txt"

SHOWN = 20
"""Problems that a message lists."""


@dataclass
class Layout:
    """A data set that lies in one folder."""

    form: Form
    folder: Path
    images: list[AnnotatedImage]
    """As they lie there: `name` is the file's, `path` its place, without scores."""
    classes: list[str]
    """Of COCO in the order of its categories (1, 2 …); without `DontCare`."""
    notes: list[str] = field(default_factory=list)
    """What differs from the source, as sentences."""


def tao_layout(
    images: Sequence[AnnotatedImage],
    folder: Path,
    form: Form = "kitti",
    classes: Sequence[str] = (),
    suffix: str = "",
    progress: Callable[[int, int], None] | None = None,
    link: bool = False,
) -> Layout:
    """Writes `image_2/` and `label_2/`, or `images/` and `annotations.json`, and `labels.txt`.

    An image is copied, or cloned, unless TAO could not read it as it is shown: another file format
    than JPEG and PNG, another suffix than asked for, or a rotation in its EXIF data. Labels are
    boxes inside the image, in KITTI 15 columns; images without shapes are background. The source is
    not changed.

    Args:
        images: with `path` and size, as every reader gives them.
        folder: new or empty.
        form: kitti or coco.
        classes: the only ones that are written, in this order; () for all, sorted. `DontCare` is
            kept in KITTI and never a class of COCO.
        suffix: `.jpg` or `.png` for all images, as a convert spec's `image_extension` wants it.
        progress: told how many images of how many are there.
        link: hard-link images where possible: a later change of the source changes them too.

    Raises:
        InputError: with every image and class that cannot be written; there is nothing then.
    """
    kept = list(classes) or sorted({s.label for i in images for s in i.shapes} - {IGNORED})
    problems = _problems(images, folder, kept if form == "kitti" else [], suffix)
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        lines = "\n".join(f"  - {problem}" for problem in [*problems[:SHOWN], *more])
        raise InputError(f"the images cannot be written as {form.upper()}:\n{lines}")
    written = {*kept, IGNORED} if form == "kitti" else set(kept)
    place = folder / IMAGES[form]
    laid = [
        _as_labelled(image, name, place / name, written)
        for image, name in zip(images, flat_names(images, suffix), strict=True)
    ]
    place.mkdir(parents=True, exist_ok=True)
    if form == "kitti":
        (folder / LABELS).mkdir(exist_ok=True)

    def write(pair: tuple[AnnotatedImage, AnnotatedImage]) -> bool:
        again = _write_image(*pair, link)
        if form == "kitti":
            path = folder / LABELS / f"{Path(pair[1].name).stem}.txt"
            path.write_text(kitti_labels.text(pair[1]), encoding="utf-8")
        return again

    rewritten = 0
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for done, again in enumerate(pool.map(write, zip(images, laid, strict=True)), 1):
            rewritten += again
            if progress:
                progress(done, len(images))
    if form == "coco":
        coco.write(folder / ANNOTATIONS, laid, kept)
    files.write_text(folder / CLASSES, "".join(f"{name}\n" for name in kept))
    return Layout(form, folder, laid, kept, _notes(images, laid, form, written, rewritten))


def _problems(
    images: Sequence[AnnotatedImage], folder: Path, classes: Sequence[str], suffix: str
) -> list[str]:
    found = []
    if files.holds_something(folder):
        found.append(files.occupied(folder))
    if suffix not in ("", ".jpg", ".png"):
        found.append(f"suffix: got {suffix!r}, accepted are .jpg, .png, and '' for each its own")
    if not images:
        found.append("there are no images")
    found += [
        f"class {name!r} has blanks, which KITTI cannot hold: give it another name"
        for name in classes
        if not name or any(character.isspace() for character in name)
    ]
    for image in images:
        if image.path is None:
            found.append(f"image {image.name!r} has no file")
        elif not image.width or not image.height:
            found.append(f"image {image.name!r} cannot be read: its size is not known")
    return found


def _as_labelled(image: AnnotatedImage, name: str, path: Path, classes: set[str]) -> AnnotatedImage:
    shapes = [_labelled(s) for s in image.shapes if s.kind is not Kind.TAG and s.label in classes]
    return replace(image, name=name, path=path, shapes=shapes)


def _labelled(shape: Shape) -> Shape:
    return replace(shape, score=None) if shape.score is not None else shape


def _write_image(source: AnnotatedImage, target: AnnotatedImage, link: bool) -> bool:
    """Puts an image in its place; says whether it had to be written anew."""
    assert source.path is not None  # checked before
    assert target.path is not None
    original = source.path.resolve()  # what a symbolic link points to, not the link
    if again := needs_writing(original, target.path):
        write_upright(original, target.path)
    elif link:
        files.link_or_copy(original, target.path)
    else:
        files.clone_or_copy(original, target.path)
    return again


def _notes(
    images: Sequence[AnnotatedImage],
    laid: Sequence[AnnotatedImage],
    form: Form,
    classes: set[str],
    rewritten: int,
) -> list[str]:
    shapes = list(itertools.chain.from_iterable(image.shapes for image in images))
    others = Counter(s.label for s in shapes if s.label not in classes and s.kind is not Kind.TAG)
    drawn = sum(boxes.box(s) is not None and s.kind is not Kind.RECTANGLE for s in shapes)
    scores = sum(s.score is not None for s in shapes)
    tags = sum(s.kind is Kind.TAG for s in shapes)
    renamed = sum(Path(a.name).name != b.name for a, b in zip(images, laid, strict=True))
    suffixes = Counter(Path(image.name).suffix for image in laid)
    found = [
        f"{counted(count, 'object')} of the class {name!r} left out"
        for name, count in sorted(others.items())
    ]
    if drawn and form == "kitti":
        found.append(f"{counted(drawn, 'outline')} written as the box around it")
    if scores:
        found.append(f"the score (16th column) of {counted(scores, 'object')} is not written")
    if tags:
        found.append(f"{counted(tags, 'label')} of a whole image left out")
    if renamed:
        found.append(f"{counted(renamed, 'image')} under another file name")
    if rewritten:
        found.append(f"{counted(rewritten, 'image')} written anew, as TAO reads it")
    if len(suffixes) > 1 and form == "kitti":
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in suffixes.most_common())
        found.append(
            f"images of several suffixes ({kinds}): a KITTI convert spec names one of them"
        )
    return found
