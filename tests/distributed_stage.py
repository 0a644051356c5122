"""Data and settings on which several processes of `train_video` must do what one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from components.core.artifacts.frames import write_frames
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.models import build
from components.core.models.bundle import save_weights
from components.core.models.i3d import arguments_for

CLASSES = ["bright", "dark"]
SETTINGS = {
    "clip-frames": "8",
    "width": "0.125",
    "freeze": "backbone",
    "dropout": "0",
    "epochs": "5",
    "batch-size": "5",  # 33 clips: batches of 4 and 5, the last step of an epoch has one
    "accumulate": "2",
    "learning-rate": "0.05",
    "gradient-clip": "1",
    "ema": "0.9",
    "flip": "true",
    "device": "cpu",
    "checkpoint-minutes": "0.0001",
}


def make_data(folder: Path) -> Path:
    """Frames of 44 clips, a split of them, and weights to start from."""
    rng = np.random.default_rng(0)
    clips, parts = [], {}
    for number in range(44):
        label = CLASSES[number % 2]
        low = 60 if label == "bright" else 40
        frames = rng.integers(low, low + 100, (12, 18, 18, 3), np.uint8)
        clips.append((f"{label}/{number}.mp4", [label], "", frames, np.arange(12) / 10))
        parts[clips[-1][0]] = "val" if number % 4 == 3 else "train"
    write_frames(folder / "frames", clips, CLASSES, parent="a" * 64, crop_margin=2)
    (folder / "split").mkdir()
    Split.create("a" * 64, parts, {}).save(folder / "split")
    torch.manual_seed(0)
    save_weights(folder / "first.safetensors", build("i3d", **arguments_for(16, 2, 0.125, 0.0)))
    return folder


def difference(first: Path, second: Path) -> float:
    """The largest of all kept weights and of the figures of all epochs."""
    one, two = ModelBundle.load(first).curves, ModelBundle.load(second).curves
    assert len(one) == len(two) == 5
    found = [
        abs(row[name] - other[name])
        for row, other in zip(one, two, strict=True)
        for name in row
        if name != "seconds"
    ]
    for path in sorted(first.rglob("*.safetensors")):
        other_weights = load_file(second / path.relative_to(first))
        found += [
            float((value.double() - other_weights[name].double()).abs().max())
            for name, value in load_file(path).items()
        ]
    return max(found)
