"""Mirrors a folder or bucket of labelled clips and publishes a snapshot of it.

The source is a folder or `s3://bucket/prefix` with one folder of videos per class (folders below
those are part of the class), with several such sources, or arranged as TinyVIRAT is published. Of
what is taken, only what is new or changed is transferred. Every clip is looked at once; clips that
cannot be decoded stay listed with the reason.
"""

from __future__ import annotations

from collections import Counter
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
    layout: Literal["folders", "sources", "tinyvirat"] = Field(
        "folders",
        description="How the source is arranged: 'folders', one per class, 'sources', a folder per "
        "source that holds such folders (<source>/<class>/<clip>), or 'tinyvirat', as TinyVIRAT is "
        "published (tiny_train.json, tiny_test.json, classes.txt, videos/)",
    )
    sources: list[str] = Field(
        [], description="Sources to take, by the exact names of their folders; empty for all"
    )
    classes: list[str] = Field(
        [],
        description="Classes to take, named in full; case does not matter, and labels are spelt as "
        "here. Empty for all",
    )
    other_class: str = Field(
        "",
        description="Class of the clips in all folders of other classes, such as Other; '' leaves "
        "them out",
    )
    extensions: list[str] = Field(
        [],
        description="File extensions of videos; other files are ignored. Empty for the usual ones: "
        + ", ".join(EXTENSIONS),
    )
    class_rule: Literal["folder", "first_underscore"] = Field(
        "folder",
        description="Class of a clip: 'folder' is the name of its class folder, "
        "'first_underscore' only what precedes the first underscore (merges walk_slow, walk_fast)",
    )
    ignore_folders: list[str] = Field(
        [], description="First-level folders (of a source, too) that are no classes"
    )
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

    @field_validator("sources", "classes")
    @classmethod
    def _named(cls, values: list[str]) -> list[str]:
        if odd := [value for value in values if not value.strip() or not value.isprintable()]:
            raise ValueError(f"{', '.join(map(repr, odd))} is no name")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._unused(), *self._selection_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unused(self) -> list[str]:
        """Settings that mean nothing in this layout."""
        if self.layout != "tinyvirat":
            if self.sources and self.layout != "sources":
                return [f"sources: no effect with layout {self.layout}; use layout sources"]
            return []
        given = {
            "extensions": self.extensions,
            "ignore_folders": self.ignore_folders,
            "class_rule": self.class_rule != "folder",
            "sources": self.sources,
            "classes": self.classes,
            "other_class": self.other_class,
        }
        if unused := [name for name, value in given.items() if value]:
            return [
                f"{', '.join(unused)}: no effect with layout {self.layout}, whose files name "
                "clips and classes; leave them out, or use layout folders"
            ]
        return []

    def _selection_problems(self) -> list[str]:
        problems = []
        if odd := [name for name in self.sources if "/" in name or name.startswith(".")]:
            problems.append(f"sources: {', '.join(odd)}: expected names of folders, not paths")
        if twice := [name for name, count in Counter(self.sources).items() if count > 1]:
            problems.append(f"sources: named more than once: {', '.join(twice)}")
        if both := [name for name in self.sources if name in self.ignore_folders]:
            problems.append(f"sources: in ignore_folders, too: {', '.join(both)}")
        spelt = Counter(name.casefold() for name in self.classes)
        if alike := [name for name in self.classes if spelt[name.casefold()] > 1]:
            problems.append(
                f"classes: named more than once (case does not matter): {', '.join(alike)}"
            )
        merged = self.class_rule == "first_underscore"
        if never := [name for name in self.classes if merged and "_" in name]:
            problems.append(
                f"classes: {', '.join(never)}: with class_rule first_underscore no class has an "
                "underscore; name what precedes it"
            )
        other = self.other_class
        if other and not self.classes:
            problems.append(f"other_class: {other!r} needs classes, which says what is not other")
        if other and (not other.strip() or not other.isprintable()):
            problems.append(f"other_class: {other!r} is no name")
        if other.casefold() in spelt and other not in self.classes:
            problems.append(
                f"other_class: {other!r} is spelt differently in classes; use one of both"
            )
        return problems


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
    from components.dataset_sync.selection import LOOKED_AT, Selection

    storage = open_storage(settings.source)
    storage.check()
    if settings.layout != "tinyvirat" and storage.exists(TINYVIRAT):
        raise InputError(
            f"{storage.uri} holds {TINYVIRAT}, so it is arranged like TinyVIRAT: set layout: "
            "tinyvirat"
        )
    Selection.of(settings).refuse_absent(storage, LOOKED_AT)


def sync(settings: SyncSettings, job: Job) -> None:
    """Brings the mirror up to date and writes `clips`.

    Raises:
        InputError: the source has no clips, lacks sources or classes that are asked for, is not
            arranged as it should be or has unusable names, files changed while they were read, or
            too many clips are unreadable.
        ServiceError: the object store fails in spite of retries.
    """
    from components.core.storage import open_storage
    from components.dataset_sync import folders, snapshot, tinyvirat
    from components.dataset_sync.groups import read_groups
    from components.dataset_sync.mirror import Mirror
    from components.dataset_sync.segments import read_segments
    from components.dataset_sync.selection import Selection

    selection = Selection.of(settings)
    groups, segments = read_groups(settings.groups), read_segments(settings.segments)
    groups = {k: v for k, v in groups.items() if not selection.leaves_out(k)} or groups
    segments = segments.without(selection.leaves_out, job.report)
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
    snapshot.tell_copies(clips, job.report)
    snapshot.refuse_bad(clips, settings.max_bad_fraction, job.report)
    dataset = snapshot.write(clips, classes, storage.uri, mirror, job.outputs["clips"])
    mirror.tidy()
    job.report.message(f"the data set:\n{snapshot.table(dataset)}")
    if settings.layout == "sources":
        rows = folders.table(clips, selection)
        job.report.message(f"clips of each folder:\n{snapshot.aligned(rows, texts=3)}")
    job.metadata["clips"] = snapshot.figures(dataset)


STAGE = Stage(
    name="dataset_sync",
    settings=SyncSettings,
    function=sync,
    inputs={"task": "Task whose settings take the place of those given (optional)"},
    outputs={"clips": "snapshot of the labelled clips (ClipDataset)"},
    external=True,
    check=check,
)
