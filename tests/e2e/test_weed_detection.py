"""From verified tasks of CVAT through a real database to a served detector and its annotations.

CVAT is a small server with its API's shapes; the database speaks MongoDB's protocol.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cvat_server import CvatServer, running_cvat
from trainyard_process import assignments, record, run

from components.core.artifacts.auto_annotation import AutoAnnotation
from components.core.artifacts.detection_evaluation import DetectionEvaluation
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.model_bundle import ModelBundle
from components.core.formats import coco, cvat_xml
from components.core.formats.shapes import AnnotatedImage
from pipelines.demo import DEMOS
from pipelines.demo_shapes import ANNOTATIONS, CLASSES, write_images

PARAMETERS: dict[str, Any] = {
    **DEMOS["weed_detection"].parameters,
    "origin": "cvat",
    "database": True,
    "model_name": "shapes",
    "repository": "models",
    "only_if_changed": True,
    "bootstrap": 20,
    "checkpoint_minutes": 60,
}

AFTER = [
    "split_images",
    "hpo_sweep",
    "train_detector",
    "evaluate_detections",
    "triton_publish",
    "auto_annotate",
]


class Site:
    """Images on a share, their recordings as verified tasks of CVAT, and one task still to do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.share = folder, folder / "share"
        write_images(self.share)
        recordings: dict[str, list[AnnotatedImage]] = {}
        for image in coco.read(self.share / ANNOTATIONS, self.share).images:
            recordings.setdefault(image.name.rpartition("/")[0], []).append(image)
        self.recordings = recordings

    def fill(self, cvat: CvatServer) -> None:
        *verified, self.open = sorted(self.recordings)
        for name in verified:
            self.add(cvat, name, "completed", drawn=True)
        self.add(cvat, self.open, "annotation", drawn=False)

    def add(self, cvat: CvatServer, name: str, status: str, drawn: bool) -> int:
        images = self.recordings[name]
        shapes = [
            {"label": s.label, "type": "rectangle", "frame": number, "points": list(s.points)}
            for number, image in enumerate(images)
            for s in (image.shapes if drawn else [])
        ]
        frames = [(image.name, image.width, image.height) for image in images]
        labels = [{"name": label, "attributes": []} for label in CLASSES]
        files = {n: (self.share / image.name).read_bytes() for n, image in enumerate(images)}
        name = name.replace("/", "_")
        return cvat.add_task(name, labels, frames, shapes, status=status, images=files)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def cvat(site: Site) -> Iterator[CvatServer]:
    with running_cvat(share=site.share) as server:
        site.fill(server)
        yield server


def ran(site: Site, cvat: CvatServer, out: str, **changes: Any) -> Any:
    values = {**PARAMETERS, "images": str(site.share), **changes}
    words = ["run", "weed_detection", *assignments(values), "--output", out]
    return run(site.folder, *words, **cvat.environment)


@pytest.mark.slow
def test_verified_tasks_become_a_detector_that_annotates_the_next(
    site: Site, cvat: CvatServer, mongo_database: str
) -> None:
    open_task = site.open.replace("/", "_")
    to_annotate = {"cvat_task": open_task, "upload": True}
    done = ran(site, cvat, "first", **to_annotate)
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = site.folder / "first" / "outputs"

    dataset = DetectionDataset.load(outputs / "annotation_sync" / "dataset")
    assert dataset.classes == list(CLASSES)
    verified = [image for name in sorted(site.recordings)[:-1] for image in site.recordings[name]]
    assert dataset.counts.images == len(verified)
    assert dataset.counts.annotations == sum(len(image.shapes) for image in verified)
    assert dataset.counts.empty == sum(not image.shapes for image in verified) > 0
    assert stored(mongo_database) == dataset.counts.annotations

    evaluation = DetectionEvaluation.load(outputs / "evaluate_detections" / "evaluation")
    assert evaluation.figures["map50"] > 0.7
    confusion = np.load(outputs / "evaluate_detections" / "evaluation" / "confusion.npy")
    assert confusion.shape == (len(CLASSES) + 1,) * 2

    bundle = ModelBundle.load(outputs / "train_detector" / "model")
    published = site.folder / "models" / "shapes"
    assert (published / "1" / "model.onnx").is_file()
    card = json.loads((published / "1" / "model_card.json").read_text(encoding="utf-8"))
    assert card["fingerprint"] == bundle.fingerprint
    assert card["data"]["images"] == dataset.fingerprint

    annotated = outputs / "auto_annotate" / "annotated"
    found = AutoAnnotation.load(annotated)
    [new] = [t for t in cvat.tasks.values() if t["name"].startswith("auto_annotation_")]
    assert new["size"] == len(site.recordings[site.open])
    asked = cvat.asked(path=f"/tasks/{new['id']}/annotations")
    assert len([request for request in asked if request.method != "GET"]) == 1
    drawn = sum(found.boxes.values())
    assert len(new["shapes"]) == drawn == found.uploaded > 0
    assert all(0 < float(s["attributes"][0]["value"]) <= 1 for s in new["shapes"])
    assert sum(cvat_xml.read(annotated / found.files["xml"]).counts().values()) == drawn
    truth = Counter(s.label for image in site.recordings[site.open] for s in image.shapes)
    names = {label["id"]: label["name"] for label in new["labels"]}
    for label, count in Counter(names[s["label_id"]] for s in new["shapes"]).items():
        assert count > 0.4 * truth[label]

    again = ran(site, cvat, "second", **to_annotate)
    assert again.returncode == 0, again.stderr
    kept = record(site.folder / "second")
    assert kept["ended_early"] == "nothing changed since version 1 of shapes"
    assert {kept["steps"][name]["status"] for name in AFTER} == {"skipped"}
    assert not (published / "2").exists()


def stored(database: str) -> int:
    """Annotations in the database."""
    from mongodb_server import client

    with client(os.environ["TRAINYARD_MONGODB_URI"]) as connection:
        return int(connection[database]["annotation_data"].count_documents({}))
