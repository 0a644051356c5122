"""Publishing to a real Triton server, and to a bucket."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
import tritonclient.http
from clip_bundles import CLASSES, FRAMES, SIZE, write_bundle, write_clips, write_split
from triton_server import running_triton

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.publication import Publication
from components.core.errors import ProblemsError, ServiceError
from components.core.storage import open_storage
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.evaluate_clips.stage import EvaluateSettings
from components.triton_publish.evaluated import Servable
from components.triton_publish.reference import reference
from components.triton_publish.server import Server, compare
from components.triton_publish.stage import STAGE, PublishSettings


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Two models with their evaluations."""
    folder = tmp_path_factory.mktemp("models")
    frames = write_clips(folder / "frames", [CLASSES[row % 4] for row in range(24)])
    write_split(folder / "split", frames, ["train", "test"] * 12)
    for name, scale in (("first", 3.0), ("second", 1.0)):
        write_bundle(folder / name, scale=scale)
        EVALUATE.execute(
            EvaluateSettings(bootstrap=50, baseline=False),
            {"model": folder / name, "frames": folder / "frames", "split": folder / "split"},
            {"evaluation": folder / f"{name} evaluation"},
            folder / "state",
        )
    return folder


def publish(case, out, model="first", **settings):
    STAGE.execute(
        PublishSettings(**settings),
        {"model": case / model, "evaluation": case / f"{model} evaluation"},
        {"published": out},
        out.parent / "state",
    )
    return Publication.load(out)


def test_a_server_loads_each_version_and_answers_as_the_bundle(case, triton, tmp_path):
    settings = {"repository": str(triton.repository), "triton_url": triton.url}
    client = tritonclient.http.InferenceServerClient(triton.url.removeprefix("http://"))
    batch = np.random.default_rng(3).uniform(-1, 1, (5, 3, FRAMES, SIZE, SIZE)).astype(np.float32)
    for version, model in ((1, "first"), (2, "second")):
        published = publish(case, tmp_path / model, model, **settings)
        assert published.version == version
        assert published.served["difference"] < 1e-4
        tensor = tritonclient.http.InferInput("clip", list(batch.shape), "FP32")
        tensor.set_data_from_numpy(batch)
        found = client.infer("motion", [tensor]).as_numpy("logits")
        session = onnxruntime.InferenceSession(str(case / model / "model.onnx"))
        np.testing.assert_allclose(found, session.run(None, {"clip": batch})[0], atol=1e-4)
    config = client.get_model_config("motion")
    assert config["backend"] == "onnxruntime"
    assert config["max_batch_size"] == 8
    assert "dynamic_batching" in config
    assert config["input"][0]["dims"] == [3, FRAMES, SIZE, SIZE]
    assert config["output"][0]["label_filename"] == "labels.txt"


def test_a_newer_version_is_served_instead_of_one_that_is_there_already(case, triton, tmp_path):
    settings = {"repository": str(triton.repository), "model_name": "aged"}
    publish(case, tmp_path / "first", "first", **settings)
    publish(case, tmp_path / "second", "second", **settings)
    with pytest.raises(ServiceError, match="serves aged in version 2 and not version 1"):
        publish(case, tmp_path / "again", "first", triton_url=triton.url, **settings)


def test_the_server_names_the_classes(case, triton, tmp_path):
    publish(
        case,
        tmp_path / "out",
        repository=str(triton.repository),
        triton_url=triton.url,
        model_name="labelled",
    )
    client = tritonclient.http.InferenceServerClient(triton.url.removeprefix("http://"))
    batch = np.random.default_rng(4).uniform(-1, 1, (1, 3, FRAMES, SIZE, SIZE)).astype(np.float32)
    tensor = tritonclient.http.InferInput("clip", list(batch.shape), "FP32")
    tensor.set_data_from_numpy(batch)
    wanted = tritonclient.http.InferRequestedOutput("logits", class_count=1)
    answer = client.infer("labelled", [tensor], outputs=[wanted]).as_numpy("logits")
    session = onnxruntime.InferenceSession(str(case / "first" / "model.onnx"))
    best = session.run(None, {"clip": batch})[0][0].argmax()
    assert answer.ravel()[0].decode().split(":")[-1] == CLASSES[best]


