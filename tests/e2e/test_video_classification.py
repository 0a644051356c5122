"""A task in a real PostgreSQL, clips in a real bucket: from there to a served Keras model."""

from __future__ import annotations

import ast
import configparser
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from servers import S3Server
from trainyard_process import assignments, record, run

from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.formats.savedmodel import serving_signature
from pipelines.demo import SOURCES, write_clips

PARAMETERS: dict[str, Any] = {
    "frame_size": 32,
    "crop_margin": 4,
    "sample_frames": 4,
    "clip_frames": 4,
    "epochs": 1,
    "batch_size": 4,
    "bootstrap": 50,
    "checkpoint_minutes": 60,
}
CLASSES = ["Other", "down", "left"]
KEYS = {"num_frames", "class_list", "height", "width", "input_name", "output_name"}


class Site:
    """A bucket with clips and an empty registry, as the people of one site have them."""

    def __init__(self, folder: Path, bucket: str, minio: S3Server, dsn: str) -> None:
        self.folder, self.bucket, self.client = folder, bucket, minio.client()
        self.environment = {**minio.environment, "TRAINYARD_POSTGRES_DSN": dsn}
        clips = write_clips(folder / "digits", clips_per_class=8)
        for number, clip in enumerate(sorted(clips.rglob("*.mp4"))):
            kind = ("even", "odd")[number % 2]
            name = f"{SOURCES[number // 2 % 2]}/{clip.parent.name}_{kind}/same{number // 4}.mp4"
            self.client.fput_object(bucket, f"clips/{name}", str(clip))

    def trainyard(self, *words: object, **changes: str) -> Any:
        return run(self.folder, *words, **{**self.environment, **changes})

    def ask(self, *words: object) -> str:
        done = self.trainyard("registry", *words)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def add_task(self, name: str, *more: object) -> None:
        sizes = ["--train", 4, "--validation", 2, "--test", 2]
        sources = [word for source in SOURCES for word in ("--source", source)]
        self.ask("add-task", name, "--model-name", "moves", *sizes, *sources, *more)

    def run(self, task: str, output: str, **changes: Any) -> Any:
        values = {**PARAMETERS, "source": f"s3://{self.bucket}/clips", "task": task}
        values |= {"repository": f"s3://{self.bucket}/models", **changes}
        words = [*assignments(values), "--output", output]
        return self.trainyard("run", "video_classification", *words)

    def runs(self, task: str) -> list[dict[str, Any]]:
        return list(json.loads(self.ask("show", task, "--json"))["runs"])

    def published(self) -> dict[str, bytes]:
        objects = self.client.list_objects(self.bucket, "models/", recursive=True)
        names = [item.object_name for item in objects]
        return {n: self.client.get_object(self.bucket, n).read() for n in names}


@pytest.fixture
def site(tmp_path: Path, bucket: str, minio: S3Server, database: str) -> Site:
    found = Site(tmp_path, bucket, minio, database)
    found.ask("init")
    found.ask("add-source", *SOURCES)
    return found


@pytest.mark.slow
def test_a_task_becomes_a_served_model_and_its_name_is_taken_after_that(site: Site) -> None:
    site.add_task("moves", "--class", "Down", "--class", "left", "--other")
    refused = site.trainyard("registry", "add-task", "moves2", "--model-name", "m", "--class", "a",
                             "--class", "b", "--source", "stret", "--train", 1,
                             "--validation", 1, "--test", 1)  # fmt: skip
    assert refused.returncode
    assert "stret" in refused.stderr
    assert "did you mean 'street'?" in refused.stderr

    done = site.run("moves", "first")
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = site.folder / "first" / "outputs"
    bundle = ModelBundle.load(outputs / "train_keras" / "model")
    assert bundle.classes == ["Down", "Other", "left"]
    split = Split.load(outputs / "split_clips" / "split")
    assert split.counts["Down"] == {"train": 4, "val": 2, "test": 2}
    taken = [name for name, part in split.parts.items() if part == "train" and "down" in name]
    assert {name.rpartition("/")[0] for name in taken} == {
        f"{source}/down_{kind}" for source in SOURCES for kind in ("even", "odd")
    }, "evenly from the folders of the class"
    agree(outputs, bundle)

    evaluation = Evaluation.load(outputs / "evaluate_clips" / "evaluation")
    (finished,) = site.runs("moves")
    assert finished["status"] == "finished"
    assert (finished["model"], finished["version"]) == ("moves", 1)
    assert finished["location"] == f"s3://{site.bucket}/models"
    assert finished["metrics"] == pytest.approx(evaluation.figures)
    trained = np.load(outputs / "evaluate_clips/evaluation/train_confusion.npy")
    assert trained.sum(axis=1).tolist() == [4, 4, 4]

    before = site.published()
    check_published(before, bundle, outputs)
    again = site.run("moves", "second", clip_frames=3)
    assert again.returncode == 3
    assert "is another model, so clients of it would break; nothing was changed" in again.stderr
    assert site.published() == before
    newest = site.runs("moves")[0]
    assert (newest["status"], newest["stage"]) == ("failed", "triton_publish")
    assert "another model" in newest["reason"]

    skipped = site.run("moves", "third", only_if_changed="true")
    assert skipped.returncode == 0, skipped.stderr
    assert site.runs("moves")[0]["status"] == "skipped"
    assert record(site.folder / "third")["ended_early"]


