"""An annotation task as CVAT knows it: frames, labels, and what was drawn; whoever stores it.

The client of CVAT makes them, the annotation store keeps them, and `annotations_of` turns them into
what every reader of annotations gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.core.formats.cvat_record_tracks import Told, read_track
from components.core.formats.cvat_records import (
    Names,
    frame_of,
    read_record,
    read_tag,
    write_record,
)
from components.core.formats.cvat_records import Record as Record
from components.core.formats.cvat_shapes import ShapeError
from components.core.formats.image_files import ImageFiles, normal_name
from components.core.formats.reading import Placed, Reading
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape
from components.core.wording import counted

PathOf = Callable[["AnnotationTask", int], Path | None]
"""Task and frame number → where the image lies."""


@dataclass(frozen=True)
class Frame:
    """One image of a task; its position in the task is the frame number."""

    name: str
    """Relative path, with forward slashes."""
    width: int
    """Pixels."""
    height: int
    group: str = ""
    """Images of one recording share it; '' stands for the task."""
    part: str = ""
    """`train`, `val` or `test` where the source names the parts."""


@dataclass(frozen=True)
class AnnotationTask:
    """One task with everything in it. Records are as CVAT's server API (2.x) has them."""

    id: str
    """Unique and stable: CVAT's number as text, else `named(name)`; names are not unique."""
    name: str
    labels: tuple[Record, ...] = ()
    """id, name, color, type, attributes (id, name, …), sublabels."""
    frames: tuple[Frame, ...] = ()
    """For a video one per frame, with made-up names."""
    shapes: tuple[Record, ...] = ()
    """id, type, frame, label_id, points, rotation, occluded, z_order, group, source, attributes
    (spec_id, value), elements."""
    tracks: tuple[Record, ...] = ()
    """id, frame, label_id, group, source, attributes, shapes (as above, with outside)."""
    tags: tuple[Record, ...] = ()
    """id, frame, label_id, group, source, attributes."""
    created: str = ""
    """ISO 8601."""
    updated: str = ""
    status: str = ""
    """`annotation`, `validation` or `completed`."""
    video: bool = False
    """Whether its frames are those of a video."""
    deleted: frozenset[int] = field(default_factory=frozenset)
    """Frames that were taken out."""
    source: str = ""
    """Where a task is from that CVAT has given no number; '' where that is not known."""


def named(name: str) -> str:
    """The id of a task that CVAT has given no number."""
    return f"name:{name}"


def annotations_of(
    tasks: Iterable[AnnotationTask],
    images: ImageFiles | None = None,
    path_of: PathOf | None = None,
) -> Annotations:
    """All images of the tasks with what was drawn on them; deleted frames are left out.

    Names of images are those of the frames. They begin with the name of their task in a video, and
    where another task has a frame of the same name; with its id too where tasks share their name.

    Args:
        tasks: with different ids.
        images: where the images are looked for, by the name of the image and that of the frame.
        path_of: says where they are instead.
    """
    every = list(tasks)
    names = Counter(normal_name(task.name) for task in every)
    frames = Counter(
        name
        for task in every
        if not task.video
        for name in {normal_name(frame.name) for frame in task.frames}
    )
    found = Reading(images)
    for task in every:
        folder = normal_name(task.name)
        if names[folder] > 1 or not folder:
            folder = f"{folder}-{task.id}".lstrip("-").replace(":", "-")
        labels = (str(label.get("name") or "") for label in task.labels)
        found.labels = list(dict.fromkeys([*found.labels, *filter(None, labels)]))
        _read(task, folder, frames, found, path_of)
    return found.finished()


def task_of(
    images: Sequence[AnnotatedImage], name: str, labels: Sequence[str], id: str = ""
) -> AnnotationTask:
    """The task that holds these images, in their order; what `annotations_of` reads.

    Tracks become shapes of their frames that name their track. `path`, `checksum`, `frame` and
    `source_id` of the images are not kept.

    Args:
        images: checked, as readers give them.
        name: of the task.
        labels: in their order; those that only shapes have follow them.
        id: CVAT's number of the task; by default `named(name)`.
    """
    records = _label_records(images, labels)
    known = Names.of(records)
    shapes: list[Record] = []
    tags: list[Record] = []
    for frame, image in enumerate(images):
        for shape in image.shapes:
            target = tags if shape.kind is Kind.TAG else shapes
            number = len(shapes) + len(tags) + 1
            target.append(write_record(shape, frame, known, number))
    return AnnotationTask(
        id or named(name),
        name,
        tuple(records),
        tuple(Frame(i.name, i.width, i.height, i.group, i.part) for i in images),
        tuple(shapes),
        tags=tuple(tags),
        status="completed",
    )


