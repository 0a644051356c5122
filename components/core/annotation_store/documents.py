"""A task as documents of MongoDB, and back.

The fields that OBDB's tools read keep their names and meaning; all others are additions.

`tasks`: one document a task, `_id` is its id: type "task_data", name, labels, created_date,
updated_date; task_id, status, video, deleted_frames, generation, frames, annotations (numbers),
and `source` where the task is from files.
`meta`: task_name, frames (name, width, height); task_id, generation, first_frame. A task has
several such documents where its frames do not fit into one.
`annotation_data`: type "annotation", task_name, frame, label_id, object_class, shape_types, points,
occluded, source, img_path, img_width, img_height; task_id, generation, position, annotation_id, of
(shape, track or tag), rotation, z_order, group, attributes, elements, outside, and `more`: what
else the record holds. A keyframe of a track is one document; `track` holds the track itself, in
its first keyframe, and `track_position` its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from components.core.annotation_tasks import AnnotationTask, Frame
from components.core.formats.cvat_records import Names

Document = dict[str, Any]

FRAMES = 50_000
"""Of one document; with names of 200 characters they need 12 of the 16 MB that it may have."""

SHAPE, TRACK, TAG = "shape", "track", "tag"

RENAMED = {"id": "annotation_id", "type": "shape_types"}
KEPT = (
    "frame", "label_id", "points", "occluded", "source",
    "rotation", "z_order", "group", "attributes", "elements", "outside",
)  # fmt: skip
"""Fields of a record that a document has under the same name, where the record has them."""
NAMED = {*RENAMED, *KEPT}


def task_document(task: AnnotationTask, generation: str, annotations: int) -> Document:
    """The document of `tasks`."""
    return {
        "_id": task.id,
        "type": "task_data",
        "name": task.name,
        "labels": list(task.labels),
        "created_date": task.created,
        "updated_date": task.updated,
        "task_id": task.id,
        "status": task.status,
        "video": task.video,
        "deleted_frames": sorted(task.deleted),
        "generation": generation,
        "frames": len(task.frames),
        "annotations": annotations,
        **({"source": task.source} if task.source else {}),
    }


def frame_documents(task: AnnotationTask, generation: str) -> Iterator[Document]:
    """The documents of `meta`; at least one."""
    for first in range(0, max(len(task.frames), 1), FRAMES):
        yield {
            "_id": f"{generation}:{first:08d}",
            "task_name": task.name,
            "task_id": task.id,
            "generation": generation,
            "first_frame": first,
            "frames": [_frame_document(frame) for frame in task.frames[first : first + FRAMES]],
        }


def _frame_document(frame: Frame) -> Document:
    further = {"group": frame.group, "part": frame.part}
    size: Document = {"name": frame.name, "width": frame.width, "height": frame.height}
    return size | {name: value for name, value in further.items() if value}


def annotation_documents(task: AnnotationTask, generation: str) -> Iterator[Document]:
    """The documents of `annotation_data`, in the order that they are read back."""
    labels: Mapping[Any, str] = Names.of(task.labels).labels
    for position, (of, record, own) in enumerate(_records(task)):
        frame = record.get("frame", 0)
        known = isinstance(frame, int) and 0 <= frame < len(task.frames)
        image = task.frames[frame] if known else Frame("", 0, 0)
        document = {
            "_id": f"{generation}:{position:08d}",
            "type": "annotation",
            "task_name": task.name,
            "task_id": task.id,
            "generation": generation,
            "position": position,
            "of": of,
            "object_class": labels.get(own.get("label_id", record.get("label_id")), ""),
            "img_path": image.name,
            "img_width": image.width,
            "img_height": image.height,
        }
        document |= {name: record[name] for name in KEPT if name in record}
        document |= {new: record[old] for old, new in RENAMED.items() if old in record}
        if more := {name: value for name, value in record.items() if name not in NAMED}:
            document["more"] = more
        if of == TAG:
            document |= {"shape_types": "tag", "points": []}
        yield document | own


def _records(task: AnnotationTask) -> Iterator[tuple[str, Document, Document]]:
    """What it is, its record, and what a document has beside it."""
    for shape in task.shapes:
        yield SHAPE, shape, {}
    for number, track in enumerate(task.tracks):
        whole = {name: value for name, value in track.items() if name != "shapes"}
        common = {"track_position": number, "label_id": track.get("label_id")}
        common |= {"source": track.get("source", "manual")}
        shapes = track.get("shapes", [])
        if not shapes:
            bare = {"frame": track.get("frame", 0)}
            yield TRACK, bare, {**common, "track": whole, "empty": True}
        for keyframe, shape in enumerate(shapes):
            told = {"of_shape": [name for name in ("label_id", "source") if name in shape]}
            kept = {name: shape[name] for name in told["of_shape"]}
            own = {**common, **kept, **(told if kept else {})}
            yield TRACK, shape, own if keyframe else {**own, "track": whole}
    for tag in task.tags:
        yield TAG, tag, {}


def read_task(
    head: Document, meta: Iterable[Document], annotations: Sequence[Document]
) -> AnnotationTask:
    """The task of its documents, in whatever order they come."""
    annotations = sorted(annotations, key=lambda document: int(document["position"]))
    frames = [
        Frame(one["name"], one["width"], one["height"], one.get("group", ""), one.get("part", ""))
        for document in sorted(meta, key=lambda document: int(document["first_frame"]))
        for one in document["frames"]
    ]
    tracked = [document for document in annotations if document["of"] == TRACK]
    task = AnnotationTask(
        head["task_id"],
        head["name"],
        tuple(head.get("labels") or ()),
        tuple(frames),
        created=head.get("created_date", ""),
        updated=head.get("updated_date", ""),
        status=head.get("status", ""),
        video=bool(head.get("video")),
        deleted=frozenset(head.get("deleted_frames") or ()),
        source=str(head.get("source", "")),
    )
    return replace(
        task,
        shapes=tuple(_record(document) for document in annotations if document["of"] == SHAPE),
        tags=tuple(_record(document) for document in annotations if document["of"] == TAG),
        tracks=tuple(
            _track(list(own)) for _, own in groupby(tracked, lambda one: int(one["track_position"]))
        ),
    )


def _record(document: Document) -> Document:
    """The record that a document was made of."""
    left_out = {"shape_types", "points"} if document["of"] == TAG else set()
    if document["of"] == TRACK:
        left_out = {"label_id", "source"} - set(document.get("of_shape", ()))
    record = {
        old: document[new]
        for old, new in [*RENAMED.items(), *((name, name) for name in KEPT)]
        if new in document and new not in left_out
    }
    more: Document = document.get("more", {})
    return record | more


def _track(documents: Sequence[Document]) -> Document:
    whole: Document = documents[0]["track"]
    if documents[0].get("empty"):
        return {**whole, "shapes": []}
    return {**whole, "shapes": [_record(document) for document in documents]}
