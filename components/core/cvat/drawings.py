"""Shapes and tags in the form that CVAT takes, and their upload: one request, however many."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from components.core.annotation_tasks import Record
from components.core.cvat.connection import Connection
from components.core.cvat.creation import SCORE
from components.core.cvat.tasks import number
from components.core.errors import InputError, ServiceError
from components.core.formats.cvat_records import Names, write_record
from components.core.formats.shapes import Kind, Mask, Shape
from components.core.wording import counted

DIGITS = 4
"""Of a score."""
SHOWN = 10

# fmt: off
FIELDS = {
    "frame", "label_id", "group", "source", "attributes", "type", "points", "rotation", "occluded",
    "outside", "z_order", "elements", "score",
}
# fmt: on
"""What CVAT has for a shape or tag."""


def records(
    shapes: Mapping[int, Sequence[Shape]], labels: Iterable[Record]
) -> tuple[list[Record], list[Record]]:
    """Shapes and tags as CVAT takes them.

    A score becomes the attribute `score` where the label has one. The parts of an outline in
    several become shapes of one group.

    Args:
        shapes: by frame, counted from 0 in the task.
        labels: of the task, with their ids.

    Raises:
        InputError: with all labels and attributes that the task lacks, and what CVAT cannot hold.
    """
    known = {str(label["name"]): label for label in labels}
    # Labels may have attributes of one name, so each label has its own.
    names = {name: Names.of([label]) for name, label in known.items()}
    found: list[Record] = []
    tags: list[Record] = []
    problems: dict[str, int] = {}
    groups = max((_group(shape) for own in shapes.values() for shape in own), default=0)
    for frame, own in shapes.items():
        for shape in own:
            wrong = list(_problems(shape, known))
            for problem in wrong:
                problems[problem] = problems.get(problem, 0) + 1
            if wrong:
                continue
            if shape.further_parts and not _group(shape):
                groups += 1
                shape = replace(shape, group=str(groups))
            target = tags if shape.kind is Kind.TAG else found
            for points in (shape.points, *shape.further_parts):
                part = replace(shape, points=points)
                target.append(_record(part, frame, known[shape.label], names[shape.label]))
    if problems:
        lines = [f"  - {what} ({counted(count, 'shape')})" for what, count in problems.items()]
        rest = len(lines) - SHOWN
        more = [f"  - and {rest} more such problems"] if rest > 0 else []
        raise InputError("shapes cannot go to CVAT:\n" + "\n".join([*lines[:SHOWN], *more]))
    return found, tags


def sent(
    connection: Connection,
    task_id: str,
    action: str,
    shapes: Sequence[Record] = (),
    tags: Sequence[Record] = (),
    tracks: Sequence[Record] = (),
) -> Record:
    """One request with everything; returns what the server has made of it.

    Args:
        connection: to the server.
        task_id: where.
        action: create, update, delete, or replace.
        shapes: records; update and delete need their ids.
        tags: as above.
        tracks: as above.

    Raises:
        InputError: records without what they need, or numbers that are none.
        ServiceError: the server refuses, or has not taken all.
    """
    given = {"shapes": list(shapes), "tags": list(tags), "tracks": list(tracks)}
    body = {"version": 0, **given}
    counts = ", ".join(counted(len(own), kind[:-1]) for kind, own in given.items() if own)
    what = f"annotations of task {task_id} ({action}: {counts or 'nothing'})"
    if action in ("update", "delete"):
        nameless = sum("id" not in record for own in given.values() for record in own)
        if nameless:
            raise InputError(f"{what}: {nameless} have no id; take those that the server gave")
    elif action not in ("create", "replace"):
        raise InputError(f"{what}: expected create, update, delete or replace")
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: not all of it can be written as JSON: {error}") from None
    path = f"/api/tasks/{number(task_id)}/annotations/"
    if action == "replace":
        answer = connection.json(what, "PUT", path, body=body)
    else:
        answer = connection.json(what, "PATCH", path, {"action": action}, body=body)
    found: Record = answer or {}
    if action != "delete":
        for kind, own in given.items():
            taken = len(found.get(kind) or ())
            if taken < len(own):
                raise ServiceError(
                    f"{what}: {connection.endpoint.url} has taken {taken} of {len(own)} {kind}; "
                    "the frames of the others are in no job of the task"
                )
    return found


def _problems(shape: Shape, known: Mapping[str, Record]) -> Iterator[str]:
    if shape.label not in known:
        yield f"the task has no label {shape.label!r}; it has {', '.join(known) or 'none'}"
        return
    attributes = _attributes(known[shape.label])
    for name in shape.attributes:
        if name not in attributes:
            yield f"label {shape.label!r} has no attribute {name!r} in the task"
    parts = {part["name"]: part for part in known[shape.label].get("sublabels") or ()}
    for element in shape.elements:
        yield from _problems(element, parts)
    numbers = [*shape.points, shape.rotation, *(n for part in shape.further_parts for n in part)]
    if not all(map(math.isfinite, numbers)):
        yield f"coordinates of a {shape.kind} are no finite numbers"
    if shape.kind is Kind.MASK and shape.mask is None:
        yield "a mask has no pixels"


def _record(shape: Shape, frame: int, label: Record, names: Names) -> Record:
    source = "auto" if shape.source == "automatic" else shape.source  # as CVAT calls it
    shape = replace(shape, source=source, mask=_filled(shape.mask))
    if shape.score is not None:
        score = round(shape.score, DIGITS)
        shape = replace(shape, score=score)  # a field of its own that older servers leave out
        if SCORE in _attributes(label):
            values = {**shape.attributes, SCORE: f"{score:.{DIGITS}f}"}
            shape = replace(shape, attributes=values)
    record = write_record(shape, frame, names)
    return {key: value for key, value in record.items() if key in FIELDS}


def _filled(mask: Mask | None) -> Mask | None:
    """The mask with runs up to its last pixel."""
    if mask is None:
        return None
    counts = list(mask.counts)
    rest = mask.width * mask.height - sum(counts)
    if rest > 0 and len(counts) % 2:
        counts[-1] += rest
    elif rest > 0:
        counts.append(rest)
    return replace(mask, counts=tuple(counts))


def _attributes(label: Record) -> set[str]:
    return {str(attribute["name"]) for attribute in label.get("attributes") or ()}


def _group(shape: Shape) -> int:
    return int(shape.group) if shape.group.isdecimal() else 0
