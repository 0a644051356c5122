"""The work of the stage."""

from __future__ import annotations

from components import __version__
from components.core import files
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.tao_evaluation import TaoEvaluation
from components.core.detection.bundles import TASK
from components.core.errors import TrainyardError
from components.core.stage import Job
from components.core.state import digest
from components.core.tao import bundles, process, status
from components.core.tao.task import Task, planned
from components.tao_evaluate.report import html_report
from components.tao_evaluate.stage import EvaluateSettings

SHOWN = ("map", "map50", "map75", "val_loss")
PLACE = "evaluate"


def run(settings: EvaluateSettings, job: Job) -> None:
    """Evaluates; see `stage.evaluate`."""
    task = planned(
        settings.project, settings.experiment, settings.release, ["evaluate"], report=job.report
    )
    data = bundles.fitting_data(job.inputs["records"], task)
    bundle, _ = bundles.fitting(job.inputs["model"], task)
    other = bundles.foreign(bundle, data)
    if other:
        job.report.warn(other)
    figures, classes = _measured(task, bundle, job)
    notes = ["The figures are those of NVIDIA TAO, on the part for validation."]
    if other:
        notes.append(f"{other}.")
    elif bundle.training.get("epoch") and "map" in bundle.metrics:
        notes.append(
            "The same part chose the epoch, so they are better than what to expect of new images."
        )
    out = job.outputs["evaluation"]
    evaluation = TaoEvaluation(
        fingerprint=digest([bundle.fingerprint, data.content, figures, classes]),
        task=TASK,
        head=task.head.name,
        release=task.release.tag,
        models={bundle.name: bundle.fingerprint},
        dataset=data.content,
        images=data.images,
        annotations=data.classes,
        classes=bundle.classes,
        figures=figures,
        class_figures=classes,
        curves=bundle.curves,
        code_version=__version__,
        notes=notes,
    )
    files.write_text(out / "report.html", html_report(evaluation, bundle, data))
    evaluation.save(out)
    files.link_or_copy(out / "report.html", job.outputs["report"])
    job.metadata["metrics"] = dict(figures)
    job.report.metrics(figures)


def _measured(
    task: Task, bundle: ModelBundle, job: Job
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures, and average precision by class."""
    checkpoint = bundle.file(job.inputs["model"], bundles.FORMAT)
    out = job.outputs["evaluation"] / PLACE
    rendered = task.rendered("evaluate", job.inputs["records"])
    folder = job.work / PLACE
    files.remove(folder)
    folder.mkdir()
    spec = folder / rendered.source.name
    files.write_text(spec, rendered.text)
    output = process.run(
        task.program.evaluate(spec, checkpoint, folder / "results"),
        key=task.key,
        log=folder / "evaluate.log",
        report=job.report,
        folder=folder,
        more=task.environment,
    )
    told = status.file_in(folder)
    lines = status.lines_of(told)
    if failed := status.failure(lines):
        raise TrainyardError(f"{task.head.name} evaluate says: {task.key.hidden(failed)}")
    printed, classes = status.printed(output)
    found = {**printed, **status.figures(lines)}
    figures = {name: value for name, value in found.items() if name in SHOWN}
    if not figures:
        raise TrainyardError(
            f"{task.head.name} evaluate ended well and told no figure; look at "
            f"{folder / 'evaluate.log'}"
        )
    out.mkdir(parents=True)
    for path in (spec, folder / "evaluate.log", *([told] if told else [])):
        text = path.read_text(encoding="utf-8", errors="replace")
        files.write_text(out / path.name, task.key.hidden(text))
    own = {**classes, **status.class_figures(lines)}
    return figures, {name: own[name] for name in bundle.classes if name in own} or own
