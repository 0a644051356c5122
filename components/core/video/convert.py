"""From decoded frames to RGB arrays of the wanted size: colour, rotation and fit, in swscale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from components.core.video.orientation import orientation

RESIZES = ("stretch", "letterbox", "short_side")

# Bilinear with anti-aliasing, exact rounding, and the same bytes on every kind of processor.
_FLAGS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FULL_CHROMA = _FLAGS | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class Fit:
    """How pictures of any size become frames of a known one.

    With a side of s = `frame_size` + `crop_margin` pixels:

    - `stretch`: s x s, whatever the picture's shape.
    - `letterbox`: s x s, the whole picture in the centre, black bars around it.
    - `short_side`: the shape is kept, the shorter side becomes s.
    """

    resize: str
    frame_size: int
    crop_margin: int = 0

    @property
    def side(self) -> int:
        """Stored side in pixels."""
        return self.frame_size + self.crop_margin

    def scaled(self, height: float, width: float) -> tuple[int, int]:
        """(height, width) that a picture of this shape is scaled to."""
        if self.resize == "stretch":
            return self.side, self.side
        edge = max(height, width) if self.resize == "letterbox" else min(height, width)
        scale = self.side / edge
        return max(1, round(height * scale)), max(1, round(width * scale))

    def stored(self, height: float, width: float) -> tuple[int, int]:
        """(height, width) of the stored frames."""
        scaled = self.scaled(height, width)
        return (self.side, self.side) if self.resize == "letterbox" else scaled


class Converter:
    """Converts the frames of one clip; all come out in the size that the first one leads to.

    The picture is turned as its display matrix says, and non-square pixels are taken into account.
    Colour matrix and range come from the frame (BT.601 where it says nothing, as ffmpeg does);
    transfer curves are left as they are: HDR is not tone-mapped. Alpha is dropped.
    """

    def __init__(self, fit: Fit, pixel_aspect: float = 1.0) -> None:
        self._fit = fit
        self._aspect = pixel_aspect
        self._reformatter = VideoReformatter()
        self._scaled: tuple[int, int] | None = None

    def __call__(self, frame: Any) -> npt.NDArray[np.uint8]:
        """The frame as (H, W, 3) uint8 RGB, C-contiguous."""
        turn = orientation(frame)
        if self._scaled is None:
            height, width = frame.height, frame.width * self._aspect
            if turn.transposed:
                height, width = width, height
            self._scaled = self._fit.scaled(height, width)
        height, width = self._scaled
        if turn.transposed:
            height, width = width, height
        rgb: Any = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=_FULL_CHROMA, threads=1
        )
        image = turn.apply(rgb.to_ndarray())
        if self._fit.resize == "letterbox":
            return _centred(image, self._fit.side)
        return np.ascontiguousarray(image)


def _centred(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return np.ascontiguousarray(image)
    canvas = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas
