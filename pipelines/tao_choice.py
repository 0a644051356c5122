"""Another checkpoint of a training that is done, without training again.

A training keeps all of its checkpoints in the project's folder of work; the one that is wanted
becomes a model of its own, models/<experiment>/model-<checkpoint>.
"""

from __future__ import annotations

from pathlib import Path

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.core.events import Reporter
from components.core.state import default_root
from components.core.tao import bundles, training
from components.core.tao.checkpoints import find
from components.core.tao.experiment import Experiment, stem
from components.core.tao.task import Task, planned
from pipelines.tao_places import STATE, place

TRAINING = "tao_train"


def problem(experiment: Experiment, release: str, wanted: str) -> str:
    """Why a checkpoint cannot be taken; '' where it can."""
    if _holds(place(experiment, "model"), wanted) or _holds(_target(experiment, wanted), wanted):
        return ""
    task = _task(experiment, release)
    folder = _folder(task)
    if folder is None:
        return (
            f"{experiment.name}: the checkpoints of its training are no longer kept, so {wanted} "
            "cannot be taken; export without -m, or train again with this export_model"
        )
    names = sorted(one.path.stem for one in find(folder / training.RESULTS, task.head))
    if stem(wanted) in names:
        return ""
    return f"{experiment.name}: its training left no checkpoint {wanted!r}; there are " + ", ".join(
        names if len(names) <= 10 else [*names[:5], "…", *names[-4:]]
    )


def taken(experiment: Experiment, release: str, wanted: str, report: Reporter) -> Path:
    """The folder of the model with the checkpoint that is wanted; made where it is not there.

    Raises:
        InputError: see `problem`.
    """
    model, target = place(experiment, "model"), _target(experiment, wanted)
    for folder in (model, target):
        if _holds(folder, wanted):
            return folder
    if text := problem(experiment, release, wanted):
        raise InputError(text)
    task, records = _task(experiment, release), experiment.records
    work = _folder(task)
    assert work is not None
    found = training.train(task, work, records, 0, report, wanted=stem(wanted))
    spec = task.rendered("train", records).tree
    with files.atomic_path(target) as made:
        bundles.write(made, task, found, records, spec, bundles.Origin("trained", {}))
    return target


def _holds(folder: Path, wanted: str) -> bool:
    if not folder.is_dir():
        return False
    return stem(str(ModelBundle.load(folder).training.get("checkpoint", ""))) == stem(wanted)


def _target(experiment: Experiment, wanted: str) -> Path:
    return experiment.models / f"model-{stem(wanted)}"


def _task(experiment: Experiment, release: str) -> Task:
    folder = str(experiment.layout.folder)
    return planned(folder, experiment.name, release, ["train"], program=False)


def _folder(task: Task) -> Path | None:
    """Where the work of the training is kept that the records and specification of now had."""
    roots = (task.experiment.layout.folder / STATE, default_root())
    identity = task.identity("train", task.experiment.records)
    found = [path for root in roots for path in root.glob(f"{TRAINING}/*/work/{identity}")]
    return next((path for path in found if (path / training.DONE).exists()), None)