def agree(outputs: Path, bundle: ModelBundle) -> None:
    """What was exported gives the same probabilities, and those that were evaluated."""
    import onnxruntime
    import tensorflow as tf

    place = outputs / "train_keras" / "model"
    reader = FrameReader(outputs / "frame_extraction" / "frames")
    session = onnxruntime.InferenceSession(str(bundle.file(place, "onnx")))
    served = tf.saved_model.load(str(bundle.file(place, "savedmodel")))
    probabilities = np.load(outputs / "evaluate_clips/evaluation/probabilities.npy")
    split = Split.load(outputs / "split_clips" / "split")
    test = [n for n, clip in enumerate(reader.index.clips) if clip.id in split.ids("test")]
    for row, clip in enumerate(test):
        pixels = reader.read(clip, range(4), (2, 2, 32, 32))
        batch = pixels[None].astype(np.float32) / 255
        (onnx,) = session.run(["dense"], {"time_distributed_input": batch})
        signature = served.signatures["serving_default"]
        keras = signature(time_distributed_input=tf.constant(batch))["dense"].numpy()
        assert np.abs(onnx - keras).max() < 1e-4
        assert np.abs(onnx[0] - probabilities[row]).max() < 1e-4


def check_published(objects: dict[str, bytes], bundle: ModelBundle, outputs: Path) -> None:
    """The repository holds what Triton and PyTrain's users look for."""
    from tritonclient.grpc import model_config_pb2 as protobuf

    inside = "models/moves/1/model.savedmodel"
    assets = {name.removeprefix(f"{inside}/assets/") for name in objects if "/assets/" in name}
    assert assets == {
        "moves.config",
        "moves_history.png",
        "moves_training_confusion.png",
        "moves_test_confusion.png",
    }
    config = text_format.Parse(objects["models/moves/config.pbtxt"], protobuf.ModelConfig())
    assert config.platform == "tensorflow_savedmodel"
    signature = serving_signature(outputs / "train_keras" / "model" / "model.savedmodel")
    ((given,), (made,)) = (config.input, config.output)
    assert (given.name, [-1, *given.dims]) == (signature.inputs[0].name, signature.inputs[0].shape)
    assert (made.name, [-1, *made.dims]) == (signature.outputs[0].name, signature.outputs[0].shape)
    assert {given.data_type, made.data_type} == {protobuf.TYPE_FP32}
    assert objects["models/moves/labels.txt"].decode().splitlines() == bundle.classes
    parser = configparser.ConfigParser()
    parser.read_string(objects[f"{inside}/assets/moves.config"].decode())
    prediction = dict(parser["PREDICTION"])
    assert prediction.keys() == KEYS
    assert ast.literal_eval(prediction["class_list"]) == bundle.classes
    assert (prediction["input_name"], prediction["output_name"]) == (given.name, made.name)
    assert (prediction["num_frames"], prediction["height"], prediction["width"]) == (
        "4",
        "32",
        "32",
    )
    assert dict(parser["TRAINING"]) == {"epochs": "1", "shuffle_size": "0", "batch_size": "4"}


@pytest.mark.slow
def test_what_a_task_asks_for_in_vain_is_told_and_recorded(site: Site) -> None:
    site.add_task("dance", "--class", "down", "--class", "dance")
    site.add_task("many", "--class", "down", "--class", "left", "--train", 40)
    for task, stage, code, texts in (
        ("dance", "dataset_sync", 3, ["dance", "no clips"]),
        ("many", "split_clips", 3, ["down", "44", "8", "36", "allow_short"]),
    ):
        done = site.run(task, task)
        assert done.returncode == code, done.stderr
        for text in texts:
            assert text in done.stderr
        (failed,) = site.runs(task)
        assert (failed["status"], failed["stage"]) == ("failed", stage)
        assert failed["reason"]
    assert not site.published()


def test_a_registry_that_cannot_be_asked_is_told_before_anything_starts(site: Site) -> None:
    dead = "postgresql://somebody:secret-word@127.0.0.1:1/nowhere"
    for dsn, text in ((dead, "127.0.0.1"), ("nonsense", "TRAINYARD_POSTGRES_DSN")):
        site.environment["TRAINYARD_POSTGRES_DSN"] = dsn
        done = site.run("moves", "run")
        assert done.returncode == 4, done.stderr
        assert text in done.stderr
        assert "secret-word" not in done.stdout + done.stderr
        assert not (site.folder / "run").exists()


@pytest.mark.slow
def test_the_same_task_can_be_given_as_parameters(site: Site) -> None:
    site.add_task("moves", "--class", "down", "--class", "left", "--other")
    (site.folder / "task.yaml").write_text(site.ask("show", "moves"))
    source = f"s3://{site.bucket}/clips"
    words = [*assignments({**PARAMETERS, "source": source}), "-f", "task.yaml"]
    environment = {**os.environ, **site.environment}
    del site.environment["TRAINYARD_POSTGRES_DSN"]
    done = site.trainyard("run", "video_classification", *words, "--output", "given")
    assert done.returncode == 0, done.stderr
    outputs = site.folder / "given" / "outputs"
    assert ModelBundle.load(outputs / "train_keras" / "model").classes == CLASSES
    assert "No registry was asked" in (outputs / "record_run" / "record").read_text()
    site.environment.update(TRAINYARD_POSTGRES_DSN=environment["TRAINYARD_POSTGRES_DSN"])
    asked = site.run("moves", "asked")
    assert asked.returncode == 0, asked.stderr
    assert record(site.folder / "asked")["steps"]["train_keras"]["status"] == "reused"
