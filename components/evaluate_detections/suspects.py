"""Annotations that are worth a second look: what a good model is sure of and the truth denies."""

from __future__ import annotations

from dataclasses import dataclass

from components.core.metrics.detection_judgement import Kind
from components.evaluate_detections.results import Results

MISSING, WRONG = "missing_label", "wrong_class"


@dataclass(frozen=True)
class Suspect:
    """One box that may be right against its annotation."""

    kind: str
    """MISSING: nothing is annotated there; WRONG: another class is."""
    image: int
    """Position among the images."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels, as found."""
    score: float
    found: str
    annotated: str
    """Class; '' where nothing is."""
    overlap: float
    """With that annotation; with the nearest one where nothing is annotated there."""


def suspects(results: Results) -> list[Suspect]:
    """Sure boxes that the truth denies, the surest first."""
    found = []
    for image, (true, one) in enumerate(zip(results.truth, results.judged, strict=True)):
        for row, kind in enumerate(one.kinds):
            if kind not in (Kind.BACKGROUND, Kind.WRONG_CLASS):
                continue
            wrong = kind is Kind.WRONG_CLASS
            left, top, right, bottom = one.found.boxes[row].tolist()
            found.append(
                Suspect(
                    kind=WRONG if wrong else MISSING,
                    image=image,
                    box=(left, top, right, bottom),
                    score=float(one.found.scores[row]),
                    found=results.classes[one.found.classes[row]],
                    annotated=results.classes[true.classes[one.partner[row]]] if wrong else "",
                    overlap=float(one.overlap[row]),
                )
            )
    return sorted(found, key=lambda one: (-one.score, results.images[one.image].name, one.box))
