"""A small data set arranged like TinyVIRAT: digits that move and blink, one or two in a clip.

Only what happens over time tells the classes. As in the real one, clips are squares of several
sizes and lengths and carry several labels, scenes belong to one part, and some clips exist only
as pictures, of which one lacks one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

MOTIONS = {
    "moving_up": (-1, 0),
    "moving_down": (1, 0),
    "moving_left": (0, -1),
    "moving_right": (0, 1),
}
"""Class → direction (rows, columns); the picture wraps around at its borders."""

BLINKING = "blinking"
CLASSES = (*MOTIONS, BLINKING)
"""In the order of classes.txt, which is not that of the alphabet."""

FPS = 30.0
SHORT = 10
"""Frames of the one clip that is shorter than what networks see."""

_SPEED = 0.045
"""Of the side, per frame."""
_HALF_PERIOD = 4
"""Frames for which a blinking digit is bright, then dim."""

PARAMETERS: dict[str, Any] = {
    "network": "resizer_2d",
    "frame_size": 20,
    "target_size": 40,
    "clip_frames": 16,
    "width": 0.25,
    "epochs": 12,
    "batch_size": 8,
    "accumulate": 1,
    "learning_rate": 0.003,
    "schedule": "cosine",
    "flip": True,
    "flip_pairs": "moving_left=moving_right",
    "val_size": 0.2,
    "keep_every": 2,
}
"""Pipeline parameters that suit the data set and a small CPU."""


@dataclass(frozen=True)
class Extent:
    """How large a data set is made."""

    scenes: tuple[int, int] = (5, 2)
    """Scenes to train and to test with."""
    clips: int = 40
    """Clips per scene."""
    frames: tuple[int, int] = (40, 60)
    """Fewest and most frames of a clip."""
    sides: tuple[int, int] = (60, 90)
    """Smallest and largest side in pixels."""


def write_clips(folder: Path, extent: Extent | None = None, seed: int = 0) -> Path:
    """Writes the data set; every fifth clip as pictures only.

    The folder appears whole; one that exists is used as it is.
    """
    if folder.exists():
        return folder
    extent = extent or Extent()
    with files.atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "classes.txt").write_text("\n".join(CLASSES))  # no newline at the end
        first = 0
        for part, scenes in zip(("train", "test"), extent.scenes, strict=True):
            tubes = list(_write_part(temporary / "videos" / part, first, scenes, extent, seed))
            files.write_json(temporary / f"tiny_{part}.json", {"tubes": tubes})
            first += scenes
    return folder


def _write_part(
    folder: Path, first: int, scenes: int, extent: Extent, seed: int
) -> Iterator[dict[str, Any]]:
    """Writes the clips of one part; yields what the annotations say of each."""
    import numpy as np

    from components.core.video.encode import write_clip

    for scene in range(first, first + scenes):
        for number in range(extent.clips):
            rng = np.random.default_rng([seed, scene, number])
            labels = _labels(number, rng)
            low, high = extent.frames
            length = SHORT if (scene, number) == (0, 1) else int(rng.integers(low, high + 1))
            side = 2 * int(rng.integers(extent.sides[0] // 2, extent.sides[1] // 2 + 1))
            frames = _scene(labels, length, side, rng)
            path = folder / f"scene_{scene:02d}" / f"{number}.mp4"
            if number % 5:
                write_clip(path, frames, FPS, options={"crf": "18", "preset": "veryfast"})
            else:
                missing = 7 if (scene, number) == (0, 0) else -1
                _write_pictures(path.with_name(f"{number}_frames"), frames, missing)
            yield {
                "id": f"{scene}_{number}",
                "path": f"{path.parent.name}/{path.name}",
                "dim": list(frames.shape[:3]),
                "label": labels,
            }


def _labels(number: int, rng: np.random.Generator) -> list[str]:
    """One direction, sometimes two; with or without blinking."""
    directions = list(MOTIONS)
    labels = [directions[number % len(directions)]]
    if rng.random() < 0.25:
        labels.append(str(rng.choice([name for name in directions if name not in labels])))
    return [*labels, BLINKING] if rng.random() < 0.35 else labels


def _write_pictures(folder: Path, frames: Frames, missing: int) -> None:
    import simplejpeg

    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        if number != missing:
            picture = simplejpeg.encode_jpeg(frame, 92, "RGB", "420")
            (folder / f"frame_{number}.jpg").write_bytes(picture)


@cache
def _digits() -> NDArray[np.float64]:
    """(digits, 8, 8), 0 to 16."""
    from sklearn.datasets import load_digits

    images: NDArray[np.float64] = load_digits().images
    return images


def _scene(labels: list[str], length: int, side: int, rng: np.random.Generator) -> Frames:
    """(length, side, side, 3) uint8: one digit per direction on a dark, noisy ground."""
    import numpy as np

    digits = _digits()
    time = np.arange(length)
    light = np.zeros((length, side, side))
    for direction in (np.array(MOTIONS[name]) for name in labels if name in MOTIONS):
        scale = max(side // 24, 1)
        digit = np.kron(digits[rng.integers(len(digits))] / 16.0, np.ones((scale, scale)))
        canvas = np.zeros((side, side))
        canvas[: len(digit), : len(digit)] = digit
        speed = side * _SPEED * rng.uniform(0.8, 1.2)
        places = np.rint(rng.uniform(0, side, 2) + time[:, None] * speed * direction).astype(int)
        moved = np.stack([np.roll(canvas, tuple(place), (0, 1)) for place in places])
        light = np.maximum(light, moved)
    if BLINKING in labels:
        bright = (time + rng.integers(2 * _HALF_PERIOD)) // _HALF_PERIOD % 2 == 0
        light *= np.where(bright, 1.0, 0.3)[:, None, None]
    tint = rng.uniform(0.6, 1.0, size=3)
    noise = rng.normal(0.08, 0.02, size=(length, side, side, 1))
    frames: Frames = (np.clip(noise + light[..., None] * tint, 0, 1) * 255).astype(np.uint8)
    return frames
