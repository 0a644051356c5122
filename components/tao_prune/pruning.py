"""The work of the stage."""

from __future__ import annotations

import json
from pathlib import Path

from components.core import files
from components.core.errors import InputError, TrainyardError
from components.core.stage import Job
from components.core.state import digest
from components.core.tao import bundles, process, status
from components.core.tao.bundles import Origin
from components.core.tao.checkpoints import is_whole
from components.core.tao.heads import HEADS
from components.core.tao.task import Task, gpus, planned, problems_of
from components.core.tao.training import train
from components.tao_prune.stage import PruneSettings

TASKS = ("train", "retrain")


def problems(settings: PruneSettings) -> list[TrainyardError]:
    """Everything that keeps it from being started."""
    found = problems_of(settings.project, settings.experiment, settings.release, TASKS)
    if not found:
        task = planned(settings.project, settings.experiment, settings.release, TASKS)
        if not task.head.prunes:
            able = ", ".join(name for name, head in HEADS.items() if head.prunes)
            found = [InputError(f"{task.head.name} has no pruning; heads that have it are {able}")]
    return found


def run(settings: PruneSettings, job: Job) -> None:
    """Prunes and retrains; see `stage.prune`."""
    model, records = job.inputs["model"], job.inputs["records"]
    if not settings.prune_threshold:
        job.report.message("prune_threshold is 0: the model is handed on as it is")
        files.publish(model, job.outputs["pruned"])
        return
    task = planned(settings.project, settings.experiment, settings.release, TASKS)
    data = bundles.fitting_data(records, task)
    trained, checkpoint = bundles.fitting(model, task)
    if other := bundles.foreign(trained, data):
        job.report.warn(other)
    count = gpus(task, settings.processes, job.report)
    identity = [trained.fingerprint, task.identity("retrain", records), settings.prune_threshold]
    folder = job.work / digest(identity, 16)
    smaller, ratio = _pruned(task, checkpoint, records, folder, settings.prune_threshold, job)
    retrained = train(
        task,
        folder,
        records,
        count,
        job.report,
        spec="retrain",
        pruned=smaller,
        amp=settings.amp,
    )
    details: dict[str, float | str] = {
        "gpus": count,
        "prune_threshold": settings.prune_threshold,
        "pruning_ratio": ratio,
        "pruned_from": trained.fingerprint,
    }
    spec = task.rendered("retrain", records).tree
    bundle = bundles.write(
        job.outputs["pruned"], task, retrained, records, spec, Origin("pruned", details)
    )
    job.metadata["pruned"] = {**bundles.summary(bundle), "pruning_ratio": ratio}


def _pruned(
    task: Task, checkpoint: Path, records: Path, folder: Path, threshold: float, job: Job
) -> tuple[Path, float]:
    """The pruned network, and its share of the parameters; 0 where the program does not tell."""
    place = folder / "pruning"
    done = place / "done.json"
    if done.exists():
        told = json.loads(done.read_text(encoding="utf-8"))
        return place / told["file"], float(told["ratio"])
    files.remove(place)
    place.mkdir(parents=True)
    suffix = ".tlt" if task.release.encrypts else ".hdf5"
    rendered = task.rendered("prune", records)
    spec = place / rendered.source.name
    files.write_text(spec, rendered.text)
    output = place / f"pruned{suffix}"
    process.run(
        task.program.prune(spec, checkpoint, output, place, threshold),
        key=task.key,
        log=place / "prune.log",
        report=job.report,
        folder=place,
        more=task.environment,
    )
    lines = status.lines_of(status.file_in(place))
    if failed := status.failure(lines):
        raise TrainyardError(f"{task.head.name} prune says: {task.key.hidden(failed)}")
    suffixes = (".hdf5", ".tlt")
    made = [output] if output.is_file() else [p for p in place.rglob("*") if p.suffix in suffixes]
    if not made or not is_whole(made[0]):
        raise TrainyardError(f"{task.head.name} prune ended well and wrote no network in {place}")
    ratio = status.figures(lines).get("pruning_ratio", 0.0)
    name = made[0].relative_to(place).as_posix()
    files.write_json(done, {"file": name, "ratio": ratio})
    job.report.message(f"{ratio:.0%} of the parameters are left" if ratio else "pruned")
    return made[0], ratio
