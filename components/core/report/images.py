"""Pictures inside a page: strips of video frames as small JPEG data URLs."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

GAP = 3
QUALITY = 78


def strip(frames: NDArray[np.uint8], height: int = 112) -> NDArray[np.uint8]:
    """Puts frames `(T, H, W, 3)` beside each other, scaled to `height` pixels."""
    import cv2

    if not len(frames):
        raise ValueError("a strip needs at least one frame")
    width = max(1, round(frames.shape[2] * height / frames.shape[1]))
    shrinks = height < frames.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    sheet = np.full((height, len(frames) * (width + GAP) - GAP, 3), 128, dtype=np.uint8)
    for position, frame in enumerate(frames):
        left = position * (width + GAP)
        sheet[:, left : left + width] = cv2.resize(frame, (width, height), interpolation=method)
    return sheet


def data_url(image: NDArray[np.uint8], quality: int = QUALITY) -> str:
    """An RGB image `(H, W, 3)` as a JPEG data URL."""
    import simplejpeg

    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"
