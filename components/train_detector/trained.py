"""A finished training of a variant and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.training.fit import FitResult
from components.train_detector.stage import TrainDetectorSettings
from components.train_detector.variants import Variant


@dataclass(frozen=True)
class Trained:
    """One variant."""

    settings: TrainDetectorSettings
    """Of the variant alone."""
    variant: Variant
    dataset: DetectionDataset
    split: Split
    architecture: Mapping[str, Any]
    """Builder name and arguments."""
    result: FitResult

    @property
    def metrics(self) -> dict[str, float]:
        """Validation figures of the best epoch."""
        row = finite(self.result.history[self.result.best - 1])
        return {name: value for name, value in row.items() if name.startswith("val_")}


def finite(row: Mapping[str, float]) -> dict[str, float]:
    """The figures that are numbers."""
    return {name: value for name, value in row.items() if math.isfinite(value)}
