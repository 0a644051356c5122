"""DetectionDataset: images with labelled boxes, as files and one COCO document.

index.json         schema, fingerprint, classes and counts
annotations.json   COCO; see components.core.formats.coco for the keys beyond the standard
images/<file_name> the images; of others clones or copies, of our own work folder hard links
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from components.core import files
from components.core.artifacts.base import Index
from components.core.artifacts.split import PARTS
from components.core.errors import InputError
from components.core.formats import boxes, coco
from components.core.formats.shapes import AnnotatedImage, Kind
from components.core.state import digest

ANNOTATIONS = "annotations.json"
IMAGES = "images"

THREADS = 8


class Counts(BaseModel):
    """How much there is of one class, task or part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = 0
    """Of a class: those on which it is."""
    annotations: int = 0


class Summary(BaseModel):
    """How much a data set holds, and how it is distributed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = 0
    empty: int = 0
    """Images without annotations: negatives."""
    annotations: int = 0
    classes: dict[str, Counts] = {}
    """In the order of the class map; classes without annotations too."""
    tasks: dict[str, Counts] = {}
    parts: dict[str, Counts] = {}
    """`''`: the source names no part."""
    groups: int = 0
    """Videos or recordings; an image without a group counts as one."""
    shapes: dict[str, int] = {}
    """Kind of shape → annotations."""
    sources: dict[str, int] = {}
    """`manual`, `automatic` … → annotations."""


class DetectionDataset(Index):
    """Index of a DetectionDataset directory: `index.json`, `annotations.json`, `images/…`."""

    SCHEMA: ClassVar[str] = "trainyard/detection-dataset"

    classes: list[str]
    """Class names in their order; class i has the COCO category i + 1, 0 is the background."""
    counts: Summary
    source: str = ""
    """Where the annotations are from (no credentials)."""

    @classmethod
    def create(cls, document: Mapping[str, Any], source: str = "") -> DetectionDataset:
        """Builds the index of a COCO document made by `components.core.formats.coco`.

        The fingerprint covers everything in it, which is the content of the images too where they
        have their `checksum`.
        """
        return cls(
            fingerprint=digest(document),
            classes=[category["name"] for category in document["categories"]],
            counts=summarise(document),
            source=source,
        )

    @classmethod
    def write(
        cls,
        directory: Path,
        images: Sequence[AnnotatedImage],
        classes: Sequence[str],
        source: str = "",
        own: Path | None = None,
    ) -> DetectionDataset:
        """Writes a whole data set; the images stay where they are and are not changed.

        Nor does a later change of them reach the data set.

        Args:
            directory: new or empty.
            images: with `path` set; those without shapes are kept as negatives.
            classes: the class map, without the background.
            source: where the annotations are from (no credentials).
            own: folder of ours, in which no file is ever changed: images in it are hard-linked.

        Raises:
            InputError: with every image that is missing, has no size, an unusable name, one that is
                there twice, an unknown part, or shapes without a box or of other classes; and wrong
                classes.
        """
        problems = [*_class_problems(classes), *_image_problems(images, classes)]
        if problems:
            lines = "\n".join(f"  - {problem}" for problem in problems)
            raise InputError(f"{source or 'the images'} cannot be used as they are:\n{lines}")
        images = _with_checksums(images)
        document = coco.document(images, classes)
        place = directory / IMAGES
        place.mkdir(parents=True)
        ours = own.resolve() if own else None
        for image in images:
            if image.path is not None:  # checked above
                target = place / image.name
                target.parent.mkdir(parents=True, exist_ok=True)
                original = image.path.resolve()  # what a symbolic link points to, not the link
                if ours and original.is_relative_to(ours):
                    files.link_or_copy(original, target)
                else:
                    files.clone_or_copy(original, target)
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        files.write_text(directory / ANNOTATIONS, text + "\n")
        index = cls.create(document, source)
        index.save(directory)
        return index

    def summary(self) -> Summary:
        """Images and annotations per class, task, part, kind of shape and source."""
        return self.counts

    def document(self, directory: Path) -> dict[str, Any]:
        """The COCO document as it is; `file_name` is relative to `images/`.

        Raises:
            InputError: damaged or not there.
        """
        path = directory / ANNOTATIONS
        try:
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}") from None
        if not isinstance(content, dict):
            raise InputError(f"{path} is damaged: expected a JSON object")
        return content

    def images(self, directory: Path) -> list[AnnotatedImage]:
        """The images with their shapes; `name` is what a Split calls them, `path` their file.

        Raises:
            InputError: damaged or not there.
        """
        try:
            return coco.images_of(self.document(directory), directory / IMAGES)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{directory / ANNOTATIONS} is damaged: {error!r}") from None


def summarise(document: Mapping[str, Any]) -> Summary:
    """Counts what is in a COCO document."""
    names = {category["id"]: category["name"] for category in document["categories"]}
    images = {image["id"]: image for image in document["images"]}
    annotations = document["annotations"]
    owners = [images[annotation["image_id"]] for annotation in annotations]
    on_images = {(entry["image_id"], entry["category_id"]) for entry in annotations}
    per_class = Counter(names[entry["category_id"]] for entry in annotations)
    with_class = Counter(names[category] for _, category in on_images)
    return Summary(
        images=len(images),
        empty=len(images) - len({entry["image_id"] for entry in annotations}),
        annotations=len(annotations),
        classes={
            name: Counts(images=with_class[name], annotations=per_class[name])
            for name in names.values()
        },
        tasks=_counted("task", images.values(), owners),
        parts=_counted("part", images.values(), owners),
        groups=len({image.get("group") or (number,) for number, image in images.items()}),
        shapes=dict(sorted(Counter(entry["shape"] for entry in annotations).items())),
        sources=dict(sorted(Counter(entry["source"] for entry in annotations).items())),
    )


def _counted(
    key: str, images: Iterable[Mapping[str, Any]], owners: Iterable[Mapping[str, Any]]
) -> dict[str, Counts]:
    """Value of a key → images, and annotations on them."""
    found = Counter(image.get(key, "") for image in images)
    labels = Counter(image.get(key, "") for image in owners)
    return {
        value: Counts(images=found[value], annotations=labels[value]) for value in sorted(found)
    }


def _class_problems(classes: Sequence[str]) -> list[str]:
    if not classes:
        return ["there are no classes: name at least one"]
    problems = [
        f"class {name!r} is there {count} times: name it once"
        for name, count in Counter(classes).items()
        if count > 1
    ]
    problems += [
        f"class {name!r} has a line break, with which no model can be served: rename it, in the "
        "annotations or with merge_classes"
        for name in classes
        if name and name.splitlines() != [name]
    ]
    return problems + ["a class without a name: name it" for name in classes if not name.strip()]


def _image_problems(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> list[str]:
    if not images:
        return ["there are no images"]
    names = Counter(image.name for image in images)
    problems = [
        f"image {name!r} is there {count} times: rename it" for name, count in names.items()
        if count > 1
    ]  # fmt: skip
    folders = {
        "/".join(name.split("/")[:end]) for name in names for end in range(1, name.count("/") + 1)
    }
    known = set(classes)
    for image in images:
        problems += [f"image {image.name!r} {problem}" for problem in _problems(image, known)]
        if image.name in folders:
            problems.append(f"image {image.name!r} is also a folder of images: rename it")
    return problems


def _problems(image: AnnotatedImage, classes: set[str]) -> list[str]:
    problems = []
    parts = image.name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in image.name:
        problems.append("has no relative name like <folder>/<file>: rename it")
    elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in image.name):
        problems.append("has a name with characters that are no text: rename it")
    if image.path is None:
        problems.append("has no file: bring it, or leave the image out")
    elif not image.path.is_file():
        problems.append(f"is not at {image.path}: bring it, or leave the image out")
    if image.width <= 0 or image.height <= 0:
        problems.append(f"has the size {image.width} x {image.height}: its pixels are needed")
    if image.part not in ("", *PARTS):
        problems.append(f"is of the part {image.part!r}: accepted are {', '.join(PARTS)} and none")
    for shape in image.shapes:
        usable, _, what = boxes.fit(shape, image.width, image.height)
        if usable is None:
            problems.append(f"has a shape that cannot be used: {what}".removesuffix(": left out"))
    others = {shape.label for shape in image.shapes if shape.kind is not Kind.TAG} - classes
    return problems + [
        f"has shapes of the class {label!r}, which is not in the class map: add it, or leave them "
        "out"
        for label in sorted(others)
    ]


def _with_checksums(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    def checked(image: AnnotatedImage) -> AnnotatedImage:
        return image if image.checksum else replace(image, checksum=_checksum(image.path))

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(checked, images))


def _checksum(path: Path | None) -> str:
    if path is None:
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
