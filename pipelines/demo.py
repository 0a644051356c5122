"""The demonstrations; those of clips are of digits that move, and only motion tells the class.

Every digit occurs in every class at every place: one still frame says nothing about the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import files
from components.core.errors import SettingsError
from components.core.settings import closest
from pipelines import demo_scene, demo_shapes, demo_tinyvirat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

MOTIONS = {"down": (1, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0)}
"""Class → direction (rows, columns); the picture wraps around at its borders."""

CLIPS_PER_CLASS = 60
FRAMES = 16
SIZE = 64
FPS = 12.5
SPEED = 3.0
"""Pixels per frame."""

PARAMETERS: dict[str, Any] = {
    "test_size": 0.25,
    "frame_size": 32,
    "crop_margin": 4,
    "sample_frames": FRAMES,
    "clip_frames": FRAMES,
    "width": 0.25,
    "epochs": 10,
    "batch_size": 8,
    "learning_rate": 0.001,
}
"""Pipeline parameters that suit the data set and a small CPU."""

SOURCES = ("street", "yard")

OF_SOURCES: dict[str, Any] = {
    "model_name": "motions",
    "train_size": 36,
    "val_size": 9,
    "test_size": 15,
    "frame_size": 32,
    "crop_margin": 4,
    "sample_frames": 8,
    "clip_frames": 8,
    "epochs": 30,
    "batch_size": 8,
    "learning_rate": 0.003,
}
"""Parameters that suit the clips in two sources, for a Keras network."""

OF_SHAPES: dict[str, Any] = {
    "model_name": "shapes",
    "variants": "fcos:mobilenet_v3_large",
    "channels": 64,
    "min_size": 0,
    "epochs": 12,
    "batch_size": 4,
    "optimizer": "adamw",
    "learning_rate": 0.001,
}
"""Parameters that suit images of shapes, for a detector from scratch."""

OF_SCENE: dict[str, Any] = {
    "model_name": "scene",
    "input_width": 128,
    "input_height": 96,
    "crop_width": 64,
    "crop_height": 64,
    "epochs": 30,
    "learning_rate": 0.002,
    "schedule": "cosine",
    "write_output_nth_epoch": 10,
}
"""Parameters that suit the scene, for a renderer from scratch."""

SEARCH: dict[str, Any] = {
    "n_trials": 10,
    "startup_trials": 5,
    "sweep_epochs": 3,
    "search_space": {
        "learning_rate": {"low": 0.0001, "high": 0.03, "log": True},
        "batch_size": {"choices": [4, 8, 16]},
        "dropout": {"low": 0.0, "high": 0.6},
    },
}
"""What a search in front of the training looks for."""


def write_clips(folder: Path, clips_per_class: int = CLIPS_PER_CLASS, seed: int = 0) -> Path:
    """Writes `<class>/<number>.mp4` clips (H.264, 64x64) made from scikit-learn's digits.

    The folder appears whole; one that exists is used as it is.
    """
    if folder.exists():
        return folder
    import numpy as np
    from sklearn.datasets import load_digits

    from components.core.video.encode import write_clip

    digits = load_digits()
    with files.atomic_path(folder) as temporary:
        for column, (name, direction) in enumerate(sorted(MOTIONS.items())):
            rng = np.random.default_rng([seed, column])
            for number in range(clips_per_class):
                candidates = np.flatnonzero(digits.target == number % 10)
                picture = digits.images[rng.choice(candidates)]
                frames = _moving(picture, direction, rng)
                write_clip(temporary / name / f"{number:03d}.mp4", frames, FPS)
    return folder


def write_sources(folder: Path) -> Path:
    """Writes `<source>/<class>_<kind of digit>/<number>.mp4`, as `write_clips` does."""
    if folder.exists():
        return folder
    with files.atomic_path(folder) as temporary:
        for number, clip in enumerate(sorted(write_clips(temporary / "all").rglob("*.mp4"))):
            kind = ("even", "odd")[int(clip.stem) % 2]
            place = temporary / SOURCES[number // 2 % 2] / f"{clip.parent.name}_{kind}" / clip.name
            place.parent.mkdir(parents=True, exist_ok=True)
            clip.rename(place)
        files.remove(temporary / "all")
    return folder


def _moving(picture: NDArray[Any], direction: tuple[int, int], rng: np.random.Generator) -> Frames:
    """(FRAMES, SIZE, SIZE, 3) uint8: a digit (8x8, 0–16) on a dark, noisy ground, moving."""
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    enlarged = np.kron(picture / 16.0, np.ones((3, 3)))
    smooth = sliding_window_view(np.pad(enlarged, 1, mode="edge"), (3, 3)).mean(axis=(2, 3))
    canvas = np.zeros((SIZE, SIZE))
    canvas[: smooth.shape[0], : smooth.shape[1]] = smooth
    start = rng.uniform(0, SIZE, size=2)
    speed = SPEED * rng.uniform(0.8, 1.2)
    tint = rng.uniform(0.6, 1.0, size=3)
    frames = []
    for step in range(FRAMES):
        rows, columns = np.rint(start + step * speed * np.array(direction)).astype(int)
        moved = np.roll(canvas, (rows, columns), axis=(0, 1))
        noise = rng.normal(0.08, 0.02, size=(SIZE, SIZE, 1))
        frames.append(np.clip(noise + moved[:, :, None] * tint, 0, 1))
    return (np.stack(frames) * 255).astype(np.uint8)


@dataclass(frozen=True)
class Demo:
    """What a pipeline is demonstrated with."""

    pipeline: str
    write: Callable[[Path], Path]
    """Writes the data set into a new folder, which it returns."""
    parameters: dict[str, Any]
    source: str = "source"
    """Parameter that names the data set."""
    folder: str = "clips"
    """Where the data set is written."""


DEMOS = {
    "action_recognition": Demo("action_recognition", write_clips, PARAMETERS),
    "low_resolution_actions": Demo(
        "low_resolution_actions", demo_tinyvirat.write_clips, demo_tinyvirat.PARAMETERS
    ),
    "video_classification": Demo("video_classification", write_sources, OF_SOURCES),
    "weed_detection": Demo(
        "weed_detection", demo_shapes.write_images, OF_SHAPES, "annotations", "images"
    ),
    "neural_rendering": Demo("neural_rendering", demo_scene.write_scene, OF_SCENE, folder="scene"),
    "sweep": Demo("action_recognition", write_clips, {**PARAMETERS, **SEARCH}),
}
"""By name, which is that of the pipeline, or of what is special about the run."""

DEFAULT = "action_recognition"


def run_demo(output: Path, resume: bool = False, name: str = DEFAULT) -> int:
    """Makes the data, runs the whole pipeline on them, and says where the results are.

    Args:
        output: folder for data, state and run; each demonstration but the default one has its own
            folder in it.
        resume: continue a run that was stopped.
        name: one of `DEMOS`.

    Raises:
        SettingsError: there is no such demonstration.
    """
    from pipelines import backends

    if name not in DEMOS:
        known = ", ".join(DEMOS)
        hint = closest(name, DEMOS)
        raise SettingsError([f"no demo of {name!r}{hint}; there is: {known}"], "the demo")
    demo = DEMOS[name]
    own = output if name == DEFAULT else output / name
    source = demo.write(own.absolute() / demo.folder)
    folder = own / "run"
    again = resume or (folder / "run.json").exists()
    values = {demo.source: str(source), **demo.parameters}
    request = backends.Request(demo.pipeline, values, folder, again, own / "state")
    return backends.load("local").run(request)
