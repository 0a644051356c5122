"""What a task of TAO would run: commands and specifications, without running or writing anything.

Folders that only a run knows are `$WORK`, a checkpoint that only a training makes `$CHECKPOINT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.core.errors import ProblemsError
from components.core.tao.commands import Calibration, Program, shown
from components.core.tao.experiment import Experiment
from components.core.tao.heads import release_for

WORK = Path("$WORK")
CHECKPOINT = Path("$CHECKPOINT")


def lines(task: str, experiment: Experiment) -> Iterator[str]:
    """Commands in order, and the specification that each gets, the key hidden.

    Raises:
        ProblemsError: with everything that keeps the task from being started.
    """
    head = experiment.known_head
    if task == "convert" and head.data == "coco":
        yield f"# {experiment.name}: {head.name} reads COCO; no program of TAO converts it"
        return
    if problems := experiment.problems([task]):
        raise ProblemsError(problems, experiment.name)
    release, problem = release_for(head, experiment.release)
    if release is None:
        raise ProblemsError([problem], experiment.name)
    yield f"# {experiment.name}: {task} with NVIDIA's release {release.tag}"
    rendered = experiment.rendered(task)
    spec = WORK / rendered.source.name
    for command in _commands(task, experiment, Program(head, release, experiment.model_key), spec):
        yield f"$ {shown(command, experiment.model_key)}"
    yield f"# {spec}, from {rendered.source}:"
    yield experiment.model_key.hidden(rendered.text).rstrip("\n")


def _commands(
    task: str, experiment: Experiment, program: Program, spec: Path
) -> Iterator[list[str]]:
    match task:
        case "convert":
            yield program.convert(spec, experiment.records, WORK)
        case "train":
            own = program.head.pretrained == "argument" and experiment.repository
            start = experiment.pretrained() if own else None
            yield program.train(spec, WORK, experiment.gpus, start=start)
        case "evaluate":
            yield program.evaluate(spec, CHECKPOINT, WORK)
        case "prune":
            yield program.prune(spec, CHECKPOINT, WORK / "pruned.hdf5", WORK, 0.5)
            yield program.train(spec, WORK, experiment.gpus)
        case "export":
            yield from _export(experiment, program, spec)


def _export(experiment: Experiment, program: Program, spec: Path) -> Iterator[list[str]]:
    kind = experiment.export_type
    scales = Calibration(WORK / "calibration", WORK / "calibration.bin")
    calibration = scales if kind == "int8" else None
    suffix = "etlt" if program.release.encrypts else "onnx"
    yield program.export(
        spec,
        CHECKPOINT,
        WORK / f"model.{suffix}",
        WORK,
        data_type=kind,
        calibration=calibration,
    )
