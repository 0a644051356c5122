"""Pictures and depths of Inovis data sets: PNG, JPEG, TIFF and the viewer's blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core import files
from components.core.errors import InputError
from components.core.formats.inovis_blobs import parse_blob

BLOB = ".bin"


def parse_picture(data: bytes, name: str) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 RGB; alpha is left out, grey becomes three equal channels.

    Args:
        data: the whole file; a name that ends in `.bin` makes it a blob with values in [0, 1].
        name: for messages.

    Raises:
        InputError: no readable picture.
    """
    if name.lower().endswith(BLOB):
        values = _three(parse_blob(data, name), name)
        picture: NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(
            "u1"
        )
        return picture
    image = _decoded(data, name)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise InputError(f"{name} has {image.dtype} values; pictures need 8 or 16 bits a channel")
    return np.ascontiguousarray(_three(image, name)[..., ::-1])  # OpenCV thinks in BGR


def parse_depth(data: bytes, name: str) -> NDArray[np.float32]:
    """Depth as (H, W) float32 in [0, 1]: that of the window, or whatever the file holds.

    8-bit pictures are divided by 255, 16-bit ones by 65535; blobs and floating-point TIFF are
    taken as they are. Of several channels the first counts.

    Raises:
        InputError: no readable picture or blob, or values that are not in [0, 1].
    """
    if name.lower().endswith(BLOB):
        values = parse_blob(data, name)[..., 0]
    else:
        image = _decoded(data, name)
        image = image[..., 2] if image.ndim == 3 and image.shape[2] > 2 else image
        image = image[..., 0] if image.ndim == 3 else image
        scale = {np.dtype("u1"): 255.0, np.dtype("u2"): 65535.0}.get(image.dtype, 1.0)
        values = image.astype(np.float32) / np.float32(scale)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError(
            f"{name} holds depths outside [0, 1] ({values.min():g} to {values.max():g}); export "
            "the depth of the window (OpenGL), which is in [0, 1]"
        )
    return np.ascontiguousarray(values)


def linear_depth(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32]:
    """Window depth of a perspective projection as the share of the way from the camera to `far`.

    Empty pixels (0) stay 0. The result is distance / far, so the near plane is at near / far.

    Args:
        depth: (…) in [0, 1], as OpenGL writes it.
        near: distance of the near plane, above 0.
        far: distance of the far plane, above `near`.
    """
    distance = near / (1.0 - depth.astype(np.float64) * (1.0 - near / far))
    return np.where(depth > 0, distance / far, 0.0).astype(np.float32)


def write_rgba(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey, uint8, as RGBA PNG with full alpha, like the viewer."""
    import cv2

    colours = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    rgba = np.dstack([colours[..., ::-1], np.full(colours.shape[:2], 255, np.uint8)])
    _write(path, cv2.imencode(".png", rgba))


def write_grey16(path: Path, depth: NDArray[np.float32]) -> None:
    """Writes (H, W) in [0, 1] as a 16-bit grey PNG."""
    import cv2

    _write(path, cv2.imencode(".png", np.rint(depth * 65535).astype(np.uint16)))


def _write(path: Path, encoded: tuple[bool, Any]) -> None:
    if not encoded[0]:
        raise InputError(f"{path} could not be written as PNG")
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(encoded[1].tobytes())


def _decoded(data: bytes, name: str) -> NDArray[Any]:
    import cv2

    image: NDArray[Any] | None = None
    if data:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f"{name} is no readable picture; expected PNG, JPEG or TIFF")
    return image


def _three(image: NDArray[Any], name: str) -> NDArray[Any]:
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] < 3:
        raise InputError(f"{name} has {image.shape[2]} channels; expected 1, 3 or 4")
    return image[..., :3]
