"""Features of the boxes of images and of the images themselves, kept so that none is made twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.core import files
from components.core.detection.preprocessing import read_rgb
from components.core.errors import InputError
from components.core.formats.boxes import Box
from components.core.state import digest

if TYPE_CHECKING:
    from components.split_images.encoder import Encoder

THUMBNAIL = 32
"""Pixels of a box in the picture of boxes, in each side."""

AHEAD = 2
"""Images that are read ahead, for each thread."""


@dataclass(frozen=True)
class Subject:
    """An image and its boxes."""

    path: Path
    checksum: str
    boxes: tuple[Box, ...]

    def key(self, size: int) -> str:
        """Name of its features: they depend on the content, the boxes and the size of pictures."""
        return digest([self.checksum or str(self.path), self.boxes, size], 32)


@dataclass(frozen=True)
class Features:
    """What is known of an image."""

    values: NDArray[np.float32]
    """(1 + boxes, D); the first are those of the whole image."""
    thumbnails: NDArray[np.uint8]
    """(1 + boxes, THUMBNAIL, THUMBNAIL, 3), RGB."""


class Store:
    """A folder with the features of images."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size` is that of the pictures that features are of."""
        self.folder = folder
        self.size = size

    def place(self, subject: Subject) -> Path:
        """Where the features of an image are kept."""
        key = subject.key(self.size)
        return self.folder / key[:2] / f"{key}.npz"

    def load(self, subject: Subject) -> Features:
        """Features that were saved."""
        with np.load(self.place(subject)) as content:
            return Features(content["values"], content["thumbnails"])

    def save(self, subject: Subject, features: Features) -> None:
        """Keeps the features of an image; they appear whole."""
        with files.atomic_path(self.place(subject)) as temporary, open(temporary, "wb") as file:
            np.savez(file, values=features.values, thumbnails=features.thumbnails)


def extract(
    subjects: Sequence[Subject],
    encoder: Encoder,
    store: Store,
    *,
    batch: int,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Makes the features of all images that are not in the store.

    Args:
        subjects: the images.
        encoder: makes them.
        store: where they are kept.
        batch: pictures per run of the encoder.
        workers: threads that read images.
        progress: is told images done and in all.

    Returns:
        The number of images whose features were made.

    Raises:
        InputError: an image that cannot be read.
    """
    absent = [subject for subject in subjects if not store.place(subject).exists()]
    known, waiting, pictures = len(subjects) - len(absent), [], 0
    progress(known, len(subjects))
    for done, (subject, crops) in enumerate(_read_ahead(absent, store.size, workers), 1):
        waiting.append((subject, crops))
        pictures += len(crops)
        if pictures >= batch or done == len(absent):
            _encode(waiting, encoder, store, batch)
            waiting, pictures = [], 0
            progress(known + done, len(subjects))
    return len(absent)


def crops_of(subject: Subject, size: int) -> NDArray[np.uint8]:
    """The image and its boxes as pictures (1 + boxes, size, size, 3), RGB.

    Raises:
        InputError: the image cannot be read.
    """
    image = Image.fromarray(read_rgb(subject.path))
    whole: Box = (0.0, 0.0, float(image.width), float(image.height))
    try:
        scaled = [_scaled(image, box, size) for box in (whole, *subject.boxes)]
    except ValueError:
        raise InputError(
            f"{subject.path} has {image.width} x {image.height} pixels, which some of its boxes "
            "are not in: it is another image than the one that was annotated"
        ) from None
    return np.stack([np.asarray(picture, np.uint8) for picture in scaled])


def _scaled(image: Image.Image, box: Box, size: int) -> Image.Image:
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[2], float(image.width)), min(box[3], float(image.height))
    return image.resize((size, size), Image.Resampling.BILINEAR, (left, top, right, bottom))


def _encode(
    waiting: Sequence[tuple[Subject, NDArray[np.uint8]]],
    encoder: Encoder,
    store: Store,
    batch: int,
) -> None:
    pictures = np.concatenate([crops for _, crops in waiting])
    values = np.concatenate(
        [encoder(pictures[first : first + batch]) for first in range(0, len(pictures), batch)]
    )
    first = 0
    for subject, crops in waiting:
        own = values[first : first + len(crops)]
        store.save(subject, Features(own, _thumbnails(crops)))
        first += len(crops)


def _thumbnails(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = (THUMBNAIL, THUMBNAIL)
    small = [Image.fromarray(crop).resize(side, Image.Resampling.BILINEAR) for crop in crops]
    return np.stack([np.asarray(picture, np.uint8) for picture in small])


def _read_ahead(
    subjects: Sequence[Subject], size: int, workers: int
) -> Iterator[tuple[Subject, NDArray[np.uint8]]]:
    """The pictures of the images in their order, some of them read before they are asked for."""
    with ThreadPoolExecutor(workers) as pool:
        running: deque[tuple[Subject, Future[NDArray[np.uint8]]]] = deque()
        try:
            for subject in subjects:
                running.append((subject, pool.submit(crops_of, subject, size)))
                if len(running) > AHEAD * workers:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()
