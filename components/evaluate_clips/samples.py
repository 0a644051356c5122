"""Clips before and after a model's resizer network, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.report.images import png, stacked, strip
from components.evaluate_clips.running import Runner
from components.evaluate_clips.subject import Subject

FRAMES = 6
FOLDER = "samples"
CUT = 0.03
"""Share of values outside [-1, 1] from which a clip is also shown scaled to its own range."""
NAME_LENGTH = 60
"""Characters of a clip's id in a file name; file systems end at 255 bytes."""


@dataclass(frozen=True)
class Sample:
    """One clip."""

    clip: str
    labels: list[str]
    file: str
    """Relative to the evaluation."""
    image: NDArray[np.uint8]
    """`(H, W, 3)` RGB: frames in time order, above as the model gets them (pixels enlarged to
    squares), below as the resizer network passes them on, and where `scaled` below that the same
    again from the lowest value (black) to the highest (white)."""
    sizes: tuple[str, str]
    """Frames x height x width before and after."""
    frames: list[int]
    """Numbers of the stored frames that are shown, from 0."""
    cut: float
    """Share of the shown values behind the resizer that lie outside [-1, 1]."""
    values: tuple[float, float]
    """The lowest and the highest of them."""

    @property
    def scaled(self) -> bool:
        """Whether the third row is there."""
        return self.cut > CUT


def resizer_samples(subject: Subject, runner: Runner) -> tuple[list[Sample], list[str]]:
    """The clips that the settings ask for, and remarks on what cannot be shown.

    A model without a resizer network has nothing to show.

    Raises:
        InputError: the network cannot be loaded.
    """
    settings, bundle = runner.settings, subject.bundle
    asked = bool(settings.sample_clips)
    if not asked and not settings.resizer_samples:
        return [], []
    network = None
    if "safetensors" in bundle.formats and bundle.architecture:
        from components.evaluate_clips.torch_inference import TorchClassifier

        network = TorchClassifier(subject.directory, settings.device, runner.workers)
    if network is None or not network.has_resizer:
        remark = "sample_clips: this model has no resizer network, so there is nothing to show."
        return [], [remark] if asked else []
    entries, clips = subject.reader.index.clips, _chosen(subject, runner)
    samples = []
    for clip, name in zip(clips, file_names([entries[clip].id for clip in clips]), strict=True):
        start = subject.window.starts(entries[clip].frames, 1)[0]
        before = subject.window.read(subject.reader, clip, start)
        after = network.resized(before[None])[0]
        seen, shown = subject.window.numbers(start), after[:, picked(after.shape[1])]
        last = entries[clip].frames - 1  # a shorter clip is filled up with it
        samples.append(
            Sample(
                clip=entries[clip].id,
                labels=entries[clip].labels,
                file=f"{FOLDER}/{name}",
                image=grid(before, after),
                sizes=(_size(before), _size(after)),
                frames=[min(seen[place], last) for place in picked(len(seen))],
                cut=outside(shown),
                values=(float(shown.min()), float(shown.max())),
            )
        )
    return samples, []


def write_samples(directory: Path, samples: list[Sample]) -> dict[str, str]:
    """Writes the images into an evaluation's folder; returns file name → what it is."""
    for sample in samples:
        path = directory / sample.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(sample.image))
    return {
        sample.file: f"{sample.clip} before and after the resizer network" for sample in samples
    }


def file_names(clips: list[str]) -> list[str]:
    """A PNG file name for each clip id, unique also where replacing makes ids alike."""
    taken: set[str] = set()
    names = []
    for clip in clips:
        flat = clip.replace("/", "_").replace("\\", "_")
        stem = flat[-NAME_LENGTH:].lstrip(".") or "clip"
        name, number = f"{stem}.png", 1
        while name in taken:
            number += 1
            name = f"{stem} ({number}).png"
        taken.add(name)
        names.append(name)
    return names


def grid(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.uint8]:
    """FRAMES of two clips `(3, T, H, W)`, RGB, above each other in equal height.

    Both on the scale of the input, -1 black and 1 white. What a resizer makes may leave it and is
    cut off; where that is more than CUT of the values, a third row shows them all.
    """
    height = max(before.shape[2], after.shape[2])
    above, below = before[:, picked(before.shape[1])], after[:, picked(after.shape[1])]
    rows = [_pixels(above), _pixels(below)]
    if outside(below) > CUT:
        low, high = below.min(), below.max()
        rows.append(_pixels((below - low) / (high - low) * 2 - 1 if high > low else below * 0))
    return stacked([strip(row, height, pixelated=True) for row in rows])


def picked(count: int) -> list[int]:
    """FRAMES of `count` frames, evenly spread from the first to the last."""
    return [round((count - 1) * place / (FRAMES - 1)) for place in range(FRAMES)]


def outside(clip: NDArray[np.float32]) -> float:
    """Share of values that are darker than black or brighter than white."""
    return float((np.abs(clip) > 1).mean())


def _pixels(clip: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A clip `(3, T, H, W)` as frames `(T, H, W, 3)`."""
    shares = np.clip((clip.transpose(1, 2, 3, 0) + 1) / 2, 0, 1)
    return np.ascontiguousarray(np.rint(shares * 255), dtype=np.uint8)


def _chosen(subject: Subject, runner: Runner) -> list[int]:
    settings, entries = runner.settings, subject.reader.index.clips
    if settings.sample_clips:
        places = {clip.id: row for row, clip in enumerate(entries)}
        return [places[name] for name in settings.sample_clips]
    clips = subject.clips("val")
    order = np.random.default_rng(settings.seed).permutation(len(clips))
    return sorted(clips[place] for place in order[: settings.resizer_samples].tolist())


def _size(clip: NDArray[np.float32]) -> str:
    return " x ".join(str(number) for number in clip.shape[1:])
