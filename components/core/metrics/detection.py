"""COCO's figures of a detector: average precision and recall over overlaps, sizes and classes.

T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and
https://cocodataset.org/#detection-eval; computed by faster-coco-eval, in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import areas as box_areas
from components.core.detection.results import Detections

Floats = NDArray[np.float64]

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALLS = np.linspace(0.0, 1.0, 101)
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Square pixels; of an annotation its area, of a found box that of the box."""
MOST = (1, 10, 100)
"""Boxes per image and class, the surest, of which the recall is given."""

_AT_50, _AT_75 = 0, 5
_ALL = 0


@dataclass(frozen=True)
class Truth:
    """The annotated boxes of one image; without any it is a negative."""

    boxes: Floats
    """(M, 4) left, top, right, bottom in pixels of the image as stored."""
    classes: NDArray[np.int64]
    """(M,) positions in the class list, from 0."""
    crowd: NDArray[np.bool_]
    """(M,) whether the box is around many objects: what is found in it is not judged."""
    areas: Floats
    """(M,) square pixels of the outline, or of the box: they decide on the size."""

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def of(
        cls,
        boxes: Any,
        classes: Any,
        crowd: Any = None,
        areas: Any = None,
    ) -> Truth:
        """From anything array-like; by default there are no crowds, and areas are the boxes'."""
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        numbers = np.asarray(classes, dtype=np.int64).reshape(-1)
        many = np.zeros(len(numbers)) if crowd is None else crowd
        return cls(
            corners,
            numbers,
            np.asarray(many, dtype=bool).reshape(-1),
            box_areas(corners) if areas is None else np.asarray(areas, dtype=np.float64),
        )


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; None where nothing of that kind is annotated."""

    name: str
    annotations: int
    """Without crowds."""
    predictions: int
    ap: float | None
    """Mean over the overlaps .50, .55 … .95."""
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar100: float | None


@dataclass(frozen=True)
class Figures:
    """COCO's figures of all classes and of each."""

    values: dict[str, float | None]
    """`map`, `map50`, `map75`, `map_<size>`, `ar1`, `ar10`, `ar100`, `ar_<size>`: means over the
    classes that have them; None where none has."""
    classes: list[ClassFigures]
    precision: Floats
    """(C, 101) at an overlap of .5 over RECALLS, NaN where a class is not annotated."""
    scores: Floats
    """(C, 101) the score at which each of these recalls is reached; 0 where it is not."""
    undefined: dict[str, list[str]]
    """Figure → the classes that are left out of it because nothing of them is annotated."""


def coco_figures(
    truth: Sequence[Truth], predictions: Sequence[Detections], classes: Sequence[str]
) -> Figures:
    """COCO's figures of what was found on some images.

    Args:
        truth: of each image.
        predictions: what was found on each; of a class and an image the 100 surest count.
        classes: names, without the background.

    Raises:
        ValueError: another number of images, or a class that is not in the list.
    """
    check(truth, predictions, len(classes))
    precision, recall, scores = _evaluated(truth, predictions, classes)
    return Figures(
        values=_values(precision, recall),
        classes=_per_class(truth, predictions, classes, precision, recall),
        precision=precision[_AT_50, :, :, _ALL, -1].T,
        scores=scores[_AT_50, :, :, _ALL, -1].T,
        undefined=_undefined(precision, classes),
    )


def mean_average_precision(
    truth: Sequence[Truth], predictions: Sequence[Detections], classes: Sequence[str]
) -> dict[str, float]:
    """The figures of a validation: `val_map`, `val_map50`, `val_map75`, `val_map_small` ….

    What nothing is annotated for is left out.

    Args:
        truth: see `coco_figures`.
        predictions: see there.
        classes: see there.

    Raises:
        ValueError: see there.
    """
    check(truth, predictions, len(classes))
    precision, recall, _ = _evaluated(truth, predictions, classes)
    values = _values(precision, recall)
    return {f"val_{name}": value for name, value in values.items() if value is not None}


def check(truth: Sequence[Truth], predictions: Sequence[Detections], classes: int) -> None:
    """Whether truth and predictions can belong together.

    Raises:
        ValueError: another number of images, or a class that is not in the list.
    """
    if len(truth) != len(predictions):
        raise ValueError(f"{len(truth)} images are annotated, {len(predictions)} have predictions")
    for what, lists in (("annotations", truth), ("predictions", predictions)):
        numbers = [one.classes for one in lists if len(one)]
        if not numbers:
            continue
        low, high = min(n.min() for n in numbers), max(n.max() for n in numbers)
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise ValueError(f"{what} of class {wrong}: there are 0 to {classes - 1}")


