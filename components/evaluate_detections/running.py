"""What a detector finds on the images of a part, kept so that a restart does not search again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.core import files
from components.core.cpus import usable_cpus
from components.core.detection.results import Detections
from components.core.errors import InputError
from components.core.formats.shapes import AnnotatedImage
from components.core.stage import Job
from components.evaluate_detections.stage import EvaluateSettings
from components.evaluate_detections.subject import Subject

CHUNK = 256
"""Images whose boxes are kept together: what a kill costs at most."""


class Detector(Protocol):
    """Finds objects on images."""

    def predict(self, images: Iterable[Path]) -> Iterator[Detections]:
        """What is on each image, in their order."""


Loader = Callable[[Path, str, int, int], Detector]
"""From a bundle's folder, device, images per run and threads."""


def load_predictor(directory: Path, device: str, batch_size: int, workers: int) -> Detector:
    """The bundle's own predictor.

    Raises:
        InputError: the bundle cannot be loaded, or there is no such device.
    """
    from components.core.detection.predictor import Predictor

    return Predictor.load(directory, device=device, batch_size=batch_size, workers=workers)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image file as annotated, (H, W, 3), RGB.

    Raises:
        InputError: it cannot be read.
    """
    from components.core.detection.preprocessing import read_rgb

    return read_rgb(path)


class Runner:
    """Runs a detector over the images of parts, over each of them once.

    Args:
        settings: of the stage.
        job: where results are kept and reported.
        load: opens the detector, when the first image needs it.
    """

    def __init__(self, settings: EvaluateSettings, job: Job, load: Loader = load_predictor) -> None:
        self._settings = settings
        self._job = job
        self._load = load
        self._detector: Detector | None = None

    def found(self, subject: Subject, part: str) -> list[Detections]:
        """What is found on each image of a part.

        Raises:
            InputError: the detector cannot be loaded, an image cannot be read, or what is found
                cannot be used.
        """
        images = subject.images(part)
        mark = subject.bundle.fingerprint[:16]
        found: list[Detections] = []
        for start in range(0, len(images), CHUNK):
            place = self._job.work / f"found-{mark}-{part}-{start:07}.npz"
            own = images[start : start + CHUNK]
            if not place.exists():
                _save(place, self._search(subject, part, own, start, len(images)))
            found += _read(place, len(own))
        return found

    def _search(
        self, subject: Subject, part: str, images: Sequence[AnnotatedImage], done: int, total: int
    ) -> list[Detections]:
        report = self._job.report
        if self._detector is None:
            workers = self._settings.workers or usable_cpus()
            self._detector = self._load(
                subject.directory, self._settings.device, self._settings.batch_size, workers
            )
        if not done:
            report.message(f"{part}: {total} images")
        paths = [image.path for image in images if image.path is not None]
        found = []
        for image, one in zip(images, self._detector.predict(paths), strict=True):
            _check(one, image.name, len(subject.dataset.classes))
            found.append(one)
            report.progress(done + len(found), total, "images", part)
        return found


def _check(found: Detections, name: str, classes: int) -> None:
    """Whether figures can be computed.

    Raises:
        InputError: numbers that are not finite, or other classes.
    """
    finite = np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()
    known = ((found.classes >= 0) & (found.classes < classes)).all()
    if not finite or not known:
        what = "boxes or scores that are no finite numbers" if not finite else "unknown classes"
        raise InputError(
            f"the model finds {what} on image {name!r}; its export is broken: train or export it "
            "again"
        )


def _save(path: Path, found: Sequence[Detections]) -> None:
    everything = [Detections.none(), *found]
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            counts=np.array([len(one) for one in found], dtype=np.int64),
            boxes=np.concatenate([one.boxes for one in everything]).astype(np.float32),
            scores=np.concatenate([one.scores for one in everything]).astype(np.float32),
            classes=np.concatenate([one.classes for one in everything]).astype(np.int64),
        )


def _read(path: Path, images: int) -> list[Detections]:
    with np.load(path) as content:
        ends = content["counts"].cumsum()[:-1]
        columns = (np.split(content[name], ends) for name in ("boxes", "scores", "classes"))
        found = [Detections(*rows) for rows in zip(*columns, strict=True)]
    assert len(found) == images
    return found
