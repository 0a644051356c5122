"""evaluate_detections with a real ONNX detector, as a Kubeflow component and as a command."""

import json
import subprocess
import sys

import numpy as np
import pytest
from colour_detector import CLASSES, paint, write_detector
from kfp import dsl, local

from components.core.artifacts.detection_evaluation import DetectionEvaluation, DetectionMetrics
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.evaluate_detections.component import evaluate_detections

INPUTS = ("model", "dataset", "split")
RED, GREEN = (4, 6, 24, 30), (30, 34, 60, 58)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two objects an image, found exactly; on test/5.png red is annotated as blue."""
    monkeypatch.setenv("TRAINYARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    bundle = write_detector(tmp_path / "model")
    images, parts = [], {}
    for part in ("train", "val", "test"):
        for number in range(6):
            name = f"{part}/{number}.png"
            score = 0.5 + number / 20
            path = paint(tmp_path / "pictures" / name, ("red", score, RED), ("green", 0.9, GREEN))
            label = "blue" if name == "test/5.png" else "red"
            shapes = [Shape(label, Kind.RECTANGLE, RED), Shape("green", Kind.RECTANGLE, GREEN)]
            images.append(AnnotatedImage(name, 64, 64, shapes, path))
            parts[name] = part
    dataset = DetectionDataset.write(tmp_path / "dataset", images, CLASSES, "painted")
    split = Split.create(dataset.fingerprint, parts, {})
    (tmp_path / "split").mkdir()
    split.save(tmp_path / "split")
    bundle.model_copy(update={"dataset": dataset.fingerprint, "split": split.fingerprint}).save(
        tmp_path / "model"
    )
    return tmp_path


def check(place):
    """Ten of twelve objects are right, and one is of the wrong class."""
    metrics = DetectionMetrics.read(place)
    assert metrics.classes[1].ap == 1
    assert metrics.errors["wrong_class"] == metrics.errors["missed"] == 1
    assert sum(own.right for own in metrics.classes) == 11
    table = np.load(place / "confusion.npy")
    assert table.tolist() == [[5, 0, 0, 0], [0, 6, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    # The mistake has the highest score of all red boxes.
    assert metrics.classes[0].ap == pytest.approx(5 / 6, abs=1e-6)
    assert metrics.figures["map"] == pytest.approx((5 / 6 + 1 + 0) / 3, abs=1e-6)


def test_figures_matrix_and_report_reach_the_interface(folder):
    @dsl.pipeline
    def alone(model: str, dataset: str, split: str):
        def given(uri, kind):
            return dsl.importer(artifact_uri=uri, artifact_class=kind, reimport=False).output

        evaluate_detections(
            model=given(model, dsl.Model),
            dataset=given(dataset, dsl.Dataset),
            split=given(split, dsl.Dataset),
            device="cpu",
        )

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "root"))
    alone(**{name: str(folder / name) for name in INPUTS})
    (root,) = (folder / "root").glob("*/evaluate-detections")
    found = {path.name: path for path in root.iterdir()}
    assert found["report"].read_text().startswith("<!DOCTYPE html>")
    check(found["evaluation"])
    output = json.loads((root / "executor_output.json").read_text())["artifacts"]
    metrics = output["metrics"]["artifacts"][0]["metadata"]
    assert metrics == DetectionEvaluation.load(found["evaluation"]).figures
    matrix = output["confusion"]["artifacts"][0]["metadata"]["confusionMatrix"]
    assert [spec["displayName"] for spec in matrix["annotationSpecs"]] == [*CLASSES, "background"]


def test_the_command_evaluates_and_reuses(folder):
    def command(*more):
        places = [f"--{name}={folder / name}" for name in INPUTS]
        places += [f"--evaluation={folder / 'evaluation'}", f"--report={folder / 'report.html'}"]
        return subprocess.run(
            [sys.executable, "-m", "components.evaluate_detections", *places, *more],
            capture_output=True,
            text=True,
            timeout=300,
        )

    first = command("--device=cpu", "--batch-size=4")
    assert first.returncode == 0, first.stderr
    check(folder / "evaluation")
    index = (folder / "evaluation" / "index.json").read_bytes()
    # What only changes the speed is no other evaluation.
    second = command("--device=cpu", "--batch-size=1", f"--evaluation={folder / 'again'}")
    assert second.returncode == 0, second.stderr
    assert "already done" in second.stdout + second.stderr
    assert (folder / "again" / "index.json").read_bytes() == index
    assert "data:image/jpeg" in (folder / "report.html").read_text()
