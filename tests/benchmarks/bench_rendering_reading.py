"""Reading frames for a renderer, and their size on disk, as ratios within one run.

12 frames with 4 aux views, photos of 640x360 and crops of 128x128 in batches of 2: half of the
usual sizes in each direction. In one process, in turns:

hdf5     as the original does it: a cache of float32 in HDF5, a file for each size of pictures and a
         chunk for each frame, opened for every item; renderings cut to their middle 256x256, aux
         photos and their depths (three equal channels) whole
ours     `RenderingExamples` on a RenderingDataset: uint8 and 16 bits, mapped; of aux photos only
         what the crop looks up, and coordinates remapped to that
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import report  # noqa: E402
from rendered_scene import synced  # noqa: E402

from components.core.formats.inovis_blobs import read_blob  # noqa: E402
from components.core.rendering.reader import RenderingReader  # noqa: E402
from components.core.training.rendering_augmentation import RenderingAugmentation  # noqa: E402
from components.core.training.renderings import RenderingExamples  # noqa: E402
from pipelines.demo_scene import write_scene  # noqa: E402

FRAMES, AUX, NATIVE, INPUT, CROP, BATCH, ROUNDS = 12, 4, (640, 360), 256, 128, 2, 5


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_scene(folder / "sets", FRAMES, AUX, NATIVE)
        reader = RenderingReader(synced(source, folder / "ours"))
        theirs = Cached(source / "scene", folder / "hdf5")
        augmentation = RenderingAugmentation(flip=False)
        ours = RenderingExamples(reader, range(FRAMES), (CROP, CROP), 0, augmentation)
        times = measure({"hdf5": theirs, "ours": ours})
        results = [
            report(
                "frames_of_hdf5",
                times["hdf5"] / times["ours"],
                3.0,
                **{f"{key}_ms": 1000 * value / FRAMES for key, value in times.items()},
            ),
            report(
                "disk_saved",
                size(folder / "hdf5") / size(folder / "ours" / "frames"),
                3.0,
                **{"hdf5": size(folder / "hdf5"), "ours": size(folder / "ours" / "frames")},
            ),
        ]
    raise SystemExit(0 if all(results) else 1)


def measure(ways: dict[str, Any]) -> dict[str, float]:
    """Seconds of an epoch of each way, medians of rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):  # the first fills the page cache
        for name, way in ways.items():
            began = time.process_time()
            for start in range(0, FRAMES, BATCH):
                batch = way.batch(turn, list(range(start, start + BATCH)))
                assert batch["levels"][0].shape == (BATCH, 4, CROP, CROP)
                assert batch["coordinates"][3].shape[2:] == (CROP, CROP)
            if turn:
                times[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in times.items()}


class Cached:
    """The original's cache and loading, without its transforms' overhead."""

    def __init__(self, source: Path, folder: Path) -> None:
        folder.mkdir()
        self.files = {}
        groups = self.groups(source)
        for name, folders in groups.items():
            path = folder / f"{name}.h5"
            frames = [
                np.concatenate([self.read(source, f, number) for f in folders], axis=2)
                for number in range(FRAMES)
            ]
            with h5py.File(path, "w") as file:
                shape = (FRAMES, *frames[0].shape)
                data = file.create_dataset("data", shape, np.float32, chunks=(1, *shape[1:]))
                for number, frame in enumerate(frames):
                    data[number] = frame
            self.files[name] = path
        self.folders = groups

    @staticmethod
    def groups(source: Path) -> dict[str, list[str]]:
        """Files of the cache → sub-folders: those whose pictures have the same size."""
        views = range(1, AUX + 1)
        motion = [f"nearest{number}_motion_0_lod0" for number in views]
        kinds = ("groundtruth_0", "depth_0_lod0")
        native = [f"nearest{number}_{kind}" for number in views for kind in kinds]
        found = {"native": native, "0": ["groundtruth", "input_0_lod0", "depth_0_lod0", *motion]}
        for level in (1, 2, 3):
            found[str(level)] = [f"input_{level}_lod0", f"depth_{level}_lod0"]
        assert all((source / name).is_dir() for names in found.values() for name in names)
        return found

    @staticmethod
    def read(source: Path, folder: str, number: int) -> np.ndarray:
        """(H, W, 3) float32, cut to the middle unless it is an aux photo."""
        path = source / folder / f"Image{number:04d}"
        if "motion" in folder:
            image = read_blob(path.with_suffix(".bin"))
        else:
            image = cv2.imread(str(path.with_suffix(".png")))[..., ::-1] / np.float32(255)
        if folder.startswith("nearest") and "motion" not in folder:
            return image
        level = folder.split("_")[1] if folder.endswith("_lod0") else "0"
        side = INPUT >> (int(level) if level in "0123" else 0)
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        return image[top : top + side, left : left + side]

    def batch(self, epoch: int, indices: list[int]) -> dict[str, Any]:
        """The frames at these positions, collated as PyTorch does by default."""
        items = [self.item(epoch, index) for index in indices]
        collated: dict[str, Any] = torch.utils.data.default_collate(items)
        return collated

    def item(self, epoch: int, index: int) -> dict[str, Any]:
        pictures: dict[str, torch.Tensor] = {}
        place = np.random.default_rng([epoch, index]).random(2)
        for name, folders in self.folders.items():
            with h5py.File(self.files[name]) as file:
                frame = file["data"][index]
            for number, folder in enumerate(folders):
                image = frame[..., 3 * number : 3 * number + 3]
                if name != "native":
                    side = CROP >> int(name)
                    top, left = (place * (image.shape[0] - side)).astype(int)
                    image = image[top : top + side, left : left + side]
                pictures[folder] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        views = range(1, AUX + 1)
        return {
            "levels": [
                torch.cat([pictures[f"input_{k}_lod0"], pictures[f"depth_{k}_lod0"][:1]])
                for k in range(4)
            ],
            "aux": [
                torch.cat(
                    [
                        pictures[f"nearest{number}_groundtruth_0"],
                        pictures[f"nearest{number}_depth_0_lod0"][:1],
                    ]
                )
                for number in views
            ],
            "coordinates": [pictures[f"nearest{number}_motion_0_lod0"] for number in views],
            "target": pictures["groundtruth"],
        }


def size(folder: Path) -> int:
    """Bytes on disk, in blocks."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
