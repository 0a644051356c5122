"""Tasks as OBDB's own tools have stored them: by name, without the number that CVAT gave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from components.core.annotation_tasks import AnnotationTask, Frame, Record, named
from components.core.formats.cvat_records import Names
from components.core.formats.cvat_video import FRAME

Document = dict[str, Any]

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")

OWN = {
    "_id", "type", "task_name", "object_class", "img_path", "img_height", "img_width",
    "shape_types", "shape_type",
}  # fmt: skip
"""Fields of an annotation that its record does not have."""


def older_task(
    name: str, head: Document, meta: Iterable[Document], annotations: Sequence[Document]
) -> AnnotationTask:
    """The task of documents without `task_id`.

    Frames that no document names count as deleted ones; those of a video, of which there is one
    document for all, get made-up names.
    """
    frames = [
        Frame(str(one.get("name", "")), int(one.get("width") or 0), int(one.get("height") or 0))
        for document in meta
        for one in document.get("frames") or []
    ]
    video = len(frames) == 1 and frames[0].name.lower().endswith(VIDEOS)
    last = max((int(one.get("frame", 0)) for one in annotations), default=0)
    if video:
        whole = frames[0]
        frames = [
            Frame(f"{FRAME.format(number)}.png", whole.width, whole.height)
            for number in range(last + 1)
        ]
    frames += [Frame("", 0, 0)] * (last + 1 - len(frames) if annotations else 0)
    for one in annotations:
        number = int(one.get("frame", 0))
        if not frames[number].name and one.get("img_path"):
            size = int(one.get("img_width") or 0), int(one.get("img_height") or 0)
            frames[number] = Frame(str(one["img_path"]), *size)
    labels = _labels(list(head.get("labels") or []), annotations)
    numbers = {str(label.get("name")): label["id"] for label in labels if "id" in label}
    return AnnotationTask(
        named(name),
        name,
        tuple(labels),
        tuple(frames),
        shapes=tuple(_record(one, numbers) for one in annotations),
        created=str(head.get("created_date") or ""),
        updated=str(head.get("updated_date") or ""),
        status="completed",
        video=video,
        deleted=frozenset(number for number, frame in enumerate(frames) if not frame.name),
    )


def _labels(labels: list[Record], annotations: Sequence[Document]) -> list[Record]:
    """The labels of a task; those that only annotations have get a number of their own."""
    used = set(Names.of(labels).labels)
    known = {str(label.get("name")) for label in labels}
    for one in annotations:
        name = str(one.get("object_class") or "")
        if not name or name in known:
            continue
        number = one.get("label_id")
        if not isinstance(number, int) or number in used:
            number = max(used, default=0) + 1
        labels.append({"id": number, "name": name, "attributes": []})
        used.add(number)
        known.add(name)
    return labels


def _record(document: Document, numbers: dict[str, int]) -> Record:
    """The record of an annotation; its class counts, whatever number it has."""
    record = {name: value for name, value in document.items() if name not in OWN}
    record["type"] = document.get("shape_types", document.get("shape_type"))
    number = numbers.get(str(document.get("object_class") or ""))
    return record if number is None else {**record, "label_id": number}
