"""The images to annotate, with what is drawn on them already: a folder, a bucket, a CVAT task."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from components.auto_annotate.stage import AnnotateSettings
from components.core import files
from components.core.annotation_tasks import AnnotationTask, Record, annotations_of
from components.core.errors import InputError
from components.core.formats.image_files import EXTENSIONS, ImageFiles, image_size
from components.core.formats.shapes import AnnotatedImage, Fault, Kind, Shape, told
from components.core.stage import Job
from components.core.storage import is_s3, open_storage
from components.core.wording import counted

AUTOMATIC = ("automatic", "auto")
"""Sources of shapes that a model drew."""

ABSENT = Fault.MISSING_IMAGE

THREADS = 8
SHOWN = 10


@dataclass
class Source:
    """What is annotated."""

    name: str
    """Short: in the name of a new task."""
    place: str
    """Where it is, for people; no credentials."""
    images: list[AnnotatedImage]
    """With `path`, and the shapes that stay."""
    task: AnnotationTask | None = None
    """CVAT's, where the images are those of a task."""
    replaced: list[Record] = field(default_factory=list)
    """Shapes of the task that a model drew and that the new boxes stand in for."""
    unreadable: list[str] = field(default_factory=list)


def open_source(settings: AnnotateSettings, job: Job) -> Source:
    """Finds the images, and fetches those that are not on this machine.

    Raises:
        InputError: there are none, none of them is readable, or the task has no such frames.
        ServiceError: CVAT or the bucket fails.
    """
    source = _of_task(settings, job) if settings.cvat_task else _of_folder(settings, job)
    source.images = _readable(source, settings.max_images, job)
    return source


def _of_folder(settings: AnnotateSettings, job: Job) -> Source:
    place = settings.new_images.rstrip("/")
    folder = _local(settings.new_images, job)
    images = [AnnotatedImage(name, path=folder / name) for name in ImageFiles(folder).names]
    if not images:
        accepted = ", ".join(sorted(EXTENSIONS))
        raise InputError(f"new_images: {place} holds no images; looked for are files {accepted}")
    return Source(PurePosixPath(place).name or "images", place, images)


def _of_task(settings: AnnotateSettings, job: Job) -> Source:
    from components.core.cvat import Cvat
    from components.core.detection.task_lookup import lookup

    cvat = Cvat.from_environment()
    task = cvat.task(lookup(cvat.tasks(), [settings.cvat_task])[0].id)
    if settings.new_images:
        found = ImageFiles(_local(settings.new_images, job))
        paths = {number: found.find(frame.name) for number, frame in enumerate(task.frames)}
    else:
        paths = dict(cvat.download_images(task, job.work / f"frames-{task.id}", _fetched(job)))
    annotations = annotations_of([task], path_of=lambda task, number: paths.get(number))
    for line in told(problem for problem in annotations.problems if problem.fault is not ABSENT):
        job.report.warn(line)
    images = annotations.images
    if absent := [image.name for image in images if image.path is None]:
        raise InputError(
            f"new_images: {settings.new_images} has no file for {counted(len(absent), 'frame')} of "
            f"the task {task.name!r} ({_some(absent)}); leave new_images out to fetch them from "
            "CVAT"
        )
    source = Source(task.name, f"CVAT task {task.id} {task.name}", images, task)
    if settings.replace_automatic:
        source.replaced = [shape for shape in task.shapes if shape.get("source") in AUTOMATIC]
        for image in images:
            image.shapes = [shape for shape in image.shapes if not is_replaced(shape)]
    return source


def is_replaced(shape: Shape) -> bool:
    """Whether `replace_automatic` takes a shape away: a model's, and no part of a track."""
    return shape.source in AUTOMATIC and not shape.track and shape.kind is not Kind.TAG


def _fetched(job: Job) -> Callable[[int, int], None]:
    return lambda done, total: job.report.progress(done, total, "frames fetched")


def _local(place: str, job: Job) -> Path:
    """The folder itself, or one with what a bucket holds; fetched once, whole files only."""
    if not is_s3(place):
        return Path(place).expanduser().absolute()
    storage = open_storage(place)
    folder = job.work / "images"
    items = [
        item
        for item in storage.items()
        if PurePosixPath(item.name).suffix.lower() in EXTENSIONS and not item.is_folder
    ]
    wanted = {item.name: f"{item.size} {item.tag}" for item in items}
    tags = folder.with_name("tags")

    def fetch(name: str) -> None:
        item, target, tag = by_name[name], folder / name, tags / name
        if target.is_file() and tag.is_file() and tag.read_text("utf-8") == wanted[name]:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.get(item, target)
        files.write_text(tag, wanted[name])

    by_name = {item.name: item for item in items}
    for gone in set(ImageFiles(folder).names) - set(wanted) if folder.is_dir() else ():
        files.remove(folder / gone)
    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in job.report.track(pool.map(fetch, wanted), len(wanted), "files fetched"):
            pass
    return folder


def _readable(source: Source, limit: int, job: Job) -> list[AnnotatedImage]:
    """The first `limit` images (0: all) with their sizes; those that cannot be read are told."""
    images = sorted(source.images, key=lambda image: image.name)
    if limit and len(images) > limit:
        job.report.warn(
            f"max_images: {counted(len(images) - limit, 'image')} of {len(images)} left out, the "
            "last by name"
        )
        images = images[:limit]

    def size(image: AnnotatedImage) -> str:
        if image.path is None:
            return "it has no file"
        try:
            found = image_size(image.path)
        except InputError as error:
            return str(error)
        wanted = _size_in_task(source, image)
        if wanted and found != wanted:
            return (
                f"{image.path} has {found[0]} x {found[1]} pixels, but frame {image.name!r} of the "
                f"task has {wanted[0]} x {wanted[1]}"
            )
        image.width, image.height = found
        return ""

    with ThreadPoolExecutor(THREADS) as pool:
        reasons = list(pool.map(size, images))
    broken = {image.name: why for image, why in zip(images, reasons, strict=True) if why}
    source.unreadable = list(broken)
    if len(broken) == len(images):
        raise InputError(f"no image of {source.place} is readable: {_some([*broken.values()])}")
    if broken:
        job.report.warn(
            f"{counted(len(broken), 'image')} left out: {_some([*broken.values()], '; ')}"
        )
    return [image for image in images if image.name not in broken]


def _size_in_task(source: Source, image: AnnotatedImage) -> tuple[int, int] | None:
    """What CVAT says about the frame; its coordinates are in these pixels."""
    if source.task is None or image.frame is None:
        return None
    frame = source.task.frames[image.frame]
    return (frame.width, frame.height) if frame.width and frame.height else None


def _some(names: list[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more
