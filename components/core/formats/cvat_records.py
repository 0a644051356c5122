"""Shapes and tags as records of CVAT's server API (2.x), and back.

The points of a record are those of `Shape`, except that an ellipse has its right and top end
instead of its radii, and a mask its run lengths followed by left, top, right and bottom of the
pixels that they fill. https://docs.cvat.ai/docs/api_sdk/sdk/reference/models/labeled-shape/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from components.core.formats.cvat_shapes import ShapeError
from components.core.formats.shapes import Fault, Kind, Mask, Shape

Record = dict[str, Any]

TYPES = {str(kind): kind for kind in Kind if kind not in (Kind.ROTATED, Kind.TAG)}
"""`type` of a record → kind of shape."""

TURNED = (Kind.RECTANGLE, Kind.ROTATED, Kind.ELLIPSE)
PLACE = 4
"""Numbers at the end of a mask's points that say where it lies."""


@dataclass(frozen=True)
class Names:
    """What the numbers of labels and attributes mean."""

    labels: Mapping[int, str] = field(default_factory=dict)
    """Also those of the parts of skeletons."""
    attributes: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, labels: Iterable[Record]) -> Names:
        """Those of a task's label records."""
        every = list(_every(labels))
        return cls(
            {label["id"]: str(label.get("name", "")) for label in every if "id" in label},
            {
                attribute["id"]: str(attribute.get("name", ""))
                for label in every
                for attribute in label.get("attributes") or []
                if "id" in attribute
            },
        )

    def label(self, record: Record) -> str:
        """The label of a record.

        Raises:
            ShapeError: a number that no label has.
        """
        number: Any = record.get("label_id")
        if number not in self.labels:
            raise ShapeError(
                Fault.UNKNOWN_CLASS,
                f"label {number!r} is not one of the task: left out; "
                f"it has {', '.join(f'{k} ({v})' for k, v in self.labels.items()) or 'none'}",
            )
        return self.labels[number]

    def values(self, record: Record) -> dict[str, str]:
        """Name → value of a record's attributes; a number without a name is its own name."""
        given = record.get("attributes") or []
        return {
            self.attributes.get(one.get("spec_id"), str(one.get("spec_id"))): str(one.get("value"))
            for one in given
        }


def _every(labels: Iterable[Record]) -> Iterable[Record]:
    for label in labels:
        yield label
        yield from _every(label.get("sublabels") or [])


def read_record(record: Record, names: Names, label: str = "") -> Shape:
    """The shape of a record; `label`: that of its track.

    Raises:
        ShapeError: an unknown type or label, or points that are missing or no numbers.
    """
    kind = TYPES.get(str(record.get("type")))
    if kind is None:
        what = f"type {record.get('type')!r} is not read: left out"
        raise ShapeError(Fault.LEFT_OUT, what)
    shape = replace(_common(record, names, label), kind=kind)
    if kind is Kind.SKELETON:
        return _skeleton(shape, record, names)
    points = _numbers(record.get("points") or (), "points")
    if kind is Kind.MASK:
        return replace(shape, mask=_mask(points))
    if kind in TURNED:
        if len(points) != 4:
            what = f"{kind} of {len(points)} numbers instead of 4: left out"
            raise ShapeError(Fault.TOO_FEW, what)
        rotation = _numbers([record.get("rotation") or 0], "rotation")[0] % 360
        shape = replace(shape, rotation=rotation)
        if kind is Kind.ELLIPSE:
            x, y, right, top = points
            points = x, y, right - x, y - top
        elif rotation:
            shape = replace(shape, kind=Kind.ROTATED)
    elif len(points) % 2:
        what = f"{kind} of {len(points)} numbers, which are no pairs: left out"
        raise ShapeError(Fault.TOO_FEW, what)
    return replace(shape, points=points)


def frame_of(record: Record) -> int:
    """The frame that a record is on.

    Raises:
        ShapeError: none is said, or no whole number.
    """
    return _whole(record, "frame")


def read_tag(record: Record, names: Names) -> Shape:
    """The tag of a record.

    Raises:
        ShapeError: an unknown label.
    """
    return replace(_common(record, names, ""), kind=Kind.TAG)


