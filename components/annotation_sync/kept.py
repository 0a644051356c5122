"""What of a CVAT server is kept for the next run: tasks as they were, and their images.

<work>/cvat/<server>/tasks/<id>.json   the task
<work>/cvat/<server>/images/<id>-<…>/  its images; the end of the name tells a task of another time
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import __version__
from components.core import files
from components.core.annotation_store import newer
from components.core.annotation_tasks import AnnotationTask, Frame
from components.core.stage import Job
from components.core.state import digest

RECORDS = ("labels", "shapes", "tracks", "tags")


class Kept:
    """The tasks and images of one server that this run and those with other settings have got."""

    def __init__(self, url: str, job: Job) -> None:
        """Looks at nothing yet."""
        self._place = Path("cvat") / digest(url, 16)
        self._root = job.work / self._place
        self._work = job.work

    def task(self, number: str, updated: str) -> AnnotationTask | None:
        """A task as it was, unless CVAT has a newer one."""
        for root in self._roots():
            task = _read(root / "tasks" / f"{number}.json")
            if task is not None and not newer(updated, task.updated):
                return task
        return None

    def keep(self, task: AnnotationTask) -> None:
        """Keeps a task."""
        content = {**asdict(task), "deleted": sorted(task.deleted), "code": __version__}
        path = self._root / "tasks" / f"{task.id}.json"
        files.write_text(path, json.dumps(content, separators=(",", ":")) + "\n")

    def images(self, task: AnnotationTask) -> Path:
        """The folder for the images of a task, with what other runs have in theirs."""
        name = Path("images") / f"{task.id}-{digest([task.name, task.created], 8)}"
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        for root in self._roots():
            if root != self._root and (root / name).is_dir():
                _link_missing(root / name, folder)
        return folder

    def _roots(self) -> Iterator[Path]:
        yield self._root
        for folder in sorted(self._work.parent.parent.iterdir()):
            if folder != self._work.parent and (folder / "work" / self._place).is_dir():
                yield folder / "work" / self._place


def _read(path: Path) -> AnnotationTask | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content.pop("code") != __version__:
            return None
        content |= {name: tuple(content[name]) for name in RECORDS}
        content["frames"] = tuple(Frame(**frame) for frame in content["frames"])
        content["deleted"] = frozenset(content["deleted"])
        return AnnotationTask(**content)
    except (OSError, ValueError, KeyError, TypeError):  # not there, or of another release
        return None


def _link_missing(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_file() and files.PARTIAL not in path.name and not place.exists():
            with files.atomic_path(place) as temporary:
                files.link_or_copy(path, temporary)
