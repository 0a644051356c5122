"""The work of the stage, from the images to the files and the upload."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from pathlib import Path

import numpy as np

from components.auto_annotate import predicting, report, uploading
from components.auto_annotate.drawing import Drawn, drawn, ranked
from components.auto_annotate.sources import Source, open_source
from components.auto_annotate.stage import AnnotateSettings
from components.core import files
from components.core.artifacts.auto_annotation import (
    COCO,
    REPORT,
    REVIEW,
    XML,
    AutoAnnotation,
)
from components.core.artifacts.detection_evaluation import DetectionEvaluation
from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK
from components.core.detection.thresholds import parse_thresholds, unknown_classes
from components.core.errors import InputError, SettingsError
from components.core.formats import coco, cvat_xml
from components.core.formats.shapes import Kind
from components.core.stage import Job
from components.core.state import digest
from components.core.wording import counted


def run(settings: AnnotateSettings, job: Job) -> None:
    """See `stage.annotate`."""
    bundle, evaluation = _inputs(job)
    thresholds = _thresholds(settings, bundle, evaluation, job)
    place = job.outputs["annotated"]
    place.mkdir()
    if settings.nothing_to_do:
        tell = job.report.warn if settings.upload else job.report.message
        tell(
            f"nothing to annotate{' and to upload' if settings.upload else ''}: set new_images to "
            "a folder or bucket, or cvat_task to a task"
        )
        _save(settings, job, bundle, evaluation, thresholds, None, [], ("", 0))
        return
    source = open_source(settings, job)
    upload = None
    if settings.upload:
        upload = uploading.prepared(settings, source, bundle, thresholds, job)
    model = _predictor(settings, job.inputs["model"])
    found = predicting.predicted(model, source.images, job)
    cuts = np.array([thresholds[name] for name in bundle.classes])
    results = [
        drawn(image, detections, bundle.classes, cuts, settings)
        for image, detections in zip(source.images, found, strict=True)
    ]
    _write(place, results, [*bundle.classes, *_others(results, bundle.classes)], source.name)
    sent = upload(results) if upload else ("", 0)
    index = _save(settings, job, bundle, evaluation, thresholds, source, results, sent)
    files.write_text(place / REPORT, report.html_report(index, ranked(results), settings.pictures))
    _tell(index, job)


def _inputs(job: Job) -> tuple[ModelBundle, DetectionEvaluation]:
    bundle = ModelBundle.load(job.inputs["model"])
    evaluation = DetectionEvaluation.load(job.inputs["evaluation"])
    problems = []
    if bundle.task != TASK:
        problems.append(f"model: {bundle.name!r} is for {bundle.task}, needed is {TASK}")
    elif bundle.fingerprint not in evaluation.models.values():
        names = ", ".join(evaluation.models)
        problems.append(
            f"evaluation: it is of another model ({names}), not of {bundle.name!r}: evaluate this "
            "one, or give the model that was evaluated"
        )
    if problems:
        raise InputError("; ".join(problems))
    return bundle, evaluation


def _thresholds(
    settings: AnnotateSettings, bundle: ModelBundle, evaluation: DetectionEvaluation, job: Job
) -> dict[str, float]:
    single = parse_thresholds(settings.score_thresholds)
    if unknown := unknown_classes(single, bundle.classes):
        raise SettingsError([f"score_thresholds: {line}" for line in unknown], "auto_annotate")
    tuned, fixed = evaluation.thresholds, settings.score_threshold
    missing = [] if fixed else [n for n in bundle.classes if n not in tuned and n not in single]
    if missing and not settings.nothing_to_do:
        job.report.warn(
            f"the evaluation has no threshold for {', '.join(missing)}; taken is "
            f"{predicting.UNKNOWN:g}: set score_threshold or score_thresholds to choose another"
        )
    return predicting.class_thresholds(bundle.classes, tuned, fixed, single)


def _predictor(settings: AnnotateSettings, model: Path) -> object:
    from components.core.detection.predictor import Predictor

    return Predictor.load(
        model,
        device=settings.device,
        batch_size=settings.batch_size,
        workers=settings.workers,
    )


def _others(results: list[Drawn], classes: list[str]) -> list[str]:
    """Labels that were on the images before and that the model does not know."""
    labels = {
        shape.label
        for result in results
        for shape in result.image.shapes
        if shape.kind is not Kind.TAG
    }
    return sorted(labels - set(classes))


def _write(place: Path, results: list[Drawn], classes: list[str], name: str) -> None:
    cvat_xml.write(place / XML, [result.for_xml for result in results], classes, name)
    coco.write(place / COCO, [result.whole for result in results], classes)
    files.write_text(place / REVIEW, _review(ranked(results)))


def _review(results: list[Drawn]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        ["rank", "image", "doubt", "doubtful_boxes", "new_boxes", "lowest_score", "overlapping",
         "existing", "path"]
    )  # fmt: skip
    for rank, result in enumerate(results, 1):
        scores = [shape.score for shape in result.new if shape.score is not None]
        writer.writerow(
            [
                rank,
                result.image.name,
                f"{result.doubt:.4f}",
                result.doubtful,
                len(result.new),
                f"{min(scores):g}" if scores else "",
                result.overlapping,
                len(result.image.shapes),
                result.image.path or "",
            ]
        )
    return table.getvalue()


def _save(
    settings: AnnotateSettings,
    job: Job,
    bundle: ModelBundle,
    evaluation: DetectionEvaluation,
    thresholds: dict[str, float],
    source: Source | None,
    results: list[Drawn],
    sent: tuple[str, int],
) -> AutoAnnotation:
    boxes = Counter(shape.label for result in results for shape in result.new)
    names = {"xml": XML, "coco": COCO, "review": REVIEW, "report": REPORT}
    content = {name: _text(job, name) for name in (XML, COCO)} if source else {}
    index = AutoAnnotation(
        fingerprint=digest([bundle.fingerprint, evaluation.fingerprint, content, sent[0]]),
        model=bundle.fingerprint,
        evaluation=evaluation.fingerprint,
        source=source.place if source else "",
        classes=[*bundle.classes, *_others(results, bundle.classes)],
        thresholds={name: cut for name, cut in thresholds.items() if math.isfinite(cut)},
        images=len(results),
        empty=sum(not result.new for result in results),
        boxes={name: boxes[name] for name in bundle.classes},
        overlapping=sum(result.overlapping for result in results),
        existing=sum(len(result.image.shapes) for result in results),
        unreadable=source.unreadable if source else [],
        task=sent[0],
        uploaded=sent[1],
        files=names if source else {},
    )
    index.save(job.outputs["annotated"])
    job.metadata["annotated"] = {
        "images": index.images,
        "boxes": sum(index.boxes.values()),
        "task": index.task,
    }
    return index


def _text(job: Job, name: str) -> str:
    return (job.outputs["annotated"] / name).read_text(encoding="utf-8")


def _tell(index: AutoAnnotation, job: Job) -> None:
    total = sum(index.boxes.values())
    job.report.message(
        f"{counted(total, 'new box', 'new boxes')} on {index.images - index.empty} of "
        f"{counted(index.images, 'image')}; {index.overlapping} dropped, as they overlap one that "
        "was there before"
    )
