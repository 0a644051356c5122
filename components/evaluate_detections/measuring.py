"""From judged boxes to `metrics.json`: all figures with their intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.detection_evaluation import (
    Bin,
    Calibration,
    DetectedClass,
    DetectionMetrics,
    Interval,
    SizeFigures,
)
from components.core.metrics.bootstrap import group_numbers, interval
from components.core.metrics.classification import mean_defined
from components.core.metrics.detection import IOUS
from components.core.metrics.detection_bootstrap import image_weights, resampled
from components.core.metrics.detection_judgement import Kind
from components.core.metrics.detection_thresholds import Reliability
from components.core.metrics.summary import FEWEST_GROUPS
from components.evaluate_detections.counts import counted_boxes, found_by_size, rates
from components.evaluate_detections.results import Results
from components.evaluate_detections.stage import EvaluateSettings

Floats = NDArray[np.float64]

MISTAKES = (Kind.BACKGROUND, Kind.POOR_BOX, Kind.DUPLICATE, Kind.WRONG_CLASS)
MISSED = "missed"
_AT_75 = IOUS.index(0.75)


def measure(
    results: Results,
    settings: EvaluateSettings,
    *,
    training: Mapping[str, int] | None,
    variants: Sequence[dict[str, Any]] = (),
) -> DetectionMetrics:
    """All figures of one evaluation; remarks are left to `notes`.

    Args:
        results: of the evaluated part.
        settings: of the stage.
        training: class → annotations of the training part; None where it is of other data.
        variants: validation figures of the networks that were trained beside each other.
    """
    tables = counted_boxes(results.truth, results.judged, len(results.classes))
    values = rates(*(table.sum(axis=0, keepdims=True).astype(np.float64) for table in tables))
    intervals, of_classes = _intervals(results, tables, settings)
    coco = results.figures
    figures = {name: value for name, value in coco.values.items() if value is not None}
    for average in ("macro", "micro"):
        for rate in ("f1", "precision", "recall"):
            value = float(values[f"{average}_{rate}"][0])
            if not math.isnan(value):
                figures[f"{average}_{rate}"] = value
    if results.reliability is not None:
        figures["calibration_error"] = results.reliability.error
    each = {name: values[name][0] for name in ("precision", "recall", "f1")}
    undefined = {
        **coco.undefined,
        **{
            f"macro_{rate}": absent
            for rate, row in each.items()
            if (absent := [n for n, v in zip(results.classes, row, strict=True) if np.isnan(v)])
        },
    }
    right, found, _ = (table.sum(axis=0) for table in tables)
    return DetectionMetrics(
        images=len(results.images),
        negatives=sum(not len(one) for one in results.truth),
        annotations=sum(int((~one.crowd).sum()) for one in results.truth),
        crowds=sum(int(one.crowd.sum()) for one in results.truth),
        groups=len(np.unique(group_numbers(results.groups))),
        predictions=sum(map(len, results.predictions)),
        iou=results.iou,
        confidence=settings.confidence,
        replicates=settings.bootstrap,
        figures=figures,
        intervals={name: pair for name, pair in intervals.items() if name in figures},
        undefined=undefined,
        classes=[
            DetectedClass(
                name=own.name,
                annotations=own.annotations,
                training=None if training is None else training.get(own.name, 0),
                threshold=float(results.thresholds[number]),
                found=int(found[number]),
                right=int(right[number]),
                **{rate: _defined(row[number]) for rate, row in each.items()},
                ap=own.ap,
                ap50=own.ap50,
                ap75=own.ap75,
                ap_small=own.ap_small,
                ap_medium=own.ap_medium,
                ap_large=own.ap_large,
                ar100=own.ar100,
                **({name: pairs[number] for name, pairs in of_classes.items()}),
            )
            for number, own in enumerate(coco.classes)
        ],
        sizes=[
            SizeFigures(
                name=name,
                annotations=total,
                found=hit,
                ap=coco.values[f"map_{name}"],
                ar100=coco.values[f"ar_{name}"],
            )
            for name, (total, hit) in found_by_size(results.truth, results.judged).items()
        ],
        thresholds_from="val" if settings.tunes else "setting",
        errors=_errors(results),
        calibration=_calibration(results.reliability),
        variants=list(variants),
    )


def _intervals(
    results: Results, tables: Sequence[NDArray[np.int64]], settings: EvaluateSettings
) -> tuple[dict[str, Interval], dict[str, list[Interval | None]]]:
    """Of the headline figures, and of each class its `ap_interval` and `ap50_interval`."""
    nothing: dict[str, list[Interval | None]] = {}
    if not settings.bootstrap or len(np.unique(group_numbers(results.groups))) < FEWEST_GROUPS:
        return {}, nothing
    weights = image_weights(results.groups, settings.bootstrap, settings.seed)
    precision, recall = resampled(results.matches, weights)
    precision, recall = precision[..., : len(IOUS)], recall[..., : len(IOUS)]
    drawn = {
        "map": mean_defined(precision.mean(axis=2)),
        "map50": mean_defined(precision[..., 0]),
        "map75": mean_defined(precision[..., _AT_75]),
        "ar100": mean_defined(recall.mean(axis=2)),
    }
    sums = rates(*((weights @ table).astype(np.float64) for table in tables))
    drawn |= {name: values for name, values in sums.items() if values.ndim == 1}
    pairs = {name: interval(values, settings.confidence) for name, values in drawn.items()}
    of_classes = {
        name: [interval(column, settings.confidence) for column in values.T]
        for name, values in (
            ("ap_interval", precision.mean(axis=2)),
            ("ap50_interval", precision[..., 0]),
        )
    }
    return {name: pair for name, pair in pairs.items() if pair is not None}, of_classes


def _errors(results: Results) -> dict[str, int]:
    kinds = Counter(kind for one in results.judged for kind in one.kinds)
    return {
        **{str(kind): kinds[kind] for kind in MISTAKES},
        MISSED: sum(len(one.missed) for one in results.judged),
    }


def _calibration(found: Reliability | None) -> Calibration | None:
    if found is None:
        return None
    return Calibration(
        error=found.error,
        bins=[
            Bin(
                low=float(found.edges[place]),
                high=float(found.edges[place + 1]),
                boxes=int(found.boxes[place]),
                score=float(found.scores[place]),
                precision=float(found.precision[place]),
            )
            for place in np.flatnonzero(found.boxes)
        ],
    )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
