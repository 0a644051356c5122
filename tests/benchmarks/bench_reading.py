"""Speed of training reads, as ratios within one run: 200 clips of 32 frames of 224x224.

All ways feed the trainer's own loader with two worker processes and batches of 8 clips:

constant  the same tensor for every clip: what the loader itself can do
raw       a FrameDataset with storage=raw
jpeg      a FrameDataset with storage=jpeg
files     one JPEG file per frame, read by OpenCV
videos    the original clips (10 s, 320x240, H.264), decoded each time with PyAV

Prints one JSON line per figure; sizes on disk are counted in blocks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import FRAMES as VIDEO_FRAMES  # noqa: E402
from bench_extraction import make_clips, report  # noqa: E402
from clip_datasets import write_dataset  # noqa: E402

from components.core.artifacts.frames import FrameReader  # noqa: E402
from components.core.events import Reporter  # noqa: E402
from components.core.training.clips import ClipExamples  # noqa: E402
from components.core.training.loader import make_loader  # noqa: E402
from components.core.training.views import Window  # noqa: E402
from components.frame_extraction.stage import STAGE, ExtractionSettings  # noqa: E402

CLIPS, FRAMES, SIZE, BATCH, WORKERS, ROUNDS = 200, 32, 224, 8, 2, 7
FEW = 40  # decoding is slow
SHAPE = (FRAMES, SIZE, SIZE, 3)


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = make_clips(folder / "source")
        chosen = {f"a/{n:03d}.mp4": sources[n % len(sources)] for n in range(CLIPS)}
        write_dataset(folder / "clips", chosen)
        readers = {storage: extract(folder, storage) for storage in ("raw", "jpeg")}
        write_files(readers["raw"], folder / "files")
        rates = measure(folder, readers, list(chosen.values()))
        results = [*speeds(rates), *sizes(folder)]
    raise SystemExit(0 if all(results) else 1)


def speeds(rates: dict[str, float]) -> list[bool]:
    raw, jpeg = rates["raw"], rates["jpeg"]
    return [
        report("raw_of_loader_ceiling", raw / rates["constant"], 0.75, **rates),
        report("jpeg_of_jpeg_files", jpeg / rates["files"], 1.1),
        report("raw_of_decoding", raw / rates["videos"], 12.0),
        report("jpeg_of_decoding", jpeg / rates["videos"], 12.0),
    ]


def sizes(folder: Path) -> list[bool]:
    (packed, packed_bytes), (single, single_bytes) = (
        usage(folder / name) for name in ("jpeg", "files")
    )
    return [
        report("files_saved", single / packed, 100.0, packed=packed, single=single),
        report("disk_saved", single_bytes / packed_bytes, 1.0, packed=packed_bytes),
    ]


def measure(folder: Path, readers: dict[str, FrameReader], videos: list[Path]) -> dict[str, float]:
    """Clips per second of each way, medians of rounds in which all take turns."""
    window = Window(FRAMES, 1, SIZE)
    ways: dict[str, Any] = {
        "constant": Constant(),
        "raw": ClipExamples(readers["raw"], range(CLIPS), window),
        "jpeg": ClipExamples(readers["jpeg"], range(CLIPS), window),
        "files": Files(folder / "files"),
        "videos": Videos(videos[:FEW]),
    }
    loaders = {name: loader(examples) for name, examples in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for each in loaders.values():
        consume(each)  # starts the workers, fills the page cache
    for _ in range(ROUNDS):
        for name, each in loaders.items():
            began = time.perf_counter()
            consume(each)
            times[name].append(time.perf_counter() - began)
    return {name: len(ways[name]) / statistics.median(times[name]) for name in ways}


def loader(examples: Any) -> Any:
    order = range(0, len(examples), BATCH)
    batches = [(0, list(range(start, start + BATCH))) for start in order]
    return make_loader(examples, lambda: batches, WORKERS, torch.device("cpu"))


def consume(batches: Any) -> None:
    for batch in batches:
        assert batch["frames"].shape == (BATCH, *SHAPE)


class Constant:
    """The same clip again and again, collated as PyTorch does by default."""

    def __init__(self) -> None:
        self.clip = torch.zeros(SHAPE, dtype=torch.uint8)

    def __len__(self) -> int:
        return CLIPS

    def batch(self, epoch: int, indices: list[int]) -> dict[str, torch.Tensor]:
        items = [{"frames": self.clip, "labels": 0} for _ in indices]
        collated: dict[str, torch.Tensor] = torch.utils.data.default_collate(items)
        return collated


class Files:
    """One JPEG file per frame, read by OpenCV."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return CLIPS

    def batch(self, epoch: int, indices: list[int]) -> dict[str, torch.Tensor]:
        items = [{"frames": torch.from_numpy(self.clip(index)), "labels": 0} for index in indices]
        collated: dict[str, torch.Tensor] = torch.utils.data.default_collate(items)
        return collated

    def clip(self, index: int) -> np.ndarray:
        cv2.setNumThreads(1)
        paths = [self.folder / f"{index:03d}" / f"{frame:03d}.jpg" for frame in range(FRAMES)]
        return np.stack([cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in paths])


class Videos:
    """The original clips, decoded each time, in order, as far as needed; PyAV on one thread."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, epoch: int, indices: list[int]) -> dict[str, torch.Tensor]:
        items = [{"frames": self.clip(self.paths[index]), "labels": 0} for index in indices]
        collated: dict[str, torch.Tensor] = torch.utils.data.default_collate(items)
        return collated

    def clip(self, path: Path) -> torch.Tensor:
        frames = np.empty(SHAPE, np.uint8)
        positions = ((np.arange(FRAMES) + 0.5) * (VIDEO_FRAMES / FRAMES)).astype(int).tolist()
        scaler = VideoReformatter()
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for number, frame in enumerate(container.decode(stream)):
                if number in positions:
                    rgb = scaler.reformat(frame, SIZE, SIZE, "rgb24", interpolation="BILINEAR")
                    frames[positions.index(number)] = rgb.to_ndarray()
                if number == positions[-1]:
                    break
        return torch.from_numpy(frames)


def extract(folder: Path, storage: str) -> FrameReader:
    settings = ExtractionSettings(frame_size=SIZE, crop_margin=0, storage=storage)
    out = {"frames": folder / storage}
    STAGE.execute(settings, {"clips": folder / "clips"}, out, folder / "state", Reporter("b"))
    return FrameReader(folder / storage)


def write_files(reader: FrameReader, folder: Path) -> None:
    for clip in range(len(reader)):
        (folder / f"{clip:03d}").mkdir(parents=True)
        for number, frame in enumerate(reader.read(clip, range(FRAMES))):
            path = str(folder / f"{clip:03d}" / f"{number:03d}.jpg")
            cv2.imwrite(path, frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


def usage(folder: Path) -> tuple[int, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_blocks * 512 for path in files)


if __name__ == "__main__":
    main()
