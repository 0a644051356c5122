"""Small clips in which only motion tells the class, and bundles that read it exactly.

A bright square moves over a dark ground. The network compares the square's place in the first and
the last frame, so what it should say for any clip is known without training.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.core.artifacts.frames import FrameDataset, write_frames
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.artifacts.split import Split
from components.core.models.export import export_onnx
from components.core.state import digest

DIRECTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}
CLASSES = list(DIRECTIONS)
TRAITS = ["bright", "down", "right"]
FRAMES, SIZE = 6, 16


class Motion(torch.nn.Module):
    """Logits from how far the brightness centre moves between the first and the last frame."""

    def __init__(self, multi_label: bool = False, scale: float = 3.0) -> None:
        super().__init__()
        place = torch.linspace(-SIZE / 2, SIZE / 2, SIZE)
        self.weight = torch.nn.Parameter(torch.tensor([scale]))
        self.register_buffer("x", place[None, :].expand(SIZE, SIZE).clone())
        self.register_buffer("y", place[:, None].expand(SIZE, SIZE).clone())
        self.multi_label = multi_label

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        light = (clip.mean(dim=1) + 1) / 2
        first, last = light[:, 0], light[:, -1]
        total = light.mean(dim=1).sum(dim=(1, 2)) + 1e-6
        dx = ((last - first) * self.x).sum(dim=(1, 2)) / total
        dy = ((last - first) * self.y).sum(dim=(1, 2)) / total
        if self.multi_label:
            bright = light.amax(dim=(1, 2, 3)) * 10 - 7
            return torch.stack([bright, self.weight * dy, self.weight * dx], dim=1)
        return self.weight * torch.stack([dy, -dx, dx, -dy], dim=1)


def square_clip(
    step: tuple[float, float], seed: int, level: int = 230, side: int = 20
) -> np.ndarray:
    """Frames `(FRAMES, side, side, 3)` uint8 of a 4 px square that moves by `step` px a frame."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 12, size=(FRAMES, side, side, 3), dtype=np.uint8)
    # The middle of the path is random, so no single frame tells the direction.
    centre = side / 2 + rng.uniform(-1.5, 1.5, size=2)
    for number, frame in enumerate(frames):
        left, top = (
            round(centre[axis] - 2 + step[axis] * (number - (FRAMES - 1) / 2)) for axis in (0, 1)
        )
        frame[top : top + 4, left : left + 4] = level
    return frames


def write_clips(
    directory: Path,
    labels: Sequence[str | Sequence[str]],
    classes: Sequence[str] = CLASSES,
    *,
    groups: Sequence[str] = (),
    shown: Sequence[str | Sequence[str]] = (),
    parent: str = "clips",
    side: int = 20,
) -> FrameDataset:
    """A FrameDataset of one clip per label.

    Args:
        directory: to create.
        labels: a direction per clip, or several traits for multi-label clips.
        classes: class list of the data set.
        groups: recording of each clip.
        shown: what each clip really shows, where that differs from its label.
        parent: fingerprint of the ClipDataset.
        side: stored pixels.
    """

    def clips():
        for row, label in enumerate(labels):
            visible = shown[row] if shown else label
            if isinstance(visible, str):
                frames = square_clip(DIRECTIONS[visible], row, side=side)
            else:
                step = (1 if "right" in visible else -1, 1 if "down" in visible else -1)
                frames = square_clip(step, row, 230 if "bright" in visible else 120, side)
            names = [label] if isinstance(label, str) else list(label)
            group = groups[row] if groups else ""
            yield f"clip {row:03d}.mp4", names, group, frames, np.arange(FRAMES) / 10

    return write_frames(directory, clips(), classes, parent, "raw", frame_size=SIZE)


def write_split(directory: Path, frames: FrameDataset, parts: Sequence[str]) -> Split:
    """A Split with the given part for each clip of `frames`."""
    pairs = zip((clip.id for clip in frames.clips), parts, strict=True)
    split = Split.create(frames.parent, {name: part for name, part in pairs if part}, {})
    directory.mkdir()
    split.save(directory)
    return split


@functools.cache
def motion_graph(multi_label: bool, scale: float) -> bytes:
    """The ONNX file of a Motion network."""
    torch.manual_seed(0)
    example = torch.rand(2, 3, FRAMES, SIZE, SIZE) * 2 - 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(Motion(multi_label, scale), example, path, "clip", "logits")
        return path.read_bytes()


def write_bundle(
    directory: Path, *, multi_label: bool = False, scale: float = 3.0, **fields: Any
) -> ModelBundle:
    """A ModelBundle with the ONNX graph of a Motion network; `fields` override its index."""
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(motion_graph(multi_label, scale))
    classes = TRAITS if multi_label else CLASSES
    content: Mapping[str, Any] = {
        "fingerprint": digest(["motion", multi_label, scale]),
        "name": "motion",
        "formats": {"onnx": "model.onnx"},
        "task": "clip_classification",
        "multi_label": multi_label,
        "classes": classes,
        "inputs": [
            Tensor(
                name="clip",
                dtype="float32",
                shape=[-1, 3, FRAMES, SIZE, SIZE],
                layout="B,C,T,H,W",
                range=[-1, 1],
                meaning="RGB",
            )
        ],
        "outputs": [Tensor(name="logits", dtype="float32", shape=[-1, len(classes)], layout="B,C")],
        "preprocessing": {"frames": FRAMES, "stride": 1, "size": SIZE, "sampling": {"mode": "all"}},
        "training": {"epochs": 3, "batch_size": 4},
        "code_version": "0.1.0",
        "metrics": {"val_macro_f1": 0.9},
        "curves": [
            {"epoch": e, "train_loss": 1 / e, "val_loss": 1.2 / e, "val_macro_f1": 1 - 0.5 / e}
            for e in (1, 2, 3)
        ],
    }
    bundle = ModelBundle(**{**content, **fields})
    bundle.save(directory)
    return bundle
