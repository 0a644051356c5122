"""Whether places and services can be used, asked before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.annotation_sync.places import split_inner
from components.annotation_sync.stage import CVAT, DATABASE, FILES, AnnotationSyncSettings
from components.core.errors import InputError, TrainyardError
from components.core.storage import is_s3, open_storage, refuse_credentials


def unreachable(settings: AnnotationSyncSettings) -> list[TrainyardError]:
    """What cannot be reached, all together."""
    looks: list[tuple[str, Callable[[], object]]] = []
    if settings.origin == FILES:
        looks.append(("annotations", lambda: _place(settings.annotations, True)))
    if settings.images:
        looks.append(("images", lambda: _place(settings.images, False)))
    if settings.origin == CVAT:
        looks.append(("origin cvat", _cvat))
    if settings.origin == DATABASE:
        looks.append(("origin database", _database))
    elif settings.database:
        looks.append(("database", _database))
    problems: list[TrainyardError] = []
    for name, look in looks:
        try:
            look()
        except TrainyardError as error:
            problems.append(type(error)(f"{name}: {error}"))
    return problems


def _place(uri: str, file: bool) -> None:
    """`file`: whether it may be a single file."""
    refuse_credentials(uri)
    if is_s3(uri):
        open_storage(split_inner(uri)[0]).check()
        return
    path = Path(uri).expanduser()
    if path.is_file() and file:
        return
    if not path.exists():
        raise InputError(f"{path} does not exist; name a folder, a file or s3://bucket/prefix")
    open_storage(uri).check()


def _cvat() -> None:
    from components.core.cvat import Cvat

    Cvat.from_environment().check()


def _database() -> None:
    from components.core.annotation_store import AnnotationStore

    AnnotationStore.from_environment().close()
