"""Backups of CVAT tasks as files; the folder of a task appears whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import files
from components.core.errors import ProblemsError, TrainyardError

if TYPE_CHECKING:
    from components.core.cvat import Cvat, TaskInfo

XML, VIDEO_XML = "CVAT for images 1.1", "CVAT for video 1.1"
FORMATS = {"coco.zip": "COCO 1.0", "voc.zip": "PASCAL VOC 1.1"}
"""File → what CVAT calls the format; the XML comes first."""

RECORDS = "task.json"
WHOLE = "cvat_backup.zip"
"""With images: what CVAT makes a task of again."""


def back_up(
    server: Cvat, tasks: Sequence[TaskInfo], folder: Path, images: bool = False
) -> Iterator[str]:
    """Saves the tasks below `folder`, one after the other; yields a line for each.

    One that fails leaves no folder, and the others are saved all the same.

    Raises:
        TrainyardError: at the end, with every task that failed.
    """
    place = folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    problems = []
    for task in tasks:
        target = place / f"{task.id}_{_file_name(task.name)}"
        try:
            with files.full_disk_named(folder), files.atomic_path(target) as temporary:
                temporary.mkdir()
                _save(server, task, temporary, images)
        except TrainyardError as error:
            problems.append(type(error)(f"task {task.id} ({task.name}): {error}"))
        else:
            yield f"task {task.id}: {target}"
    if problems:
        raise ProblemsError(problems, "the backup; what is not named here was saved")


def _save(server: Cvat, task: TaskInfo, folder: Path, images: bool) -> None:
    # The frames and records as the server has them, whatever a format has no word for.
    content = asdict(server.task(task.id))
    files.write_json(folder / RECORDS, content | {"deleted": sorted(content["deleted"])})
    server.export(task.id, folder / "cvat.zip", VIDEO_XML if task.video else XML)
    for name, kind in FORMATS.items():
        server.export(task.id, folder / name, kind)
    if images:
        server.backup(task.id, folder / WHOLE)


def _file_name(name: str) -> str:
    """A task's name as that of a folder."""
    return re.sub(r"[^\w.+-]", "_", name).strip(".")[:100]
