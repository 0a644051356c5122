"""Real annotations: what the readers find is what counting words in the files finds."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from labelled_images import comparable, problems

from components.core.artifacts.detections import DetectionDataset
from components.core.formats import boxes, coco, cvat_xml, kitti_labels, voc, yolo
from components.core.formats.image_files import ImageFiles
from components.core.formats.reading import Reading
from components.core.formats.shapes import AnnotatedImage, Annotations, Kind, Shape


def folder(shared_data: Path, name: str) -> Path:
    if not (shared_data / name).is_dir():
        pytest.skip(f"no sample data {shared_data / name}")
    return shared_data / name


def words(files: list[Path], pattern: str) -> Counter[str]:
    """How often each text of a pattern's group is in the files."""
    found: Counter[str] = Counter()
    for path in files:
        found.update(re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def test_blood_cells(shared_data: Path) -> None:
    source = folder(shared_data, "bccd_voc")
    files = sorted(source.glob("Annotations/*.xml"))
    counted = words(files, r"<object>\s*<name>(\w+)</name>")
    assert (len(files), counted) == (292, {"RBC": 3350, "WBC": 301, "Platelets": 292})
    found = voc.read(source)
    assert len(found.images) == 292
    assert found.labels == ["Platelets", "RBC", "WBC"]
    assert found.counts() == {"RBC": 3348, "WBC": 301, "Platelets": 292}
    assert found.kinds() == {"rectangle": 3941}
    assert problems(found) == [
        ("zero_area", f"BloodImage_{number}.xml", f"line {line}, <object>",
         "rectangle 'RBC' has no area (0 x 0 pixels): left out")
        for number, line in (("00338", 158), ("00343", 50))
    ]  # fmt: skip
    assert Counter(image.part for image in found.images) == {"train": 205, "val": 87}
    assert {(image.width, image.height) for image in found.images} == {(640, 480)}


def test_raccoons(shared_data: Path, tmp_path: Path) -> None:
    source = folder(shared_data, "raccoon_voc")
    lines = (source / "train_labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    table = sorted(tuple(line.split(",")) for line in lines)
    assert len(table) == 173
    found = voc.read(source)
    assert found.problems == []
    assert (len(found.images), found.counts()) == (160, {"raccoon": 173})
    read = sorted(
        (i.name, str(i.width), str(i.height), s.label, *(str(int(n)) for n in s.points))
        for i in found.images
        for s in i.shapes
    )
    assert read == table
    # the same through every format that is written
    for image in found.images:
        for shape in image.shapes:
            shape.attributes.clear()
    cvat_xml.write(tmp_path / "cvat.xml", found.images, found.labels)
    coco.write(tmp_path / "coco.json", found.images, found.labels)
    yolo.write(tmp_path / "yolo", found.images, found.labels)
    kitti_labels.write(tmp_path / "kitti", found.images)
    images = source / "images"
    for name, again in (
        ("cvat", cvat_xml.read(tmp_path / "cvat.xml", images)),
        ("coco", coco.read(tmp_path / "coco.json", images)),
        ("yolo", yolo.read(tmp_path / "yolo", images)),
        ("kitti", kitti_labels.read(tmp_path / "kitti", images)),
    ):
        assert again.problems == [], name
        places = {image.name: image for image in again.images}
        assert len(places) == 160, name
        for image in found.images:
            other = places[image.name]
            assert (other.path, other.shapes) == (image.path, image.shapes), (name, image.name)


def plants(source: Path) -> Annotations:
    """CWFID's own YAML, which is no format of ours."""
    found = Reading(ImageFiles(source / "images"), ["crop", "weed"])
    for path in sorted((source / "annotations").glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        shapes = []
        for number, entry in enumerate(content["annotation"]):
            xs, ys = entry["points"]["x"], entry["points"]["y"]
            pairs = zip(xs, ys, strict=True) if isinstance(xs, list) else [(xs, ys)]
            points = tuple(number for pair in pairs for number in pair)
            shapes.append((f"[{number}]", Shape(entry["type"], Kind.POLYGON, points)))
        found.add(AnnotatedImage(content["filename"], 1296, 966), shapes, path)
    return found.finished()


def test_weeds(shared_data: Path, tmp_path: Path) -> None:
    source = folder(shared_data, "cwfid_weeds")
    files = sorted(source.glob("annotations/*.yaml"))
    assert words(files, r"^- type: (\w+)$") == {"weed": 62, "crop": 34}
    read = plants(source)
    # One weed is a single point.
    assert words(files, r"^  points: {x: ([\d.]+), y: [\d.]+}$") == {"685.0": 1}
    assert problems(read) == [
        ("too_few_coordinates", "018_annotation.yaml", "[0]",
         "polygon 'weed' has too few coordinates for a box: left out")
    ]  # fmt: skip
    expected = {"weed": 61, "crop": 34}
    assert (len(read.images), read.counts(), read.kinds()) == (12, expected, {"polygon": 95})
    cvat_xml.write(tmp_path / "cvat.xml", read.images, read.labels)
    coco.write(tmp_path / "coco.json", read.images, read.labels)
    for found in (
        cvat_xml.read(tmp_path / "cvat.xml", source / "images"),
        coco.read(tmp_path / "coco.json", source / "images"),
    ):
        assert found.problems == []
        assert (found.counts(), found.kinds()) == (expected, {"polygon": 95})
        for image, original in zip(found.images, read.images, strict=True):
            assert (image.path, image.shapes) == (original.path, original.shapes)
    index = DetectionDataset.write(tmp_path / "out", read.images, read.labels)
    assert {name: n.annotations for name, n in index.summary().classes.items()} == expected
    for image in index.images(tmp_path / "out"):
        for shape in image.shapes:
            xs, ys = shape.points[0::2], shape.points[1::2]
            assert boxes.box(shape) == (min(xs), min(ys), max(xs), max(ys))


@pytest.mark.parametrize(
    ("place", "images", "expected"),
    [
        (
            "real_3",
            3,
            {"Pedestrian": 1, "Truck": 1, "Car": 2, "Cyclist": 1, "Misc": 1, "DontCare": 4},
        ),
        ("datumaro_kitti_detection", 2, {"Truck": 1, "Van": 4}),
    ],
)
def test_kitti(
    shared_data: Path, tmp_path: Path, place: str, images: int, expected: dict[str, int]
) -> None:
    source = folder(shared_data, "kitti_samples") / place
    files = sorted(source.rglob("label_2/*.txt"))
    assert words(files, r"^(\w+) ") == expected
    found = kitti_labels.read(source)
    assert found.problems == []
    assert (len(found.images), found.counts()) == (images, expected)
    assert all(image.path for image in found.images)
    kitti_labels.write(tmp_path, found.images)
    again = kitti_labels.read(tmp_path, source)
    assert comparable(again.images) == comparable(found.images)


def test_kitti_boxes_beyond_a_stand_in_image(shared_data: Path) -> None:
    found = kitti_labels.read(folder(shared_data, "kitti_samples") / "datumaro_kitti_3d")
    assert [each[:3] for each in problems(found)] == [
        ("outside", "000001.txt", f"line {number}") for number in (1, 2, 3)
    ]
    assert [(image.width, image.shapes) for image in found.images] == [(10, [])]


def test_cvat_project(shared_data: Path) -> None:
    source = folder(shared_data, "cvat_samples") / "for_images/export_project"
    tags = words([source / "annotations.xml"], r"<(image|box|polygon|polyline|points) ")
    assert tags == {"image": 6, "box": 3, "polygon": 3, "polyline": 3, "points": 3}
    labels = words([source / "annotations.xml"], r'label="(\w+)"')
    assert labels == {"label1": 6, "label2": 6}
    found = cvat_xml.read(source)
    assert found.problems == []
    assert found.labels == ["label1", "label2"]
    assert found.kinds() == {"rectangle": 3, "polygon": 3, "polyline": 3, "points": 3}
    assert found.counts() == labels
    assert [(i.name, i.part, i.task, i.width) for i in found.images] == [
        (f"{subset}/img{number}.jpg", part, "Test", 8 + 2 * number)
        for subset, part in (("Test", "test"), ("Train", "train"), ("Validation", "val"))
        for number in (0, 1)
    ]
    box = found.images[0].shapes[0]
    assert (box.points, box.occluded, box.z_order) == ((0, 2, 4, 4), True, 1)
    assert box.attributes == {"a1": "true", "a2": "v3", "a3": "0003", "a4": "2.4"}


def test_cvat_task(shared_data: Path) -> None:
    source = folder(shared_data, "cvat_samples") / "for_images/export_task"
    assert words([source / "train.xml"], r'label="(\w*)"') == {"label1": 1, "label2": 1, "": 2}
    found = cvat_xml.read(source)
    assert (len(found.images), found.counts()) == (2, {"label1": 1, "label2": 1})
    assert [each[:3] for each in problems(found)] == [
        ("unknown_class", "train.xml", "line 50, <polyline>"),
        ("unknown_class", "train.xml", "line 53, <polygon>"),
    ]


def test_cvat_video(shared_data: Path) -> None:
    source = folder(shared_data, "cvat_samples") / "for_video"
    # Every frame of a track is given; those that are not outside count.
    assert words([source / "annotations.xml"], r'<(\w+) frame="\d+" outside="0"') == {
        "box": 1, "points": 1, "polyline": 1,
    }  # fmt: skip
    found = cvat_xml.read(source)
    assert found.labels == ["klhg", "z U k", "II"]
    assert found.kinds() == {"rectangle": 1, "points": 1, "polyline": 1}
    assert found.counts() == {"II": 2, "klhg": 1}
    assert [(i.frame, [s.track for s in i.shapes], i.path is None) for i in found.images] == [
        (10, ["0", "1"], False),
        (13, ["2"], False),
        (16, [], False),
        (19, [], True),
    ]
    assert [each[:3] for each in problems(found)] == [
        ("missing_image", "annotations.xml", "frame 19")
    ]
    assert {(i.task, i.group, i.width, i.height) for i in found.images} == {("v1", "t.mp4", 25, 20)}
