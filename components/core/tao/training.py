"""A training by one of TAO's programs: begun or resumed, followed, its best epoch chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core import files
from components.core.errors import TrainyardError
from components.core.events import Reporter
from components.core.tao import process, status
from components.core.tao.checkpoints import Checkpoint, choose, find
from components.core.tao.commands import shown
from components.core.tao.continuing import start
from components.core.tao.task import Task

RESULTS, LOG, DONE = "results", "train.log", "trained.json"


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    folder: Path
    checkpoint: Checkpoint
    why: str
    """Why this checkpoint was chosen."""
    curves: list[dict[str, float]]
    command: str
    spec: Path
    """As it was given to the program."""

    @property
    def figures(self) -> dict[str, float]:
        """Of the chosen epoch."""
        epoch = self.checkpoint.epoch or max((v["epoch"] for v in self.curves), default=0)
        found: Mapping[str, float] = next((v for v in self.curves if v["epoch"] == epoch), {})
        return {name: value for name, value in found.items() if name != "epoch"}


def train(
    task: Task,
    folder: Path,
    records: Path,
    gpus: int,
    report: Reporter,
    *,
    spec: str = "train",
    pruned: Path | None = None,
    wanted: str = "",
    amp: bool = False,
) -> Trained:
    """Trains in `folder`, goes on with what a stopped or killed training left there, or looks at a
    finished one.

    Args:
        task: planned.
        folder: of this training alone.
        records: TaoData folder.
        gpus: how many.
        report: told every line, progress and figures.
        spec: which specification, `train` or `retrain`.
        pruned: network to retrain.
        wanted: name of the checkpoint to choose; '' goes by the figures.
        amp: mixed precision, of TensorFlow 1.

    Raises:
        TrainyardError: the program failed, or left no checkpoint.
        InputError: there is no checkpoint of the name wanted.
        StoppedError: a signal asked to stop.
    """
    results = folder / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    place = folder / task.experiment.spec(spec).name
    if not (folder / DONE).exists():
        _run(task, folder, records, gpus, report, spec, pruned, amp)
    found = find(results, task.head)
    if not found:
        raise TrainyardError(
            f"{task.head.name} train ended well and left no checkpoint "
            f"({task.head.pattern().pattern}) in {results}; look at {folder / LOG}"
        )
    curves = status.curves(status.lines_of(status.file_in(results)))
    chosen, why = choose(found, curves, wanted)
    report.message(f"checkpoint {chosen.path.name}: {why}")
    command = json.loads((folder / DONE).read_text(encoding="utf-8"))["command"]
    return Trained(folder, chosen, why, curves, command, place)


def _run(
    task: Task,
    folder: Path,
    records: Path,
    gpus: int,
    report: Reporter,
    spec: str,
    pruned: Path | None,
    amp: bool,
) -> None:
    results = folder / RESULTS
    begun = start(task.head, results, task.pretrained(), pruned)
    if begun.done:
        report.message(f"resuming after epoch {begun.done}")
    made = task.rendered(spec, records)
    if begun.values:
        made = task.rendered(spec, records, lambda tree: begun.changed(tree, task.head))
    place = folder / made.source.name
    files.write_text(place, made.text)
    command = task.program.train(
        place,
        results,
        gpus,
        start=begun.model,
        epoch=begun.epoch,
        overrides=begun.overrides,
        amp=amp,
    )
    follower = status.Follower(results)
    process.run(
        command,
        key=task.key,
        log=folder / LOG,
        report=report,
        folder=folder,
        look=lambda: tell(follower, report),
        more=task.environment,
    )
    if failed := status.failure(status.lines_of(status.file_in(results))):
        told = task.key.hidden(failed)
        raise TrainyardError(f"{task.head.name} train says: {told}; look at {folder / LOG}")
    files.write_json(folder / DONE, {"command": shown(command, task.key)})


def tell(follower: status.Follower, report: Reporter) -> None:
    """Progress and figures of what is new in a status.json."""
    for line in follower.news():
        if line.epoch and line.last_epoch:
            report.progress(line.epoch, line.last_epoch, "epochs")
        if line.figures:
            report.metrics(line.figures, line.epoch or None)
