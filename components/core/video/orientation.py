"""How a picture must be turned for display: the display matrix of phones and cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn and mirror a rectangle: transpose first, then flip."""

    transposed: bool = False
    flip_vertical: bool = False
    flip_horizontal: bool = False

    @property
    def clockwise(self) -> int:
        """Degrees clockwise (0, 90, 180, 270), mirroring left aside."""
        if self.transposed:
            return 90 if self.flip_horizontal else 270
        return 180 if self.flip_vertical else 0

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turns an (H, W, 3) image; the result is a view."""
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.flip_vertical:
            image = image[::-1]
        if self.flip_horizontal:
            image = image[:, ::-1]
        return image


UPRIGHT = Orientation()


def orientation(frame: Any) -> Orientation:
    """The orientation that a decoded frame's display matrix asks for.

    ISO/IEC 14496-12, 6.2.2: a stored point (x, y) is shown at (a x + c y, b x + d y). Angles
    between the right ones are taken as the nearest.
    """
    matrix = _matrix(frame)
    if matrix is None:
        return UPRIGHT
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, flip_vertical=b < 0, flip_horizontal=c < 0)
    return Orientation(False, flip_vertical=d < 0, flip_horizontal=a < 0)


def _matrix(frame: Any) -> npt.NDArray[np.int32] | None:
    for item in frame.side_data:
        if item.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(item), np.int32)
    return None
