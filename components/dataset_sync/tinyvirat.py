"""The layout `tinyvirat`: what the annotations name, as videos or as folders of pictures.

tiny_train.json, tiny_test.json, classes.txt
videos/<train|test>/<scene>/<name>.mp4
videos/<train|test>/<scene>/<name>_frames/frame_<number from 0>.jpg

A clip's video is used where it can be read, otherwise its pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from components.core.artifacts.clips import Clip
from components.core.errors import InputError, ProblemsError
from components.core.stage import Job
from components.core.storage import Item, Storage
from components.core.wording import counted
from components.dataset_sync import transfer
from components.dataset_sync.annotations import (
    CLASSES,
    FILES,
    FRAMES,
    VIDEOS,
    Tube,
    read_annotations,
)
from components.dataset_sync.catalogue import kinds, shown
from components.dataset_sync.mirror import Mirror, Record
from components.dataset_sync.pictures import SUFFIX, PictureFolder, PictureSource, frame_number
from components.dataset_sync.segments import SegmentTable

if TYPE_CHECKING:
    from components.dataset_sync.stage import SyncSettings


@dataclass
class Files:
    """What the source holds for the tubes."""

    videos: dict[str, Item] = field(default_factory=dict)
    """Tube id → its video."""
    folders: dict[str, PictureFolder] = field(default_factory=dict)
    """Tube id → its pictures; of tubes with a video without the pictures themselves."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Extension (with its dot, or the bare name) → files that no tube names."""


def mirrored(
    settings: SyncSettings, storage: Storage, mirror: Mirror, job: Job, segments: SegmentTable
) -> tuple[list[str], list[Clip]]:
    """Brings the mirror up to date; returns the classes and all clips, by id.

    Args:
        settings: of the stage.
        storage: the source.
        mirror: of it.
        job: for progress and messages.
        segments: checked before anything is transferred.

    Raises:
        InputError: with everything that is wrong with the annotations, the files or the segments.
    """
    found = read_annotations(storage)
    held = _look(storage.items(), found.tubes, settings.frame_rate)
    known = {_clip_of(name) for name in mirror.clips}
    gone = known - set(found.tubes)
    kept = set() if settings.mirror else gone
    absent = set(found.tubes) - set(held.videos) - set(held.folders)
    problems = [
        *found.problems,
        *_lost_problems(absent, found.tubes, mirror, settings.mirror),
        *_kept_problems(kept, mirror, found.classes),
    ]
    if problems:
        raise InputError(str(ProblemsError(problems, storage.uri)))
    segments.refuse_problems(set(found.tubes) | kept, found.classes)
    _tell(held, found.tubes, job)

    mirror.begin()
    for clip, tube in found.tubes.items():
        mirror.describe(clip, {"labels": tube.labels, "frames": tube.frames})
    used = _transfer(settings, storage, mirror, job, held)
    superseded = [
        name for name in mirror.clips if name not in used and _clip_of(name) not in gone | absent
    ]
    mirror.forget(superseded)
    here = {clip: mirror.clips[name] for clip, name in _chosen(mirror).items()}
    _forget(mirror, transfer.drop(gone, here, known, settings.mirror, job, absent))
    clips = [_clip(mirror, clip, name) for clip, name in sorted(_chosen(mirror).items())]
    _tell_frames(mirror, clips, job)
    return found.classes, clips


def _look(items: Iterable[Item], tubes: dict[str, Tube], fps: float) -> Files:
    """Assigns a listing to the tubes."""
    found = Files()
    videos = {tube.video: clip for clip, tube in tubes.items()}
    folders = {tube.pictures: clip for clip, tube in tubes.items()}
    annotations = {CLASSES, *FILES.values()}
    for item in items:
        folder, _, file = item.name.rpartition("/")
        if (clip := folders.get(folder)) and frame_number(file) is not None:
            if clip not in found.folders:
                found.folders[clip] = PictureFolder(folder, tubes[clip].frames, fps)
            if clip not in found.videos:
                found.folders[clip].pictures.append(item)
        elif clip := videos.get(item.name):
            found.videos[clip] = item
        elif not item.is_folder and item.name not in annotations:
            found.ignored[PurePosixPath(file).suffix.lower() or file] += 1
    return found


def _lost_problems(
    absent: set[str], tubes: dict[str, Tube], mirror: Mirror, remove: bool
) -> list[str]:
    """Clips without any file; those that are here already may stay."""
    here = set() if remove else {_clip_of(name) for name in mirror.clips}
    lost = sorted(absent - here)
    if not lost:
        return []
    example = tubes[lost[0]]
    return [
        f"{len(lost)} clips are named but have neither a video nor pictures: {shown(lost)}; "
        f"expected, for example, {example.video} or {example.pictures}/frame_0.jpg"
    ]


