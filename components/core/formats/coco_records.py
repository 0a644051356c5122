"""The entries of a COCO document: an image, an annotation, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from components.core.formats import boxes, masks
from components.core.formats.shapes import AnnotatedImage, Kind, Mask, Shape

Record = dict[str, Any]

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "score": float,
    "track": str,
    "keyframe": bool,
    "z_order": int,
    "group": str,
    "source_id": str,
    "rotation": float,
}
"""Fields of a shape that are written as they are, where they are not the default → type."""

_DEFAULTS = {field.name: field.default for field in fields(Shape)}


def image_record(image: AnnotatedImage, number: int) -> Record:
    """An entry of `images`; `task` and `group` are always there."""
    record: Record = {
        "id": number,
        "file_name": image.name,
        "width": image.width,
        "height": image.height,
        "task": image.task,
        "group": image.group,
    }
    optional = {
        "frame": image.frame,
        "part": image.part,
        "source_id": image.source_id,
        "checksum": image.checksum,
    }
    record |= {key: value for key, value in optional.items() if value not in (None, "", {})}
    if tags := [tag for tag in image.shapes if tag.kind is Kind.TAG]:
        record["tags"] = [{"label": tag.label, **_extras(tag)} for tag in tags]
    return record


def image_of(record: Mapping[str, Any]) -> AnnotatedImage:
    """The image of an entry, with its tags.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: damaged.
    """
    frame = record.get("frame")
    ids = record.get("source_id") or {}
    if not isinstance(ids, Mapping):
        ids = {"image": ids}
    return AnnotatedImage(
        str(record["file_name"]),
        int(record.get("width") or 0),
        int(record.get("height") or 0),
        [_common(tag, str(tag["label"]), Kind.TAG) for tag in record.get("tags") or []],
        task=str(record.get("task") or ""),
        group=str(record.get("group") or ""),
        frame=frame if frame is None else int(frame),
        part=str(record.get("part") or ""),
        source_id={str(key): str(value) for key, value in ids.items()},
        checksum=str(record.get("checksum") or ""),
    )


def records(
    image: AnnotatedImage, image_number: int, first: int, numbers: Mapping[str, int]
) -> Iterator[Record]:
    """Entries of `annotations` for all shapes with a box; ids count from `first`.

    Raises:
        InputError: a shape without a box in the image.
    """
    number = first
    for shape in image.shapes:
        inside = boxes.box_on(shape, image)
        if inside is None:
            continue
        left, top, right, bottom = inside
        yield {
            "id": number,
            "image_id": image_number,
            "category_id": numbers[shape.label],
            "bbox": [left, top, _tidy(right - left), _tidy(bottom - top)],
            "area": boxes.area(shape, image.width, image.height),
            "iscrowd": int(shape.crowd),
            **_segmentation(shape, image),
            **_extras(shape),
        }
        number += 1


def shape_of(record: Mapping[str, Any], label: str) -> Shape:
    """The shape of an entry, of our own or of another tool.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: damaged.
    """
    segmentation = record.get("segmentation")
    given = record.get("bbox")
    box = None
    if isinstance(given, list | tuple) and len(given) == 4:
        left, top, width, height = (float(number) for number in given)
        box = left, top, _tidy(left + width), _tidy(top + height)
    if "shape" in record:
        return _own(record, label, box)
    if isinstance(segmentation, Mapping):
        mask = masks.from_coco(segmentation)
        return _common(record, label, Kind.MASK, mask=mask, box=box)
    if isinstance(segmentation, list):
        parts = [_numbers(part) for part in segmentation]
        if parts := [part for part in parts if len(part) >= 6 and len(part) % 2 == 0]:
            return _common(
                record,
                label,
                Kind.POLYGON,
                points=parts[0],
                further_parts=tuple(parts[1:]),
                box=box,
            )
    return _common(record, label, Kind.RECTANGLE, points=box or _numbers(given or ()))


def _own(record: Mapping[str, Any], label: str, box: boxes.Box | None) -> Shape:
    kind = Kind(record["shape"])
    own = record.get("box")
    more: dict[str, Any] = {"box": _numbers(own) if own else None}
    if more["box"] and len(more["box"]) != 4:
        raise ValueError(f"box {own!r} is not left, top, right, bottom")
    if "points" in record:
        more["points"] = _numbers(record["points"])
    elif kind is Kind.POLYGON:
        parts = [_numbers(part) for part in record["segmentation"]] or [()]
        more |= {"points": parts[0], "further_parts": tuple(parts[1:])}
    elif kind is Kind.RECTANGLE:
        more["points"] = box or ()
    if mask := record.get("mask"):
        left, top, width, height = (int(mask[s]) for s in ("left", "top", "width", "height"))
        counts = tuple(int(count) for count in mask["counts"])
        more["mask"] = Mask(left, top, width, height, counts)
    if elements := record.get("elements"):
        more["elements"] = tuple(_element(element) for element in elements)
    return _common(record, label, kind, **more)


def _element(record: Mapping[str, Any]) -> Shape:
    return _common(
        record,
        str(record["label"]),
        Kind(record["shape"]),
        points=_numbers(record["points"]),
        outside=bool(record["outside"]),
    )


def _common(record: Mapping[str, Any], label: str, kind: Kind, **more: Any) -> Shape:
    plain = {
        name: type_of(record[name])
        for name, type_of in _PLAIN.items()
        if record.get(name) is not None
    }
    attributes = record.get("attributes") or {}
    return Shape(
        label,
        kind,
        occluded=bool(record.get("occluded", False)),
        crowd=bool(record.get("iscrowd", 0)),
        source=str(record.get("source") or "manual"),
        attributes={str(key): _text(value) for key, value in attributes.items()},
        **{**plain, **more},
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _extras(shape: Shape) -> Record:
    record: Record = {
        "shape": str(shape.kind),
        "occluded": shape.occluded,
        "source": shape.source,
        "attributes": shape.attributes,
    }
    values = {name: getattr(shape, name) for name in _PLAIN}
    record |= {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    if shape.box is not None:
        record["box"] = list(shape.box)
    if shape.points and shape.kind not in (Kind.RECTANGLE, Kind.POLYGON):
        record["points"] = list(shape.points)
    if shape.mask is not None:
        mask = shape.mask
        record["mask"] = {**vars(mask), "counts": list(mask.counts)}
    if shape.elements:
        record["elements"] = [
            {
                "label": element.label,
                "points": list(element.points),
                "outside": element.outside,
                **{key: value for key, value in _extras(element).items() if key != "points"},
            }
            for element in shape.elements
        ]
    return record


def _segmentation(shape: Shape, image: AnnotatedImage) -> Record:
    if shape.kind is Kind.POLYGON:
        return {"segmentation": [list(shape.points), *map(list, shape.further_parts)]}
    if shape.kind is Kind.ROTATED:
        return {"segmentation": [list(boxes.corners(shape))]}
    if shape.kind is Kind.MASK and shape.mask and image.width and image.height:
        return {"segmentation": masks.to_coco(shape.mask, image.width, image.height)}
    return {}


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _tidy(number: float) -> float:
    return round(number, boxes.DECIMALS)
