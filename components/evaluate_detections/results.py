"""What was found on a part, judged: what figures, pictures and lists are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.detection.results import Detections
from components.core.formats.shapes import AnnotatedImage
from components.core.metrics.detection import IOUS, Figures, Truth, coco_figures
from components.core.metrics.detection_judgement import Judged, confusion, judge
from components.core.metrics.detection_matches import Matches, matches
from components.core.metrics.detection_thresholds import Reliability, reliability

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """The images of a part with their truth and what was found; lists are in the same order."""

    classes: list[str]
    images: list[AnnotatedImage]
    truth: list[Truth]
    predictions: list[Detections]
    thresholds: Floats
    """(C,)."""
    iou: float
    judged: list[Judged]
    figures: Figures
    matches: Matches
    """At COCO's overlaps, and last at `iou`."""
    reliability: Reliability | None

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        images: Sequence[AnnotatedImage],
        truth: Sequence[Truth],
        predictions: Sequence[Detections],
        thresholds: Floats,
        iou: float,
    ) -> Results:
        """Judges and measures."""
        found = matches(truth, predictions, len(classes), [*IOUS, iou])
        return cls(
            classes=list(classes),
            images=list(images),
            truth=list(truth),
            predictions=list(predictions),
            thresholds=thresholds,
            iou=iou,
            judged=[
                judge(true, one, thresholds, iou)
                for true, one in zip(truth, predictions, strict=True)
            ],
            figures=coco_figures(truth, predictions, classes),
            matches=found,
            reliability=reliability(found, level=len(IOUS)),
        )

    @property
    def groups(self) -> list[str]:
        """Recording of each image; '' for an image of its own."""
        return [image.group for image in self.images]

    def confusion(self) -> NDArray[np.int64]:
        """(C + 1, C + 1), see `detection_judgement.confusion`."""
        return confusion(self.truth, self.judged, len(self.classes))
