"""Deinterlacing of the frames that are flagged as interlaced, one frame out for each frame in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import av
import av.filter

_SMALLEST = 4
"""Pixels; bwdif refuses smaller pictures, in which no line structure can be seen either."""


def deinterlaced(frames: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Passes (position, VideoFrame) pairs on; from the first interlaced frame through bwdif.

    The filter (Bob Weaver, motion-adaptive) interpolates one field of each flagged frame from its
    neighbours in space and time; frames without the flag pass unchanged.
    """
    graph: Any = None
    inside: deque[int] = deque()
    for position, frame in frames:
        if graph is None and frame.interlaced_frame and min(frame.width, frame.height) >= _SMALLEST:
            graph = _graph(frame)
        if graph is None:
            yield position, frame
            continue
        inside.append(position)
        graph.vpush(frame)
        for result in _pulled(graph):
            yield inside.popleft(), result
    if graph is not None:
        graph.vpush(None)
        for result in _pulled(graph):
            yield inside.popleft(), result


def _graph(frame: Any) -> Any:
    graph: Any = av.filter.Graph()
    graph.threads = 1  # as in decoding: the pool of processes uses the processors
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
