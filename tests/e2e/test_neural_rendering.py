"""From a scene that the viewer exported to a network that it loads, evaluated and published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from trainyard_process import assignments, record, run

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.rendering_evaluation import RenderingMetrics
from pipelines.demo import DEMOS
from pipelines.demo_scene import write_scene

AFTER = ["train_renderer", "evaluate_renderings", "publish_renderer", "triton_publish"]


@pytest.mark.slow
def test_a_scene_becomes_a_network_of_the_viewer(tmp_path: Path) -> None:
    write_scene(tmp_path / "scene")
    values: dict[str, Any] = {
        **DEMOS["neural_rendering"].parameters,
        "source": "scene",
        "networks": "networks",
        "network_name": "small",
        "repository": "models",
        "only_if_changed": True,
        "checkpoint_minutes": 60,
    }
    done = run(tmp_path, "run", "neural_rendering", *assignments(values), "--output", "first")
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = tmp_path / "first" / "outputs"
    curves = ModelBundle.load(outputs / "train_renderer" / "model").curves
    assert max(row["val_psnr"] for row in curves) - curves[0]["val_psnr"] > 6
    figures = RenderingMetrics.read(outputs / "evaluate_renderings" / "evaluation").figures
    assert figures["gain"] > 2  # dB above the nearest photographs, warped
    words = (tmp_path / "networks" / "small.txt").read_text(encoding="utf-8").split()
    named = dict(zip(words[0::2], words[1::2], strict=True))
    assert (named["name:"], named["groundtruth_amount:"]) == ("small", "4")
    network = torch.jit.load(tmp_path / "networks" / f"{named['name:']}.pt")
    levels = tuple(torch.rand(1, 4, 32 >> k, 48 >> k) for k in range(4))
    photographs = tuple(torch.rand(1, 4, 40, 56) for _ in range(4))
    lookups = tuple(torch.rand(1, 3, 32, 48) * 2 - 1 for _ in range(4))
    with torch.no_grad():
        assert network(levels, photographs, lookups).shape == (1, 3, 32, 48)
    assert (tmp_path / "models" / "scene" / "1" / "model.onnx").is_file()

    again = run(tmp_path, "run", "neural_rendering", *assignments(values), "--output", "second")
    assert again.returncode == 0, again.stderr
    kept = record(tmp_path / "second")
    assert kept["ended_early"] == "nothing changed since version 1 of scene"
    assert {kept["steps"][name]["status"] for name in AFTER} == {"skipped"}
