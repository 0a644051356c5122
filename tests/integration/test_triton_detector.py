"""A detector on a real Triton server."""

import shutil

import numpy as np
import onnxruntime
import pytest
import tritonclient.http
from detector_bundles import write_detector
from published_detectors import publish, write_models

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import ServiceError
from components.triton_publish.evaluated import Servable
from components.triton_publish.reference import reference
from components.triton_publish.server import Server, compare


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    write_models(folder)
    return folder


def test_a_server_answers_as_the_bundle_for_images_of_any_size(models, triton, tmp_path):
    settings = {"repository": str(triton.repository), "triton_url": triton.url}
    client = tritonclient.http.InferenceServerClient(triton.url.removeprefix("http://"))
    for version, model in ((1, "first"), (2, "second")):
        published = publish(models, tmp_path / model, model, **settings)
        assert (published.version, published.reused) == (version, False)
        assert published.served["difference"] < 1e-4
        session = onnxruntime.InferenceSession(str(models / model / "model.onnx"))
        for shape in ((1, 3, 70, 90), (4, 3, 128, 64)):
            images = np.random.default_rng(3).random(shape, np.float32)
            tensor = tritonclient.http.InferInput("image", list(shape), "FP32")
            tensor.set_data_from_numpy(images)
            answer = client.infer("weeds", [tensor])
            expected = session.run(["boxes", "scores", "labels"], {"image": images})
            assert (expected[2] >= 0).any()
            for name, values in zip(("boxes", "scores", "labels"), expected, strict=True):
                np.testing.assert_allclose(answer.as_numpy(name), values, atol=1e-4)
    config = client.get_model_config("weeds")
    assert config["input"][0]["dims"] == [3, -1, -1]
    labelled = {output["name"]: output.get("label_filename", "") for output in config["output"]}
    assert labelled == {"boxes": "", "scores": "", "labels": "labels.txt"}


def test_another_detector_behind_the_name_is_an_error(models, triton, tmp_path):
    settings = {"repository": str(triton.repository), "triton_url": triton.url}
    publish(models, tmp_path / "out", model_name="compared", **settings)
    write_detector(tmp_path / "other", seed=9)
    bundle = ModelBundle.load(tmp_path / "other")
    model = Servable(tmp_path / "other", bundle, "onnx", tmp_path / "other" / "model.onnx")
    with pytest.raises(ServiceError, match="detections are others than the model's"):
        compare(Server(triton.url), "compared", 1, bundle, reference(model)[1], 2)


def test_a_graph_that_the_server_refuses_is_an_error(models, triton, tmp_path):
    broken = tmp_path / "models"
    shutil.copytree(models / "first", broken / "first")
    shutil.copytree(models / "first evaluation", broken / "first evaluation")
    (broken / "first" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ServiceError, match="does not load broken"):
        publish(
            broken,
            tmp_path / "out",
            repository=str(triton.repository),
            triton_url=triton.url,
            model_name="broken",
        )
