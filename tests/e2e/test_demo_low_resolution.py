"""The demonstration of low-resolution actions: tiny clips, a resizer network, several labels."""

import json
from pathlib import Path

import pytest
from trainyard_process import run


@pytest.mark.slow
def test_demo_learns_what_tiny_clips_show_over_time(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "low_resolution_actions")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / ".demo" / "low_resolution_actions" / "run"
    evaluation = folder / "outputs" / "evaluate_clips" / "evaluation"
    overall = json.loads((evaluation / "metrics.json").read_text())["overall"]
    assert overall["model"]["figures"]["macro_f1"] >= 0.7
    assert (
        overall["baseline"]["figures"]["macro_f1"] < overall["model"]["figures"]["macro_f1"] - 0.1
    )
    assert str(folder / "report.html") in done.stderr
    assert len(list((folder / "model_repository").glob("*/1/model.onnx"))) == 1
