"""Annotations and images from where the settings say they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.annotation_sync.places import Place, is_image, split_inner
from components.annotation_sync.selection import chosen_images
from components.annotation_sync.stage import FILES, AnnotationSyncSettings
from components.core.credentials import without_credentials
from components.core.errors import InputError
from components.core.formats import coco, cvat_xml, cwfid, kitti_labels, voc, vott, yolo
from components.core.formats.recognition import damaged, recognised
from components.core.formats.shapes import Annotations, Fault, Problem, told
from components.core.stage import Job
from components.core.storage import is_s3
from components.core.wording import counted

READERS: dict[str, Callable[[Path, Path | None], Annotations]] = {
    "coco": coco.read,
    "yolo": yolo.read,
    "kitti": kitti_labels.read,
    "vott": vott.read,
    "cvat": cvat_xml.read,
    "cwfid": cwfid.read,
}

READ_FROM_JSON = ("coco", "vott")
"""Formats whose readers tell of damaged JSON themselves."""


def gathered(settings: AnnotationSyncSettings, job: Job) -> Annotations:
    """All annotations of the origin, with the files of their images where there are any.

    Raises:
        InputError: nothing is there, no known format, or no image in what was read.
        ServiceError: a service fails in spite of retries.
    """
    if settings.origin == FILES:
        found = _from_files(settings, job)
        if settings.database and found.images:
            from components.annotation_sync.keeping import keep

            keep(found, _whole(settings.annotations), job)
    else:
        from components.annotation_sync.tasks import from_tasks

        found = from_tasks(settings, job)
    if not found.images:
        lines = "".join(f"\n  - {line}" for line in told(found.problems))
        raise InputError(f"annotations: there are no images in them{lines and ':'}{lines}")
    return found


def _from_files(settings: AnnotationSyncSettings, job: Job) -> Annotations:
    uri, inner = settings.annotations, ""
    if is_s3(uri):
        uri, inner = split_inner(uri)
    place = Place(uri, job, settings.connections)
    if place.remote and not place.bring(lambda name: not is_image(name) and _within(name, inner)):
        raise InputError(f"annotations: {settings.annotations} holds no annotation files")
    source = place.folder / inner if inner else place.folder
    form = settings.format if settings.format != "auto" else recognised(source)
    if settings.format == "auto":
        job.report.message(f"the annotations are {form}")
    images = Place(settings.images, job, settings.connections) if settings.images else place
    folder = images.folder if settings.images else None

    def read() -> Annotations:
        if form == "voc":
            return voc.read(source, folder, settings.one_based)
        return READERS[form](source, folder)

    if images.remote:
        _bring_images(images, read, form, settings, job)
    found = read()
    if settings.format == "auto" and form not in READ_FROM_JSON:
        found.problems += [
            Problem(Fault.UNREADABLE, str(path), "", f"{why}; it is not among the {form} files")
            for path, why in damaged(source, (".json",))
        ]
    return found


def _bring_images(
    images: Place,
    read: Callable[[], Annotations],
    form: str,
    settings: AnnotationSyncSettings,
    job: Job,
) -> None:
    """Fetches the images that are wanted: YOLO has all in its folder, others name them."""
    if form == "yolo":
        images.bring(is_image)
        return
    wanted = {
        name
        for image in chosen_images(settings, read().images).images
        for name in images.candidates(image.name)
    }
    others = images.images - len(wanted)
    images.bring(wanted.__contains__)
    if others:
        job.report.message(
            f"{counted(others, 'image')} of {images.uri} that no chosen annotation names stay there"
        )


def _whole(place: str) -> str:
    """The place of the annotations by which runs from other folders know it too."""
    place = without_credentials(place)
    return place if is_s3(place) else str(Path(place).expanduser().resolve())


def _within(name: str, inner: str) -> bool:
    return not inner or name == inner or name.startswith(f"{inner}/")
