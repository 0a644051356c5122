"""The work of the stage: checks, inference, baseline, figures, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core import files
from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.errors import InputError
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
from components.evaluate_clips.inference import Classifier, clip_logits, probabilities
from components.evaluate_clips.measuring import listed, measure
from components.evaluate_clips.predictions import Predictions, labels_table
from components.evaluate_clips.stage import TUNED, EvaluateSettings
from components.evaluate_clips.windows import Window, middle_frames
from components.evaluate_clips.writing import kubeflow_confusion, write_evaluation


@dataclass(frozen=True)
class Subject:
    """A model and the clips it is evaluated on."""

    bundle: ModelBundle
    reader: FrameReader
    split: Split
    window: Window

    def clips(self, part: str) -> list[int]:
        """Positions in the frame index of a part's clips."""
        wanted = set(self.split.ids(part))
        return [row for row, clip in enumerate(self.reader.index.clips) if clip.id in wanted]

    def labels(self, clips: Sequence[int]) -> Bools:
        """`(N, C)` truth of some clips."""
        entries = self.reader.index.clips
        return labels_table([entries[clip].labels for clip in clips], self.reader.index.classes)


def run(settings: EvaluateSettings, job: Job) -> None:
    """Evaluates; see `stage.evaluate`."""
    subject = load(job, settings.part)
    index, bundle = subject.reader.index, subject.bundle
    workers = settings.workers or usable_cpus()
    clips = subject.clips(settings.part)
    tuned = bundle.multi_label and settings.threshold == TUNED
    remarks = provenance(subject, settings, len(clips))
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


def load(job: Job, part: str) -> Subject:
    """Opens the inputs and makes sure that they belong together.

    Raises:
        InputError: with everything that does not fit.
    """
    bundle = ModelBundle.load(job.inputs["model"])
    reader = FrameReader(job.inputs["frames"])
    split = Split.load(job.inputs["split"])
    subject = Subject(bundle, reader, split, Window.of(bundle))
    index = reader.index
    problems = []
    if bundle.classes != index.classes:
        problems.append(
            f"the model knows {len(bundle.classes)} classes ({listed(bundle.classes or ['none'])})"
            f" but the frames have {len(index.classes)} ({listed(index.classes or ['none'])}); "
            "evaluate on frames of the data set that the model was trained on"
        )
    if split.parent != index.parent:
        problems.append(
            "split and frames come from different data sets "
            f"({split.parent[:12]}… and {index.parent[:12]}…); make both from the same clips"
        )
    clips = subject.clips(part)
    if not clips:
        problems.append(f"the {part} part holds no usable clip; choose another part or split again")
    if small := subject.window.too_small([index.clips[clip] for clip in clips]):
        problems.append(
            f"{len(small)} clips ({listed(small, 3)}) are stored smaller than the model's input of "
            f"{subject.window.size} x {subject.window.size} pixels; extract larger frames"
        )
    if problems:
        raise InputError("\n  - ".join(["the inputs do not fit together:", *problems]))
    return subject


def provenance(subject: Subject, settings: EvaluateSettings, found: int) -> list[str]:
    """Remarks on where model and clips come from."""
    bundle, index, split = subject.bundle, subject.reader.index, subject.split
    lines = []
    if settings.part == "train":
        lines.append("These are the clips the model was trained on; the figures say nothing new.")
    if settings.part == "val":
        lines.append("The validation part chose the checkpoint, so these figures are optimistic.")
    same_data = bundle.dataset in (index.fingerprint, index.parent)
    if same_data and bundle.split and bundle.split != split.fingerprint:
        lines.append(
            "The model was trained with another split of this data: clips evaluated here may have "
            "been in its training part, so these figures may be far too good."
        )
    if missing := len(split.ids(settings.part)) - found:
        lines.append(f"{missing} clips of the part have no frames and are not evaluated.")
    trained = bundle.preprocessing.get("sampling")
    if trained and trained != index.sampling:
        lines.append(
            f"The model was trained on frames sampled as {trained}, these are sampled as "
            f"{index.sampling}: motion has another speed."
        )
    entries = index.clips
    training = {entries[clip].group for clip in subject.clips("train")} - {""}
    shared = sum(entries[clip].group in training for clip in subject.clips(settings.part))
    if shared and settings.part != "train":
        lines.append(
            f"{shared} clips come from recordings that are also in the training part, so the "
            "figures are optimistic for new recordings; split by groups."
        )
    return lines


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
