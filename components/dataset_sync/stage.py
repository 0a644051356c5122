"""Mirrors a folder or bucket of labelled clips and publishes a snapshot of it.

The source is a folder or `s3://bucket/prefix` with one folder of videos per class (folders below
those are part of the class), or arranged as TinyVIRAT is published. Only what is new or changed is
transferred. Every clip is looked at once; clips that cannot be decoded stay listed with the reason.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.core.errors import InputError, TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage

# fmt: off
EXTENSIONS = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "mpe", "m2v", "ts", "m2ts", "mts",
    "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "mxf", "mjpeg", "mjpg", "y4m", "gif",
]
# fmt: on

TINYVIRAT = "tiny_train.json"
"""What only a source of that layout holds."""


class SyncSettings(Settings):
    """Settings of `dataset_sync`."""

    source: str = Field(
        min_length=1,
        description="Folder or s3://bucket/prefix: a folder of clips per class, or as layout says",
        json_schema_extra=PLACE,
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
        json_schema_extra=PLACE,
    )
    segments: str = Field(
        "",
        description="CSV file (path or s3://bucket/key) with the columns clip, start, end "
        "(seconds) and label; clips named there have the labels of their segments, not of their "
        "folder",
        json_schema_extra=PLACE,
    )
    frame_rate: float = Field(
        30.0,
        gt=0,
        le=1000,
        description="Frames per second of clips that lie there as pictures (layout tinyvirat)",
    )
    mirror: bool = Field(
        False,
        description="Also remove clips that the source has no more; otherwise they stay, except "
        "for those that it has under another name",
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {"extensions": self.extensions, "ignore_folders": self.ignore_folders}
        given["class_rule"] = [self.class_rule] if self.class_rule != "folder" else []
        unused = [name for name, value in given.items() if value and self.layout != "folders"]
        if unused:
            raise ValueError(
                f"{', '.join(unused)}: no effect with layout {self.layout}, whose files name "
                "clips and classes; leave them out, or use layout folders"
            )
        return self


def check(settings: SyncSettings) -> list[TrainyardError]:
    """Whether the source and the tables can be read; takes a few seconds at most."""
    from components.dataset_sync.groups import read_groups
    from components.dataset_sync.segments import read_segments

    problems: list[TrainyardError] = []
    for name, look in (
        ("source", lambda: _check_source(settings)),
        ("groups", lambda: read_groups(settings.groups)),
        ("segments", lambda: read_segments(settings.segments)),
    ):
        try:
            look()
        except TrainyardError as error:
            problems.append(type(error)(f"{name}: {error}"))
    return problems


def _check_source(settings: SyncSettings) -> None:
    from components.core.storage import open_storage

    storage = open_storage(settings.source)
    storage.check()
    if settings.layout == "folders" and storage.exists(TINYVIRAT):
        raise InputError(
            f"{storage.uri} holds {TINYVIRAT}, so it is arranged like TinyVIRAT: set layout: "
            "tinyvirat"
        )


def sync(settings: SyncSettings, job: Job) -> None:
    """Brings the mirror up to date and writes `clips`.

    Raises:
        InputError: the source has no clips, is not arranged as it should be or has unusable
            names, files changed while they were read, or too many clips are unreadable.
        ServiceError: the object store fails in spite of retries.
    """
    from components.core.storage import open_storage
    from components.dataset_sync import folders, snapshot, tinyvirat
    from components.dataset_sync.groups import read_groups
    from components.dataset_sync.mirror import Mirror
    from components.dataset_sync.segments import read_segments

    groups, segments = read_groups(settings.groups), read_segments(settings.segments)
    storage = open_storage(settings.source, settings.connections)
    mirror = Mirror(job.work, storage.identity)
    classes: list[str] = []
    if settings.layout == "tinyvirat":
        classes, clips = tinyvirat.mirrored(settings, storage, mirror, job, segments)
    else:
        extensions = settings.extensions or EXTENSIONS
        clips = folders.mirrored(settings, storage, mirror, job, extensions, segments)
    clips = segments.applied(clips, classes, job.report)
    clips = snapshot.grouped(clips, groups, job.report)
    snapshot.refuse_bad(clips, settings.max_bad_fraction, job.report)
    dataset = snapshot.write(clips, classes, storage.uri, mirror, job.outputs["clips"])
    mirror.tidy()
    job.report.message(f"the data set:\n{snapshot.table(dataset)}")
    job.metadata["clips"] = snapshot.figures(dataset)


STAGE = Stage(
    name="dataset_sync",
    settings=SyncSettings,
    function=sync,
    outputs={"clips": "snapshot of the labelled clips (ClipDataset)"},
    external=True,
    check=check,
)
