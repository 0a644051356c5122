"""Annotates images with a trained detector, for a person to verify.

The images are those of a folder, a bucket or a CVAT task. Boxes from the thresholds of the
evaluation on are kept, unless they overlap a box that is there already. Writes CVAT XML, COCO, a
list of the images that a person should look at first, and a report with pictures; with `upload`
the boxes go to CVAT in one request, marked as automatic, with their scores where labels have the
attribute. Without images there is nothing to do, and an empty result says so.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.core.detection.thresholds import parse_thresholds
from components.core.errors import TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")

LONGEST_NAME = 256
"""Characters of a task's name that CVAT accepts."""


class AnnotateSettings(Settings):
    """Settings of `auto_annotate`."""

    new_images: str = Field(
        "",
        description="Images to annotate: a folder or s3://bucket/prefix; with cvat_task: where "
        "the files of its frames lie",
        json_schema_extra=PLACE,
    )
    cvat_task: str = Field(
        "",
        description="CVAT task to annotate: its number, or its exact name; what is drawn there "
        "stays. Without new_images its frames come from CVAT",
    )
    max_images: int = Field(
        0, ge=0, description="Annotate only so many images, the first by name; 0 for all"
    )
    score_threshold: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Score from which a box is kept, for every class; 0 takes each class's own "
        "from the evaluation",
    )
    score_thresholds: str = Field(
        "",
        description="Scores of single classes in place of these, such as weed=0.4, crop=off; off "
        "leaves the class out",
    )
    overlap_iou: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Boxes that overlap one that is there already by more (intersection over "
        "union) are dropped",
    )
    overlap_per_class: bool = Field(
        False, description="Only boxes of the same class count as overlapped"
    )
    upload: bool = Field(False, description="Send the boxes to CVAT")
    upload_to: Literal["new", "same"] = Field(
        "new", description="Into a new task, or into the same task that is annotated"
    )
    replace_automatic: bool = Field(
        False,
        description="Boxes of cvat_task that a model drew count as not there; with upload_to same "
        "the new ones take their place. Those of people are never touched",
    )
    upload_name: str = Field(
        "",
        max_length=LONGEST_NAME,
        description="Name of the new task; '' for auto_annotation_<model>_<time>_<source>",
    )
    upload_images: int = Field(
        0,
        ge=0,
        description="Upload only so many images, those the model is least sure of; 0 for all",
    )
    share_prefix: str = Field(
        "",
        description="Folder of the images on CVAT's share, / for its root; '' sends CVAT the "
        "image files",
    )
    pictures: int = Field(24, ge=0, description="Images shown with their boxes in the report")
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    batch_size: int = Field(
        8, ge=1, description="Images per run of the model", json_schema_extra=RUNTIME
    )
    workers: int = Field(
        0,
        ge=0,
        description="Threads that read ahead; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )

    @field_validator("cvat_task", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # A file may say `cvat_task: 42` without quotes.
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        try:
            parse_thresholds(self.score_thresholds)
        except ValueError as error:
            problems.append(f"score_thresholds: {error}")
        if not DEVICE.fullmatch(self.device):
            problems.append(
                f"device: got {self.device!r}, accepted are auto, cpu, cuda and cuda:<number>"
            )
        if self.upload_to == "same" and not self.cvat_task:
            problems.append("upload_to: same needs cvat_task, the task to annotate")
        if self.upload_to == "same" and self.upload_name:
            problems.append("upload_name: upload_to same makes no new task; leave one of them out")
        if self.replace_automatic and not self.cvat_task:
            problems.append("replace_automatic: needs cvat_task, the task whose boxes are replaced")
        if ".." in self.share_prefix.split("/") or "\\" in self.share_prefix:
            problems.append(
                f"share_prefix: got {self.share_prefix!r}, accepted is a path on the share such "
                "as fielddata/2024, with forward slashes and without .."
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def nothing_to_do(self) -> bool:
        """Whether there are no images to annotate."""
        return not self.new_images and not self.cvat_task

    @property
    def needs_cvat(self) -> bool:
        """Whether CVAT is asked anything."""
        return bool(self.cvat_task) or (self.upload and bool(self.new_images))


def check(settings: AnnotateSettings) -> list[TrainyardError]:
    """Whether the images and CVAT can be reached."""
    from components.core.storage import open_storage

    problems: list[TrainyardError] = []
    if settings.new_images:
        try:
            open_storage(settings.new_images).check()
        except TrainyardError as error:
            problems.append(type(error)(f"new_images: {error}"))
    if settings.needs_cvat:
        from components.core.cvat import Cvat

        try:
            Cvat.from_environment().check()
        except TrainyardError as error:
            name = "cvat_task" if settings.cvat_task else "upload"
            problems.append(type(error)(f"{name}: {error}"))
    return problems


def annotate(settings: AnnotateSettings, job: Job) -> None:
    """Reads `model` and `evaluation`; writes `annotated`, and a CVAT task where that is asked for.

    Raises:
        InputError: the evaluation is another model's, there are no readable images, or CVAT's
            task lacks labels or is another than the one that an interrupted run made.
        SettingsError: thresholds of classes that the model does not have.
        ServiceError: CVAT or the bucket fails.
    """
    from components.auto_annotate.annotating import run

    run(settings, job)


STAGE = Stage(
    name="auto_annotate",
    settings=AnnotateSettings,
    function=annotate,
    inputs={
        "model": "the trained detector (ModelBundle)",
        "evaluation": "its evaluation, for the thresholds (DetectionEvaluation)",
    },
    outputs={"annotated": "boxes, review list and report (AutoAnnotation)"},
    external=True,
    idle=lambda settings: settings.nothing_to_do,
    check=check,
)
