"""The layout `folders`: one folder of videos per class."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from components.core.artifacts.clips import Clip
from components.core.stage import Job
from components.core.storage import Storage
from components.dataset_sync import transfer
from components.dataset_sync.catalogue import Catalogue, class_of, kinds, read_catalogue, shown
from components.dataset_sync.mirror import Mirror
from components.dataset_sync.segments import SegmentTable

if TYPE_CHECKING:
    from components.dataset_sync.stage import SyncSettings


def mirrored(
    settings: SyncSettings,
    storage: Storage,
    mirror: Mirror,
    job: Job,
    extensions: Collection[str],
    segments: SegmentTable,
) -> list[Clip]:
    """Brings the mirror up to date; returns every clip in it, in the order of their ids.

    Args:
        settings: of the stage.
        storage: the source.
        mirror: of it.
        job: for progress and messages.
        extensions: of videos.
        segments: checked before anything is transferred.

    Raises:
        InputError: empty class folders, unusable names or segments, or files that changed
            meanwhile.
    """
    kept = () if settings.mirror else mirror.clips
    catalogue = read_catalogue(
        storage.items(),
        storage.uri,
        extensions,
        settings.class_rule,
        settings.ignore_folders,
        kept,
    )
    _tell_ignored(catalogue, job)
    present = {item.name for item in catalogue.clips}
    segments.refuse_problems(present | set(kept))
    mirror.begin()
    known = set(mirror.clips)
    gone = known - present
    transfer.update(mirror, catalogue.clips, storage, f"clips in {storage.uri}", settings, job)
    mirror.forget(transfer.drop(gone, mirror.clips, known, settings.mirror, job))
    return [
        Clip(
            id=name,
            path=f"clips/{name}",
            labels=[class_of(name, settings.class_rule)],
            size=record.size,
            checksum=record.sha256,
            **mirror.probes[record.sha256],
        )
        for name, record in sorted(mirror.clips.items())
    ]


def _tell_ignored(catalogue: Catalogue, job: Job) -> None:
    if catalogue.ignored:
        count = catalogue.ignored.total()
        job.report.message(f"ignored {count} files that are no videos: {kinds(catalogue.ignored)}")
    if catalogue.rootless:
        job.report.warn(
            f"{len(catalogue.rootless)} videos lie directly in the source and have no class; "
            f"they are left out: {shown(catalogue.rootless)}"
        )
