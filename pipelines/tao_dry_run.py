"""What a task of TAO would run: commands and specifications, without running or writing anything.

Folders that only a run knows are `$WORK`, a checkpoint that only a training makes `$CHECKPOINT`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.core.artifacts.tao_data import CONVERT, DATA
from components.core.errors import ProblemsError
from components.core.tao.commands import Calibration, shown, unsafe
from components.core.tao.releases import DEFAULTS, release_of
from components.core.tao.task import Task, planned

WORK = Path("$WORK")
CHECKPOINT = Path("$CHECKPOINT")


def lines(task: str, settings: Mapping[str, Any], checkpoint: str = "") -> Iterator[str]:
    """Commands in order, and the specification that each gets, the key hidden.

    Args:
        task: of the command line.
        settings: of its stage.
        checkpoint: name of the one to take; '' where a training chooses it.

    Raises:
        ProblemsError: with everything that keeps the task from being started.
    """
    project, experiment = settings["project"], settings["experiment"]
    wanted = ["retrain"] if task == "prune" else [task]
    release = settings.get("release", "")
    plan = planned(project, experiment, release, [], program=False)
    if task == "convert" and "dataset_convert" not in plan.head.tasks:
        yield f"# {experiment}: {plan.head.name} reads COCO data; nothing has to be converted"
        return
    plan = planned(project, experiment, release, wanted, program=False)
    if task == "engine":
        deploy, problem = release_of(settings["deploy_release"] or DEFAULTS["deploy"])
        if deploy is None:
            raise ProblemsError([problem], experiment)
        plan = replace(plan, release=deploy)
    rendered = plan.rendered(wanted[0], plan.experiment.records)
    spec = WORK / rendered.source.name
    model = Path(checkpoint) if checkpoint else CHECKPOINT
    commands = list(_commands(task, plan, settings, spec, model))
    known = [[word.replace("$", "") for word in command] for command in commands]
    if bad := [problem for command in known for problem in unsafe(command, plan.key)]:
        raise ProblemsError(list(dict.fromkeys(bad)), experiment)
    yield f"# {experiment}: {task} with NVIDIA's release {plan.release.tag}"
    yield from (f"$ {shown(command, plan.key)}" for command in commands)
    yield f"# {spec}, from {rendered.source}:"
    yield plan.key.hidden(rendered.text).rstrip("\n")


def _commands(
    task: str, plan: Task, settings: Mapping[str, Any], spec: Path, model: Path
) -> Iterator[list[str]]:
    program = plan.program
    gpus = settings.get("processes", 0) or plan.experiment.gpus
    amp = settings.get("amp", False)
    kind = settings.get("export_type", "") or plan.experiment.export_type
    scales = Calibration(WORK / "calibration", WORK / "calibration.bin")
    calibration = scales if kind == "int8" else None
    match task:
        case "convert":
            yield program.convert(spec, WORK / DATA, WORK / CONVERT)
        case "train":
            yield program.train(spec, WORK, gpus, start=plan.pretrained(), amp=amp)
        case "evaluate":
            yield program.evaluate(spec, model, WORK)
        case "prune":
            pruned = WORK / "pruned.hdf5"
            yield program.prune(spec, model, pruned, WORK, settings["prune_threshold"])
            start = pruned if plan.head.pretrained == "argument" else None
            yield program.train(spec, WORK, gpus, start=start, amp=amp)
        case "export":
            output = WORK / ("model.etlt" if plan.release.encrypts else "model.onnx")
            yield program.export(spec, model, output, WORK, data_type=kind, calibration=calibration)
        case "engine":
            yield program.engine(
                spec,
                WORK / "model.onnx",
                WORK / "model.plan",
                WORK,
                data_type=kind,
                calibration=calibration,
                max_batch_size=settings["max_batch_size"],
            )
