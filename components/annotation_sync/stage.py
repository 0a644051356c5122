"""Brings annotated images from files, CVAT or the annotation database into one data set.

Files are COCO, Pascal VOC, YOLO, KITTI, VoTT or CVAT XML, in a folder or a bucket. Of CVAT and of
the database whole tasks are taken, those that are completed by default, and only what is new or
changed is fetched again. Everything that is wrong with the annotations is told, in the log, in the
report and in `problems.csv` of the data set; nothing is left out silently.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.core.errors import TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage

FILES, CVAT, DATABASE = "files", "cvat", "database"


class AnnotationSyncSettings(Settings):
    """Settings of `annotation_sync`."""

    origin: Literal["files", "cvat", "database"] = Field(
        "files",
        description="Where annotations are from: 'files', tasks of 'cvat' (TRAINYARD_CVAT_URL), or "
        "the annotation 'database' (TRAINYARD_MONGODB_URI)",
    )
    annotations: str = Field(
        "",
        description="Folder, file or s3://bucket/prefix of annotation files; needed where origin "
        "is files",
        json_schema_extra=PLACE,
    )
    format: Literal["auto", "coco", "voc", "yolo", "kitti", "vott", "cvat", "cwfid"] = Field(
        "auto",
        description="What the annotation files are: coco, voc (Pascal VOC), yolo, kitti, vott, "
        "cvat (XML 1.1 for images and video) or cwfid (YAML); 'auto' looks into them",
    )
    images: str = Field(
        "",
        description="Folder or s3://bucket/prefix with the images, such as the share that CVAT "
        "reads; '' for beside the annotation files, or downloaded from CVAT. Only images that "
        "annotations name are fetched from a bucket",
        json_schema_extra=PLACE,
    )
    one_based: bool = Field(
        False,
        description="Pascal VOC as in the original challenge: pixels are counted from 1 and the "
        "last one belongs to the box",
    )
    database: bool = Field(
        False,
        description="Also keep what files or CVAT give in the annotation database; tasks that are "
        "there unchanged are not fetched from CVAT",
    )
    remove_vanished: bool = Field(
        False,
        description="Remove tasks that CVAT has no more from the database; otherwise they are "
        "only marked there. Needs origin cvat, database, and no tasks",
    )
    tasks: list[str] = Field(
        [],
        description="Tasks to take: exact names or ids, or patterns such as FieldData_2022*; "
        "empty for all",
    )
    task_status: Literal["completed", "validation", "annotation", ""] = Field(
        "completed", description="Status of CVAT tasks to take; '' for any"
    )
    classes: list[str] = Field(
        [],
        description="Classes in the order of the model's outputs, without background; shapes of "
        "other classes are left out and told. Empty for those of the source",
    )
    merge_classes: list[str] = Field(
        [], description="Labels to rename, as old=new; several may become one class"
    )
    ignored_classes: list[str] = Field(
        [], description="Classes that are left out as intended: no problem, whatever strict says"
    )
    excluded_images: list[str] = Field(
        [],
        description="Images to leave out: names, paths that end in a name, or patterns such as "
        "*frame0001.png",
    )
    full_hd: bool = Field(
        False,
        description="Cut images of 3840 x 2160 to rows 1080 to 2160 and columns 960 to 2880, with "
        "their shapes; shapes that reach less than 30 pixels past a cut edge are left out",
    )
    crop_quality: int = Field(
        0, ge=0, le=100, description="JPEG quality of the cut images; 0 writes PNG, without loss"
    )
    keep_empty: bool = Field(
        True, description="Keep images without shapes as negative examples; false leaves them out"
    )
    strict: bool = Field(
        False, description="Refuse annotations with any problem instead of telling it and going on"
    )
    connections: int = Field(
        32,
        ge=1,
        le=256,
        description="Files transferred at the same time",
        json_schema_extra=RUNTIME,
    )

    @field_validator("tasks", "classes", "ignored_classes", "excluded_images")
    @classmethod
    def _named(cls, values: list[str]) -> list[str]:
        if odd := [value for value in values if not value.strip() or not value.isprintable()]:
            raise ValueError(f"{', '.join(map(repr, odd))} is no name")
        return values

    @field_validator("merge_classes")
    @classmethod
    def _pairs(cls, values: list[str]) -> list[str]:
        if odd := [v for v in values if not all(side.strip() for side in (v + "=").split("=")[:2])]:
            raise ValueError(f"{', '.join(map(repr, odd))}: expected old=new")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := [*self._place_problems(), *self._class_problems()]:
            raise ValueError("; ".join(problems))
        return self

    @property
    def renamed(self) -> dict[str, str]:
        """Label of the source → class."""
        pairs = (value.partition("=") for value in self.merge_classes)
        return {old.strip(): new.strip() for old, _, new in pairs}

    def _place_problems(self) -> list[str]:
        problems = []
        if self.origin == FILES and not self.annotations:
            problems.append(
                "annotations: name the folder or file with them, or set origin to cvat or database"
            )
        if self.origin != FILES:
            given = {"annotations": self.annotations, "one_based": self.one_based}
            given["format"] = self.format != "auto"
            if unused := [name for name, value in given.items() if value]:
                problems.append(
                    f"{', '.join(unused)}: no effect with origin {self.origin}; leave them out, or "
                    "set origin: files"
                )
        if self.origin == DATABASE and not self.images:
            problems.append(
                "images: the annotation database holds no images; name the folder or "
                "s3://bucket/prefix with them"
            )
        if self.remove_vanished and not (self.origin == CVAT and self.database and not self.tasks):
            problems.append(
                "remove_vanished: needs origin: cvat, database: true and no tasks; only then it is "
                "known which tasks are gone"
            )
        return problems

    def _class_problems(self) -> list[str]:
        problems = []
        for name in ("classes", "ignored_classes"):
            given = Counter(getattr(self, name))
            if twice := [value for value, count in given.items() if count > 1]:
                problems.append(f"{name}: named more than once: {', '.join(twice)}")
        if both := [name for name in self.ignored_classes if name in self.classes]:
            problems.append(f"ignored_classes: also among classes: {', '.join(both)}")
        old = Counter(value.partition("=")[0].strip() for value in self.merge_classes)
        if twice := [name for name, count in old.items() if count > 1]:
            problems.append(f"merge_classes: renamed more than once: {', '.join(twice)}")
        gone = [name for name in old if name not in self.renamed.values()]
        if lost := [n for n in gone if n in self.classes or n in self.ignored_classes]:
            problems.append(
                f"merge_classes: {', '.join(lost)} will be called otherwise; name the new class in "
                "classes and ignored_classes"
            )
        if chained := [name for name in old if name in self.renamed.values()]:
            problems.append(
                f"merge_classes: {', '.join(chained)} is both an old and a new name; name for each "
                "label what it becomes in the end"
            )
        return problems


def check(settings: AnnotationSyncSettings) -> list[TrainyardError]:
    """Whether the places and services can be reached; takes a few seconds at most."""
    from components.annotation_sync.reach import unreachable

    return unreachable(settings)


def sync(settings: AnnotationSyncSettings, job: Job) -> None:
    """Gathers annotations and images, and writes `dataset` and `report`.

    Raises:
        InputError: no annotations or images that can be used, tasks that do not exist, or, with
            `strict`, any problem.
        ServiceError: CVAT, the database or the object store fails in spite of retries.
    """
    from components.annotation_sync.gathering import gathered
    from components.annotation_sync.selection import selected
    from components.annotation_sync.writing import write

    found = gathered(settings, job)
    write(settings, selected(settings, found, job), job)


STAGE = Stage(
    name="annotation_sync",
    settings=AnnotationSyncSettings,
    function=sync,
    outputs={
        "dataset": "annotated images (DetectionDataset), with problems.csv and statistics.json",
        "report": "statistics of the annotations, sample images and problems, one HTML file",
    },
    external=True,
    check=check,
)
