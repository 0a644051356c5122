"""What an evaluation says of a model, of clips or of images, for the model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts.base import read_index
from components.core.artifacts.detection_evaluation import DetectionEvaluation, DetectionMetrics
from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.artifacts.tao_evaluation import TaoEvaluation


@dataclass(frozen=True)
class Judged:
    """An evaluation of one or more networks."""

    models: Mapping[str, str]
    """Name → fingerprint of the evaluated bundle."""
    section: dict[str, Any]
    """`evaluation` of the card."""
    data: Callable[[ModelBundle], dict[str, str]]
    """`data` of the card, by the model."""


def judged(directory: Path) -> Judged:
    """Reads an evaluation of any kind.

    Raises:
        InputError: it is no Evaluation, DetectionEvaluation, RenderingEvaluation or TaoEvaluation,
            or it is damaged.
    """
    schema = read_index(directory).get("schema")
    if schema == DetectionEvaluation.SCHEMA:
        return _of_images(DetectionEvaluation.load(directory), DetectionMetrics.read(directory))
    if schema == RenderingEvaluation.SCHEMA:
        return _of_frames(RenderingEvaluation.load(directory), RenderingMetrics.read(directory))
    if schema == TaoEvaluation.SCHEMA:
        return _of_tao(TaoEvaluation.load(directory))
    return _of_clips(Evaluation.load(directory), ClipMetrics.read(directory))


def _of_clips(evaluation: Evaluation, metrics: ClipMetrics) -> Judged:
    model = metrics.overall.model

    def data(bundle: ModelBundle) -> dict[str, str]:
        return {
            "clips": evaluation.parent if bundle.dataset == evaluation.dataset else "",
            "dataset": bundle.dataset,
            "split": bundle.split,
            "evaluated": evaluation.dataset,
        }

    section = {
        "fingerprint": evaluation.fingerprint,
        "part": evaluation.part,
        "clips": model.clips,
        "recordings": model.groups,
        "figures": model.figures,
        "intervals": {key: list(pair) for key, pair in model.intervals.items()},
        "confidence": metrics.confidence,
        "thresholds": metrics.thresholds,
        "notes": metrics.notes,
    }
    return Judged(evaluation.models, section, data)


def _of_images(evaluation: DetectionEvaluation, metrics: DetectionMetrics) -> Judged:
    def data(bundle: ModelBundle) -> dict[str, str]:
        return {
            "images": bundle.dataset,
            "split": bundle.split,
            "evaluated": evaluation.dataset,
        }

    shown = ("annotations", "threshold", "precision", "recall", "f1", "ap", "ap50", "ap75")
    section = {
        "fingerprint": evaluation.fingerprint,
        "part": evaluation.part,
        "images": metrics.images,
        "annotations": metrics.annotations,
        "recordings": metrics.groups,
        "figures": metrics.figures,
        "intervals": {key: list(pair) for key, pair in metrics.intervals.items()},
        "confidence": metrics.confidence,
        "overlap": metrics.iou,
        "thresholds": evaluation.thresholds,
        "classes": {one.name: {key: getattr(one, key) for key in shown} for one in metrics.classes},
        "notes": metrics.notes,
    }
    return Judged(evaluation.models, section, data)


def _of_frames(evaluation: RenderingEvaluation, metrics: RenderingMetrics) -> Judged:
    def data(bundle: ModelBundle) -> dict[str, str]:
        return {"frames": bundle.dataset, "evaluated": evaluation.dataset}

    section = {
        "fingerprint": evaluation.fingerprint,
        "part": evaluation.part,
        "frames": evaluation.frames,
        "figures": metrics.figures,
        "intervals": {key: list(pair) for key, pair in metrics.intervals.items()},
        "confidence": metrics.confidence,
        "thresholds": {},
        "notes": metrics.notes,
    }
    return Judged(evaluation.models, section, data)


def _of_tao(evaluation: TaoEvaluation) -> Judged:
    def data(bundle: ModelBundle) -> dict[str, str]:
        return {"images": bundle.dataset, "evaluated": evaluation.dataset}

    section = {
        "fingerprint": evaluation.fingerprint,
        "part": "val",
        "images": evaluation.images,
        "annotations": sum(evaluation.annotations.values()),
        "figures": evaluation.figures,
        "intervals": {},
        "thresholds": {},
        "classes": {
            name: {
                "annotations": evaluation.annotations.get(name, 0),
                "ap": evaluation.class_figures.get(name),
            }
            for name in evaluation.classes
        },
        "notes": evaluation.notes,
    }
    return Judged(evaluation.models, section, data)
