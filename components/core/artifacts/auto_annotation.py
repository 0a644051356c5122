"""AutoAnnotation: what a model has drawn on images that nobody has labelled yet.

index.json         what was annotated, with which model and thresholds, and where it was uploaded
annotations.xml    "CVAT for images 1.1", to import by hand; boxes that were there before are in it
annotations.json   the same as COCO
review.csv         one row per image, those first that a person should look at first
report.html        the figures, and pictures with the boxes

Without images to annotate there is the index alone.
"""

from __future__ import annotations

from typing import ClassVar

from components.core.artifacts.base import Index

XML, COCO, REVIEW, REPORT = "annotations.xml", "annotations.json", "review.csv", "report.html"


class AutoAnnotation(Index):
    """Index of an AutoAnnotation directory."""

    SCHEMA: ClassVar[str] = "trainyard/auto-annotation"

    model: str
    """Fingerprint of the ModelBundle."""
    evaluation: str
    """Fingerprint of the DetectionEvaluation behind the thresholds."""
    source: str
    """Folder, bucket or CVAT task of the images (no credentials); '' where there were none."""
    classes: list[str]
    """Those of the model in its order, then others that were on the images before."""
    thresholds: dict[str, float] = {}
    """Class → score from which a box was drawn; classes that were left out are not in it."""
    images: int = 0
    """Annotated ones, with boxes or without."""
    empty: int = 0
    """Images on which nothing new was drawn."""
    boxes: dict[str, int] = {}
    """Class → boxes that were drawn."""
    overlapping: int = 0
    """Boxes that were not drawn, as they overlap one that was there before."""
    existing: int = 0
    """Annotations that were there before."""
    unreadable: list[str] = []
    """Names of images that could not be read."""
    task: str = ""
    """CVAT task with the new boxes, as `<id> <name>`; '' where nothing was uploaded."""
    uploaded: int = 0
    """Boxes in it that are from this run, or from the one that it resumed."""
    files: dict[str, str] = {}
    """`xml`, `coco`, `review`, `report` → file name."""
