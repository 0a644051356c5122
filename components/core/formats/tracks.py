"""Shapes of a video's tracks between their keyframes, as CVAT shows and exports them.

The rules are those of CVAT's server (`TrackManager.get_interpolated_shapes`): rectangles, ellipses
and cuboids move evenly and turn the shorter way; several points stay where they are; polygons and
polylines are matched along their length; the last shape stays until the end of the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from components.core.formats.shapes import Kind, Shape

Point = tuple[float, float]

EVEN = (Kind.RECTANGLE, Kind.ROTATED, Kind.ELLIPSE, Kind.CUBOID)


@dataclass(frozen=True)
class TrackedShape:
    """A shape at a frame of its track."""

    frame: int
    shape: Shape
    outside: bool = False
    """The object cannot be seen from here on."""


def filled(given: Sequence[TrackedShape], frames: Sequence[int]) -> Iterator[TrackedShape]:
    """All visible shapes of a track: what is given, and between and after them.

    Args:
        given: shapes of one track, of different frames.
        frames: of the video, ascending; those that are neither given nor here get no shape.
    """
    ordered = sorted(given, key=lambda tracked: tracked.frame)
    for number, tracked in enumerate(ordered):
        if tracked.outside:
            continue
        yield tracked
        following = ordered[number + 1] if number + 1 < len(ordered) else None
        for frame in frames:
            if frame > tracked.frame and (following is None or frame < following.frame):
                shape = tracked.shape
                if following is not None:
                    offset = (frame - tracked.frame) / (following.frame - tracked.frame)
                    shape = between(shape, following.shape, offset)
                yield TrackedShape(frame, replace(shape, keyframe=False))


def between(first: Shape, second: Shape, offset: float) -> Shape:
    """The shape at `offset` (0 to 1) of the way from one keyframe to the next."""
    kinds = {first.kind, second.kind}
    if first.kind is Kind.SKELETON and second.kind is Kind.SKELETON:
        return _skeleton(first, second, offset)
    single = kinds == {Kind.POINTS} and len(first.points) == len(second.points) == 2
    if single or kinds <= {Kind.RECTANGLE, Kind.ROTATED} or (len(kinds) == 1 and kinds <= {*EVEN}):
        return _even(first, second, offset)
    if kinds in ({Kind.POLYGON}, {Kind.POLYLINE}):
        return replace(first, points=_matched(first, second, offset))
    return first


def _even(first: Shape, second: Shape, offset: float) -> Shape:
    points = tuple(a + (b - a) * offset for a, b in zip(first.points, second.points, strict=False))
    turn = (second.rotation - first.rotation + 180) % 360 - 180
    rotation = (first.rotation + turn * offset) % 360
    kind = first.kind
    if kind in (Kind.RECTANGLE, Kind.ROTATED):
        kind = Kind.ROTATED if rotation else Kind.RECTANGLE
    return replace(first, kind=kind, points=points, rotation=rotation)


def _skeleton(first: Shape, second: Shape, offset: float) -> Shape:
    others: Mapping[str, Shape] = {element.label: element for element in second.elements}
    elements = tuple(
        between(element, others[element.label], offset) if element.label in others else element
        for element in first.elements
    )
    return replace(first, elements=elements)


def _matched(first: Shape, second: Shape, offset: float) -> tuple[float, ...]:
    closed = first.kind is Kind.POLYGON
    left, right = _pairs(first.points, closed), _pairs(second.points, closed)
    matching = _matching(_offsets(left), _offsets(right))
    moved = [
        [_moved(point, right[other], offset) for other in others]
        for point, others in zip(left, matching, strict=True)
    ]
    found = _reduced(moved, matching, left, right)
    return tuple(number for point in (found[:-1] if closed else found) for number in point)


def _pairs(points: Sequence[float], closed: bool) -> list[Point]:
    found = list(zip(points[0::2], points[1::2], strict=False))
    return [*found, found[0]] if closed else found


def _length(points: Sequence[Point]) -> float:
    return sum(math.dist(a, b) for a, b in pairwise(points))


def _offsets(points: Sequence[Point]) -> list[float]:
    """Where along the line each point lies, from 0 to 1."""
    whole, sofar = _length(points) or 1.0, 0.0
    found = [0.0]
    for a, b in pairwise(points):
        sofar += math.dist(a, b)
        found.append(sofar / whole)
    return found


def _matching(left: Sequence[float], right: Sequence[float]) -> list[list[int]]:
    """For every point on the left, which ones on the right it goes to; none is forgotten."""
    found = [[_nearest(value, right)] for value in left]
    taken = {others[0] for others in found}
    for number, value in enumerate(right):
        if number not in taken:
            found[_nearest(value, left)].append(number)
    return [sorted(others) for others in found]


def _nearest(value: float, values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda number: abs(value - values[number]))


def _moved(point: Point, target: Point, offset: float) -> Point:
    return (
        point[0] + (target[0] - point[0]) * offset,
        point[1] + (target[1] - point[1]) * offset,
    )


def _reduced(
    moved: Sequence[Sequence[Point]],
    matching: Sequence[Sequence[int]],
    left: Sequence[Point],
    right: Sequence[Point],
) -> list[Point]:
    """Thins out points that run into one: several to one on the right, or one to several."""
    found: list[Point] = []
    number = 0
    while number < len(left):
        others = matching[number]
        if len(others) > 1:
            base = right[others[0] : others[-1] + 1]
            found += _thinned(moved[number], base)
            number += 1
            continue
        end = number + 1
        while end < len(left) and matching[end] == others:
            end += 1
        run = [moved[each][0] for each in range(number, end)]
        found += run if len(run) == 1 else _thinned(run, left[number:end])
        number = end
    return found


def _thinned(points: Sequence[Point], base: Sequence[Point]) -> list[Point]:
    threshold = _length(base) / (2 * len(base))
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(kept[-1], point) >= threshold:
            kept.append(point)
    last = points[-1]
    if len(kept) == 1 and math.dist(points[0], last) < threshold:
        return [((points[0][0] + last[0]) / 2, (points[0][1] + last[1]) / 2)]
    return [*kept, last]
