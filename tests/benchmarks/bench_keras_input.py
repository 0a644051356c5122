"""Speed of what feeds `train_keras`, as ratios within one run, on 4 and 6 s clips of 320x240.

Batches of 4 clips of 20 frames of 224x224, float32 RGB in [0, 1], consumed without any training:

ours     frame_extraction with the settings of the pipeline video_classification, all CPUs, from
         the start of its process to the end; then passes over the trainer's batches, whose views
         are random, with a thread per CPU
keras    what Keras users write: a generator that opens each clip with OpenCV, seeks to a random
         frame, reads 20 and fits each into the square with black bars, as a tf.data.Dataset that
         is shuffled, batched and prefetched; passes over it all cost the same. Twice: with
         TensorFlow's resize_with_pad, and with OpenCV's resize, which is faster
cached   the latter with cache() on disk before the shuffling, which repeats the random starts
         of its first pass in all others

The ways take turns, and medians are compared. Prints one JSON line per figure; a target of 0 only
informs. The clips are real ones where the sample data lies (TRAINYARD_SHARED_DATA), otherwise
moving textures.
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

from bench_extraction import REAL, moving_texture  # noqa: E402
from clip_datasets import write_dataset  # noqa: E402

from components.core.artifacts.frames import FrameReader  # noqa: E402
from components.core.cpus import usable_cpus  # noqa: E402
from components.core.training.clip_views import ClipViews  # noqa: E402
from components.core.training.views import Augmentation, Window  # noqa: E402
from components.core.video.encode import write_clip  # noqa: E402
from components.train_keras.data import ClipBatches, ShuffledPlan  # noqa: E402

CLIPS, FRAMES, SIZE, BATCH, SHUFFLED, ROUNDS = 200, 20, 224, 4, 24, 3
SHAPE = (FRAMES, SIZE, SIZE, 3)
CUTS = (slice(0, 100), slice(100, 250))
"""Clips of 4 and 6 s from each of 10."""

Resize = Callable[[np.ndarray], Any]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = make_sources(folder)
        chosen = {f"{'ab'[n % 2]}/{n:03d}.mp4": sources[n % len(sources)] for n in range(CLIPS)}
        write_dataset(folder / "clips", chosen)
        print([p.stat().st_size // 1000 for p in sources], file=sys.stderr)
        for n in range(2):
            for name, way in {
                "extract": lambda: extract(folder, f"frames{n}"),
                "ours": lambda: consume(ours(FrameReader(folder / f"frames{n}"), n)),
                "ours2": lambda: consume(ours(FrameReader(folder / f"frames{n}"), n + 1)),
                "cv": lambda: consume(keras_way(chosen, fit_with_opencv)),
                "tf": lambda: consume(keras_way(chosen, fit_with_tensorflow)),
            }.items():
                began = time.perf_counter()
                way()
                print(name, CLIPS / (time.perf_counter() - began))


def make_sources(folder: Path) -> list[Path]:
    """Two clips, of different length, out of each video."""
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
    """The first frames as 320x240 RGB; short videos start anew."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < CUTS[-1].stop:
        found, image = capture.read()
        if found:
            small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
            frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        else:
            assert frames, path
            capture.open(str(path))
    return np.stack(frames)


def extract(folder: Path, name: str) -> None:
    options = ["--sample-frames", str(FRAMES), "--resize", "letterbox", "--frame-size", str(SIZE)]
    command = [sys.executable, "-m", "components.frame_extraction", *options, "--crop-margin", "16"]
    command += ["--clips", str(folder / "clips"), "--frames", str(folder / name)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def ours(reader: FrameReader, epoch: int) -> Any:
    views = ClipViews(reader, range(CLIPS), Window(FRAMES, 1, SIZE), augmentation=Augmentation(0))
    batches = ClipBatches(views, 2, None, usable_cpus())
    plan = ShuffledPlan(CLIPS, BATCH)
    return batches.dataset([(epoch, numbers) for numbers in plan.examples(epoch)])


def keras_way(clips: dict[str, Path], fit: Resize, cache: Path | None = None) -> Any:
    kinds = tf.TensorSpec(SHAPE, tf.float32), tf.TensorSpec((), tf.int16)
    dataset = tf.data.Dataset.from_generator(partial(read, clips, fit), output_signature=kinds)
    if cache:
        dataset = dataset.cache(str(cache))
    return dataset.shuffle(SHUFFLED).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def read(clips, fit) -> Iterator:
    order = list(clips)
    random.shuffle(order)
    for clip_id in order:
        capture = cv2.VideoCapture(str(clips[clip_id]))
        first = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) - FRAMES
        capture.set(cv2.CAP_PROP_POS_FRAMES, random.randint(0, first))
        frames = [fit(capture.read()[1]) for _ in range(FRAMES)]
        capture.release()
        yield np.stack(frames)[..., ::-1], "ab".index(clip_id[0])


def fit_with_tensorflow(image: np.ndarray) -> Any:
    return tf.image.resize_with_pad(tf.image.convert_image_dtype(image, tf.float32), SIZE, SIZE)


def fit_with_opencv(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = SIZE / max(height, width)
    height, width = round(height * scale), round(width * scale)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    fitted = np.zeros((SIZE, SIZE, 3), np.float32)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    np.divide(small, 255, out=fitted[top : top + height, left : left + width], dtype=np.float32)
    return fitted


def consume(batches: Any) -> None:
    count = 0
    for batch in batches:
        assert batch[0].shape[1:] == SHAPE
        count += len(batch[0])
    assert count == CLIPS


if __name__ == "__main__":
    main()
