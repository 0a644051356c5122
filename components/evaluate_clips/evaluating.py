"""The work of the stage: checks, choice of a checkpoint, inference, baseline, figures, report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core import files
from components.core.artifacts.evaluation import ARRAYS, CheckpointFigures, ClipMetrics, Evaluation
from components.core.metrics.baseline import fit_still_classifier, sampled, still_features
from components.core.metrics.classification import (
    Bools,
    Floats,
    predict_multi,
    predict_single,
)
from components.core.metrics.summary import Measure, in_mixed_groups
from components.core.metrics.thresholds import tune_thresholds
from components.core.stage import Job
from components.evaluate_clips.array_names import file_names
from components.evaluate_clips.checkpoints import choose
from components.evaluate_clips.inference import probabilities
from components.evaluate_clips.measuring import measure
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.running import Runner
from components.evaluate_clips.samples import resizer_samples
from components.evaluate_clips.stage import EvaluateSettings
from components.evaluate_clips.subject import Subject, load, provenance
from components.evaluate_clips.windows import middle_frames
from components.evaluate_clips.writing import Pictures, kubeflow_confusion, write_evaluation


def run(settings: EvaluateSettings, job: Job) -> None:
    """Evaluates; see `stage.evaluate`."""
    subject = load(job, settings)
    remarks = provenance(subject, settings.part)
    runner = Runner(settings, job, with_torch=bool(settings.checkpoints))
    compared: list[CheckpointFigures] = []
    if settings.checkpoints:
        subject, compared, absent = choose(subject, runner)
        remarks += absent
    predictions, thresholds = predict(subject, runner)
    samples, unshown = resizer_samples(subject, runner)
    metrics = measure(
        predictions,
        Measure(
            subject.bundle.classes,
            subject.bundle.multi_label,
            settings.top_k,
            settings.bootstrap,
            settings.confidence,
            settings.seed,
        ),
        thresholds=thresholds,
        tuned=settings.tunes(subject.bundle),
        mixed=_mixed(subject),
        remarks=[*remarks, *unshown],
    )
    metrics = metrics.model_copy(
        update={"checkpoints": compared, "training_clips": training_clips(subject)}
    )
    evaluation = _index(subject, settings, metrics)
    write_evaluation(
        job.outputs["evaluation"],
        evaluation,
        predictions,
        metrics,
        Pictures(subject.reader, subject.window, settings.mistakes, samples),
        details={
            "Training": subject.bundle.training,
            "Model input": subject.bundle.preprocessing,
            "Model code version": subject.bundle.code_version,
        },
    )
    files.link_or_copy(job.outputs["evaluation"] / "report.html", job.outputs["report"])
    job.metadata["metrics"] = dict(evaluation.figures)
    job.metadata["confusion"] = kubeflow_confusion(predictions, evaluation.classes)
    job.report.metrics(evaluation.figures)
    for line in metrics.notes:
        job.report.warn(line)


def predict(subject: Subject, runner: Runner) -> tuple[Predictions, Floats | None]:
    """What the model says about the part's clips, and the thresholds of multi-label models."""
    settings, bundle = runner.settings, subject.bundle
    clips = subject.clips(settings.part)
    trains = settings.train_confusion and settings.part != "train"
    logits, *others = runner.several(subject, [settings.part, *(["train"] if trains else [])])
    scores = probabilities(logits, bundle.multi_label)
    thresholds: Floats | None = None
    if settings.tunes(bundle):
        val = runner.logits(subject, "val")
        thresholds = tune_thresholds(
            subject.labels(subject.clips("val")), probabilities(val, multi_label=True)
        )
    elif bundle.multi_label:
        thresholds = np.full(len(bundle.classes), settings.fixed_threshold)
    entries = [subject.reader.index.clips[clip] for clip in clips]
    trained = [probabilities(found, bundle.multi_label) for found in others]
    predictions = Predictions(
        ids=[entry.id for entry in entries],
        groups=[entry.group for entry in entries],
        actual=subject.labels(clips),
        logits=logits,
        probabilities=scores,
        predicted=_chosen(scores, thresholds),
        multi_label=bundle.multi_label,
        training=(
            (subject.labels(subject.clips("train")), _chosen(trained[0], thresholds))
            if trained
            else None
        ),
        baseline=_baseline(subject, clips, runner),
    )
    return predictions, thresholds


def _chosen(scores: NDArray[np.float32], thresholds: Floats | None) -> Bools:
    return predict_single(scores) if thresholds is None else predict_multi(scores, thresholds)


def training_clips(subject: Subject) -> dict[str, int]:
    """Class → clips of the training part that carry it; each of a clip's labels counts."""
    counts = subject.labels(subject.clips("train")).sum(axis=0)
    return dict(zip(subject.bundle.classes, map(int, counts), strict=True))


def _mixed(subject: Subject) -> dict[str, bool]:
    entries = subject.reader.index.clips
    return in_mixed_groups([entry.group for entry in entries], [entry.labels for entry in entries])


def _baseline(subject: Subject, clips: Sequence[int], runner: Runner) -> Floats | None:
    settings = runner.settings
    train = sampled(subject.clips("train"), settings.seed)
    if not settings.baseline or settings.part == "train" or not train:
        return None
    val = sampled(subject.clips("val") if settings.part != "val" else [], settings.seed)
    runner.job.report.message(f"single-frame baseline: {len(train)} training frames")

    def features(rows: Sequence[int]) -> NDArray[np.float32]:
        return still_features(middle_frames(subject.reader, rows, runner.workers))

    predict = fit_still_classifier(
        (features(train), subject.labels(train)),
        (features(val), subject.labels(val)),
        multi_label=subject.bundle.multi_label,
    )
    return predict(features(clips))


def _index(subject: Subject, settings: EvaluateSettings, metrics: ClipMetrics) -> Evaluation:
    bundle, index = subject.bundle, subject.reader.index
    name, epoch = bundle.name or "model", int(bundle.training.get("epoch") or 0)
    arrays = file_names(settings.array_names)
    return Evaluation(
        fingerprint="",
        task=bundle.task or "clip_classification",
        multi_label=bundle.multi_label,
        classes=index.classes,
        part=settings.part,
        clips=metrics.overall.model.clips,
        models={name: bundle.fingerprint},
        dataset=index.fingerprint,
        parent=index.parent,
        splits=[subject.split.fingerprint],
        code_version=__version__,
        settings=settings.identity(),
        figures=metrics.overall.model.figures,
        curves={name: bundle.curves},
        epochs={name: epoch} if epoch else {},
        arrays={array: arrays[array] for array in ARRAYS},
        files={},
    )
