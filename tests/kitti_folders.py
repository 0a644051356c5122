"""Small KITTI folders for tests, and what is in a folder before and after."""

from pathlib import Path

import numpy as np
from PIL import Image

CAR = "Car 0.50 1 1.85 10.5 20.25 30 40 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
VAN = "Van 0 0 -10 50 10 90 70 0 0 0 0 0 0 0"


def labelled(folder: Path, name: str, *lines: str, size: tuple[int, int] = (100, 80)) -> Path:
    """`image_2/<name>` of noise, and its label file; returns the image."""
    seed = [ord(letter) for letter in f"{folder.name}/{name}"]
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = folder / "image_2" / name
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image)
    label(folder, name, *lines)
    return image


def label(folder: Path, name: str, *lines: str) -> Path:
    """`label_2/<name>.txt`."""
    path = (folder / "label_2" / name).with_suffix(".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Name → bytes of all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
