"""evaluate_clips and triton_publish as Kubeflow components, run by kfp's embedded runner."""

import json

import numpy as np
import pytest
from clip_bundles import CLASSES, write_bundle, write_clips, write_split
from kfp import dsl, local

from components.evaluate_clips.component import evaluate_clips
from components.triton_publish.component import triton_publish


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINYARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    frames = write_clips(tmp_path / "frames", [CLASSES[row % 4] for row in range(24)])
    write_split(tmp_path / "split", frames, ["train", "test"] * 12)
    write_bundle(tmp_path / "model")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    return tmp_path


def test_figures_matrix_and_report_reach_the_interface(folder):
    @dsl.pipeline
    def both(model: str, frames: str, split: str):
        def given(uri, kind):
            return dsl.importer(artifact_uri=uri, artifact_class=kind, reimport=False).output

        bundle = given(model, dsl.Model)
        evaluated = evaluate_clips(
            model=bundle,
            frames=given(frames, dsl.Dataset),
            split=given(split, dsl.Dataset),
            bootstrap=50,
        )
        triton_publish(
            model=bundle,
            evaluation=evaluated.outputs["evaluation"],
            repository=str(folder / "repository"),
        )

    both(**{name: str(folder / name) for name in ("model", "frames", "split")})
    (root,) = (folder / "root").glob("*/evaluate-clips")
    found = {path.name: path for path in root.iterdir()}
    assert found["report"].read_text().startswith("<!DOCTYPE html>")
    arrays = found["evaluation"]
    matrix = np.load(arrays / "confusion.npy")
    output = json.loads((root / "executor_output.json").read_text())["artifacts"]
    metrics = output["metrics"]["artifacts"][0]["metadata"]
    figures = json.loads((arrays / "metrics.json").read_text())["overall"]["model"]["figures"]
    assert metrics == figures
    confusion = output["confusion"]["artifacts"][0]["metadata"]["confusionMatrix"]
    assert [spec["displayName"] for spec in confusion["annotationSpecs"]] == CLASSES
    assert [row["row"] for row in confusion["rows"]] == matrix.tolist()
    assert (folder / "repository" / "motion" / "1" / "model.onnx").is_file()
