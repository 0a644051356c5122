"""Resizing a data set: beside one image after the other with Pillow, and with OpenCV.

Prints JSON lines {name, ratio, target, ok}; exits 1 if a target is missed. Rounds alternate, and
the best of each counts. The target is for the CPU time; how much faster several CPUs are at it
depends on what else they do, and is told without one.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from components.core.cpus import usable_cpus
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.kitti.resizing import resized

IMAGES, ROUNDS, SIZE = 60, 4, (960, 544)
WIDTH, HEIGHT = 1920, 1080


def data_set(folder: Path) -> list[AnnotatedImage]:
    """Photographs of smooth noise, as JPEG, with a box each."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(IMAGES):
        small = rng.integers(0, 255, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), cv2.resize(small, (WIDTH, HEIGHT)))
        box = Shape("a", Kind.RECTANGLE, (10.0, 20.0, 300.0, 400.0))
        images.append(AnnotatedImage(path.name, WIDTH, HEIGHT, [box], path))
    return images


def with_pillow(images: list[AnnotatedImage], folder: Path) -> None:
    for image in images:
        with Image.open(image.path) as opened:
            small = opened.resize(SIZE, Image.Resampling.BOX)
        small.save(folder / image.name, quality=95)


def with_opencv(images: list[AnnotatedImage], folder: Path) -> None:
    for image in images:
        pixels = cv2.imread(str(image.path))
        small = cv2.resize(pixels, SIZE, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / image.name), small, [cv2.IMWRITE_JPEG_QUALITY, 95])


def main() -> int:
    """Measures; 1 where a target is missed."""
    ways = {
        "ours": lambda images, folder: resized(images, SIZE, folder, letterbox=False),
        "pillow": with_pillow,
        "opencv": with_opencv,
    }
    wall = dict.fromkeys(ways, float("inf"))
    cpu = dict.fromkeys(ways, float("inf"))
    with tempfile.TemporaryDirectory() as name:
        (source := Path(name) / "source").mkdir()
        images = data_set(source)
        for _ in range(ROUNDS):
            for way, run in ways.items():
                folder = Path(name) / way
                folder.mkdir()
                start, work = time.perf_counter(), time.process_time()
                run(images, folder)
                wall[way] = min(wall[way], time.perf_counter() - start)
                cpu[way] = min(cpu[way], time.process_time() - work)
                assert len(os.listdir(folder)) == IMAGES
                shutil.rmtree(folder)
    missed = False
    for way, target in (("pillow", 1.25), ("opencv", 1.25)):
        ratio = cpu["ours"] / cpu[way]
        missed |= ratio > target
        row = {"name": f"CPU time, in that of {way} one by one", "ratio": round(ratio, 2)}
        print(json.dumps({**row, "target": target, "ok": ratio <= target}))
        faster = round(wall[way] / wall["ours"], 2)
        print(
            json.dumps({"name": f"times as fast as {way} on {usable_cpus()} CPUs", "ratio": faster})
        )
    print(json.dumps({"name": "images per second", "value": round(IMAGES / wall["ours"], 1)}))
    return int(missed)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
