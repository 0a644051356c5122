"""The work of the stage: checks, renderings, figures, report."""

from __future__ import annotations

from components import __version__
from components.core import files
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.rendering.bundles import TASK
from components.core.stage import Job
from components.evaluate_renderings.frames import rendered
from components.evaluate_renderings.measuring import measure
from components.evaluate_renderings.stage import EvaluateRenderingsSettings
from components.evaluate_renderings.subject import Subject, load, remarks
from components.evaluate_renderings.writing import write_evaluation


def run(settings: EvaluateRenderingsSettings, job: Job) -> None:
    """Evaluates; see `stage.evaluate`."""
    subject = load(job, settings)
    notes = remarks(subject, settings)
    results = rendered(subject, settings, job)
    metrics = measure([one.figures for one in results], settings, notes)
    evaluation = _index(subject, settings, metrics)
    write_evaluation(job.outputs["evaluation"], evaluation, subject, results, metrics, settings)
    files.link_or_copy(job.outputs["evaluation"] / "report.html", job.outputs["report"])
    job.metadata["metrics"] = dict(metrics.figures)
    job.report.metrics(metrics.figures)
    for line in notes:
        job.report.warn(line)


def _index(
    subject: Subject, settings: EvaluateRenderingsSettings, metrics: RenderingMetrics
) -> RenderingEvaluation:
    bundle = subject.bundle
    name, epoch = bundle.name or "model", int(bundle.training.get("epoch") or 0)
    return RenderingEvaluation(
        fingerprint="",
        task=TASK,
        part=settings.part,
        frames=len(metrics.frames),
        models={name: bundle.fingerprint},
        dataset=subject.reader.index.fingerprint,
        code_version=__version__,
        settings=settings.identity(),
        figures=metrics.figures,
        curves={name: bundle.curves},
        epochs={name: epoch} if epoch else {},
        files={},
    )
