"""The shapes of the demonstration as a data set with its split, small and quick to make."""

from pathlib import Path

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.formats import coco
from pipelines.demo_shapes import ANNOTATIONS, CLASSES, write_images


def shapes_dataset(
    folder: Path, recordings: int = 2, frames: int = 4, side: int = 64, seed: int = 0
) -> tuple[Path, Path]:
    """Writes `dataset` and `split` into a folder; the last recording of each task validates."""
    source = write_images(folder / "shapes", recordings, frames, side, seed)
    images = coco.read(source / ANNOTATIONS).images
    dataset, split = folder / "dataset", folder / "split"
    index = DetectionDataset.write(dataset, images, CLASSES)
    last = f"recording{recordings}"
    parts = {image.name: "val" if image.group.endswith(last) else "train" for image in images}
    Split.create(index.fingerprint, parts, {}).save(split)
    return dataset, split
