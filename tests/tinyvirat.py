"""Writes data sets in TinyVIRAT's arrangement, clip by clip, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from components.core.video.encode import write_clip

CLASSES = ["walking", "Pull", "carrying"]
"""Not in the order of the alphabet."""


def numbered(frames: int, side: int = 32, step: int = 2) -> np.ndarray:
    """Grey frames (frames, side, side, 3) whose brightness is 4 + step times their number."""
    grey = (4 + step * np.arange(frames)).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (frames, side, side, 3)).copy()


def numbers(frames: np.ndarray, step: int = 2) -> list[int]:
    """Which of the frames of `numbered` these are."""
    return np.rint((frames.mean(axis=(1, 2, 3)) - 4) / step).astype(int).tolist()


def write_pictures(folder: Path, frames: np.ndarray) -> list[Path]:
    """Writes `frame_<number>.jpg` files, numbers not padded."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"frame_{number}.jpg" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(frame), 95, "RGB", "444"))
    return paths


class TinyVirat:
    """A data set in a folder; `save` writes what the annotations say."""

    def __init__(self, folder: Path, classes: list[str] | None = None) -> None:
        self.folder = folder
        self.classes = classes or CLASSES
        self.tubes: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
        folder.mkdir(parents=True, exist_ok=True)

    def name(self, clip: str, labels: list[str], frames: int, side: int = 32) -> None:
        """Only names `<part>/<scene>/<id>` in the annotations."""
        part, _, rest = clip.partition("/")
        tube = {"path": f"{rest}.mp4", "dim": [frames, side, side], "label": labels}
        self.tubes[part].append(tube)

    def video(self, clip: str, *labels: str, frames: int = 12) -> Path:
        """Adds a clip that is a video, in steps of 6; returns its file."""
        self.name(clip, list(labels), frames)
        path = self.folder / "videos" / f"{clip}.mp4"
        write_clip(path, numbered(frames, step=6), 30, options={"crf": "0"})
        return path

    def pictures(self, clip: str, *labels: str, frames: int = 12) -> list[Path]:
        """Adds a clip that is a folder of pictures; returns their files."""
        self.name(clip, list(labels), frames)
        return write_pictures(self.folder / "videos" / f"{clip}_frames", numbered(frames))

    def save(self, classes: str | None = None) -> Path:
        """Writes the annotations; returns the folder."""
        text = "\n".join(self.classes) if classes is None else classes
        (self.folder / "classes.txt").write_bytes(text.encode())
        for part, tubes in self.tubes.items():
            (self.folder / f"tiny_{part}.json").write_text(json.dumps({"tubes": tubes}))
        return self.folder
