"""Experiments of a TAO project through the whole pipeline, up to a model that Triton serves.

NVIDIA's programs are stood for by `tao_fakes`; everything up to their call is real.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tao_fakes
from trainyard_process import record, run

from components.core.formats.triton import parse_config
from pipelines.demo_tao import write_project

KEY = "tlt_encode"

EXPERIMENTS = {
    "dssd_resnet18_01": ("dssd", "model.plan"),
    "detectnetv2_resnet18_01": ("detectnet_v2", "model.onnx"),
    "dino_fan_01": ("dino", "model.plan"),
}
"""Experiment → its head, and what is served: a network with operators of TensorRT is an engine."""


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_becomes_a_served_model(tmp_path: Path, experiment: str) -> None:
    head, graph = EXPERIMENTS[experiment]
    project = write_project(tmp_path / "work")
    before = contents(project)
    environment = {
        "TAO_PATH": f"{tao_fakes.install(tmp_path / 'bin')}:/usr/bin:/bin",
        "TRAINYARD_TAO_KEY": KEY,
        "FAKE_TAO_CALLS": str(tmp_path / "calls"),
        "CUDA_VISIBLE_DEVICES": "0",
    }
    words = [f"project={project}", f"experiment={experiment}", "repository=models"]
    words += ["export_type=fp32", "--output", "first"]
    done = run(tmp_path, "run", "tao_detection", *words, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    called = [Path(call["command"][0]).name for call in tao_fakes.calls(tmp_path / "calls")]
    assert {*called} == {head}
    tasks = [call["command"][1] for call in tao_fakes.calls(tmp_path / "calls")]
    assert [task for task in tasks if task in ("train", "export")] == ["train", "export"]
    published = tmp_path / "models" / experiment
    assert (published / "1" / graph).is_file()
    config = parse_config((published / "config.pbtxt").read_text(encoding="utf-8"), "config")
    assert config.name == experiment
    card = json.loads((published / "1" / "model_card.json").read_text(encoding="utf-8"))
    assert card["evaluation"]["figures"]
    assert record(tmp_path / "first")["status"] == "finished"
    assert contents(project) == before
    told = done.stdout + done.stderr
    texts = (p.read_bytes() for p in (tmp_path / "first").rglob("*") if p.is_file())
    assert KEY not in told
    assert not any(KEY.encode() in text for text in texts)


def test_everything_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    project = write_project(tmp_path / "work")
    settings = project / "experiments.yml"
    settings.write_text(settings.read_text().replace("head: dssd", "head: dsssd"))
    [label] = sorted(project.rglob("label_2/*.txt"))[:1]
    words = ["run", "tao_detection", f"project={project}", "experiment=dssd_resnet18_01"]
    done = run(tmp_path, *words, "export_type=fp8", "--output", "first")
    assert done.returncode == 2
    assert "export_type: " in done.stderr
    assert "dsssd" in done.stderr
    assert label.is_file()
    assert not (tmp_path / "first").exists()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
