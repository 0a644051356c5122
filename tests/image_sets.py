"""Small annotated image sets with recordings, for tests of what splits or reads them."""

from pathlib import Path

import numpy as np
from labelled_images import rectangle
from PIL import Image

from components.core.artifacts.detections import DetectionDataset
from components.core.formats.shapes import AnnotatedImage

SIZE = 64


def frame(
    folder: Path, name: str, labels: str = "", *, looks: int = 0, **more: object
) -> AnnotatedImage:
    """An image file of noise unlike any other, with a box for each letter of `labels`.

    Args:
        folder: in which the file is written.
        name: of the image.
        labels: one class for each box, in a row of boxes of 12 x 12 pixels.
        looks: of the boxes: 0 black, 1 a bright red, 2 green stripes.
        more: fields of the image.
    """
    seed = [ord(letter) for letter in name]
    pixels = np.random.default_rng(seed).integers(90, 120, (SIZE, SIZE, 3), dtype=np.uint8)
    shapes = []
    for place, label in enumerate(labels):
        left = 2 + 15 * (place % 4)
        top = 2 + 15 * (place // 4)
        box = pixels[top : top + 12, left : left + 12]
        box[:] = ((0, 0, 0), (250, 20, 20), (0, 0, 0))[looks]
        if looks == 2:
            box[:, ::3] = (0, 255, 0)
        shapes.append(rectangle(label, left, top, left + 12, top + 12))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return AnnotatedImage(name, SIZE, SIZE, shapes, path, **more)  # type: ignore[arg-type]


def film(folder: Path, name: str, frames: int, labels: str = "a") -> list[AnnotatedImage]:
    """The frames of one recording."""
    return [
        frame(folder, f"{name}/{number:04}.png", labels, group=name, task=name, frame=number)
        for number in range(frames)
    ]


def written(folder: Path, images: list[AnnotatedImage], classes: str) -> Path:
    """A DetectionDataset of the images, with a class for each letter."""
    folder.mkdir(parents=True)
    DetectionDataset.write(folder, images, list(classes), "films")
    return folder
