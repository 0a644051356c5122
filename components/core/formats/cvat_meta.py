"""The `meta` of a CVAT XML file: of a task, a project with its tasks, or a job; old and new."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from components.core.formats.xml_elements import Element

_STEP = re.compile(r"step\s*=\s*(\d+)")


@dataclass(frozen=True)
class CvatTask:
    """A task (or the job of one) as its export describes it."""

    id: str = ""
    name: str = ""
    subset: str = ""
    mode: str = ""
    """`annotation` for images, `interpolation` for a video."""
    created: str = ""
    updated: str = ""
    size: int | None = None
    """Frames."""
    start: int | None = None
    """First frame of the video or list of images."""
    stop: int | None = None
    """Last one; it may not be a multiple of `step` from the first."""
    step: int = 1
    source: str = ""
    """File name of the video."""
    width: int = 0
    """Pixels of the video; 0 where not said."""
    height: int = 0

    def frames(self) -> list[int]:
        """The frames of a video; [] where its length is not said."""
        if self.start is not None and self.stop is not None:
            return list(range(self.start, self.stop + 1, self.step))
        return list(range(0, (self.size or 0) * self.step, self.step))


@dataclass
class CvatMeta:
    """What the annotations are of."""

    labels: list[str] = field(default_factory=list)
    """Declared classes in their order, without the parts of skeletons; [] where none are."""
    tasks: dict[str, CvatTask] = field(default_factory=dict)
    """By id."""
    project: str = ""
    """Its name, where a whole project was exported."""
    source: str = ""
    """File name of the video, of a task."""

    def task(self, number: str) -> CvatTask:
        """The task of this id; without one the only task, or an empty one."""
        if number in self.tasks:
            return self.tasks[number]
        if not number and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        return CvatTask(number)


def read_meta(root: Element) -> CvatMeta:
    """Reads the `meta` element of a document; what it lacks is left empty.

    Raises:
        ValueError: a number that is none.
    """
    meta = CvatMeta()
    for element in root.all("meta"):
        meta.source = element.value("source")
        meta.project = element.value("project/name")
        for path in ("task", "job", "project/tasks/task"):
            for child in element.all(path):
                task = _task(child, meta.source)
                meta.tasks[task.id] = task
        for path in ("task", "job", "project"):
            for label in element.all(f"{path}/labels/label"):
                if label.find("parent") is None:
                    meta.labels.append(label.value("name"))
    return meta


def _task(element: Element, source: str) -> CvatTask:
    step = _STEP.search(element.value("frame_filter"))
    return CvatTask(
        id=element.value("id"),
        name=element.value("name"),
        subset=element.value("subset"),
        mode=element.value("mode"),
        created=element.value("created"),
        updated=element.value("updated"),
        size=_whole(element, "size"),
        start=_whole(element, "start_frame"),
        stop=_whole(element, "stop_frame"),
        step=max(int(step[1]), 1) if step else 1,
        source=element.value("source") or source,
        width=_whole(element, "original_size/width") or 0,
        height=_whole(element, "original_size/height") or 0,
    )


def _whole(element: Element, path: str) -> int | None:
    text = element.value(path)
    try:
        return int(text) if text else None
    except ValueError:
        raise ValueError(f"{path} {text!r} is no whole number") from None
