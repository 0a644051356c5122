"""Finds objects on image files with a detector's bundle."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, Preprocessing
from components.core.detection.merging import merged
from components.core.detection.preprocessing import Tile, read_rgb, resized, tiles
from components.core.detection.results import Detections
from components.core.detection.running import Run, open_detector
from components.core.errors import InputError

WINDOW = 4
"""Batches' worth of inputs that may wait for others of their size."""

SAME = 0.5
"""Overlap from which detections on neighbouring tiles are one object, where none is recorded."""


@dataclass
class _Image:
    """An image on its way: its inputs, and what was found on each."""

    width: int
    height: int
    places: list[Tile]
    """What part of the image each input shows."""
    inputs: list[NDArray[np.uint8] | None]
    """3, h, w; None once used."""
    found: list[Detections | None] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return all(one is not None for one in self.found)


class Predictor:
    """A detector on a device.

    Inputs of the same size run together, also those of different images; images come back in
    their order.
    """

    def __init__(
        self, bundle: ModelBundle, run: Run, device: str, batch_size: int = 8, workers: int = 4
    ) -> None:
        """See `load`.

        Raises:
            InputError: the bundle is no detector's, or a number is below 1.
        """
        if bundle.task != TASK:
            raise InputError(f"model {bundle.name} is for {bundle.task}, expected {TASK}")
        for name, number in (("batch_size", batch_size), ("workers", workers)):
            if number < 1:
                raise InputError(f"{name}: got {number}, at least 1 is needed")
        self.bundle = bundle
        self.classes = list(bundle.classes)
        self.device = device
        self._run = run
        self._batch_size = batch_size
        self._workers = workers
        self._size = Preprocessing.of(bundle)
        arguments = bundle.architecture.get("arguments", {})
        self._same = float(arguments.get("nms_iou", SAME))

    @classmethod
    def load(
        cls, directory: Path, device: str = "auto", batch_size: int = 8, workers: int = 4
    ) -> Predictor:
        """Opens a bundle: its ONNX graph on a CPU, its weights with PyTorch on a GPU.

        Args:
            directory: of the bundle.
            device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:<number>`.
            batch_size: inputs (images, or tiles of them) per run, at most.
            workers: threads that read ahead; 0 for one per CPU.

        Raises:
            InputError: no detector, it cannot be loaded, or there is no such device.
        """
        from components.core.cpus import usable_cpus

        bundle = ModelBundle.load(directory)
        run, place = open_detector(directory, bundle, device)
        return cls(bundle, run, place, batch_size, workers or usable_cpus())

    def predict(self, images: Iterable[Path]) -> Iterator[Detections]:
        """What is on each image, in their order, in pixels of the image as displayed.

        Args:
            images: files; any number, they are read as needed.

        Raises:
            InputError: an image cannot be read, or the network fails on its size.
        """
        waiting: deque[_Image] = deque()
        for image in self._read_ahead(images):
            waiting.append(image)
            while self._step(waiting, last=False):
                pass
            while waiting and waiting[0].done:
                yield self._whole(waiting.popleft())
        while waiting:
            self._step(waiting, last=True)
            while waiting and waiting[0].done:
                yield self._whole(waiting.popleft())

    def _step(self, waiting: deque[_Image], last: bool) -> bool:
        """Runs one batch if one is full, or if waiting for more would take too much memory."""
        groups: dict[tuple[int, ...], list[tuple[_Image, int]]] = {}
        for image in waiting:
            for index, pixels in enumerate(image.inputs):
                if pixels is not None:
                    groups.setdefault(pixels.shape, []).append((image, index))
        if not groups:
            return False
        largest = max(groups.values(), key=len)
        oldest = next(iter(groups.values()))
        many = sum(map(len, groups.values())) > WINDOW * self._batch_size
        if len(largest) >= self._batch_size and not many:
            self._run_on(largest[: self._batch_size])
        elif last or many:
            self._run_on(oldest[: self._batch_size])
        else:
            return False
        return True

    def _run_on(self, chosen: list[tuple[_Image, int]]) -> None:
        batch = np.stack([image.inputs[index] for image, index in chosen])  # type: ignore[misc]
        tables = self._run(batch)
        for (image, index), boxes, scores, labels in zip(chosen, *tables, strict=True):
            real = labels >= 0
            left, top, right, bottom = image.places[index]
            height, width = batch.shape[2:]
            scale = np.array([(right - left) / width, (bottom - top) / height] * 2, np.float32)
            edge = np.array([right - left, bottom - top] * 2, np.float32)
            found = np.minimum(boxes[real] * scale, edge).astype(np.float32)
            image.found[index] = Detections(
                found, scores[real].astype(np.float32), labels[real].astype(np.int64)
            )
            image.inputs[index] = None

    def _whole(self, image: _Image) -> Detections:
        found = [one for one in image.found if one is not None]
        return found[0] if len(found) == 1 else merged(found, image.places, self._same)

    def _prepare(self, path: Path) -> _Image:
        pixels, size = read_rgb(path), self._size
        height, width = pixels.shape[:2]
        places = [(0, 0, width, height)]
        if size.tile_size:
            places = tiles(width, height, size.tile_size, size.tile_overlap)
        inputs: list[NDArray[np.uint8] | None] = []
        for left, top, right, bottom in places:
            part, _ = resized(pixels[top:bottom, left:right], size.min_size, size.max_size)
            inputs.append(np.ascontiguousarray(part.transpose(2, 0, 1)))
        return _Image(width, height, places, inputs, [None] * len(places))

    def _read_ahead(self, images: Iterable[Path]) -> Iterator[_Image]:
        ahead: deque[Future[_Image]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for path in images:
                    ahead.append(pool.submit(self._prepare, Path(path)))
                    if len(ahead) > self._batch_size + self._workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
