"""Speed of what feeds `train_keras`, as ratios within one run, on 4 s and 6 s clips of 320x240.

All ways give shuffled batches of 4 clips of 20 frames, float32 RGB of 224x224; nothing trains:

ours     the first epoch begins with frame_extraction, set as video_classification sets it, from
         the start of its process to its end; a pass over the trainer's batches, with random views
         and one thread per CPU, completes it, and is all that later epochs consist of
keras    what users of Keras write, as in TensorFlow's tutorial on video: a generator that opens
         each clip with OpenCV, seeks a random frame, reads on from there, and fits each frame into
         the square with resize_with_pad, made a tf.data.Dataset that shuffles, batches and
         prefetches; every epoch decodes anew
opencv   the same with OpenCV's resize for TensorFlow's, which is faster
cached   opencv with cache(file) before the shuffling, after the pass that fills the cache; the
         random starts of that pass come again in every epoch

The ways take turns, and the shortest times per clip are compared: the generator keeps about one CPU
busy and ours all of them, so that medians would tell of other load. Prints one JSON line per
figure; a target of 0 only informs. The clips are real ones where the sample data lies
(TRAINYARD_SHARED_DATA), otherwise moving textures.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import REAL, Cost, compared, moving_texture, processor_seconds  # noqa: E402
from clip_datasets import write_dataset  # noqa: E402

from components.core.artifacts.frames import FrameReader  # noqa: E402
from components.core.cpus import usable_cpus  # noqa: E402
from components.core.training.clip_views import ClipViews  # noqa: E402
from components.core.training.views import Augmentation, Window  # noqa: E402
from components.core.video.encode import write_clip  # noqa: E402
from components.train_keras.data import ClipBatches, ShuffledPlan  # noqa: E402

CLIPS, FRAMES, SIZE, BATCH, ROUNDS = 200, 20, 224, 4, 5
FEW = 48  # decoding is slow, and takes as long for every clip
SHUFFLED = 24
CLASSES = "ab"
SHAPE = (FRAMES, SIZE, SIZE, 3)
CUTS = (slice(0, 100), slice(100, 250))
"""The clips made of each video."""

Fit = Callable[[np.ndarray], Any]
"""A frame as read, BGR uint8 → SHAPE[1:] float32, still BGR."""


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as name:
        costs = measure(Path(name))
    first = Cost(*map(sum, zip(costs["extraction"], costs["first"], strict=True)))
    later = costs["later"]
    results = [
        against("keras_input_first_epoch", first, costs["keras"], 1.8),
        against("keras_input_later_epochs", later, costs["keras"], 8.0),
        against("keras_input_first_epoch_of_opencv", first, costs["opencv"], 0),
        against("keras_input_later_epochs_of_opencv", later, costs["opencv"], 0),
        against("keras_input_later_epochs_of_cached", later, costs["cached"], 0),
    ]
    raise SystemExit(0 if all(results) else 1)


def against(name: str, ours: Cost, other: Cost, target: float) -> bool:
    rates = {"clips_per_s": 1 / ours.seconds, "other_clips_per_s": 1 / other.seconds}
    return compared(name, ours, other, target, **rates)


def measure(folder: Path) -> dict[str, Cost]:
    """The least that a clip takes in each way."""
    sources = make_sources(folder)
    names = [f"{CLASSES[n % 2]}/{n:03d}.mp4" for n in range(CLIPS)]
    chosen = {name: sources[n % len(sources)] for n, name in enumerate(names)}
    write_dataset(folder / "clips", chosen)
    few = dict(list(chosen.items())[:FEW])
    cached = keras_batches(few, fitted, folder / "cache")
    consume(cached, FEW)
    costs: dict[str, list[Cost]] = {}

    def timed(name: str, clips: int, way: Callable[[], object]) -> None:
        began, used = time.perf_counter(), processor_seconds()
        way()
        spent = time.perf_counter() - began, processor_seconds() - used
        costs.setdefault(name, []).append(Cost(*(value / clips for value in spent)))

    for number in range(ROUNDS):
        extracted = folder / f"round{number}"
        timed("extraction", CLIPS, partial(extract, folder / "clips", extracted))
        timed("first", CLIPS, partial(read_epoch, extracted, 0))
        timed("later", CLIPS, partial(read_epoch, extracted, 1))
        timed("keras", FEW, lambda: consume(keras_batches(few, padded), FEW))
        timed("opencv", FEW, lambda: consume(keras_batches(few, fitted), FEW))
        timed("cached", FEW, lambda: consume(cached, FEW))
    return {name: Cost(*map(min, zip(*each, strict=True))) for name, each in costs.items()}


def extract(clips: Path, folder: Path) -> None:
    options = {
        "clips": clips,
        "frames": folder / "frames",
        "state-dir": folder / "state",
        "sample-frames": FRAMES,
        "resize": "letterbox",
        "frame-size": SIZE,
        "crop-margin": 16,
        "storage": "jpeg",
    }
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "components.frame_extraction", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def read_epoch(folder: Path, epoch: int) -> None:
    reader, window = FrameReader(folder / "frames"), Window(FRAMES, 1, SIZE)
    views = ClipViews(reader, range(CLIPS), window, augmentation=Augmentation(0))
    batches = ClipBatches(views, len(CLASSES), None, usable_cpus())
    plan = ShuffledPlan(CLIPS, BATCH)
    consume(batches.dataset([(epoch, examples) for examples in plan.examples(epoch)]), CLIPS)


def keras_batches(clips: dict[str, Path], fit: Fit, cache: Path | None = None) -> Any:
    items = tf.TensorSpec(SHAPE, tf.float32), tf.TensorSpec((), tf.int16)
    generate = partial(random_parts, clips, fit)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=items)
    if cache:
        dataset = dataset.cache(str(cache))
    return dataset.shuffle(SHUFFLED).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def random_parts(clips: dict[str, Path], fit: Fit) -> Iterator[tuple[np.ndarray, int]]:
    """Frames (SHAPE) and class number of each clip."""
    for name, path in clips.items():
        capture = cv2.VideoCapture(str(path))
        last = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) - FRAMES
        capture.set(cv2.CAP_PROP_POS_FRAMES, random.randint(0, last))
        frames = [fit(capture.read()[1]) for _ in range(FRAMES)]
        capture.release()
        yield np.stack(frames)[..., ::-1], CLASSES.index(name[0])


def fitted(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = SIZE / max(height, width)
    height, width = round(height * scale), round(width * scale)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    square = np.zeros(SHAPE[1:], np.float32)
    small = cv2.resize(image, (width, height))
    np.divide(small, np.float32(255), out=square[top : top + height, left : left + width])
    return square


def padded(image: np.ndarray) -> Any:
    return tf.image.resize_with_pad(tf.image.convert_image_dtype(image, tf.float32), SIZE, SIZE)


def consume(batches: Any, clips: int) -> None:
    shapes = [tuple(batch[0].shape) for batch in batches]
    assert shapes == [(BATCH, *SHAPE)] * (clips // BATCH), shapes


def make_sources(folder: Path) -> list[Path]:
    """Clips of different length."""
    data = Path(os.environ.get("TRAINYARD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    paths = []
    for number, name in enumerate(REAL):
        real = data / name
        frames = real_frames(real) if real.is_file() else moving_texture(number)
        for part, cut in enumerate(CUTS):
            paths.append(folder / f"{number}_{part}.mp4")
            write_clip(paths[-1], frames[cut], 25, options={"crf": "23"})
    return paths


def real_frames(path: Path) -> np.ndarray:
    """As many frames as the cuts need, 320x240 RGB; a short video starts again."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < CUTS[-1].stop:
        found, image = capture.read()
        if found:
            small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
            frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        elif not frames or not capture.open(str(path)):
            raise SystemExit(f"{path} cannot be read")
    return np.stack(frames)


if __name__ == "__main__":
    main()
