"""A renderer on a real Triton server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.http
from rendered_scene import scene, synced
from trained_renderers import Told, evaluated
from triton_server import TritonServer

from components.core.artifacts.publication import Publication
from components.core.models.bundle import load_network
from components.core.models.renderer_export import flat, input_names
from components.core.rendering.reader import RenderingReader
from components.core.training.renderings import RenderingExamples
from components.triton_publish.stage import STAGE, PublishSettings


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    return synced(scene(folder / "scene"), folder / "synced")


def test_a_server_renders_whole_frames(frames: Path, triton: TritonServer, tmp_path: Path) -> None:
    inputs = evaluated(frames, tmp_path)
    settings = PublishSettings(
        model_name="hall", repository=str(triton.repository), triton_url=triton.url
    )
    STAGE.execute(settings, inputs, {"published": tmp_path / "out"}, tmp_path / "state", Told())
    assert Publication.load(tmp_path / "out").served["difference"] < 1e-4
    client = tritonclient.http.InferenceServerClient(triton.url.removeprefix("http://"))
    reader, network = RenderingReader(frames), load_network(inputs["model"])
    for place in (0, 1):
        batch = RenderingExamples(reader, [place], aux=2).batch(0, [0])
        given = tuple(tuple(batch[name]) for name in ("levels", "aux", "coordinates"))
        tensors = []
        for name, value in zip(input_names(4, 2), flat(given), strict=True):
            tensors.append(tritonclient.http.InferInput(name, list(value.shape), "FP32"))
            tensors[-1].set_data_from_numpy(value.numpy())
        found = client.infer("hall", tensors).as_numpy("picture")
        with torch.no_grad():
            np.testing.assert_allclose(found, network(*given).numpy(), atol=1e-4)
        assert found.shape == (1, 3, 64, 96)