def write_record(shape: Shape, frame: int, names: Names, number: int = 0) -> Record:
    """The record of a shape or tag; `number`: its id, 0 for none.

    What CVAT has no field for stands under the name it has in `Shape`, where it is set.
    """
    labels = {name: key for key, name in reversed(list(names.labels.items()))}
    specs = {name: key for key, name in reversed(list(names.attributes.items()))}
    record: Record = {"id": number} if number else {}
    record |= {"frame": frame, "label_id": labels[shape.label], "source": shape.source}
    record["group"] = int(shape.group) if shape.group.isdecimal() else 0
    record["attributes"] = [
        {"spec_id": specs[name], "value": value} for name, value in shape.attributes.items()
    ]
    record |= _others(shape)
    if shape.kind is Kind.TAG:
        return record
    kind = Kind.RECTANGLE if shape.kind is Kind.ROTATED else shape.kind
    record |= {"type": str(kind), "occluded": shape.occluded, "outside": shape.outside}
    record |= {"z_order": shape.z_order, "rotation": shape.rotation, "points": _points(shape)}
    if shape.elements:
        record["elements"] = [write_record(part, frame, names) for part in shape.elements]
    return record


def _common(record: Record, names: Names, label: str) -> Shape:
    score = record.get("score")
    box = record.get("box")
    left, top, right, bottom = _numbers(box, "box") if box else (0.0, 0.0, 0.0, 0.0)
    return Shape(
        label or names.label(record),
        Kind.TAG,
        occluded=bool(record.get("occluded")),
        outside=bool(record.get("outside")),
        source=str(record.get("source") or "manual"),
        attributes=names.values(record),
        z_order=_whole(record, "z_order") if record.get("z_order") else 0,
        group=str(record.get("group") or ""),
        source_id=str(record.get("id") or ""),
        score=None if score is None else _numbers([score], "score")[0],
        crowd=bool(record.get("crowd")),
        track=str(record.get("track") or ""),
        keyframe=bool(record.get("keyframe", True)),
        box=(left, top, right, bottom) if box else None,
        further_parts=tuple(
            _numbers(part, "further_parts") for part in record.get("further_parts") or []
        ),
    )


def _others(shape: Shape) -> Record:
    """What CVAT has no field for, and only what is set."""
    found: Record = {}
    if shape.score is not None:
        found["score"] = shape.score
    if shape.crowd:
        found["crowd"] = True
    if shape.box is not None:
        found["box"] = list(shape.box)
    if shape.further_parts:
        found["further_parts"] = [list(part) for part in shape.further_parts]
    if shape.track:
        found |= {"track": shape.track, "keyframe": shape.keyframe}
    return found


def _skeleton(shape: Shape, record: Record, names: Names) -> Shape:
    parts = tuple(read_record(part, names) for part in record.get("elements") or [])
    return skeleton(shape, parts)


def skeleton(shape: Shape, parts: Sequence[Shape]) -> Shape:
    """A skeleton with its parts; occluded where one of them is."""
    occluded = shape.occluded or any(part.occluded for part in parts)
    return replace(shape, elements=tuple(parts), occluded=occluded)


def _mask(points: Sequence[float]) -> Mask:
    if len(points) < PLACE:
        raise ShapeError(Fault.TOO_FEW, "mask that does not say where it lies: left out")
    counts = tuple(int(count) for count in points[:-PLACE])
    left, top, right, bottom = (int(number) for number in points[-PLACE:])
    return Mask(left, top, right - left + 1, bottom - top + 1, counts)


def _points(shape: Shape) -> list[float]:
    if shape.kind is Kind.ELLIPSE:
        x, y, across, down = shape.points
        return [x, y, x + across, y - down]
    if shape.kind is Kind.MASK and shape.mask:
        mask = shape.mask
        right, bottom = mask.left + mask.width - 1, mask.top + mask.height - 1
        return [*mask.counts, mask.left, mask.top, right, bottom]
    return list(shape.points)


def _whole(record: Record, name: str) -> int:
    value: Any = record.get(name)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        what = f"{name} {value!r} is no whole number: left out"
        raise ShapeError(Fault.NUMBER, what) from None


def _numbers(given: Iterable[Any], name: str) -> tuple[float, ...]:
    found = []
    for value in given:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ShapeError(Fault.NUMBER, f"{name}: {value!r} is no finite number: left out")
        found.append(number)
    return tuple(found)
