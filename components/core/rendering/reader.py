"""Reads crops and whole frames of a RenderingDataset, only the pixels that are needed."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.base import resolve
from components.core.artifacts.renderings import RenderingDataset, RenderingFrame
from components.core.errors import InputError
from components.core.rendering import lookup
from components.core.rendering.layout import (
    ALIGNMENT,
    LEVELS,
    FrameLayout,
    Part,
    decoded_coordinates,
    decoded_depth,
    precise,
)
from components.core.rendering.lookup import Window

Floats = NDArray[np.float32]

_OPEN = 128
"""Mapped files of a process; each holds a descriptor, and 1,024 of them are a usual limit."""


@dataclass
class RenderingCrop:
    """A part of a target view with all that belongs to it; float32, RGB and depth in [0, 1]."""

    levels: list[Floats]
    """Renderings (4, H >> k, W >> k) for k = 0 to 3: RGB and depth; 0 where no point is."""
    aux: list[Floats]
    """Each (4, h, w): RGB and depth of the part of an aux photo that is looked up."""
    coordinates: list[Floats]
    """Each (3, H, W): x, y in that part of the photo, and where they are valid; see `lookup`."""
    target: Floats
    """(3, H, W): the photo."""
    valid: Floats
    """(1, H, W): weight of each pixel in losses and metrics, in [0, 1]."""


class RenderingReader:
    """Reads a RenderingDataset; picklable, maps its files on first use per process."""

    def __init__(self, directory: Path) -> None:
        """Opens a RenderingDataset directory.

        Raises:
            InputError: it is not one, or its index is damaged.
        """
        self.directory = resolve(directory)
        self.index = RenderingDataset.load(self.directory)
        self._maps: dict[str, memoryview] = {}

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.index.frames)

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "index": self.index, "_maps": {}}

    def crop(
        self,
        frame: int,
        top: int = 0,
        left: int = 0,
        size: tuple[int, int] = (0, 0),
        aux: Sequence[int] | None = None,
        whole_aux: bool = False,
    ) -> RenderingCrop:
        """A crop of a frame, at the same place in all sizes.

        Args:
            frame: position in `index.frames`.
            top: first row in full size, a multiple of 16.
            left: first column, likewise.
            size: height and width, multiples of 16; (0, 0) for all that is below and to the right.
            aux: numbers of the aux views from 0 in the wanted order; None for all.
            whole_aux: whole aux photos instead of what is looked up in them.

        Raises:
            InputError: a file is missing or damaged.
            ValueError: a crop that is not aligned or not inside the frame, or no such aux view.
        """
        entry = self.index.frames[frame]
        views = range(len(entry.aux)) if aux is None else aux
        size = size if any(size) else (entry.height - top, entry.width - left)
        found = self.coordinates(frame, top, left, size, views)
        windows = [
            Window(0, 0, entry.aux[view].height, entry.aux[view].width)
            if whole_aux
            else lookup.aux_window(places, entry.aux[view].height, entry.aux[view].width)
            for view, places in zip(views, found, strict=True)
        ]
        pairs = list(zip(views, windows, found, strict=True))
        return RenderingCrop(
            levels=self.levels(frame, top, left, size),
            aux=[self.aux(frame, view, window) for view, window, _ in pairs],
            coordinates=[
                lookup.remapped(places, window, entry.aux[view].height, entry.aux[view].width)
                for view, window, places in pairs
            ],
            target=self.target(frame, top, left, size),
            valid=self.valid(frame, top, left, size),
        )

    def levels(self, frame: int, top: int, left: int, size: tuple[int, int]) -> list[Floats]:
        """The renderings of a crop; see `RenderingCrop`."""
        entry = self._checked(frame, top, left, size)
        found = []
        for level in range(LEVELS):
            window = (top >> level, left >> level), (size[0] >> level, size[1] >> level)
            array = np.empty((4, *window[1]), np.float32)
            np.multiply(self._part(entry, f"colours{level}", *window), _UNIT, out=array[:3])
            array[3] = decoded_depth(self._part(entry, f"depth{level}", *window))
            found.append(array)
        return found

    def coordinates(
        self, frame: int, top: int, left: int, size: tuple[int, int], aux: Sequence[int]
    ) -> list[Floats]:
        """Coordinates (3, H, W) of a crop in whole aux photos."""
        entry = self._checked(frame, top, left, size)
        if odd := [view for view in aux if not 0 <= view < len(entry.aux)]:
            raise ValueError(f"{entry.id} has {len(entry.aux)} aux views, none of {odd}")
        parts = (self._part(entry, f"coordinates{view}", (top, left), size) for view in aux)
        return [decoded_coordinates(part) for part in parts]

    def aux(self, frame: int, view: int, window: Window) -> Floats:
        """RGB and depth (4, h, w) of a window of an aux photo; 0 past the photo's borders."""
        about = self.index.frames[frame].aux[view]
        here = (
            (window.top, window.left),
            (
                min(window.height, about.height - window.top),
                min(window.width, about.width - window.left),
            ),
        )
        colours = self._photo("photos", about.photo, (3, about.height, about.width), *here)
        depth = self._photo("depths", about.depth, (about.height, about.width), *here)
        inside = here[1] == (window.height, window.width)
        make = np.empty if inside else np.zeros
        array: Floats = make((4, window.height, window.width), np.float32)
        filled = array[:, : here[1][0], : here[1][1]]
        np.multiply(colours, _UNIT, out=filled[:3])
        filled[3] = decoded_depth(depth)
        return array

    def target(self, frame: int, top: int, left: int, size: tuple[int, int]) -> Floats:
        """The photo (3, H, W) of a crop: its middle has the size of the renderings."""
        entry = self._checked(frame, top, left, size)
        top += (entry.photo_height - entry.height) // 2
        left += (entry.photo_width - entry.width) // 2
        shape = 3, entry.photo_height, entry.photo_width
        pixels = self._photo("photos", entry.photo, shape, (top, left), size)
        return pixels * _UNIT

    def valid(self, frame: int, top: int, left: int, size: tuple[int, int]) -> Floats:
        """The weights (1, H, W) of a crop; 1 where there is no mask."""
        entry = self._checked(frame, top, left, size)
        if not entry.mask:
            return np.ones((1, *size), np.float32)
        return self._part(entry, "mask", (top, left), size)[None] * _UNIT

    def _part(
        self, entry: RenderingFrame, name: str, start: tuple[int, int], size: tuple[int, int]
    ) -> NDArray[Any]:
        layout = FrameLayout(
            entry.height, entry.width, len(entry.aux), self.index.precision, entry.mask
        )
        return _window(self._mapped(entry.file, layout.bytes), layout.parts[name], start, size)

    def _photo(
        self,
        folder: str,
        name: str,
        shape: tuple[int, ...],
        start: tuple[int, int],
        size: tuple[int, int],
    ) -> NDArray[Any]:
        kind = np.dtype("u1") if folder == "photos" else precise(self.index.precision)
        part = Part(0, shape, kind)
        return _window(self._mapped(f"{folder}/{name}.bin", part.end), part, start, size)

    def _mapped(self, name: str, size: int) -> memoryview:
        if name not in self._maps:
            path = self.directory / name
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(
                    f"{path} is missing or does not have {size} bytes; sync the frames again"
                )
            if len(self._maps) >= _OPEN:
                del self._maps[next(iter(self._maps))]
            with open(path, "rb") as file:
                self._maps[name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._maps[name]

    def _checked(self, frame: int, top: int, left: int, size: tuple[int, int]) -> RenderingFrame:
        entry = self.index.frames[frame]
        inside = 0 <= top <= entry.height - size[0] and 0 <= left <= entry.width - size[1]
        if not inside or min(size) < ALIGNMENT or any(n % ALIGNMENT for n in (top, left, *size)):
            raise ValueError(
                f"crop (top {top}, left {left}, height {size[0]}, width {size[1]}) of {entry.id}: "
                f"all must be multiples of {ALIGNMENT}, inside of {entry.height} x {entry.width}"
            )
        return entry


_UNIT = np.float32(1 / 255)


def _window(
    data: memoryview, part: Part, start: tuple[int, int], size: tuple[int, int]
) -> NDArray[Any]:
    array = np.frombuffer(
        data, part.type, (part.end - part.offset) // part.type.itemsize, part.offset
    )
    rows, columns = (slice(first, first + count) for first, count in zip(start, size, strict=True))
    return array.reshape(part.shape)[..., rows, columns]
