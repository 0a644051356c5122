"""An annotation task as CVAT knows it: frames, labels, and what was drawn; whoever stores it.

The client of CVAT makes them, the annotation store keeps them, and `annotations_of` turns them into
what every reader of annotations gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """One image of a task; its position in the task is the frame number."""

    name: str
    """Relative path, with forward slashes."""
    width: int
    """Pixels."""
    height: int


@dataclass(frozen=True)
class AnnotationTask:
    """One task with everything in it. Records are as CVAT's server API (2.x) has them."""

    id: str
    """Unique and stable: CVAT's number as text; names are not unique."""
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
