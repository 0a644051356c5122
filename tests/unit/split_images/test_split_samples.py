"""Splits of real annotated images."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.formats import voc
from components.core.formats.image_files import ImageFiles
from components.core.formats.reading import Reading
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.settings import build
from components.split_images.stage import STAGE, SplitSettings


def folder(shared_data: Path, name: str) -> Path:
    if not (shared_data / name).is_dir():
        pytest.skip(f"no sample data {shared_data / name}")
    return shared_data / name


def run(dataset: Path, **settings: object) -> Split:
    out = dataset.parent / f"split-{len(list(dataset.parent.iterdir()))}"
    STAGE.execute(
        build(SplitSettings, settings),
        {"dataset": dataset},
        {"split": out, "report": out.with_suffix(".html")},
        state_root=dataset.parent / "state",
    )
    return Split.load(out)


def test_blood_cells_keep_their_published_parts(shared_data: Path, tmp_path: Path) -> None:
    source = folder(shared_data, "bccd_voc")
    found = voc.read(source)
    DetectionDataset.write(tmp_path / "dataset", found.images, found.labels)
    listed = {
        part: {
            Path(line).stem for line in (source / f"ImageSets/Main/{part}.txt").read_text().split()
        }
        for part in ("train", "val")
    }
    split = run(tmp_path / "dataset", strategy="published", test_size=0)
    for part, names in listed.items():
        assert {Path(name).stem for name in split.ids(part)} <= names
    assert Counter(split.parts.values()) == {"train": 205, "val": 87}
    # the test part that the source does not name comes from its training images
    split = run(tmp_path / "dataset", strategy="published", test_size=0.2)
    assert Counter(split.parts.values()) == {"train": 164, "val": 87, "test": 41}
    for name in found.labels:
        total = sum(split.counts[name][part] for part in ("train", "test"))
        assert split.counts[name]["test"] / total == pytest.approx(0.2, abs=0.02)


def test_raccoons_in_parts_of_the_sizes_asked_for(shared_data: Path, tmp_path: Path) -> None:
    found = voc.read(folder(shared_data, "raccoon_voc"))
    DetectionDataset.write(tmp_path / "dataset", found.images, found.labels)
    split = run(tmp_path / "dataset", val_size=20, test_size=0.25)
    assert Counter(split.parts.values()) == {"train": 100, "val": 20, "test": 40}
    assert sum(split.counts["raccoon"].values()) == 173


def test_weeds_by_their_look(shared_data: Path, tmp_path: Path) -> None:
    source = folder(shared_data, "cwfid_weeds")
    reading = Reading(ImageFiles(source / "images"), ["crop", "weed"])
    for path in sorted((source / "annotations").glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        shapes = []
        for number, entry in enumerate(content["annotation"]):
            xs, ys = entry["points"]["x"], entry["points"]["y"]
            if isinstance(xs, list):
                points = tuple(n for pair in zip(xs, ys, strict=True) for n in pair)
                shapes.append((f"[{number}]", Shape(entry["type"], Kind.POLYGON, points)))
        reading.add(AnnotatedImage(content["filename"], 1296, 966), shapes, path)
    found = reading.finished()
    DetectionDataset.write(tmp_path / "dataset", found.images, found.labels)
    split = run(
        tmp_path / "dataset", strategy="embedding", embedding_size=32, clusters=2,
        val_size=0.25, test_size=0.25, device="cpu",
    )  # fmt: skip
    assert Counter(split.parts.values()) == {"train": 6, "val": 3, "test": 3}
    for name in ("crop", "weed"):
        assert all(split.counts[name].values()), split.counts
    lines = next(tmp_path.glob("split-*/coordinates.csv")).read_text().splitlines()
    assert len(lines) == 1 + 95 + 12
