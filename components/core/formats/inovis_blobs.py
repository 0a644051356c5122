"""Blobs of the Inovis viewer: a header of five numbers, then the values of an image.

The header is five uint32, little endian: width, height, channels, bytes of a value (1: uint8,
2: float16, 4: float32) and a final 0. Values follow row by row from the top, channels together.
An older form lacks the bytes of a value; the length of the file tells them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core import files
from components.core.errors import InputError

TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("u1"), 2: np.dtype("<f2"), 4: np.dtype("<f4")}
"""Bytes of a value → how it is stored."""

LARGEST = 1 << 16
"""Most pixels of a side, and more than any channels; a header with more is none."""


@dataclass(frozen=True)
class BlobHeader:
    """What a blob says of itself."""

    width: int
    height: int
    channels: int
    value_bytes: int
    """Bytes of a value: 1, 2 or 4."""
    size: int
    """Bytes of the header."""

    @property
    def content(self) -> int:
        """Bytes of all values."""
        return self.width * self.height * self.channels * self.value_bytes


def blob_header(data: bytes, name: str) -> BlobHeader:
    """The header of a blob, checked against the length of the file.

    Args:
        data: the whole file.
        name: for messages.

    Raises:
        InputError: no blob, or one that is cut short or too long.
    """
    if len(data) < 20:
        raise InputError(f"{name} has {len(data)} bytes, fewer than the header of a blob")
    width, height, channels, fourth, fifth = struct.unpack_from("<5I", data)
    if not (0 < width <= LARGEST and 0 < height <= LARGEST and 0 < channels <= 16):
        raise InputError(
            f"{name} is no blob of the viewer: its header says {width} x {height} pixels and "
            f"{channels} channels"
        )
    values = width * height * channels
    if fourth in TYPES and fifth == 0:
        header = BlobHeader(width, height, channels, fourth, 20)
    elif fourth == 0 and len(data) - 16 in {values * size for size in TYPES}:
        header = BlobHeader(width, height, channels, (len(data) - 16) // values, 16)
    else:
        raise InputError(
            f"{name} is no blob of the viewer: after the channels its header says {fourth} and "
            f"{fifth}; expected the bytes of a value (1, 2 or 4) and 0"
        )
    if len(data) != header.size + header.content:
        raise InputError(
            f"{name} is damaged: {width} x {height} pixels with {channels} channels of "
            f"{header.value_bytes} bytes need {header.size + header.content} bytes, but it has "
            f"{len(data)}; export it again"
        )
    return header


def parse_blob(data: bytes, name: str) -> NDArray[np.float32]:
    """The values of a blob, (H, W, C) float32; those stored as uint8 are divided by 255.

    Raises:
        InputError: no blob, or a damaged one.
    """
    header = blob_header(data, name)
    values = np.frombuffer(data, TYPES[header.value_bytes], offset=header.size)
    array = values.reshape(header.height, header.width, header.channels).astype(np.float32)
    return array / np.float32(255) if header.value_bytes == 1 else array


def read_blob(path: Path) -> NDArray[np.float32]:
    """The values of a blob, as `parse_blob` gives them.

    Raises:
        InputError: not there, no blob, or a damaged one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return parse_blob(data, str(path))


def write_blob(path: Path, values: NDArray[Any]) -> None:
    """Writes a blob; it appears whole or not at all.

    Args:
        path: to write.
        values: (H, W, C) uint8, float16 or float32.

    Raises:
        ValueError: another shape or type.
    """
    if values.ndim != 3 or values.dtype not in TYPES.values():
        raise ValueError(
            f"a blob holds (H, W, C) of uint8, float16 or float32, not {values.dtype} "
            f"{values.shape}"
        )
    height, width, channels = values.shape
    size = values.dtype.itemsize
    head = struct.pack("<5I", width, height, channels, size, 0)
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(head + np.ascontiguousarray(values, TYPES[size]).tobytes())
