"""What a task of TAO would run: commands and specifications, without running or writing anything.

Folders that only a run knows are `$WORK`, a checkpoint that only a training makes `$CHECKPOINT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.core.artifacts.tao_data import CONVERT, DATA
from components.core.errors import ProblemsError
from components.core.tao.commands import Calibration, shown, unsafe
from components.core.tao.task import Task, planned

WORK = Path("$WORK")
CHECKPOINT = Path("$CHECKPOINT")
PRUNED = 0.5
"""Threshold of a pruning where none is set."""


def lines(task: str, project: Path, experiment: str, release: str = "") -> Iterator[str]:
    """Commands in order, and the specification that each gets, the key hidden.

    Args:
        task: of the command line.
        project: its folder.
        experiment: its name.
        release: tag of NVIDIA's image, '' for that of the project or the head's default.

    Raises:
        ProblemsError: with everything that keeps the task from being started.
    """
    wanted = ["retrain"] if task == "prune" else [task]
    plan = planned(str(project), experiment, release, [], program=False)
    if task == "convert" and "dataset_convert" not in plan.head.tasks:
        yield f"# {experiment}: {plan.head.name} reads COCO data; nothing has to be converted"
        return
    plan = planned(str(project), experiment, release, wanted, program=False)
    rendered = plan.rendered(wanted[0], plan.experiment.records / DATA)
    spec = WORK / rendered.source.name
    commands = list(_commands(task, plan, spec))
    known = [[word.replace("$", "") for word in command] for command in commands]
    if bad := [problem for command in known for problem in unsafe(command, plan.key)]:
        raise ProblemsError(list(dict.fromkeys(bad)), experiment)
    yield f"# {experiment}: {task} with NVIDIA's release {plan.release.tag}"
    yield from (f"$ {shown(command, plan.key)}" for command in commands)
    yield f"# {spec}, from {rendered.source}:"
    yield plan.key.hidden(rendered.text).rstrip("\n")


def _commands(task: str, plan: Task, spec: Path) -> Iterator[list[str]]:
    program, gpus = plan.program, plan.experiment.gpus
    match task:
        case "convert":
            yield program.convert(spec, WORK / DATA, WORK / CONVERT)
        case "train":
            yield program.train(spec, WORK, gpus, start=plan.pretrained())
        case "evaluate":
            yield program.evaluate(spec, CHECKPOINT, WORK)
        case "prune":
            yield program.prune(spec, CHECKPOINT, WORK / "pruned.hdf5", WORK, PRUNED)
            yield program.train(spec, WORK, gpus)
        case "export":
            kind = plan.experiment.export_type
            scales = Calibration(WORK / "calibration", WORK / "calibration.bin")
            suffix = "etlt" if plan.release.encrypts else "onnx"
            yield program.export(
                spec,
                CHECKPOINT,
                WORK / f"model.{suffix}",
                WORK,
                data_type=kind,
                calibration=scales if kind == "int8" else None,
            )
