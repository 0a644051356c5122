"""Annotation tasks of CVAT and of the annotation database, with the files of their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from components.annotation_sync.kept import Kept
from components.annotation_sync.naming import ImageNames, TaskNames, shown
from components.annotation_sync.places import Place
from components.annotation_sync.stage import DATABASE, AnnotationSyncSettings
from components.core.annotation_store import AnnotationStore, changes
from components.core.annotation_tasks import AnnotationTask, annotations_of
from components.core.cvat import Cvat, NotFoundError, TaskInfo
from components.core.errors import InputError
from components.core.formats.image_files import ImageFiles, normal_name
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Problem
from components.core.stage import Job
from components.core.wording import counted

THREADS = 4
"""Tasks that are read at the same time."""

COMPLETED = "completed"


def from_tasks(settings: AnnotationSyncSettings, job: Job) -> Annotations:
    """The annotations of all wanted tasks.

    Raises:
        InputError: a task that does not exist, or none of the wanted status.
        ServiceError: CVAT, the database or the object store fails in spite of retries.
    """
    problems: list[Problem] = []
    if settings.origin == DATABASE:
        with AnnotationStore.from_environment() as store:
            return _with_images(_stored(store, settings, job), settings, job)
    cvat = Cvat.from_environment()
    kept = Kept(cvat.url, job)
    with AnnotationStore.from_environment() if settings.database else nullcontext() as opened:
        tasks = _from_cvat(cvat, opened, kept, settings, job, problems)
    if settings.images:
        found = _with_images(tasks, settings, job)
    else:
        paths = dict(_downloaded(cvat, kept, tasks, job, problems))
        tasks = [task for task in tasks if task.id in paths]
        found = annotations_of(tasks, path_of=lambda task, frame: paths[task.id].get(frame))
    return Annotations(found.labels, found.images, [*problems, *found.problems])


def cvat_place() -> str:
    """Where CVAT is."""
    return Cvat.from_environment().url


def _from_cvat(
    cvat: Cvat,
    store: AnnotationStore | None,
    kept: Kept,
    settings: AnnotationSyncSettings,
    job: Job,
    problems: list[Problem],
) -> list[AnnotationTask]:
    """The wanted tasks, in the order of their numbers; only new and changed ones are fetched."""
    every = cvat.tasks()
    wanted = _wanted(every, settings, cvat.url)
    tasks: dict[str, AnnotationTask] = {}
    unchanged: set[str] = set()
    if store is not None:
        known = store.tasks()
        compared = changes(known, {info.id: info.updated for info in every})
        unchanged = {*compared.unchanged}
        gone = compared.vanished
        if settings.remove_vanished:
            there = {info.id for info in every}
            gone = [*gone, *(task.id for task in known if task.vanished and task.id not in there)]
        if gone and not settings.tasks:
            store.vanish(gone, remove=settings.remove_vanished)
            done = "removed from the database" if settings.remove_vanished else "marked there"
            job.report.message(
                f"{counted(len(gone), 'task')} of the database that {cvat.url} has no more: "
                f"{shown(gone)}; {done}"
            )
    missing = []
    for info in wanted:
        task = kept.task(info.id, info.updated)
        if task is None and store is not None and info.id in unchanged:
            task = _again(store, info, job)
        if task is None:
            missing.append(info)
        else:
            tasks[info.id] = task
    job.report.message(
        f"{counted(len(wanted), 'task')} of {cvat.url}: {len(missing)} new or changed, "
        f"{len(tasks)} here already"
    )
    for task in _fetched(cvat, missing, job, problems):
        kept.keep(task)
        tasks[task.id] = task
    if store is not None:
        for number, task in tasks.items():
            if number not in unchanged:
                store.put(task)
    return [tasks[info.id] for info in wanted if info.id in tasks]


def _wanted(
    every: Sequence[TaskInfo], settings: AnnotationSyncSettings, where: str
) -> list[TaskInfo]:
    names, status = TaskNames(settings.tasks), settings.task_status
    names.refuse_absent([(info.id, info.name) for info in every], where)
    named = [info for info in every if names.takes(info.id, info.name)]
    found = [
        info
        for info in named
        if (info.completed if status == COMPLETED else status in ("", info.status))
    ]
    if not found:
        others = f"none of {counted(len(named), 'task')} has the status {status}"
        raise InputError(
            f"{where} has no tasks to take: {others if named else 'there are none'}; complete some "
            "there, or set task_status"
        )
    return found


def _again(store: AnnotationStore, info: TaskInfo, job: Job) -> AnnotationTask | None:
    """A task from the database; None where it has to be fetched again."""
    try:
        return next(store.load([info.id]), None)
    except InputError as error:
        job.report.warn(f"{error}; it is fetched from CVAT again")
        return None


def _fetched(
    cvat: Cvat, infos: Sequence[TaskInfo], job: Job, problems: list[Problem]
) -> Iterator[AnnotationTask]:
    def fetch(info: TaskInfo) -> AnnotationTask | Problem:
        try:
            return cvat.task(info.id)
        except NotFoundError:
            what = "was deleted while it was fetched: left out"
            return Problem(Fault.LEFT_OUT, _called(info.id, info.name), "", what)
        except InputError as error:
            return Problem(Fault.UNREADABLE, _called(info.id, info.name), "", f"left out: {error}")

    if not infos:
        return
    pool = ThreadPoolExecutor(THREADS)
    try:
        for task in job.report.track(pool.map(fetch, infos), len(infos), "tasks"):
            if isinstance(task, Problem):
                problems.append(task)
            else:
                yield task
    finally:
        pool.shutdown(cancel_futures=True)


def _downloaded(
    cvat: Cvat, kept: Kept, tasks: Sequence[AnnotationTask], job: Job, problems: list[Problem]
) -> Iterator[tuple[str, dict[int, Path]]]:
    """Task → frame → image, those that are not here downloaded."""
    total, before = sum(len(task.frames) - len(task.deleted) for task in tasks), 0
    for task in tasks:

        def progress(done: int, of: int, before: int = before) -> None:
            job.report.progress(before + done, total, "images")

        try:
            yield task.id, cvat.download_images(task, kept.images(task), progress)
        except InputError as error:
            where = _called(task.id, task.name)
            problems.append(Problem(Fault.UNREADABLE, where, "", f"left out: {error}"))
        before += len(task.frames) - len(task.deleted)


def _stored(
    store: AnnotationStore, settings: AnnotationSyncSettings, job: Job
) -> list[AnnotationTask]:
    """The wanted tasks of the database, numbers first."""
    there = [task for task in store.tasks() if not task.vanished]
    names, status = TaskNames(settings.tasks), settings.task_status
    names.refuse_absent([(task.id, task.name) for task in there], "the annotation database")
    named = [task for task in there if names.takes(task.id, task.name)]
    wanted = [task for task in named if status in ("", task.status)]
    if not wanted:
        raise InputError(
            "the annotation database has no tasks to take: "
            + (f"none of {len(named)} has the status {status}" if named else "there are none")
            + "; fill it with origin cvat and database: true, or set task_status"
        )
    numbers = sorted((t.id for t in wanted), key=lambda n: (not n.isdecimal(), n.zfill(20)))
    loaded = store.load(numbers)
    return list(job.report.track(loaded, len(numbers), "tasks"))


def _with_images(
    tasks: Sequence[AnnotationTask], settings: AnnotationSyncSettings, job: Job
) -> Annotations:
    """The annotations with the images that are in the folder or bucket of the settings."""
    place = Place(settings.images, job, settings.connections)
    if place.remote:
        excluded = ImageNames(settings.excluded_images)
        wanted = {
            name
            for task in tasks
            for number, frame in enumerate(task.frames)
            if number not in task.deleted
            and not excluded.mean(AnnotatedImage(normal_name(frame.name)))
            for called in (f"{normal_name(task.name)}/{frame.name}", frame.name)
            for name in place.candidates(called)
        }
        place.bring(wanted.__contains__)
    found = annotations_of(tasks, ImageFiles(place.folder))
    # CVAT's share holds much else.
    problems = [problem for problem in found.problems if problem.fault is not Fault.NO_ENTRY]
    return Annotations(found.labels, found.images, problems)


def _called(number: str, name: str) -> str:
    return f"task {name!r} ({number})"