def _kept_problems(kept: set[str], mirror: Mirror, classes: list[str]) -> list[str]:
    """Clips that stay, though nothing names them any more, must fit the classes."""
    odd = [c for c in kept if set(mirror.about.get(c, {}).get("labels", [])) - set(classes)]
    if not odd or not classes:
        return []
    return [
        f"{len(odd)} clips that are no more in the source have labels that are no classes now: "
        f"{shown(odd)}; set mirror: true to remove them"
    ]


def _tell(held: Files, tubes: dict[str, Tube], job: Job) -> None:
    if held.ignored:
        count = held.ignored.total()
        job.report.message(f"ignored {count} files that no clip names: {kinds(held.ignored)}")
    if bare := [tube.id for tube in tubes.values() if not tube.labels]:
        job.report.warn(f"{len(bare)} clips have no label: {shown(bare)}")


def _transfer(
    settings: SyncSettings,
    storage: Storage,
    mirror: Mirror,
    job: Job,
    held: Files,
) -> set[str]:
    """Transfers videos and pictures; returns the names of those that are in use."""
    alone = [own for clip, own in held.folders.items() if clip not in held.videos]
    with PictureSource(storage, alone, settings.connections) as source:
        items = [*held.videos.values(), *(folder.item() for folder in alone)]
        transfer.update(mirror, items, source, f"clips in {storage.uri}", settings, job)
    unreadable = [
        clip
        for clip, item in held.videos.items()
        if clip in held.folders and _error(mirror, item.name)
    ]
    if not unreadable:
        return {item.name for item in items}
    job.report.warn(
        f"{len(unreadable)} videos are unreadable; the pictures beside them are used: "
        f"{shown(unreadable)}"
    )
    spare = [held.folders[clip] for clip in unreadable]
    for folder in spare:
        listing = storage.items(folder.name)
        folder.pictures = [
            item for item in listing if frame_number(item.name.rpartition("/")[2]) is not None
        ]
    with PictureSource(storage, spare, settings.connections) as source:
        pictures = [folder.item() for folder in spare]
        where = f"clips as pictures in {storage.uri}"
        transfer.update(mirror, pictures, source, where, settings, job)
    return {item.name for item in (*items, *pictures)}


def _chosen(mirror: Mirror) -> dict[str, str]:
    """Clip id → the name of the file that it is: the video, if it can be read."""
    chosen: dict[str, str] = {}
    for name in sorted(mirror.clips):
        other = chosen.setdefault(_clip_of(name), name)
        if other != name and _error(mirror, other) and not _error(mirror, name):
            chosen[_clip_of(name)] = name
    return chosen


def _clip(mirror: Mirror, clip: str, name: str) -> Clip:
    part, scene, _ = clip.split("/")
    record = mirror.clips[name]
    suffix = SUFFIX if name.endswith(FRAMES) else PurePosixPath(name).suffix
    return Clip(
        id=clip,
        path=f"clips/{clip}{suffix}",
        labels=mirror.about.get(clip, {}).get("labels", []),
        group=scene,
        part=part,
        size=record.bytes,
        checksum=record.sha256,
        **{**mirror.probes[record.sha256], "error": _error(mirror, name)},
    )


def _tell_frames(mirror: Mirror, clips: list[Clip], job: Job) -> None:
    """Says where frames were filled in, and where clips are shorter or longer than announced."""
    used = _chosen(mirror)
    records: dict[str, Record] = {c.id: mirror.clips[used[c.id]] for c in clips if not c.error}
    if filled := [clip for clip, record in records.items() if record.filled]:
        total = sum(record.filled for record in records.values())
        damaged = sum(record.damaged for record in records.values())
        examples = shown(f"{clip} ({records[clip].filled})" for clip in filled)
        job.report.warn(
            f"missing or damaged: {counted(total, 'picture')} of {counted(len(filled), 'clip')} "
            f"({damaged} damaged); each is replaced by the one before it: {examples}"
        )
    announced = {clip.id: mirror.about.get(clip.id, {}).get("frames", 0) for clip in clips}
    other = [
        f"{clip.id} ({clip.frames}, not {announced[clip.id]})"
        for clip in clips
        if not clip.error and announced[clip.id] and announced[clip.id] != clip.frames
    ]
    if other:
        job.report.warn(
            f"{len(other)} clips have another number of frames than dim says: {shown(other)}"
        )


def _error(mirror: Mirror, name: str) -> str:
    record = mirror.clips[name]
    return record.error or str(mirror.probes[record.sha256]["error"])


def _clip_of(name: str) -> str:
    """The id of the clip that a file or folder of pictures in the source belongs to."""
    inside = name.removeprefix(f"{VIDEOS}/")
    if inside.endswith(FRAMES):
        return inside.removesuffix(FRAMES)
    return str(PurePosixPath(inside).with_suffix(""))


def _forget(mirror: Mirror, clips: set[str]) -> None:
    names = [name for name in mirror.clips if _clip_of(name) in clips]
    mirror.forget([*names, *clips])
