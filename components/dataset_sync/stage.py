"""Mirrors a folder or bucket of labelled clips and publishes a snapshot of it.

The source is a folder or `s3://bucket/prefix` with one folder of videos per class; folders below
those are part of the class. Only what is new or changed is transferred. Every clip is looked at
once; clips that cannot be decoded stay listed with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from components.core.errors import InputError, TrainyardError
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage

if TYPE_CHECKING:
    from components.core.storage import Item, Storage
    from components.dataset_sync.catalogue import Catalogue
    from components.dataset_sync.mirror import Mirror

# fmt: off
EXTENSIONS = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "mpe", "m2v", "ts", "m2ts", "mts",
    "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "mxf", "mjpeg", "mjpg", "y4m", "gif",
]
# fmt: on


class SyncSettings(Settings):
    """Settings of `dataset_sync`."""

    source: str = Field(
        min_length=1,
        description="Folder or s3://bucket/prefix that holds one folder of clips per class",
    )
    layout: Literal["folders", "tinyvirat"] = Field(
        "folders",
        description="How the source is arranged: 'folders', one per class, or 'tinyvirat', as "
        "TinyVIRAT is published (tiny_train.json, tiny_test.json, classes.txt, videos/)",
    )
    extensions: list[str] = Field(
        [],
        description="File extensions of videos; other files are ignored. Empty for the usual ones: "
        + ", ".join(EXTENSIONS),
    )
    class_rule: Literal["folder", "first_underscore"] = Field(
        "folder",
        description="Class of a clip: 'folder' is the name of its first folder, "
        "'first_underscore' only what precedes the first underscore (merges walk_slow, walk_fast)",
    )
    ignore_folders: list[str] = Field([], description="First-level folders that are no classes")
    groups: str = Field(
        "",
        description="CSV file (path or s3://bucket/key) with the columns clip (<folder>/<file>) "
        "and group; clips of one group, such as one recording, are never split apart",
    )
    segments: str = Field(
        "",
        description="CSV file (path or s3://bucket/key) with the columns clip, start, end "
        "(seconds) and label; clips named there have the labels of their segments, not of their "
        "folder",
    )
    frame_rate: float = Field(
        30.0,
        gt=0,
        le=1000,
        description="Frames per second of clips that lie there as pictures (layout tinyvirat)",
    )
    mirror: bool = Field(
        False, description="Also remove clips that the source has no more; otherwise they stay"
    )
    max_bad_fraction: float = Field(
        0.05, ge=0, le=1, description="Share of clips that may be unreadable before the stage fails"
    )
    workers: int = Field(
        0,
        ge=0,
        description="Processes that look at clips; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )
    connections: int = Field(
        32,
        ge=1,
        le=256,
        description="Files transferred at the same time",
        json_schema_extra=RUNTIME,
    )

    @field_validator("extensions")
    @classmethod
    def _plain(cls, values: list[str]) -> list[str]:
        plain = list(dict.fromkeys(value.strip().lower().lstrip(".") for value in values))
        if "" in plain:
            raise ValueError("expected file extensions, such as [mp4, avi]")
        return plain


def check(settings: SyncSettings) -> list[TrainyardError]:
    """Whether the source and the groups can be read; takes a few seconds at most."""
    from components.core.storage import open_storage
    from components.dataset_sync.groups import read_groups

    problems: list[TrainyardError] = []
    for name, look in (
        ("source", lambda: open_storage(settings.source).check()),
        ("groups", lambda: read_groups(settings.groups)),
    ):
        try:
            look()
        except TrainyardError as error:
            problems.append(type(error)(f"{name}: {error}"))
    return problems


def sync(settings: SyncSettings, job: Job) -> None:
    """Brings the mirror up to date and writes `clips`.

    Raises:
        InputError: the source has no clips, empty class folders or unusable names, files changed
            while they were read, or too many clips are unreadable.
        ServiceError: the object store fails in spite of retries.
    """
    from components.core.storage import open_storage
    from components.dataset_sync import snapshot
    from components.dataset_sync.catalogue import read_catalogue
    from components.dataset_sync.groups import read_groups
    from components.dataset_sync.mirror import Mirror

    groups = read_groups(settings.groups)
    storage = open_storage(settings.source, settings.connections)
    mirror = Mirror(job.work, storage.identity)
    catalogue = read_catalogue(
        storage.items(),
        storage.uri,
        settings.extensions or EXTENSIONS,
        settings.class_rule,
        settings.ignore_folders,
        kept=() if settings.mirror else mirror.clips,
    )
    _tell_ignored(catalogue, job)
    mirror.begin()
    _update(mirror, catalogue.clips, storage, settings, job)
    _probe(mirror, settings.workers, job)
    clips = snapshot.clips(mirror, settings.class_rule, groups, job.report)
    snapshot.refuse_bad(clips, settings.max_bad_fraction, job.report)
    dataset = snapshot.write(clips, storage.uri, mirror, job.outputs["clips"])
    mirror.tidy()
    job.report.message(f"the data set:\n{snapshot.table(dataset)}")
    job.metadata["clips"] = snapshot.figures(dataset)


def _tell_ignored(catalogue: Catalogue, job: Job) -> None:
    from components.dataset_sync.catalogue import kinds, shown

    if catalogue.ignored:
        count = catalogue.ignored.total()
        job.report.message(f"ignored {count} files that are no videos: {kinds(catalogue.ignored)}")
    if catalogue.rootless:
        job.report.warn(
            f"{len(catalogue.rootless)} videos lie directly in the source and have no class; "
            f"they are left out: {shown(catalogue.rootless)}"
        )


def _update(
    mirror: Mirror, items: Sequence[Item], storage: Storage, settings: SyncSettings, job: Job
) -> None:
    """Transfers what is new or changed and deals with what the source has no more."""
    from components.core.storage import ChangedError
    from components.dataset_sync.catalogue import shown

    known = set(mirror.clips)
    wanted = mirror.missing(items)
    siblings = (path / "work" for path in job.work.parent.parent.iterdir())
    if linked := mirror.adopt(wanted, siblings):
        wanted = mirror.missing(wanted)
    changed = sum(item.name in known for item in wanted)
    job.report.message(
        f"{len(items)} clips in {storage.uri}: {len(wanted) - changed} new, {changed} changed, "
        f"{len(items) - len(wanted)} here already"
        + (f" ({linked} of them in mirrors with other settings)" if linked else "")
    )
    unstable = []
    done = 0.0
    total = sum(item.size for item in wanted) / 1e6
    for outcome in mirror.fetch(storage, wanted, settings.connections):
        if isinstance(outcome, ChangedError):
            unstable.append(outcome.name)
        else:
            done += outcome.size / 1e6
            job.report.progress(round(done, 3), round(total, 3), "MB")
    if unstable:
        raise InputError(
            f"{len(unstable)} files changed or vanished while they were read: {shown(unstable)}; "
            "run again when their writer is done, the rest is kept"
        )
    gone = set(mirror.clips) - {item.name for item in items}
    if gone and settings.mirror:
        mirror.forget(gone)
        job.report.message(f"removed {len(gone)} clips the source has no more: {shown(gone)}")
    elif gone:
        job.report.warn(
            f"{len(gone)} clips are no more in the source but stay in the data set "
            f"(mirror: true removes them): {shown(gone)}"
        )


def _probe(mirror: Mirror, workers: int, job: Job) -> None:
    unknown = {record.sha256 for record in mirror.clips.values()} - set(mirror.probes)
    paths = {sha256: mirror.file(sha256) for sha256 in sorted(unknown)}
    if not paths:
        return
    from components.dataset_sync.probing import probe_all  # loads PyAV

    results = job.report.track(probe_all(paths, workers), len(paths), "clips probed")
    for sha256, result in results:
        mirror.remember(sha256, asdict(result))


STAGE = Stage(
    name="dataset_sync",
    settings=SyncSettings,
    function=sync,
    outputs={"clips": "snapshot of the labelled clips (ClipDataset)"},
    external=True,
    check=check,
)
