"""Tracks as records of CVAT's server API (2.x), frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

from components.core.formats.cvat_records import Names, Record, frame_of, read_record, skeleton
from components.core.formats.cvat_shapes import ShapeError
from components.core.formats.shapes import Fault, Kind, Shape
from components.core.formats.tracks import TrackedShape, filled

Told = list[tuple[Fault, str, str]]
"""Kind of problem, place, and what it is."""


def read_track(
    record: Record, names: Names, frames: Sequence[int], told: Told, place: str
) -> Iterator[TrackedShape]:
    """All visible shapes of a track: those that were drawn, and between and after them.

    Args:
        record: the track; its shapes and those of its `elements` are at keyframes.
        names: of labels and attributes.
        frames: of the task, ascending.
        told: gets what is wrong; such a keyframe is left out.
        place: of the track, for what is wrong.

    Raises:
        ShapeError: a label that the task does not have.
    """
    label = names.label(record)
    given = _keyframes(record, names, label, told, place)
    elements = record.get("elements") or []
    if not elements:
        yield from filled(given, frames)
        return
    parts = [list(_part(part, names, frames, told, place)) for part in elements]
    moments = {tracked.frame: tracked.shape for tracked in filled(given, frames)}
    drawn = {tracked.frame for part in parts for tracked in part if tracked.shape.keyframe}
    shown = {tracked.frame for part in parts for tracked in part if not tracked.outside}
    for frame in sorted(shown):
        if given and frame not in moments:
            continue
        joints = [tracked.shape for part in parts for tracked in part if tracked.frame == frame]
        bare = moments.get(frame) or Shape(label, Kind.SKELETON)
        whole = skeleton(replace(_bare(bare, record), kind=Kind.SKELETON), joints)
        keyframe = frame in drawn or (bool(given) and bare.keyframe)
        yield TrackedShape(frame, replace(whole, keyframe=keyframe))


def _keyframes(
    record: Record, names: Names, label: str, told: Told, place: str
) -> list[TrackedShape]:
    """The shapes of a track as they are given, one per frame; attributes last until changed."""
    found: dict[int, TrackedShape] = {}
    carried = names.values(record)
    given = []
    for one in record.get("shapes") or []:
        try:
            given.append((frame_of(one), one))
        except ShapeError as error:
            told.append((error.fault, place, str(error)))
    for frame, one in sorted(given, key=itemgetter(0)):
        where = f"{place}, frame {frame}"
        try:
            shape = read_record(one, names, label)
        except ShapeError as error:
            told.append((error.fault, where, str(error)))
            continue
        if frame in found:
            told.append((Fault.DUPLICATE, where, "there a second time: left out"))
            continue
        carried = carried | shape.attributes
        shape = _bare(replace(shape, attributes=carried, outside=False), record)
        found[frame] = TrackedShape(frame, shape, bool(one.get("outside")))
    return list(found.values())


def _bare(shape: Shape, record: Record) -> Shape:
    """The shape with what its track says of all its shapes."""
    return replace(
        shape,
        source_id="",
        track=str(record.get("id") or ""),
        source=str(record.get("source") or "manual"),
        group=str(record.get("group") or ""),
    )


def _part(
    record: Record, names: Names, frames: Sequence[int], told: Told, place: str
) -> Iterator[TrackedShape]:
    """A part of a skeleton in every frame from its first on, whether it can be seen or not."""
    given = _keyframes(record, names, names.label(record), told, place)
    seen = filled([replace(tracked, outside=False) for tracked in given], frames)
    hidden = sorted((tracked.frame, tracked.outside) for tracked in given)
    for tracked in seen:
        outside = [gone for frame, gone in hidden if frame <= tracked.frame][-1]
        yield TrackedShape(tracked.frame, replace(tracked.shape, outside=outside), outside)
