"""Runs annotation_sync as a user does, and reads what it wrote."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.annotation_sync.stage import STAGE, AnnotationSyncSettings
from components.core.artifacts.detections import DetectionDataset
from components.core.formats import coco
from components.core.formats.shapes import AnnotatedImage
from components.core.settings import build


@dataclass(frozen=True)
class Synced:
    """What a run has written."""

    folder: Path
    index: DetectionDataset
    problems: list[dict[str, str]]
    report: str
    metadata: dict[str, Any]

    @property
    def images(self) -> dict[str, AnnotatedImage]:
        return {image.name: image for image in self.index.images(self.folder)}

    @property
    def counts(self) -> dict[str, int]:
        return {name: found.annotations for name, found in self.index.counts.classes.items()}


def sync(tmp_path: Path, **settings: Any) -> Synced:
    """One run; runs below the same folder share their state."""
    places = (tmp_path / f"run {number}" for number in itertools.count(1))
    place = next(place for place in places if not place.exists())
    place.mkdir()
    outputs = {"dataset": place / "dataset", "report": place / "report.html"}
    given = build(AnnotationSyncSettings, settings, "annotation_sync")
    metadata = STAGE.execute(given, {}, outputs, tmp_path / "state")
    with open(place / "dataset" / "problems.csv", encoding="utf-8", newline="") as file:
        problems = list(csv.DictReader(file))
    return Synced(
        place / "dataset",
        DetectionDataset.load(place / "dataset"),
        problems,
        outputs["report"].read_text(encoding="utf-8"),
        metadata["dataset"],
    )


def write_coco(folder: Path, images: list[AnnotatedImage], classes: list[str]) -> Path:
    """A COCO file beside the folder `images`, in which the files of the images must be."""
    path = folder / "annotations.json"
    coco.write(path, images, classes)
    return path
