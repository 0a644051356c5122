"""CVAT XML files become tasks, or fill those of their names; all is checked before any is sent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.annotation_tasks import AnnotationTask, Record
from components.core.detection.verified import frame_numbers
from components.core.errors import InputError, ProblemsError, TrainyardError
from components.core.formats import cvat_xml
from components.core.formats.shapes import AnnotatedImage, Shape, told
from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.cvat import Cvat, TaskInfo

_DONE_ABOUT_IT = re.compile(
    r": (?:(?:it is |image )?left out|cut to the image|only the first is kept[^;]*"
    r"|the size of the file is taken[^;]*)(?=;|$)"
)
"""What a reader does about a problem; an upload does nothing about it, but is not made."""


@dataclass
class Upload:
    """One task to make or to fill."""

    server: Cvat
    name: str
    labels: Sequence[str]
    images: Sequence[AnnotatedImage]
    share: str = ""
    """Prefix of the images on the share; '' sends the files."""
    target: AnnotationTask | None = None
    """The task to fill, in place of a new one."""
    replace: bool = False

    @property
    def count(self) -> int:
        """Shapes and tags."""
        return sum(len(image.shapes) for image in self.images)

    def __str__(self) -> str:
        what = f"{self.name}: {counted(len(self.images), 'image')}, {counted(self.count, 'shape')}"
        if self.target is None:
            where = f"on the share below {self.share}" if self.share else "sent"
            return f"{what}, a new task, images {where}"
        there = len(self.target.shapes) + len(self.target.tracks)
        gone = f", {there} that are there go" if self.replace and there else ""
        return f"{what}, into task {self.target.id}{gone}"

    def problems(self, tasks: Sequence[TaskInfo]) -> list[TrainyardError]:
        """What stands in the way, before anything is sent."""
        if self.target is not None:
            return self._of_target(self.target)
        found: list[str] = []
        if same := [task.id for task in tasks if task.name == self.name]:
            found.append(
                f"there is a task of this name already ({', '.join(same)}): delete it, or fill it "
                "with --into"
            )
        if not self.share:
            lost = [image.name for image in self.images if image.path is None]
            found += (
                [f"{counted(len(lost), 'image')} not found ({', '.join(lost[:5])}): give --images "
                 "or --share"] if lost else []
            )  # fmt: skip
        return [InputError(f"{self.name}: {line}") for line in found]

    def send(self) -> str:
        """Makes the task where it is new, and sends everything in one request; says so."""
        if self.target is None:
            number = self._created()
            target = self.server.task(number)
        else:
            target = self.target
        shapes, tags = self._records(target)
        self.server.upload(target.id, shapes, tags, replace=self.replace)
        return f"task {target.id} {target.name}: {counted(len(shapes) + len(tags), 'shape')}"

    def _of_target(self, target: AnnotationTask) -> list[TrainyardError]:
        there = len(target.shapes) + len(target.tracks) + len(target.tags)
        if there and not self.replace:
            text = f"task {target.id} holds {counted(there, 'annotation')} already: add --replace"
            return [InputError(f"{self.name}: {text}")]
        try:
            self._records(target)
        except TrainyardError as error:
            return [type(error)(f"{self.name}: {error}")]
        return []

    def _records(self, target: AnnotationTask) -> tuple[list[Record], list[Record]]:
        from components.core.cvat.drawings import records

        names = [self._name_in_task(image) for image in self.images]
        numbers = frame_numbers(names, [frame.name for frame in target.frames])
        drawn = {n: i for n, i in zip(names, self.images, strict=True) if i.shapes}
        if lost := [name for name in drawn if name not in numbers]:
            raise InputError(
                f"task {target.id} has no frames {', '.join(lost[:5])}"
                f"{', …' if len(lost) > 5 else ''}"
            )
        return records(
            {numbers[name]: [_plain(s) for s in image.shapes] for name, image in drawn.items()},
            target.labels,
        )

    def _created(self) -> str:
        specs = [_label(name, self.images) for name in self.labels]
        if self.share:
            names = [self._name_in_task(image) for image in self.images]
            return self.server.create_task(self.name, specs, names, where="share")
        paths = [image.path for image in self.images if image.path is not None]
        return self.server.create_task(self.name, specs, paths, where="upload")

    def _name_in_task(self, image: AnnotatedImage) -> str:
        prefix = self.share.strip("/")
        return f"{prefix}/{image.name}" if prefix else image.name


def prepared(
    server: Cvat, folder: Path, images: Path, share: str, into: bool, replacing: bool
) -> list[Upload]:
    """The uploads of all XML files.

    Raises:
        TrainyardError: with everything that is wrong with any of them.
    """
    paths = sorted(folder.rglob("*.xml")) if folder.is_dir() else [folder]
    if not paths:
        raise InputError(f"{folder} holds no files *.xml")
    tasks = server.tasks()
    problems: list[TrainyardError] = []
    uploads: dict[str, Upload] = {}
    for path in paths:
        read = cvat_xml.read(path, images if images.is_dir() else images.parent)
        missing = "missing_image"
        if wrong := [p for p in read.problems if p.fault != "no_entry" and p.fault != missing]:
            bare = [replace(p, what=_DONE_ABOUT_IT.sub("", p.what)) for p in wrong]
            problems += [InputError(line) for line in told(bare)]
        for name, own in _by_task(read.images, path).items():
            if name in uploads:
                problems.append(InputError(f"{path}: the task {name!r} is in another file, too"))
                continue
            upload = Upload(server, name, read.labels, own, share, replace=replacing)
            try:
                upload.target = _target(server, tasks, name) if into else None
            except TrainyardError as error:
                problems.append(error)
                continue
            problems += upload.problems(tasks)
            uploads[name] = upload
    if problems:
        raise ProblemsError(problems, "the upload; nothing was sent")
    return list(uploads.values())


def _target(server: Cvat, tasks: Sequence[TaskInfo], name: str) -> AnnotationTask:
    from components.core.detection.task_lookup import lookup

    return server.task(lookup(tasks, [name])[0].id)


def _by_task(images: Sequence[AnnotatedImage], path: Path) -> dict[str, list[AnnotatedImage]]:
    """Name of the task → its images; that of the file where the XML names none."""
    found: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        found[image.task or path.stem].append(image)
    return found


def _label(name: str, images: Sequence[AnnotatedImage]) -> Record:
    """A label with the attributes that shapes of it have."""
    shapes = [shape for image in images for shape in image.shapes if shape.label == name]
    names = sorted({attribute for shape in shapes for attribute in shape.attributes})
    return {
        "name": name,
        "attributes": [
            {
                "name": attribute,
                "mutable": False,
                "input_type": "text",
                "default_value": "",
                "values": [""],
            }
            for attribute in names
        ],
    }


def _plain(shape: Shape) -> Shape:
    """A score that the XML has as an attribute stays one."""
    return replace(shape, score=None)
