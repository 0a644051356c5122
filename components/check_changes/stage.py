"""Decides whether there is anything to train: has the data changed since the last model?

With `only_if_changed` the data set is compared with the one that the newest version in the model
repository was trained on; where they are the same, the pipeline ends here, and well. What counts
is the data: files, labels, groups and published parts. Changed settings are no reason to train. A
model of this name that tells other classes apart is refused here, before anything is trained.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from components.core import files
from components.core.artifacts import base
from components.core.artifacts.renderings import RenderingDataset
from components.core.errors import InputError, SettingsError, TrainyardError
from components.core.settings import PLACE, Settings
from components.core.stage import Job, Stage, recorded_run

YES, NO = "yes", "no"


class CheckSettings(Settings):
    """Settings of `check_changes`."""

    only_if_changed: bool = Field(
        False,
        description="Train only where the data is other than that of the newest published version; "
        "needs repository and model_name",
    )
    repository: str = Field(
        "",
        description="Model repository: a folder or s3://bucket/prefix; '' makes one in the output",
        json_schema_extra=PLACE,
    )
    model_name: str = Field("", description="Name in the repository; '' takes the model's own")

    def problems(self) -> list[str]:
        """What is wrong with the settings beside one another, once a task has had its say."""
        if not self.only_if_changed or self.model_name:
            return []
        return [
            "only_if_changed: set model_name too; without it a model's name is not known before it "
            "is trained"
        ]


def check(settings: CheckSettings) -> list[TrainyardError]:
    """Whether the repository can be reached."""
    from components.core.model_repository import reach

    if settings.only_if_changed and settings.repository:
        try:
            reach(settings.repository)
        except TrainyardError as error:
            return [type(error)(f"repository: {error}")]
    return []


def decide(settings: CheckSettings, job: Job) -> None:
    """Reads the index of `dataset` and the repository; writes `decision`.

    Raises:
        SettingsError: the model has no name.
        InputError: `dataset` is no data set with classes, or the repository's model has others.
        ServiceError: the repository cannot be read.
    """
    if problems := settings.problems():
        raise SettingsError(problems, "check_changes")
    classes = classes_of(job.inputs["dataset"])
    if settings.repository and settings.model_name:
        from components.core.model_repository import ModelRepository

        repository = ModelRepository(settings.repository, settings.model_name)
        if problem := repository.other_classes(classes):
            raise InputError(problem)
    answer, reason = decision(settings, base.fingerprint(job.inputs["dataset"]))
    job.report.message(reason)
    if answer == NO:
        _tell_registry(reason, job)
    told = {"answer": answer, "reason": reason}
    files.write_text(job.outputs["decision"], json.dumps(told, indent=2) + "\n")
    job.metadata["decision"] = told


def classes_of(directory: Path) -> list[str]:
    """The classes of a data set, whatever it is made of: clips or images; frames have none.

    Raises:
        InputError: no artifact, or one without classes.
    """
    index = base.read_index(directory)
    if index.get("schema") == RenderingDataset.SCHEMA:
        return []
    classes = index.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(
            f"{directory} holds {index.get('schema')!r}, which has no classes; a data set is "
            "needed, of clips, images or frames"
        )
    return classes


def decision(settings: CheckSettings, data: str) -> tuple[str, str]:
    """Whether to train on the data with this fingerprint, yes or no, and why."""
    from components.core.model_repository import ModelRepository

    if not settings.only_if_changed:
        return YES, "training in any case (only_if_changed is false)"
    if not settings.repository:
        return YES, (
            "training: no repository is set, so every run publishes into its own output and there "
            "is no earlier version to compare with"
        )
    where = f"{settings.repository}, {settings.model_name}"
    versions = ModelRepository(settings.repository, settings.model_name).versions()
    complete = [version for version in versions if version.complete]
    if not complete:
        return YES, f"training: {where} has no published version yet"
    newest = complete[-1]
    named = f"version {newest.number} of {settings.model_name}"
    if not newest.data:
        return YES, (
            f"training: {named} does not tell which data it was trained on (its model card is "
            "missing, damaged or of an earlier release)"
        )
    if newest.data != data:
        return YES, f"training: the data is other than that of {named}"
    return NO, f"nothing changed since {named}"


def _tell_registry(reason: str, job: Job) -> None:
    if run := recorded_run():
        from components.core.registry.endings import record_skip

        record_skip(run, job.report.stage, reason, job.report.warn)


STAGE = Stage(
    name="check_changes",
    settings=CheckSettings,
    function=decide,
    inputs={
        "dataset": "the data that would be trained on (ClipDataset, DetectionDataset or "
        "RenderingDataset)",
        "task": "Task whose settings take the place of those given (optional)",
    },
    outputs={"decision": "whether to train, yes or no, and why"},
    external=True,
    decides="decision",
    check=check,
)