def _read(
    task: AnnotationTask,
    folder: str,
    frames: Counter[str],
    found: Reading,
    path_of: PathOf | None,
) -> None:
    """Adds the images of a task."""
    source = f"task {task.name!r} ({task.id})"
    placed: dict[int, list[Placed]] = {number: [] for number in range(len(task.frames))}
    told: Told = []
    for frame, where, shape in _shapes(task, list(placed), told):
        if frame in placed:
            placed[frame].append((where, shape))
            continue
        what = f"frame {frame} is not one of the task's {len(placed)}: left out"
        told.append((Fault.LEFT_OUT, where, what))
    for fault, where, what in told:
        found.problem(fault, source, where, what)
    for number, image_frame in enumerate(task.frames):
        plain = normal_name(image_frame.name)
        where = f"frame {number}"
        if not plain and number not in task.deleted:
            found.problem(Fault.UNREADABLE, source, where, "image without a name: left out")
        if not plain:
            continue
        name = f"{folder}/{plain}" if task.video or frames[plain] > 1 else plain
        path = path_of(task, number) if path_of else _path(found.files, name, plain)
        if number in task.deleted:
            continue
        image = AnnotatedImage(
            name,
            image_frame.width,
            image_frame.height,
            task=task.name,
            group=image_frame.group or folder,
            frame=number,
            part=image_frame.part,
            source_id={"task": task.id, "image": str(number)},
            path=path,
        )
        found.add(image, placed[number], source, where)


def _path(files: ImageFiles | None, *names: str) -> Path | None:
    """The file that has one of the names."""
    if files is None:
        return None
    return next((path for name in names if (path := files.find(name))), None)


def _shapes(
    task: AnnotationTask, frames: Sequence[int], told: Told
) -> Iterator[tuple[int, str, Shape | None]]:
    """Frame, place and shape of everything that was drawn; None for what is damaged."""
    names = Names.of(task.labels)
    for kind, records, read in (("shape", task.shapes, read_record), ("tag", task.tags, read_tag)):
        for position, record in enumerate(records):
            where = f"{kind} {record.get('id', position)}, frame {record.get('frame')}"
            shape: Shape | None = None
            try:
                frame = frame_of(record)
            except ShapeError as error:
                told.append((error.fault, where, str(error)))
                continue
            try:
                shape = read(record, names)
            except ShapeError as error:
                told.append((error.fault, where, str(error)))
            if shape is not None or frame in frames:
                yield frame, where, shape
    for position, record in enumerate(task.tracks):
        where = f"track {record.get('id', position)}"
        try:
            for tracked in read_track(record, names, frames, told, where):
                yield tracked.frame, f"{where}, frame {tracked.frame}", tracked.shape
        except ShapeError as error:
            lost = counted(len(record.get("shapes") or []), "keyframe")
            told.append((error.fault, where, f"{error} ({lost})"))
            yield from ((frame, where, None) for frame in frames)


def _label_records(images: Sequence[AnnotatedImage], labels: Sequence[str]) -> list[Record]:
    """Label records with numbers from 1 on, with the attributes and parts that shapes have."""
    attributes: dict[str, dict[str, None]] = {label: {} for label in labels}
    parts: dict[str, dict[str, None]] = {}
    for shape in (shape for image in images for shape in image.shapes):
        attributes.setdefault(shape.label, {}).update(dict.fromkeys(shape.attributes))
        for part in shape.elements:
            parts.setdefault(shape.label, {})[part.label] = None
            attributes[shape.label].update(dict.fromkeys(part.attributes))
    numbers = iter(range(1, 2 + len(attributes) + sum(map(len, parts.values()))))
    specs = iter(range(1, 1 + sum(map(len, attributes.values()))))
    return [
        {
            "id": next(numbers),
            "name": label,
            "attributes": [{"id": next(specs), "name": name} for name in own],
            "sublabels": [
                {"id": next(numbers), "name": name, "attributes": []}
                for name in parts.get(label, ())
            ],
        }
        for label, own in attributes.items()
    ]
