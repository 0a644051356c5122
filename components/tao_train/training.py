"""The work of the stage."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import InputError, SettingsError
from components.core.stage import Job
from components.core.tao import bundles
from components.core.tao.bundles import Origin
from components.core.tao.checkpoints import find
from components.core.tao.task import Task, gpus, planned
from components.core.tao.training import RESULTS, Trained, train
from components.tao_train.stage import TrainSettings


def run(settings: TrainSettings, job: Job) -> None:
    """Trains; see `stage.train`."""
    task = planned(
        settings.project, settings.experiment, settings.release, ["train"], report=job.report
    )
    records = job.inputs["records"]
    bundles.fitting_data(records, task)
    spec = task.rendered("train", records).tree
    if problems := bundles.size_problems(task.head, spec):
        raise SettingsError(problems, str(spec.path))
    count = gpus(task, settings.processes, job.report)
    folder = job.work / task.identity("train", records)
    trained = _trained(task, settings, job, count, folder)
    bundle = bundles.write(
        job.outputs["model"], task, trained, records, spec, Origin("trained", {"gpus": count})
    )
    job.metadata["model"] = bundles.summary(bundle)


def _trained(task: Task, settings: TrainSettings, job: Job, count: int, folder: Path) -> Trained:
    def call(wanted: str) -> Trained:
        records = job.inputs["records"]
        return train(task, folder, records, count, job.report, wanted=wanted, amp=settings.amp)

    try:
        return call(task.experiment.export_model)
    except InputError as error:
        if not find(folder / RESULTS, task.head):
            raise
        job.report.warn(f"export_model: {error}; the checkpoint is chosen by its figures instead")
        return call("")
