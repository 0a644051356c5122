"""SavedModels on a real Triton server, and published into a bucket."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tritonclient.http
from clip_bundles import CLASSES, FRAMES, SIZE
from triton_savedmodels import CLIP, outputs_of, write_evaluations, write_savedmodel_bundle

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.publication import Publication
from components.core.errors import ServiceError
from components.core.model_repository import ModelRepository
from components.core.storage import open_storage
from components.triton_publish.evaluated import Servable
from components.triton_publish.reference import reference
from components.triton_publish.server import Server, compare
from components.triton_publish.stage import STAGE, PublishSettings

BIG_BYTES = 48 << 20


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Keras models and evaluations of them."""
    folder = tmp_path_factory.mktemp("models")
    bundles = {
        "first": write_savedmodel_bundle(folder / "first", onnx=True),
        "second": write_savedmodel_bundle(folder / "second", seed=2, onnx=True),
        "several": write_savedmodel_bundle(folder / "several", several=True),
    }
    write_evaluations(folder, bundles)
    return folder


def publish(case, out, model="first", **settings):
    STAGE.execute(
        PublishSettings(**settings),
        {"model": case / model, "evaluation": case / f"{model} evaluation"},
        {"published": out},
        out.parent / "state",
    )
    return Publication.load(out)


def client_of(server):
    return tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"))


def test_a_server_loads_each_version_and_answers_as_tensorflow(case, triton, tmp_path):
    settings = {"repository": str(triton.repository), "triton_url": triton.url}
    client = client_of(triton)
    batch = np.random.default_rng(3).random((5, FRAMES, SIZE, SIZE, 3), np.float32)
    for version, model in ((1, "first"), (2, "second")):
        published = publish(case, tmp_path / model, model, instances=1, **settings)
        assert published.version == version
        assert published.served["difference"] < 1e-4
        tensor = tritonclient.http.InferInput(CLIP, list(batch.shape), "FP32")
        tensor.set_data_from_numpy(batch)
        wanted = tritonclient.http.InferRequestedOutput("dense", class_count=1)
        found = client.infer("actions", [tensor]).as_numpy("dense")
        expected = outputs_of(case / model / "model.savedmodel", {CLIP: batch})["dense"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        named = client.infer("actions", [tensor], outputs=[wanted]).as_numpy("dense")
        best = [CLASSES[row] for row in expected.argmax(1)]
        assert [text.decode().split(":")[-1] for text in named.ravel()] == best
    config = client.get_model_config("actions")
    assert (config["platform"], config["backend"]) == ("tensorflow_savedmodel", "tensorflow")
    assert config["instance_group"][0]["count"] == 1
    assert config["input"][0]["dims"] == [FRAMES, SIZE, SIZE, 3]


def test_several_inputs_and_outputs_are_served_and_all_compared(case, triton, tmp_path):
    published = publish(
        case,
        tmp_path / "out",
        "several",
        repository=str(triton.repository),
        triton_url=triton.url,
        model_name="several",
        instances=1,
    )
    assert published.served["difference"] < 1e-4
    place, bundle = case / "several", ModelBundle.load(case / "several")
    who, expected = reference(Servable(place, bundle, "savedmodel", place / "model.savedmodel"))
    assert who == "TensorFlow"

    def wrong(batch):
        return {**expected(batch), "dense": expected(batch)["dense"] + 1}

    with pytest.raises(ServiceError, match="output dense differs from the model's by 1"):
        compare(Server(triton.url), "several", 1, bundle, wrong, 2)


def test_a_bucket_holds_the_same_as_a_folder(case, bucket, tmp_path):
    uri, folder = f"s3://{bucket}/models", tmp_path / "folder"
    for number, (repository, model) in enumerate(
        (repository, model) for repository in (uri, str(folder)) for model in ("first", "second")
    ):
        published = publish(case, tmp_path / str(number), model, repository=repository)
        assert published.version == number % 2 + 1
    assert publish(case, tmp_path / "again", repository=uri).reused
    storage = open_storage(uri)
    names = {item.name for item in storage.items()}
    assert names == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert "actions/2/model.savedmodel/assets/actions.config" in names
    for name in names:
        assert storage.read(name) == (folder / name).read_bytes()
    last = publish(case, tmp_path / "last", "second", repository=uri, keep_versions=1)
    assert last.removed == [1]
    assert not any(item.name.startswith("actions/1/") for item in storage.items())


@pytest.mark.parametrize("arrived", ["model_card.json", "actions.config"])
def test_an_interrupted_publication_into_a_bucket_is_replaced(case, bucket, tmp_path, arrived):
    storage = open_storage(f"s3://{bucket}")
    part = tmp_path / "part"
    part.write_text(json.dumps({"fingerprint": ModelBundle.load(case / "first").fingerprint}))
    storage.put(part, f"actions/1/{arrived}")  # saved_model.pb, written last, is missing
    storage.put(part, "actions/1/model.savedmodel/variables/leftover")
    published = publish(case, tmp_path / "out", repository=f"s3://{bucket}")
    assert (published.version, published.reused) == (1, False)
    names = {item.name for item in storage.items("actions/1")}
    assert "actions/1/model.savedmodel/saved_model.pb" in names
    assert "actions/1/model.savedmodel/variables/leftover" not in names


def test_a_publication_killed_while_it_uploads_is_never_taken_for_a_version(bucket, tmp_path):
    content = tmp_path / "content"
    (content / "model.savedmodel" / "variables").mkdir(parents=True)
    (content / "model.savedmodel" / "saved_model.pb").write_bytes(b"graph")
    (content / "model.savedmodel" / "variables" / "data").write_bytes(bytes(BIG_BYTES))
    (content / "actions.config").write_text("")
    (content / "model_card.json").write_text('{"fingerprint": "one"}')
    uri = f"s3://{bucket}"
    repository = ModelRepository(uri, "actions")
    script = "import sys; from pathlib import Path; from components.core.model_repository import *"
    script += "; ModelRepository(sys.argv[1], 'actions').add(Path(sys.argv[2]))"
    killed = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", script, uri, str(content)]) as process:
            while not repository.versions() and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        killed += [version.complete for version in repository.versions()] == [False]
        if killed < 3:
            open_storage(uri).remove("actions")
    assert killed
    assert repository.add(content) == 1
    assert [(v.number, v.complete, v.bundle) for v in repository.versions()] == [(1, True, "one")]