def test_the_server_runs_as_many_copies_as_asked_for(case, triton, tmp_path):
    """And as many as it thinks right, where only their place is said."""
    client = tritonclient.http.InferenceServerClient(triton.url.removeprefix("http://"))
    counts = []
    for name, asked in (("three", {"instances": 3}), ("some", {})):
        publish(
            case,
            tmp_path / name,
            repository=str(triton.repository),
            triton_url=triton.url,
            model_name=name,
            instance_kind="cpu",
            **asked,
        )
        (group,) = client.get_model_config(name)["instance_group"]
        assert group["kind"] == "KIND_CPU"
        counts.append(group["count"])
    assert counts[0] == 3
    assert counts[1] in (1, 2)


def test_a_polling_server_finds_the_model_by_itself(case, triton, tmp_path):
    with running_triton(tmp_path / "server", "poll") as server:
        published = publish(
            case,
            tmp_path / "out",
            repository=str(server.repository),
            triton_url=server.url,
            triton_timeout=30,
        )
    assert published.served["difference"] < 1e-4


def test_a_wrong_answer_is_an_error(case, triton, tmp_path):
    """The server serves one model; the comparison is with another."""
    publish(
        case,
        tmp_path / "out",
        repository=str(triton.repository),
        triton_url=triton.url,
        model_name="compared",
    )
    place = case / "second"
    other = Servable(place, ModelBundle.load(place), "onnx", place / "model.onnx")
    with pytest.raises(ServiceError, match="output logits differs from the model's"):
        compare(Server(triton.url), "compared", 1, other.bundle, reference(other)[1], 2)


def test_a_server_that_serves_another_repository_is_an_error(case, triton, tmp_path):
    repository = tmp_path / "elsewhere"
    with pytest.raises(ServiceError, match="does not load unseen"):
        publish(
            case,
            tmp_path / "out",
            repository=str(repository),
            triton_url=triton.url,
            model_name="unseen",
        )
    # It is published all the same, and running again publishes no second version.
    assert (repository / "unseen" / "1" / "model.onnx").is_file()
    again = publish(case, tmp_path / "out", repository=str(repository), model_name="unseen")
    assert (again.version, again.reused) == (1, True)


def test_a_graph_that_the_server_refuses_is_an_error(case, triton, tmp_path):
    broken = tmp_path / "models"
    shutil.copytree(case / "first", broken / "first")
    shutil.copytree(case / "first evaluation", broken / "first evaluation")
    (broken / "first" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ServiceError, match="does not load broken"):
        publish(
            broken,
            tmp_path / "out",
            repository=str(triton.repository),
            triton_url=triton.url,
            model_name="broken",
        )


def test_an_unreachable_server_is_said_before_anything_is_written(case, tmp_path):
    repository = tmp_path / "repository"
    with pytest.raises(ProblemsError, match="cannot be reached"):
        publish(case, tmp_path / "out", repository=str(repository), triton_url="http://127.0.0.1:9")
    assert not repository.exists()


def test_a_bucket_holds_the_same_as_a_folder(case, bucket, tmp_path):
    uri = f"s3://{bucket}/models"
    first = publish(case, tmp_path / "a", repository=uri)
    second = publish(case, tmp_path / "b", "second", repository=uri)
    again = publish(case, tmp_path / "c", "first", repository=uri)
    assert [p.version for p in (first, second, again)] == [1, 2, 1]
    assert again.reused
    folder = tmp_path / "folder"
    publish(case, tmp_path / "d", repository=str(folder))
    publish(case, tmp_path / "e", "second", repository=str(folder))
    storage = open_storage(uri)
    names = {item.name for item in storage.items()}
    assert names == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    for name in names:
        assert storage.read(name) == (folder / name).read_bytes()
    third = publish(case, tmp_path / "f", "second", repository=uri, keep_versions=1)
    assert third.removed == [1]
    assert not any(item.name.startswith("motion/1/") for item in storage.items())


def test_an_interrupted_publication_into_a_bucket_is_replaced(case, bucket, tmp_path):
    storage = open_storage(f"s3://{bucket}")
    card = tmp_path / "card"
    card.write_text(json.dumps({"fingerprint": "x"}))
    storage.put(card, "motion/1/model_card.json")  # the graph, written last, is missing
    storage.put(card, "motion/1/leftover")
    published = publish(case, tmp_path / "out", repository=f"s3://{bucket}")
    assert published.version == 1
    names = {item.name for item in storage.items("motion/1")}
    assert "motion/1/model.onnx" in names
    assert "motion/1/leftover" not in names


def test_a_bucket_that_does_not_exist_is_said_before_work(case, minio, tmp_path, monkeypatch):
    for name, value in minio.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProblemsError, match="no such bucket"):
        publish(case, tmp_path / "out", repository="s3://absent-bucket/models")
