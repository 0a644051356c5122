"""Pictures inside a page: strips of video frames as small JPEG data URLs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GAP = 3
QUALITY = 78


def strip(
    frames: NDArray[np.uint8], height: int = 112, pixelated: bool = False
) -> NDArray[np.uint8]:
    """Puts frames `(T, H, W, 3)` beside each other, scaled to `height` pixels.

    Smaller frames are interpolated, or `pixelated`: their pixels stay visible as squares.
    """
    import cv2

    if not len(frames):
        raise ValueError("a strip needs at least one frame")
    width = max(1, round(frames.shape[2] * height / frames.shape[1]))
    shrinks = height < frames.shape[1]
    enlarging = cv2.INTER_NEAREST if pixelated else cv2.INTER_LINEAR
    method = cv2.INTER_AREA if shrinks else enlarging
    sheet = np.full((height, len(frames) * (width + GAP) - GAP, 3), 128, dtype=np.uint8)
    for position, frame in enumerate(frames):
        left = position * (width + GAP)
        sheet[:, left : left + width] = cv2.resize(frame, (width, height), interpolation=method)
    return sheet


def stacked(strips: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Puts images `(H, W, 3)` below each other, the narrower ones filled up with grey."""
    width = max(image.shape[1] for image in strips)
    height = sum(len(image) + GAP for image in strips) - GAP
    sheet = np.full((height, width, 3), 128, dtype=np.uint8)
    top = 0
    for image in strips:
        sheet[top : top + len(image), : image.shape[1]] = image
        top += len(image) + GAP
    return sheet


def png(image: NDArray[np.uint8]) -> bytes:
    """An RGB image `(H, W, 3)` as a PNG file."""
    import cv2

    _, encoded = cv2.imencode(".png", image[..., ::-1])  # OpenCV thinks in BGR
    return encoded.tobytes()


def data_url(image: NDArray[np.uint8], quality: int = QUALITY) -> str:
    """An RGB image `(H, W, 3)` as a JPEG data URL."""
    import simplejpeg

    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"
