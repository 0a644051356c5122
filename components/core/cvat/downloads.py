"""Files from CVAT: the images of a task, its annotations in a format, and backups of it."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

from components.core import files
from components.core.annotation_tasks import AnnotationTask
from components.core.cvat import background
from components.core.cvat.connection import Connection, Query
from components.core.cvat.tasks import number
from components.core.errors import InputError, ServiceError
from components.core.formats.image_files import normal_name

THREADS = 4
PNG = b"\x89PNG\r\n\x1a\n"

Progress = Callable[[int, int], None]


def images(
    connection: Connection, task: AnnotationTask, folder: Path, progress: Progress | None
) -> dict[int, Path]:
    """The images of a task, in the quality that they were uploaded with; see Cvat."""
    wanted = {
        at: normal_name(frame.name)
        for at, frame in enumerate(task.frames)
        if at not in task.deleted
    }
    unusable = [task.frames[at].name for at, name in wanted.items() if not name]
    twice = [name for name, count in Counter(wanted.values()).items() if count > 1 and name]
    if unusable or twice:
        raise InputError(
            f"the images of task {task.id} ({task.name}) have no names of their own: "
            + ", ".join([*map(repr, unusable), *twice])
        )
    paths = {at: folder / name for at, name in wanted.items()}
    missing = [at for at, path in paths.items() if not path.is_file()]
    done = len(paths) - len(missing)
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(_image, connection, task, at, paths[at]) for at in missing]
        try:
            for future in as_completed(running):
                future.result()
                done += 1
                if progress:
                    progress(done, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return paths


def _image(connection: Connection, task: AnnotationTask, at: int, path: Path) -> None:
    what = f"getting image {at} of task {task.id}"
    query = {"type": "frame", "number": at, "quality": "original"}
    content = connection.content(what, f"/api/tasks/{number(task.id)}/data/", query)
    if not content:
        raise ServiceError(f"{what}: {connection.endpoint.url} sends an empty file")
    if task.video and not content.startswith(PNG):
        content = _png(content, what)
    with files.full_disk_named(path.parent), files.atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _png(content: bytes, what: str) -> bytes:
    """The image as the kind of file that the made-up name says it is."""
    from PIL import Image, UnidentifiedImageError

    target = io.BytesIO()
    try:
        Image.open(io.BytesIO(content)).save(target, "PNG")
    except (UnidentifiedImageError, OSError):
        raise ServiceError(f"{what}: the server sends something else than an image") from None
    return target.getvalue()


def archive(connection: Connection, what: str, path: str, query: Query, target: Path) -> Path:
    """Lets the server write a ZIP file in the background, and gets it.

    Raises:
        ServiceError: it cannot, or what comes is no ZIP file.
    """
    answer = connection.json(what, "POST", path, query)
    request = (answer or {}).get("rq_id")
    if not request:
        raise ServiceError(
            f"{what}: {connection.endpoint.url} names no background request; it is older than "
            "this export, update it"
        )
    url = str(background.finished(connection, what, request).get("result_url") or "")
    if not url:
        raise ServiceError(f"{what}: {connection.endpoint.url} does not say where the file is")
    # The host in it may be one that only the server knows, and credentials are for ours alone.
    parts, base = urlsplit(url), urlsplit(connection.endpoint.url).path.rstrip("/")
    place = parts.path.removeprefix(base) + (f"?{parts.query}" if parts.query else "")
    with files.atomic_path(target) as temporary:
        connection.save(what, place, temporary)
        if not zipfile.is_zipfile(temporary):
            raise ServiceError(f"{what}: what {connection.endpoint.url} sends is no ZIP file")
    return target
