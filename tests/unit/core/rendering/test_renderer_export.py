"""ONNX of renderers: of any size, with every option, and never another network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from rendering_networks import inputs, renderer

from components.core.errors import TrainyardError
from components.core.models.renderer_export import (
    export_renderer,
    flat,
    input_names,
    verify_renderer,
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"upsample_mode": "deconv", "pooling_mode": "avg", "mask_warped": True},
        {"normalization": "group", "sampling": "bilinear", "reweight_with_validity": True},
        {"warp_rgbd": False, "disable_reweighting": True, "in_gt_frame_amount": 1},
    ],
)
def test_onnx_renders_as_the_network(options: dict[str, Any], tmp_path: Path) -> None:
    network, path = renderer(**options), tmp_path / "model.onnx"
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert export_renderer(network, path) < 1e-4
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    session = onnxruntime.InferenceSession(str(path))
    names = [one.name for one in session.get_inputs()]
    assert names == input_names(4, network.aux_amount)
    batch = inputs(network, size=(112, 160), aux_size=(60, 90), seed=7)
    given = {name: tensor.numpy() for name, tensor in zip(names, flat(batch), strict=True)}
    (found,) = session.run(["picture"], given)
    with torch.no_grad():
        np.testing.assert_allclose(found, network(*batch).numpy(), atol=1e-4)
    assert found.shape == (1, 3, 112, 160)
    assert found.std() > 0.01
    assert str(Path.cwd()) not in path.read_bytes().decode("latin-1")


def test_another_network_is_told_apart(tmp_path: Path) -> None:
    network, path = renderer(), tmp_path / "model.onnx"
    export_renderer(network, path)
    with pytest.raises(TrainyardError, match="differs from PyTorch by"):
        verify_renderer(path, renderer(seed=1), [inputs(network)])
