"""The frames of a source: listed, chosen, and converted where that is not done yet."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from components import __version__
from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.formats.inovis_folders import MASK, FoundSet, FrameFiles, found_sets
from components.core.settings import closest
from components.core.stage import Job
from components.core.state import digest
from components.core.storage import ChangedError, Item, Storage, open_storage
from components.core.storage.base import stop_if
from components.core.wording import counted
from components.rendering_sync.conversion import NOTHING_COUNTS, Options, convert
from components.rendering_sync.stage import RenderingSyncSettings
from components.rendering_sync.store import Store

SHOWN = 10
"""Frames that a message names."""


@dataclass(frozen=True)
class Gathered:
    """What the source holds, converted."""

    uri: str
    store: Store
    aux: int
    ids: list[str]
    """Usable frames, set by set, by name."""
    places: dict[str, int]
    """Frame id → position in its set, those that cannot be used counted, too."""
    keys: dict[str, str]
    """Frame id → key in the store."""
    records: dict[str, dict[str, Any]]
    """Frame id → record in the store."""
    skipped: dict[str, str]
    """Frame id → why it is left out."""


def gathered(settings: RenderingSyncSettings, job: Job) -> Gathered:
    """Converts the frames that are wanted.

    Raises:
        InputError: no sets, sets that do not exist or do not go together, or too many frames that
            cannot be used.
        ServiceError: the object store fails in spite of retries.
    """
    storage = open_storage(settings.source, settings.connections)
    items = {item.name: item for item in storage.items() if not item.is_folder}
    sets = _chosen(settings, storage, items)
    aux = settings.aux_views or sets[0].aux
    options = Options(
        settings.lod, aux, 32 if settings.full_precision else 16, settings.near, settings.far
    )
    frames = [frame for found in sets for frame in found.frames]
    skipped = {name: why for found in sets for name, why in found.incomplete.items()}
    total = len(frames) + len(skipped)
    for found in sets:
        _tell_masks(found, job)
    keys = {frame.id: _key(frame, items, storage, options) for frame in frames}
    store = Store(job.work)
    records = {frame.id: record for frame in frames if (record := store.record(keys[frame.id]))}
    missing = [frame for frame in frames if frame.id not in records]
    job.report.message(
        f"{counted(len(frames), 'frame')} of {counted(len(sets), 'set')} in {storage.uri}: "
        f"{len(missing)} to convert, {len(records)} here already"
        + (f"; {len(skipped)} more cannot be used" if skipped else "")
    )
    converter = _Converter(storage, items, store, options)
    for frame, outcome in job.report.track(
        converter.all(missing, settings.workers, keys), len(missing), "frames"
    ):
        if isinstance(outcome, InputError):
            skipped[frame.id] = str(outcome)
        else:
            records[frame.id] = outcome
    if empty := sum(NOTHING_COUNTS in why for why in skipped.values()):
        job.report.warn(f"{counted(empty, 'mask')} of {counted(total, 'frame')} cover nothing")
    _refuse_bad(skipped, total, settings.max_bad_fraction)
    if skipped:
        job.report.warn(f"{counted(len(skipped), 'frame')} left out:\n{_lines(skipped)}")
    ids = [frame.id for frame in frames if frame.id in records]
    names = [sorted([*(f.id for f in found.frames), *found.incomplete]) for found in sets]
    places = {name: place for own in names for place, name in enumerate(own)}
    store.tidy([keys[name] for name in ids], records.values())
    return Gathered(
        storage.uri, store, aux, ids, places, keys, records, dict(sorted(skipped.items()))
    )


def _chosen(
    settings: RenderingSyncSettings, storage: Storage, items: dict[str, Item]
) -> list[FoundSet]:
    """The wanted sets, with the wanted number of frames."""
    names: list[str] = list(items)
    there = {PurePosixPath(name).parent.parent.as_posix() for name in names}
    if absent := [name for name in settings.sets if name not in there]:
        known = sorted(there - {"."})
        hints = ", ".join(f"{name!r}{closest(name, known)}" for name in absent)
        raise InputError(
            f"sets: {hints}: not in {storage.uri}, which has {', '.join(known) or 'no sets'}"
        )
    if settings.sets:
        names = [n for n in names if PurePosixPath(n).parent.parent.as_posix() in settings.sets]
    try:
        own = storage.uri.rstrip("/").rpartition("/")[2]
        sets = found_sets(names, settings.lod, own, settings.aux_views)
    except InputError as error:
        raise InputError(f"{storage.uri}: {error}") from None
    if len({found.aux for found in sets}) > 1:
        counts = ", ".join(f"{found.name} {found.aux}" for found in sets)
        raise InputError(
            f"the sets have different numbers of aux views ({counts}); set aux_views: "
            f"{min(found.aux for found in sets)}"
        )
    return [_first(found, settings.max_frames) for found in sets]


def _first(found: FoundSet, most: int) -> FoundSet:
    """The first frames of a set, complete or not; all of them with 0."""
    names = sorted([*(frame.id for frame in found.frames), *found.incomplete])
    kept = {*names[:most]} if most else {*names}
    frames = [frame for frame in found.frames if frame.id in kept]
    lacking = {name: why for name, why in found.incomplete.items() if name in kept}
    return replace(found, frames=frames, incomplete=lacking)


def _tell_masks(found: FoundSet, job: Job) -> None:
    """Warns of masks without a frame, and of frames without a mask where others have one."""
    lines = []
    if lost := found.lost_masks:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        names = ", ".join(lost[:SHOWN])
        lines.append(
            f"{counted(len(lost), 'mask')} named like no frame, so not used: {names}{more}"
        )
    bare = [frame.id.rpartition("/")[2] for frame in found.frames if MASK not in frame.files]
    if found.masked and bare:
        lines.append(
            f"{len(bare)} of {counted(len(found.frames), 'frame')} without a mask, so that all "
            f"their pixels count; that of {bare[0]!r} would be {MASK}/{bare[0]}.png"
        )
    if lines:
        job.report.warn(f"set {found.name}: {'; '.join(lines)}")


class _Converter:
    """Converts frames in threads; what they decode and read does not hold up the others."""

    def __init__(
        self, storage: Storage, items: dict[str, Item], store: Store, options: Options
    ) -> None:
        self._storage, self._items, self._store = storage, items, store
        self._options = options
        self._stop = threading.Event()

    def all(self, frames: Sequence[FrameFiles], workers: int, keys: dict[str, str]) -> Any:
        """Yields each frame with its record, or with the InputError that tells why not."""
        pool = ThreadPoolExecutor(workers or usable_cpus(), thread_name_prefix="convert")
        try:
            pending = {pool.submit(self._one, frame, keys[frame.id]): frame for frame in frames}
            for future in as_completed(pending):
                error = future.exception()
                if error is not None and (
                    not isinstance(error, InputError) or isinstance(error, ChangedError)
                ):
                    raise error
                yield pending[future], error or future.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def _one(self, frame: FrameFiles, key: str) -> dict[str, Any]:
        def load(folder: str) -> tuple[bytes, str]:
            stop_if(self._stop.is_set)
            item = self._items[frame.files[folder]]
            content = self._storage.read(item.name, max(item.size, 1))
            if len(content) != item.size:
                raise ChangedError(f"{self._storage.uri}/{item.name}")
            return content, item.name

        store, options = self._store, self._options
        converted = convert(load, store.photo, store.depth, MASK in frame.files, options)
        return store.add(key, converted)


def _key(frame: FrameFiles, items: dict[str, Item], storage: Storage, options: Options) -> str:
    """Changes with every file of the frame, the options and the code."""
    versions = [[n, items[n].size, items[n].tag] for _, n in sorted(frame.files.items())]
    return digest([__version__, storage.identity, versions, vars(options)], 32)


def _refuse_bad(skipped: dict[str, str], total: int, most: float) -> None:
    if len(skipped) > most * total:
        raise InputError(
            f"{len(skipped)} of {counted(total, 'frame')} cannot be used, more than "
            f"max_bad_fraction {most:g} allows:\n{_lines(skipped)}\nexport them again, or leave "
            "them out with a larger max_bad_fraction"
        )
    if len(skipped) == total:
        raise InputError(
            f"none of {counted(total, 'frame')} can be used:\n{_lines(skipped)}\nexport them again"
        )


def _lines(skipped: dict[str, str]) -> str:
    lines = [f"  - {name}: {why}" for name, why in sorted(skipped.items())[:SHOWN]]
    more = len(skipped) - SHOWN
    return "\n".join([*lines, *([f"  - and {more} more"] if more > 0 else [])])
