"""Annotation tasks as CVAT's server API describes them, written out by hand."""

from __future__ import annotations

from typing import Any

from components.core.annotation_tasks import AnnotationTask, Frame

LABELS: tuple[dict[str, Any], ...] = (
    {
        "id": 11, "name": "cat", "color": "#ff0000", "type": "any",
        "attributes": [{"id": 5, "name": "age", "mutable": True, "values": ["young", "old"]}],
        "sublabels": [
            {"id": 21, "name": "head", "type": "points", "attributes": []},
            {"id": 22, "name": "hand", "type": "points", "attributes": []},
            {"id": 23, "name": "foot", "type": "points", "attributes": []},
        ],
    },
    {"id": 12, "name": "dog", "color": "#00ff00", "type": "any", "sublabels": [],
     "attributes": [{"id": 6, "name": "weather", "mutable": False, "values": ["rain"]}]},
)  # fmt: skip


def record(kind: str, label: int, points: list[float], frame: int = 0, **more: Any) -> dict:
    """A shape; all fields that CVAT sends."""
    common = {"occluded": False, "outside": False, "z_order": 0, "rotation": 0.0, "group": 0}
    common |= {"source": "manual", "attributes": [], "elements": [], "score": None}
    return {"type": kind, "frame": frame, "label_id": label, "points": points, **common, **more}


def every_record(frame: int = 0) -> tuple[list[dict], list[dict]]:
    """Shapes and tags that mean what `labelled_images.every_kind` holds."""
    joints = [
        record("points", 21, [20.5, 20.0], frame, id=31),
        record("points", 22, [30.0, 28.25], frame, id=32, occluded=True),
        record("points", 23, [0.0, 0.0], frame, id=33, outside=True),
    ]
    old = [{"spec_id": 5, "value": "old"}]
    shapes = [
        record("rectangle", 11, [1.5, 2.25, 30.0, 40.75], frame, occluded=True, attributes=old),
        record("rectangle", 12, [30.0, 30.0, 60.0, 50.0], frame, rotation=33.5, z_order=2),
        record("polygon", 11, [5.0, 5.0, 50.0, 6.5, 20.0, 70.0], frame, source="automatic"),
        record("polyline", 11, [5.0, 5.0, 50.0, 6.5, 20.0, 70.0], frame),
        record("points", 12, [1.0, 2.0, 9.0, 8.0], frame, group=7),
        record("ellipse", 12, [50.0, 40.0, 70.0, 29.5], frame, rotation=12.25),
        record("mask", 11, [0, 3, 2, 3, 4, 10, 20, 13, 22], frame),
        record("cuboid", 12, [float(number) for number in range(10, 42, 2)], frame),
        record("skeleton", 11, [], frame, elements=joints, occluded=True),
    ]
    for number, shape in enumerate(shapes, 1):
        shape["id"] = number
    rain = [{"spec_id": 6, "value": "rain"}]
    tag = {"id": 9, "frame": frame, "label_id": 12, "group": 0, "source": "manual"}
    return shapes, [{**tag, "attributes": rain}]


def frames(count: int, name: str = "img{}.png", width: int = 100, height: int = 80) -> tuple:
    return tuple(Frame(name.format(number), width, height) for number in range(count))


def track(label: int, *shapes: dict, number: int = 41, **more: Any) -> dict:
    """A track; its shapes without what CVAT does not send for them."""
    bare = [
        {k: v for k, v in shape.items() if k not in ("label_id", "group", "source", "elements")}
        for shape in shapes
    ]
    common = {"group": 0, "source": "manual", "attributes": [], "elements": []}
    first = shapes[0]["frame"] if shapes else 0
    return {"id": number, "frame": first, "label_id": label, "shapes": bare, **common, **more}


def task(number: str = "7", name: str = "pets", **more: Any) -> AnnotationTask:
    """A task with two frames, every kind of shape on the first one, and a track."""
    shapes, tags = every_record()
    moving = track(
        12,
        record("rectangle", 12, [0.0, 0.0, 10.0, 10.0], 0, id=51),
        record("rectangle", 12, [20.0, 0.0, 30.0, 10.0], 2, id=52, outside=True),
    )
    given = {
        "labels": LABELS, "frames": frames(3), "shapes": tuple(shapes), "tags": tuple(tags),
        "tracks": (moving,), "created": "2022-06-09T10:00:00.000000Z",
        "updated": "2022-06-10T12:30:00.000000Z", "status": "completed",
    }  # fmt: skip
    return AnnotationTask(number, name, **{**given, **more})


def obdb(frame: int, name: str, label: int, **more: Any) -> dict:
    """An annotation as OBDB's tools write it."""
    common: dict[str, Any] = {"type": "annotation", "task_name": "old one", "occluded": False}
    common |= {"points": [1.0, 2.0, 30.0, 40.0], "source": "manual"}
    size = {"img_path": f"/weed/{frame}.png", "img_height": 80, "img_width": 100}
    kind = {"shape_types": "rectangle"}
    return {
        **common,
        **size,
        **kind,
        "frame": frame,
        "label_id": label,
        "object_class": name,
    } | more


META = {
    "task_name": "old one",
    "frames": [{"name": f"/weed/{n}.png", "width": 100, "height": 80} for n in range(3)],
}
HEAD = {
    "type": "task_data", "name": "old one", "labels": [*LABELS],
    "created_date": "2022-05-01", "updated_date": "2022-05-02",
}  # fmt: skip
