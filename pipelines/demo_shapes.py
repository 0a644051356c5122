"""A small data set for detectors: coloured shapes, large and small, on textured ground.

Images come from two tasks of several recordings each, as a field camera's would: those of a
recording share their ground, and some images show nothing but ground.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import files
from components.core.formats import coco
from components.core.formats.shapes import AnnotatedImage, Kind, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

CLASSES = ("disc", "square", "triangle")

COLOURS = {"disc": (205, 70, 60), "square": (70, 95, 205), "triangle": (215, 190, 60)}
"""RGB about which the colours of a class vary."""

TASKS = ("field", "meadow")
RECORDINGS = 5
"""Of each task."""
FRAMES = 20
"""Images of each recording."""

SIDE = 128
"""Pixels of an image's side."""

EMPTY = 0.1
"""Share of the images that show ground only."""

MOST = 5
"""Shapes on one image."""

SMALLEST, LARGEST = 10, 44
"""Sides of the shapes in pixels, of images of SIDE pixels."""

OVERLAP = 0.05
"""Largest intersection over union of two shapes."""

ANNOTATIONS = "annotations.json"


def write_images(
    folder: Path,
    recordings: int = RECORDINGS,
    frames: int = FRAMES,
    side: int = SIDE,
    seed: int = 0,
) -> Path:
    """Writes `<task>/<recording>/<frame>.png` and one COCO file that describes all of them.

    The folder appears whole; one that exists is used as it is.

    Args:
        folder: to make.
        recordings: of each of the two tasks.
        frames: images of each recording.
        side: pixels of an image's side.
        seed: of all that is random; an image depends on it and its own position only.
    """
    if folder.exists():
        return folder
    import numpy as np
    from PIL import Image

    with files.atomic_path(folder) as temporary:
        images = []
        for kind, task in enumerate(TASKS):
            for recording in range(recordings):
                ground = _ground(np.random.default_rng([seed, kind, recording]), 2 * side)
                for frame in range(frames):
                    rng = np.random.default_rng([seed, kind, recording, frame])
                    picture, shapes = _image(ground, side, rng)
                    group = f"{task}/recording{recording + 1}"
                    name = f"{group}/frame{frame:04d}.png"
                    path = temporary / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(path)
                    images.append(
                        AnnotatedImage(
                            name, side, side, shapes, task=task, group=group, frame=frame
                        )
                    )
        coco.write(temporary / ANNOTATIONS, images, CLASSES)
    return folder


def _image(ground: Any, side: int, rng: np.random.Generator) -> tuple[Picture, list[Shape]]:
    """A piece of the ground, with shapes on it: (side, side, 3) uint8, RGB."""
    import cv2
    import numpy as np

    top, left = rng.integers(0, side, 2)
    moved = ground[top : top + side, left : left + side]
    picture = moved + rng.normal(0, 6, moved.shape)
    picture = picture.clip(0, 255).astype(np.uint8)
    shapes: list[Shape] = []
    count = 0 if rng.random() < EMPTY else int(rng.integers(1, MOST + 1))
    for _ in range(count):
        label = CLASSES[int(rng.integers(len(CLASSES)))]
        low, high = SMALLEST * side / SIDE, LARGEST * side / SIDE
        size = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        width, height = size, size * float(rng.uniform(0.8, 1.25))
        left, top = (float(rng.uniform(0, side - extent)) for extent in (width, height))
        box = tuple(round(value) for value in (left, top, left + width, top + height))
        if any(_overlap(box, shape.points) > OVERLAP for shape in shapes):
            continue
        colour = np.clip(np.array(COLOURS[label]) + rng.normal(0, 18, 3), 0, 255)
        _draw(cv2, picture, label, box, tuple(int(value) for value in colour))
        shapes.append(Shape(label, Kind.RECTANGLE, tuple(float(value) for value in box)))
    return picture, shapes


def _ground(rng: np.random.Generator, side: int) -> Any:
    """Soil or grass: smooth noise of two scales in one hue, (side, side, 3) float."""
    import cv2
    import numpy as np

    base = np.array([[95, 80, 60], [80, 105, 65]])[int(rng.integers(2))] + rng.normal(0, 8, 3)
    rough = cv2.resize(rng.normal(0, 22, (17, 17)), (side, side), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 12, (85, 85)), (side, side), interpolation=cv2.INTER_LINEAR)
    return base + (rough + fine)[..., None]


def _draw(
    cv2: Any, picture: Picture, label: str, box: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    """Fills a shape that touches all sides of its box; `box` ends before its right and bottom."""
    import numpy as np

    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    if label == "square":
        cv2.rectangle(picture, (left, top), (right, bottom), colour, cv2.FILLED)
    elif label == "triangle":
        corners = [[left, bottom], [right, bottom], [(left + right) // 2, top]]
        cv2.fillPoly(picture, [np.array(corners, np.int32)], colour)
    else:
        rows, columns = np.mgrid[top : bottom + 1, left : right + 1]
        across = (columns - (left + right) / 2) / max((right - left + 1) / 2, 1)
        down = (rows - (top + bottom) / 2) / max((bottom - top + 1) / 2, 1)
        picture[top : bottom + 1, left : right + 1][across**2 + down**2 <= 1] = colour


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(across, 0) * max(down, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)
