"""The work of the stage: checks, predictions, thresholds, figures, report."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core import files
from components.core.artifacts.detection_evaluation import DetectionEvaluation, DetectionMetrics
from components.core.detection.bundles import TASK
from components.core.formats.shapes import Kind
from components.core.metrics.detection_matches import matches
from components.core.metrics.detection_thresholds import best_thresholds
from components.core.stage import Job
from components.evaluate_detections import remarks
from components.evaluate_detections.gallery import Reader
from components.evaluate_detections.measuring import measure
from components.evaluate_detections.results import Results
from components.evaluate_detections.running import Loader, Runner, load_predictor, read_picture
from components.evaluate_detections.stage import EvaluateSettings
from components.evaluate_detections.subject import Subject, load
from components.evaluate_detections.writing import kubeflow_confusion, write_evaluation


def run(
    settings: EvaluateSettings,
    job: Job,
    open_detector: Loader = load_predictor,
    read: Reader = read_picture,
) -> None:
    """Evaluates; see `stage.evaluate`.

    Args:
        settings: of the stage.
        job: of the stage.
        open_detector: makes a detector of a bundle's folder.
        read: gives the pixels of an image file.
    """
    subject = load(job, settings)
    notes = remarks.provenance(subject, settings)
    runner = Runner(settings, job, open_detector)
    results = Results.of(
        subject.dataset.classes,
        subject.images(settings.part),
        subject.truth(settings.part),
        runner.found(subject, settings.part),
        thresholds(subject, runner, settings),
        settings.iou,
    )
    training = _annotations(subject, "train") if subject.knows_training else None
    metrics = measure(results, settings, training=training, variants=subject.variants)
    notes += remarks.untuned(subject, settings) + remarks.crowded(subject, results)
    notes += remarks.about_figures(metrics, settings)
    metrics = metrics.model_copy(update={"notes": notes})
    evaluation = _index(subject, settings, metrics)
    write_evaluation(
        job.outputs["evaluation"],
        evaluation,
        results,
        metrics,
        numbers=subject.numbers,
        pictures=settings.gallery,
        read=read,
        details={
            "Training": subject.bundle.training,
            "Model input": subject.bundle.preprocessing,
            "Network": subject.bundle.architecture,
            "Model code version": subject.bundle.code_version,
        },
    )
    files.link_or_copy(job.outputs["evaluation"] / "report.html", job.outputs["report"])
    job.metadata["metrics"] = dict(evaluation.figures)
    job.metadata["confusion"] = kubeflow_confusion(results)
    job.report.metrics(evaluation.figures)
    for line in notes:
        job.report.warn(line)


def thresholds(subject: Subject, runner: Runner, settings: EvaluateSettings) -> NDArray[np.float64]:
    """(C,) the score from which a box of each class counts."""
    classes = len(subject.dataset.classes)
    if settings.fixed_threshold is not None:
        return np.full(classes, settings.fixed_threshold)
    truth, found = subject.truth("val"), runner.found(subject, "val")
    return best_thresholds(matches(truth, found, classes, [settings.iou]))


def _annotations(subject: Subject, part: str) -> dict[str, int]:
    """Class → boxes of a part, without crowds."""
    return Counter(
        shape.label
        for image in subject.images(part)
        for shape in image.shapes
        if shape.kind is not Kind.TAG and not shape.crowd
    )


def _index(
    subject: Subject, settings: EvaluateSettings, metrics: DetectionMetrics
) -> DetectionEvaluation:
    bundle = subject.bundle
    name, epoch = bundle.name or "model", int(bundle.training.get("epoch") or 0)
    return DetectionEvaluation(
        fingerprint="",
        task=TASK,
        classes=subject.dataset.classes,
        part=settings.part,
        images=metrics.images,
        models={name: bundle.fingerprint},
        dataset=subject.dataset.fingerprint,
        splits=[subject.split.fingerprint],
        code_version=__version__,
        settings=settings.identity(),
        figures=metrics.figures,
        thresholds={own.name: own.threshold for own in metrics.classes},
        curves={name: bundle.curves},
        epochs={name: epoch} if epoch else {},
        files={},
    )
