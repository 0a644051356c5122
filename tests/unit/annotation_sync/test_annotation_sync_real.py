"""Real annotation files through the whole stage: the counts are those of the files themselves."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.annotation_sync.stage import STAGE, AnnotationSyncSettings
from components.core.artifacts.detections import DetectionDataset
from components.core.errors import InputError


def synced(tmp_path: Path, source: Path, **settings: Any) -> tuple[DetectionDataset, list[Any]]:
    """The data set of a folder, and the rows of problems.csv."""
    if not source.exists():
        pytest.skip(f"no sample data {source}")
    out = tmp_path / "dataset"
    STAGE.execute(
        AnnotationSyncSettings(annotations=str(source), **settings),
        {},
        {"dataset": out, "report": tmp_path / "report.html"},
        tmp_path / "state",
    )
    with open(out / "problems.csv", encoding="utf-8", newline="") as file:
        return DetectionDataset.load(out), list(csv.DictReader(file))


def counts(dataset: DetectionDataset) -> dict[str, int]:
    return {name: found.annotations for name, found in dataset.counts.classes.items()}


def test_blood_cells(tmp_path: Path, shared_data: Path) -> None:
    dataset, problems = synced(tmp_path, shared_data / "bccd_voc")
    assert dataset.counts.images == 292
    assert counts(dataset) == {"RBC": 3348, "WBC": 301, "Platelets": 292}
    found = [(p["kind"], Path(p["file"]).name, p["where"]) for p in problems]
    assert found == [
        ("zero_area", "BloodImage_00338.xml", "line 158, <object>"),
        ("zero_area", "BloodImage_00343.xml", "line 50, <object>"),
    ]
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 problems in the annotations" in report
    assert "BloodImage_<wbr>00338.xml" in report
    figures = json.loads((tmp_path / "dataset" / "statistics.json").read_text(encoding="utf-8"))
    assert sum(figures["sides"]) == sum(figures["ratios"]) == figures["annotations"] == 3941
    assert sum(figures["per_image"]) == 292
    assert figures["parts"] == {"train": 205, "val": 87}


def test_raccoons(tmp_path: Path, shared_data: Path) -> None:
    dataset, problems = synced(tmp_path, shared_data / "raccoon_voc")
    assert (dataset.counts.images, counts(dataset), problems) == (160, {"raccoon": 173}, [])
    assert len(list((tmp_path / "dataset" / "images").iterdir())) == 160


def plants(source: Path, target: Path) -> Path:
    """CWFID's own YAML as an export of CVAT, its single point too."""
    lines = ["<annotations><version>1.1</version>"]
    paths = sorted((source / "annotations").glob("*.yaml"))
    for number, path in enumerate(paths):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = content["filename"]
        lines.append(f'<image id="{number}" name="{name}" width="1296" height="966">')
        for entry in content["annotation"]:
            xs, ys = entry["points"]["x"], entry["points"]["y"]
            pairs = zip(xs, ys, strict=True) if isinstance(xs, list) else [(xs, ys)]
            points = ";".join(f"{x},{y}" for x, y in pairs)
            lines.append(f'<polygon label="{entry["type"]}" points="{points}" occluded="0"/>')
        lines.append("</image>")
    target.write_text("\n".join([*lines, "</annotations>"]), encoding="utf-8")
    return target


def test_weeds(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "cwfid_weeds"
    if not source.is_dir():
        pytest.skip(f"no sample data {source}")
    xml = plants(source, tmp_path / "plants.xml")
    dataset, problems = synced(
        tmp_path, xml, images=str(source / "images"), classes=["crop", "weed"]
    )
    assert (dataset.counts.images, counts(dataset)) == (12, {"crop": 34, "weed": 61})
    assert dataset.counts.shapes == {"polygon": 95}
    own, own_problems = synced(tmp_path / "own", source, classes=["crop", "weed"])
    assert (own.counts, own.classes) == (dataset.counts, dataset.classes)
    assert [(p["kind"], p["where"]) for p in own_problems] == [
        ("too_few_coordinates", "annotation[0]")
    ]
    assert [(p["kind"], p["what"]) for p in problems] == [
        ("too_few_coordinates", "polygon 'weed' has too few coordinates for a box: left out")
    ]


@pytest.mark.parametrize(
    ("place", "images", "expected", "kinds"),
    [
        (
            "kitti_samples/real_3",
            3,
            {"Car": 2, "Cyclist": 1, "Misc": 1, "Pedestrian": 1, "Truck": 1},
            [],
        ),
        ("kitti_samples/datumaro_kitti_detection", 2, {"Truck": 1, "Van": 4}, []),
        ("cvat_samples/for_images/export_project", 6, {"label1": 6, "label2": 6}, []),
        (
            "cvat_samples/for_images/export_task",
            2,
            {"label1": 1, "label2": 1},
            ["unknown_class", "unknown_class"],
        ),
        ("cvat_samples/for_video", 3, {"klhg": 1, "II": 2}, ["missing_image"]),
    ],
)
def test_kitti_and_cvat(
    tmp_path: Path,
    shared_data: Path,
    place: str,
    images: int,
    expected: dict[str, int],
    kinds: list[str],
) -> None:
    dataset, problems = synced(tmp_path, shared_data / place)
    assert (dataset.counts.images, counts(dataset)) == (images, expected)
    assert [problem["kind"] for problem in problems] == kinds


def test_beside_images_of_another_size_nothing_is_left(tmp_path: Path, shared_data: Path) -> None:
    with pytest.raises(InputError, match="hold no shape with a box") as caught:
        synced(tmp_path, shared_data / "kitti_samples" / "datumaro_kitti_3d")
    assert str(caught.value).count("in an image of 10 x 10 pixels: left out") == 3