def _evaluated(
    truth: Sequence[Truth], predictions: Sequence[Detections], classes: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """Precision (T, R, C, A, M), recall (T, C, A, M) and scores, NaN where nothing is to find."""
    from faster_coco_eval import COCO, COCOeval_faster

    images = [{"id": number} for number in range(1, len(truth) + 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    shape = (len(IOUS), len(classes), len(SIZES) + 1, len(MOST))
    if not images:
        empty = np.full(shape, np.nan)
        curves = np.repeat(empty[:, None], len(RECALLS), axis=1)
        return curves, empty, curves
    rest = {"images": images, "categories": categories}
    evaluation = COCOeval_faster(
        COCO({**rest, "annotations": _annotations(truth)}),
        COCO({**rest, "annotations": _results(predictions)}),
        "bbox",
        ranges={name: list(span) for name, span in SIZES.items()},
    )
    evaluation.params.iouThrs = np.linspace(0.5, 0.95, len(IOUS))
    evaluation.params.recThrs = RECALLS
    evaluation.params.maxDets = list(MOST)
    evaluation.evaluate()
    evaluation.accumulate()
    tables = [np.asarray(evaluation.eval[name]) for name in ("precision", "recall", "scores")]
    precision, recall, scores = (np.where(table < 0, np.nan, table) for table in tables)
    return precision, recall, scores


def _annotations(truth: Sequence[Truth]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for image, one in enumerate(truth, 1):
        rows = zip(
            _coco_boxes(one.boxes),
            one.classes.tolist(),
            one.crowd.tolist(),
            one.areas.tolist(),
            strict=True,
        )
        for box, number, crowd, area in rows:
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": image,
                    "category_id": number + 1,
                    "bbox": box,
                    "area": area,
                    "iscrowd": int(crowd),
                }
            )
    return entries


def _results(predictions: Sequence[Detections]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for image, one in enumerate(predictions, 1):
        rows = zip(_coco_boxes(one.boxes), one.classes.tolist(), one.scores.tolist(), strict=True)
        for box, number, score in rows:
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": image,
                    "category_id": number + 1,
                    "bbox": box,
                    "score": score,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    return entries


def _coco_boxes(boxes: NDArray[np.floating]) -> list[list[float]]:
    """Left, top, width and height."""
    corners = boxes.astype(np.float64).reshape(-1, 4)
    sizes = corners[:, 2:] - corners[:, :2]
    rows: list[list[float]] = np.concatenate([corners[:, :2], sizes], axis=1).tolist()
    return rows


def _values(precision: Floats, recall: Floats) -> dict[str, float | None]:
    values = {
        "map": _mean(precision[:, :, :, _ALL, -1]),
        "map50": _mean(precision[_AT_50, :, :, _ALL, -1]),
        "map75": _mean(precision[_AT_75, :, :, _ALL, -1]),
    }
    values |= {f"map_{n}": _mean(precision[:, :, :, a, -1]) for a, n in enumerate(SIZES, 1)}
    values |= {f"ar{most}": _mean(recall[:, :, _ALL, m]) for m, most in enumerate(MOST)}
    values |= {f"ar_{n}": _mean(recall[:, :, a, -1]) for a, n in enumerate(SIZES, 1)}
    return values


def _per_class(
    truth: Sequence[Truth],
    predictions: Sequence[Detections],
    classes: Sequence[str],
    precision: Floats,
    recall: Floats,
) -> list[ClassFigures]:
    annotated = _counted([one.classes[~one.crowd] for one in truth], len(classes))
    found = _counted([one.classes for one in predictions], len(classes))
    rows = []
    for number, name in enumerate(classes):
        own = precision[:, :, number, :, -1]
        sizes = [_mean(own[:, :, size]) for size in range(1, len(SIZES) + 1)]
        rows.append(
            ClassFigures(
                name=name,
                annotations=annotated[number],
                predictions=found[number],
                ap=_mean(own[:, :, _ALL]),
                ap50=_mean(own[_AT_50, :, _ALL]),
                ap75=_mean(own[_AT_75, :, _ALL]),
                ap_small=sizes[0],
                ap_medium=sizes[1],
                ap_large=sizes[2],
                ar100=_mean(recall[:, number, _ALL, -1]),
            )
        )
    return rows


def _undefined(precision: Floats, classes: Sequence[str]) -> dict[str, list[str]]:
    figures = {"map": _ALL, **{f"map_{name}": size for size, name in enumerate(SIZES, 1)}}
    absent = {
        figure: [
            name
            for number, name in enumerate(classes)
            if np.isnan(precision[0, 0, number, size, -1])
        ]
        for figure, size in figures.items()
    }
    return {figure: names for figure, names in absent.items() if names}


def _counted(lists: Sequence[NDArray[np.int64]], classes: int) -> list[int]:
    everything = np.concatenate([np.zeros(0, np.int64), *lists])
    counts: list[int] = np.bincount(everything, minlength=classes).tolist()
    return counts


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
