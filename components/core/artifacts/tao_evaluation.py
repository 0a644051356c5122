"""TaoEvaluation: the figures that NVIDIA TAO computes of one of its detectors.

index.json     schema, figures and origin
report.html    figures, classes and curves for people
evaluate/      specification, log and status.json
"""

from __future__ import annotations

from typing import ClassVar

from components.core.artifacts.base import Index


class TaoEvaluation(Index):
    """Index of a TaoEvaluation directory."""

    SCHEMA: ClassVar[str] = "trainyard/tao-evaluation"

    task: str
    """`object_detection`."""
    head: str
    release: str
    models: dict[str, str]
    """Name → fingerprint of the evaluated bundle."""
    dataset: str
    """Fingerprint of the data set's content."""
    images: int
    """In the whole data set; TAO itself evaluates the part for validation."""
    annotations: dict[str, int]
    """Class → annotations in the whole data set."""
    classes: list[str]
    figures: dict[str, float]
    """`map` … as TAO defines them, 0 to 1."""
    class_figures: dict[str, float] = {}
    """Class → average precision, 0 to 1."""
    curves: list[dict[str, float]] = []
    """Per-epoch figures of the training."""
    code_version: str
    notes: list[str] = []
    """What a reader should know before quoting a figure."""
