"""The work of the stage: checks, inference, baseline, figures, report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core import files
from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.metrics.baseline import fit_still_classifier, sampled, still_features
from components.core.metrics.classification import (
    Floats,
    predict_multi,
    predict_single,
)
from components.core.metrics.summary import Measure, in_mixed_groups
from components.core.metrics.thresholds import tune_thresholds
from components.core.stage import Job
from components.evaluate_clips.inference import Classifier, clip_logits, probabilities
from components.evaluate_clips.measuring import measure
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.stage import TUNED, EvaluateSettings
from components.evaluate_clips.subject import Subject, load, provenance
from components.evaluate_clips.windows import middle_frames
from components.evaluate_clips.writing import kubeflow_confusion, write_evaluation


def run(settings: EvaluateSettings, job: Job) -> None:
    """Evaluates; see `stage.evaluate`."""
    subject = load(job, settings.part)
    index, bundle = subject.reader.index, subject.bundle
    workers = settings.workers or usable_cpus()
    clips = subject.clips(settings.part)
    tuned = bundle.multi_label and settings.threshold == TUNED
    remarks = provenance(subject, settings.part, len(clips))
    logits = _logits(subject, settings.part, clips, settings, job, workers)
    scores = probabilities(logits, bundle.multi_label)
    thresholds: Floats | None = None
    if bundle.multi_label:
        thresholds = np.full(len(index.classes), settings.fixed_threshold or 0.5)
        if tuned:
            thresholds = _tuned(subject, settings, job, workers)
    predicted = predict_single(scores) if thresholds is None else predict_multi(scores, thresholds)
    stills = _baseline(subject, clips, settings, job, workers)
    predictions = Predictions(
        ids=[index.clips[clip].id for clip in clips],
        groups=[index.clips[clip].group for clip in clips],
        actual=subject.labels(clips),
        logits=logits,
        probabilities=scores,
        predicted=predicted,
        multi_label=bundle.multi_label,
        baseline=stills,
    )
    how = Measure(
        index.classes,
        bundle.multi_label,
        settings.top_k,
        settings.bootstrap,
        settings.confidence,
        settings.seed,
    )
    mixed = in_mixed_groups([c.group for c in index.clips], [c.labels for c in index.clips])
    metrics = measure(
        predictions, how, thresholds=thresholds, tuned=tuned, mixed=mixed, remarks=remarks
    )
    _write(subject, settings, job, predictions, metrics)


def _logits(
    subject: Subject,
    part: str,
    clips: Sequence[int],
    settings: EvaluateSettings,
    job: Job,
    workers: int,
) -> NDArray[np.float32]:
    kept = job.work / f"logits-{part}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), dtype=np.float32)
    classifier = Classifier(job.inputs["model"], subject.bundle, workers)
    job.report.message(f"{part}: {len(clips)} clips on {classifier.device}")
    logits = clip_logits(
        classifier,
        subject.reader,
        clips,
        subject.window,
        views=settings.views,
        batch_size=settings.batch_size,
        workers=workers,
        progress=lambda done, total: job.report.progress(done, total, "clips", part),
    )
    with files.atomic_path(kept) as temporary, open(temporary, "wb") as file:
        np.save(file, logits)
    return logits


def _tuned(subject: Subject, settings: EvaluateSettings, job: Job, workers: int) -> Floats:
    clips = subject.clips("val")
    if not clips:
        raise InputError(
            "threshold 'tuned' needs validation clips and the val part has none; "
            "give a number such as threshold=0.5"
        )
    logits = _logits(subject, "val", clips, settings, job, workers)
    return tune_thresholds(subject.labels(clips), probabilities(logits, multi_label=True))


def _baseline(
    subject: Subject, clips: Sequence[int], settings: EvaluateSettings, job: Job, workers: int
) -> Floats | None:
    train = sampled(subject.clips("train"), settings.seed)
    if not settings.baseline or settings.part == "train" or not train:
        return None
    val = sampled(subject.clips("val") if settings.part != "val" else [], settings.seed)
    job.report.message(f"single-frame baseline: {len(train)} training frames")

    def features(rows: Sequence[int]) -> NDArray[np.float32]:
        return still_features(middle_frames(subject.reader, rows, workers))

    predict = fit_still_classifier(
        (features(train), subject.labels(train)),
        (features(val), subject.labels(val)),
        multi_label=subject.bundle.multi_label,
    )
    return predict(features(clips))


def _write(
    subject: Subject,
    settings: EvaluateSettings,
    job: Job,
    predictions: Predictions,
    metrics: ClipMetrics,
) -> None:
    bundle, index = subject.bundle, subject.reader.index
    name = bundle.name or "model"
    evaluation = Evaluation(
        fingerprint="",
        task=bundle.task or "clip_classification",
        multi_label=bundle.multi_label,
        classes=index.classes,
        part=settings.part,
        clips=len(predictions.ids),
        models={name: bundle.fingerprint},
        dataset=index.fingerprint,
        parent=index.parent,
        splits=[subject.split.fingerprint],
        code_version=__version__,
        settings=settings.identity(),
        figures=metrics.overall.model.figures,
        curves={name: bundle.curves},
        files={},
    )
    details = {
        "Training": bundle.training,
        "Model input": bundle.preprocessing,
        "Model code version": bundle.code_version,
    }
    write_evaluation(
        job.outputs["evaluation"],
        evaluation,
        predictions,
        metrics,
        reader=subject.reader,
        window=subject.window,
        mistakes=settings.mistakes,
        details=details,
    )
    files.link_or_copy(job.outputs["evaluation"] / "report.html", job.outputs["report"])
    job.metadata["metrics"] = dict(metrics.overall.model.figures)
    job.metadata["confusion"] = kubeflow_confusion(predictions, index.classes)
    job.report.metrics(metrics.overall.model.figures)
    for line in metrics.notes:
        job.report.warn(line)
