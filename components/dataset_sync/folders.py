"""The layouts `folders` and `sources`: a folder of videos per class, or those of each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from components.core.artifacts.clips import Clip
from components.core.errors import InputError, ProblemsError
from components.core.stage import Job
from components.core.storage import Item, Storage
from components.core.wording import counted
from components.dataset_sync import transfer
from components.dataset_sync.catalogue import Catalogue, kinds, read_catalogue, shown
from components.dataset_sync.mirror import Mirror
from components.dataset_sync.segments import SegmentTable
from components.dataset_sync.selection import Selection

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
    """Brings the mirror up to date; returns every clip in it that is taken, in the order of ids.

    Args:
        settings: of the stage.
        storage: the source.
        mirror: of it.
        job: for progress and messages.
        extensions: of videos.
        segments: checked before anything is transferred.

    Raises:
        InputError: sources or classes that are not there, empty class folders, unusable names or
            segments, or files that changed meanwhile.
    """
    selection = Selection.of(settings)
    selection.refuse_absent(storage)
    known = {name for name in mirror.clips if not selection.leaves_out(name)}
    kept = () if settings.mirror else known
    listing = selection.listing(storage)
    catalogue = read_catalogue(listing, storage.uri, extensions, selection, kept)
    _tell_ignored(catalogue, job)
    _tell_left_out(catalogue, selection, job)
    present = {item.name for item in catalogue.clips}
    segments.refuse_problems(present | set(kept), selection.labels, "classes")
    mirror.begin()
    gone = known - present
    transfer.update(mirror, catalogue.clips, storage, f"clips in {storage.uri}", settings, job)
    away = _moved_away(gone, mirror, catalogue.left_out, job)
    taken = {name: mirror.clips[name] for name in (known | present) - away}
    dropped = transfer.drop(gone - away, taken, known, settings.mirror, job)
    mirror.forget(dropped | away)
    left_out = [item.name for item in catalogue.left_out]
    if problems := selection.unmet(set(taken) - dropped, left_out):
        raise InputError(str(ProblemsError(problems, storage.uri)))
    return [
        Clip(
            id=name,
            path=f"clips/{name}",
            labels=[selection.label(name) or ""],
            size=record.size,
            checksum=record.sha256,
            **mirror.probes[record.sha256],
        )
        for name, record in sorted(taken.items())
        if name not in dropped
    ]


def table(clips: Iterable[Clip], selection: Selection) -> list[tuple[str, ...]]:
    """Rows that say how many usable clips each class folder of each source gives to which class."""
    clips = list(clips)
    good = Counter(selection.folder(clip.id) for clip in clips if not clip.error)
    folders = {selection.folder(clip.id): selection.label(clip.id) or "" for clip in clips}
    rows: list[tuple[str, ...]] = [("source", "folder", "class", "clips")]
    for folder, label in sorted(folders.items()):
        source, _, name = folder.partition("/")
        rows.append((source, name, label, str(good[folder])))
    return rows


def _moved_away(gone: set[str], mirror: Mirror, left_out: list[Item], job: Job) -> set[str]:
    """Clips that the source has in a folder now that is left out, so that they leave as well."""
    versions = {(item.size, item.tag) for item in left_out}
    away = {name for name in gone if (mirror.clips[name].size, mirror.clips[name].tag) in versions}
    if away:
        job.report.message(
            f"{counted(len(away), 'clip')} moved to folders that are left out: {shown(away)}"
        )
    return away


def _tell_left_out(catalogue: Catalogue, selection: Selection, job: Job) -> None:
    folders = Counter(selection.folder(item.name) for item in catalogue.left_out)
    if folders:
        names = shown(f"{folder} ({count})" for folder, count in folders.items())
        job.report.message(
            f"left out {counted(folders.total(), 'clip')} of {counted(len(folders), 'folder')} of "
            f"other classes (other_class would take them): {names}"
        )
    if idle := set(selection.sources) - {item.name.partition("/")[0] for item in catalogue.clips}:
        job.report.warn(f"sources without a clip of the classes: {shown(idle)}")


def _tell_ignored(catalogue: Catalogue, job: Job) -> None:
    if catalogue.ignored:
        count = catalogue.ignored.total()
        job.report.message(f"ignored {count} files that are no videos: {kinds(catalogue.ignored)}")
    if catalogue.rootless:
        job.report.warn(
            f"{len(catalogue.rootless)} videos lie directly in the source and have no class; "
            f"they are left out: {shown(catalogue.rootless)}"
        )
