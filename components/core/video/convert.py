"""From decoded frames to pictures of the wanted size: colour, rotation and fit, in swscale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from components.core.video.orientation import UPRIGHT, Orientation, orientation

RESIZES = ("stretch", "letterbox", "short_side")

# Bilinear with anti-aliasing, exact rounding, the same bytes on every kind of processor, and
# colour for every pixel.
_FLAGS = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
)


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
        self.stored: tuple[int, int] = (0, 0)
        """(height, width) of the results, known from the first frame on."""
        self._fit = fit
        self._aspect = pixel_aspect
        self._reformatter = VideoReformatter()
        self._scaled: tuple[int, int] = (0, 0)

    def rgb(self, frame: Any) -> npt.NDArray[np.uint8]:
        """The frame as (H, W, 3) uint8 RGB, C-contiguous."""
        turn = self._prepared(frame)
        height, width = self._scaled[::-1] if turn.transposed else self._scaled
        rgb: Any = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=_FLAGS, threads=1
        )
        image = turn.apply(rgb.to_ndarray())
        if self._scaled != self.stored:
            image = _centred(image, *self.stored)
        return np.ascontiguousarray(image)

    def jpeg(self, frame: Any, quality: int) -> bytes:
        """The frame as a JPEG image with 4:2:0 chroma.

        A picture that is only scaled, to an even size, stays YUV from the decoder to the encoder
        (ITU-T T.871: BT.601, full range), which is faster than the way over RGB and loses less.
        """
        turn = self._prepared(frame)
        encoded: bytes
        even = all(side % 2 == 0 for side in self.stored)
        if not even or turn != UPRIGHT or self._scaled != self.stored:
            encoded = simplejpeg.encode_jpeg(self.rgb(frame), quality, "RGB", "420")
            return encoded
        height, width = self._scaled
        yuv: Any = self._reformatter.reformat(
            frame,
            width,
            height,
            "yuvj420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG,
            interpolation=_FLAGS,
            threads=1,
        )
        encoded = simplejpeg.encode_jpeg_yuv_planes(*map(_plane, yuv.planes), quality)
        return encoded

    def _prepared(self, frame: Any) -> Orientation:
        """How to turn the frame; fixes the size when it is the first."""
        turn = orientation(frame)
        if self.stored == (0, 0):
            height, width = frame.height, frame.width * self._aspect
            if turn.transposed:
                height, width = width, height
            self._scaled = self._fit.scaled(height, width)
            self.stored = self._fit.stored(height, width)
        return turn


def _plane(plane: Any) -> npt.NDArray[np.uint8]:
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: plane.height, : plane.width])


def _centred(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """The image on a black ground of (height, width)."""
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
