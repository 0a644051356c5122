"""What a detector finds on one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """Boxes with their classes and scores; rows in descending order of the score."""

    boxes: NDArray[np.float32]
    """(N, 4) left, top, right, bottom in pixels of the image as stored."""
    scores: NDArray[np.float32]
    """(N,) confidence, 0 to 1."""
    classes: NDArray[np.int64]
    """(N,) positions in the model's class list, from 0: the background is none of them."""

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Detections:
        """Nothing found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def where(self, chosen: NDArray[np.bool_]) -> Detections:
        """The rows that a mask chooses."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.classes[chosen])
