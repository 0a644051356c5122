"""What Trainyard does with a CVAT server, one method each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from components.core.annotation_tasks import AnnotationTask, Record
from components.core.cvat import creation, downloads, drawings, tasks
from components.core.cvat.connection import Connection
from components.core.cvat.endpoint import Endpoint, NotFoundError
from components.core.cvat.patience import Patience
from components.core.cvat.tasks import TaskInfo, number

FORMAT = "CVAT for images 1.1"


class Cvat:
    """A CVAT server; nothing is contacted before the first call. Threads may share it.

    Every method raises ServiceError where the server cannot be reached, does not let us in, does
    not allow it, or fails in spite of repeats; NotFoundError, which is one, where there is no such
    task; InputError where what is given cannot be used. Ids of tasks are numbers as text.
    """

    def __init__(self, endpoint: Endpoint, patience: Patience | None = None) -> None:
        """Names the server and how long to wait for it."""
        self._connection = Connection(endpoint, patience)

    @classmethod
    def from_environment(cls, patience: Patience | None = None) -> Cvat:
        """The server that the `TRAINYARD_CVAT_…` variables name.

        Raises:
            ServiceError: with everything that is missing or malformed.
        """
        return cls(Endpoint.from_environment(), patience)

    @property
    def url(self) -> str:
        """Where the server is; never holds credentials."""
        return self._connection.endpoint.url

    def check(self) -> str:
        """Makes sure that the server is there and lets us in; returns its version."""
        version = self._connection.version()
        self._connection.json("logging in", "GET", "/api/users/self")
        return version

    def tasks(
        self, status: str = "", names: Iterable[str] = (), ids: Collection[str] = ()
    ) -> list[TaskInfo]:
        """The tasks that this user sees, in the order of their numbers.

        Args:
            status: `completed` takes those whose status says so and those whose jobs all are;
                `annotation` and `validation` go by the status alone; '' takes all.
            names: patterns such as `FieldData_2022*`, with case; empty takes all.
            ids: numbers; empty takes all.
        """
        return list(tasks.listed(self._connection, status, names, ids))

    def task(self, task_id: str) -> AnnotationTask:
        """One task with its labels, frames and everything that is drawn.

        Raises:
            InputError: it has no images, or point clouds.
        """
        return tasks.whole(self._connection, str(task_id))

    def labels(self, task_id: str) -> list[Record]:
        """The labels of a task, with their ids and attributes."""
        record = self._connection.json(
            f"reading task {task_id}", "GET", f"/api/tasks/{number(task_id)}"
        )
        return tasks.labels_of(self._connection, str(task_id), record)

    def create_task(
        self,
        name: str,
        labels: Iterable[str | Record],
        files: Sequence[str | Path],
        where: creation.Where = "share",
        cloud_storage: int = 0,
        scores: bool = False,
    ) -> str:
        """Makes a task of images and waits until the server has read them; returns its id.

        Frame i is file i. A task that cannot be filled is removed again.

        Args:
            name: of 1 to 256 characters; need not be unique.
            labels: names, or records of another task.
            files: `share`: paths below the root of the server's share. `cloud`: keys in the cloud
                storage. `upload`: files here; CVAT knows them by their names without folders.
            where: the files are.
            cloud_storage: its number in CVAT, for `cloud`.
            scores: gives every label an attribute `score`, which uploaded shapes fill.

        Raises:
            InputError: with everything that is wrong, before anything is made.
        """
        specs = creation.label_specs(labels, scores)
        return creation.created(self._connection, name, specs, list(files), where, cloud_storage)

    def upload(
        self,
        task_id: str,
        shapes: Sequence[Record] = (),
        tags: Sequence[Record] = (),
        tracks: Sequence[Record] = (),
        replace: bool = False,
    ) -> Record:
        """Adds annotations to a task in one request; returns them with their new ids.

        A request that adds is not repeated when nobody knows whether it was carried out; one that
        replaces is, since doing it twice does no harm.

        Args:
            task_id: where.
            shapes: records of CVAT, such as `drawings.records` makes.
            tags: as above.
            tracks: as above.
            replace: takes away everything that the task had.
        """
        action = "replace" if replace else "create"
        return drawings.sent(self._connection, str(task_id), action, shapes, tags, tracks)

    def update(
        self,
        task_id: str,
        shapes: Sequence[Record] = (),
        tags: Sequence[Record] = (),
        tracks: Sequence[Record] = (),
    ) -> Record:
        """Changes annotations that a task has; returns them with the ids that they have now.

        CVAT gives changed annotations new ids.

        Args:
            task_id: where.
            shapes: whole records, with the ids that they have.
            tags: as above.
            tracks: as above.
        """
        return drawings.sent(self._connection, str(task_id), "update", shapes, tags, tracks)

    def remove(
        self,
        task_id: str,
        shapes: Sequence[Record] = (),
        tags: Sequence[Record] = (),
        tracks: Sequence[Record] = (),
    ) -> None:
        """Takes annotations away; whole records, with their ids."""
        drawings.sent(self._connection, str(task_id), "delete", shapes, tags, tracks)

    def set_completed(self, task_id: str) -> int:
        """Marks all jobs of a task as accepted and completed; returns how many were not."""
        what = f"completing task {task_id}"
        jobs = list(self._connection.pages(what, "/api/jobs", {"task_id": number(task_id)}))
        if not jobs:
            # A list by a number that is none is empty; this tells.
            self._connection.json(what, "GET", f"/api/tasks/{number(task_id)}")
        changed = 0
        for job in jobs:
            wanted: dict[str, Any] = {"stage": "acceptance", "state": "completed"}
            if "state" not in job:  # older servers
                wanted = {"status": "completed"}
            if any(job.get(key) != value for key, value in wanted.items()):
                self._connection.json(what, "PATCH", f"/api/jobs/{job['id']}", body=wanted)
                changed += 1
        return changed

    def delete_task(self, task_id: str) -> bool:
        """Deletes one task with its annotations; tells whether there was one of this number."""
        path = f"/api/tasks/{number(task_id)}"
        try:
            self._connection.json(f"deleting task {task_id}", "DELETE", path)
        except NotFoundError:
            return False
        return True

    def download_images(
        self,
        task: AnnotationTask,
        folder: Path,
        progress: downloads.Progress | None = None,
    ) -> dict[int, Path]:
        """Gets the images of a task into `folder`, under their names; returns them by frame.

        Frames that were taken out of the task are left out. Files that are there stay as they are,
        so that a second call goes on where the first one was ended.

        Args:
            task: as `task` gives it.
            folder: may exist.
            progress: is told how many of how many there are.

        Raises:
            InputError: two images of one name.
            OutOfSpaceError: the volume is full.
        """
        return downloads.images(self._connection, task, folder, progress)

    def export(
        self, task_id: str, target: Path, format_name: str = FORMAT, images: bool = False
    ) -> Path:
        """Writes the annotations of a task into a ZIP file.

        Args:
            task_id: which.
            target: the file; it is replaced.
            format_name: as CVAT calls it: `CVAT for video 1.1`, `COCO 1.0`, `PASCAL VOC 1.1` …
            images: puts the images in, too.
        """
        what = f"exporting task {task_id} as {format_name}"
        path = f"/api/tasks/{number(task_id)}/dataset/export"
        query = {"format": format_name, "save_images": "true" if images else "false"}
        return downloads.archive(self._connection, what, path, query, target)

    def backup(self, task_id: str, target: Path) -> Path:
        """Writes a task with its images into a ZIP file that CVAT can make a task of again."""
        what = f"backing up task {task_id}"
        path = f"/api/tasks/{number(task_id)}/backup/export"
        return downloads.archive(self._connection, what, path, {}, target)
