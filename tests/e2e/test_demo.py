"""The demonstration: motion is learned, a still frame tells nothing."""

import json
from pathlib import Path

import pytest
from trainyard_process import record, run


@pytest.mark.slow
def test_demo_learns_motion_that_no_still_frame_shows(tmp_path: Path) -> None:
    done = run(tmp_path, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / ".demo" / "run"
    evaluation = folder / "outputs" / "evaluate_clips" / "evaluation"
    overall = json.loads((evaluation / "metrics.json").read_text())["overall"]
    assert overall["model"]["figures"]["macro_f1"] >= 0.9
    assert overall["baseline"]["figures"]["macro_f1"] < 0.5
    report = folder / "report.html"
    assert str(report) in done.stderr
    assert report.stat().st_size > 20_000
    page = report.read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script src" not in page
    repository = folder / "model_repository"
    assert str(repository) in done.stderr
    assert sorted(p.name for p in repository.glob("*/1/model.onnx")) == ["model.onnx"]
    assert record(folder)["seconds"] < 400
