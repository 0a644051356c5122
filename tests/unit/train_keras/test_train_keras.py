"""The stage on small, real FrameDatasets: what it publishes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_clips import CLASSES, write

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, ProblemsError, SettingsError, TrainyardError
from components.core.settings import build
from components.core.training.clip_views import ClipViews
from components.core.training.views import Window
from components.train_keras.stage import SMALLEST, STAGE, TrainKerasSettings

SIDE = 36
TINY: dict[str, Any] = {
    "clip_frames": 4,
    "clip_stride": 2,
    "input_size": 32,
    "epochs": 2,
    "batch_size": 6,
    "learning_rate": 0.003,
    "device": "cpu",
}

PLAIN: dict[str, Any] = {"network": "attention", "backbone": "mobilenetv3small", "units": 8}
"""A network that is built fast."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    labels = [[name] for name in CLASSES for _ in range(8)]
    parts = ["train"] * 5 + ["val"] * 2 + ["test"]
    return write(tmp_path_factory.mktemp("data"), labels, parts * 3, side=SIDE)


def run(inputs: dict[str, Path], folder: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    settings = build(TrainKerasSettings, {**TINY, **changes})
    return STAGE.execute(settings, inputs, {"model": folder / "model"}, folder / "state")


@pytest.fixture(scope="module")
def trained(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    metadata = run(inputs, folder, class_weighting="balanced", shuffle_size=4)
    assert metadata["model"]["parameters"] == 33_000 + (16 * 1 * 1 * 4 + 1) * 3
    return folder / "model"


def real_clips(inputs: dict[str, Path], count: int) -> np.ndarray:
    reader = FrameReader(inputs["frames"])
    views = ClipViews(reader, range(count), Window(4, 2, 32))
    frames = np.empty(views.shape(count), np.uint8)
    views.fill(0, range(count), frames)
    return (frames / 255).astype(np.float32)


def test_the_formats_agree_and_bear_the_names_that_clients_know(
    trained: Path, inputs: dict[str, Path]
) -> None:
    import keras
    import onnxruntime
    import tensorflow as tf

    bundle = ModelBundle.load(trained)
    clips = real_clips(inputs, 5)
    model = keras.models.load_model(bundle.file(trained, "keras"), compile=False)
    expected = model.predict(clips, verbose=0)
    assert np.allclose(expected.sum(axis=1), 1, atol=1e-5)
    served = tf.saved_model.load(str(bundle.file(trained, "savedmodel")))
    signature = served.signatures["serving_default"]
    given = signature.structured_input_signature[1]
    assert {n: (s.shape.as_list(), s.dtype) for n, s in given.items()} == {
        "time_distributed_input": ([None, 4, 32, 32, 3], tf.float32)
    }
    found = signature(time_distributed_input=tf.constant(clips))
    assert {n: v.shape.as_list() for n, v in found.items()} == {"dense": [5, 3]}
    assert np.abs(found["dense"].numpy() - expected).max() < 1e-4
    session = onnxruntime.InferenceSession(str(bundle.file(trained, "onnx")))
    assert [i.name for i in session.get_inputs()] == ["time_distributed_input"]
    for batch in (clips, clips[:1]):
        (answer,) = session.run(["dense"], {"time_distributed_input": batch})
        assert np.abs(answer - model.predict(batch, verbose=0)).max() < 1e-4


def test_the_bundle_says_what_a_client_needs(trained: Path) -> None:
    bundle = ModelBundle.load(trained)
    assert bundle.classes == CLASSES
    assert bundle.inputs[0].model_dump() == {
        "name": "time_distributed_input",
        "dtype": "float32",
        "shape": [-1, 4, 32, 32, 3],
        "layout": "B,T,H,W,C",
        "range": [0.0, 1.0],
        "meaning": "RGB",
    }
    assert (bundle.outputs[0].name, bundle.outputs[0].meaning) == ("dense", "probabilities")
    assert bundle.preprocessing["frames"] == 4
    assert bundle.training["shuffle_size"] == 4
    assert [row["epoch"] for row in bundle.curves] == [1, 2]
    assert bundle.metrics == {
        k: v for k, v in bundle.curves[int(bundle.training["epoch"]) - 1].items() if "val" in k
    }
    lines = (trained / "log/log.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,train_loss,train_accuracy,val_loss,val_accuracy,val_macro_f1")
    assert len(lines) == 3
    assert list((trained / "log/tensorboard").iterdir())


@pytest.mark.parametrize("network", ["attention", "lstm"])
def test_a_backbone_starts_from_a_file_and_stays_as_it_was(
    network: str, inputs: dict[str, Path], tmp_path: Path
) -> None:
    import keras

    keras.utils.set_random_seed(7)
    made = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    weights = tmp_path / "mobilenet.weights.h5"
    made.save_weights(weights)
    how: dict[str, Any] = {"network": network, "backbone": "mobilenetv3small", "freeze": True}
    how |= {"epochs": 1, "units": 8, "clip_frames": 2}
    run(inputs, tmp_path, pretrained=str(weights), **how)
    bundle = ModelBundle.load(tmp_path / "model")
    model = keras.models.load_model(bundle.file(tmp_path / "model", "keras"), compile=False)
    kept = model.get_layer("each_frame").get_layer("backbone").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(kept, made.get_weights(), strict=True))
    assert bundle.training["pretrained_content"]
    if network == "lstm":
        with pytest.raises(ProblemsError, match="is a lstm, but attention is to be trained"):
            run(
                inputs,
                tmp_path,
                pretrained=str(tmp_path / "model"),
                **how | {"network": "attention"},
            )
        return
    again = tmp_path / "again"
    run(inputs, again, pretrained=str(tmp_path / "model"), **how)
    assert ModelBundle.load(again / "model").name == network


def test_bad_settings_are_told_at_once_before_any_work() -> None:
    with pytest.raises(SettingsError) as told:
        build(TrainKerasSettings, {"input_size": 30, "freeze": True, "device": "gpu", "epochs": 0})
    text = str(told.value)
    for part in ("epochs: ", "device: "):
        assert part in text
    with pytest.raises(SettingsError) as told:
        build(TrainKerasSettings, {"input_size": 30, "freeze": True})
    text = str(told.value)
    assert "input_size: 30 is too small for network 'convlstm'" in text
    assert "use at least 31" in text
    assert "freeze: it would keep random weights; give pretrained as well" in text


def test_settings_and_inputs_that_do_not_fit_are_told_at_once(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as told:
        run(inputs, tmp_path, input_size=40, batch_size=99, device="cuda:3", precision="fp16")
    assert "input_size: 40 is larger than the stored frames (36 pixels)" in str(told.value)
    assert "batch_size: 99 is more than the 15 training clips" in str(told.value)
    assert "device: 'cuda:3' is not here (0 GPUs found)" in str(told.value)
    assert not (tmp_path / "model").exists()


def test_a_class_without_training_clips_and_clips_with_several_labels_are_refused(
    tmp_path: Path,
) -> None:
    labels = [["down"], ["left", "right"], ["down"], ["left"]]
    inputs = write(tmp_path, labels, ["train", "train", "val", "val"], side=SIDE)
    with pytest.raises(SettingsError) as told:
        run(inputs, tmp_path / "out", batch_size=1)
    assert "1 clips do not have exactly one label, for example 'left/1.mp4'" in str(told.value)


def test_weights_that_do_not_fit_are_refused_by_name(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.weights.h5"
    broken.write_bytes(b"not a file of weights")
    (tmp_path / "garbage.keras").write_bytes(b"garbage")
    (tmp_path / "model.pt").touch()
    lstm = {"network": "lstm", "backbone": "mobilenetv2"}
    for name, how, text in (
        ("broken.weights.h5", lstm, "is damaged: no HDF5 file"),
        ("broken.weights.h5", {}, "network 'convlstm' has no backbone"),
        ("garbage.keras", {}, "is damaged: no file that Keras has written"),
        ("model.pt", {}, "accepted are .keras, .weights.h5 and .h5 files"),
        ("absent.h5", {}, "does not exist"),
    ):
        with pytest.raises(ProblemsError, match=text) as told:
            run(inputs, tmp_path, pretrained=str(tmp_path / name), **how)
        assert f"pretrained: {tmp_path / name}" in str(told.value)
    import keras

    other = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match=r"pretrained: .*other.weights.h5 does not fit 'lstm'"):
        run(inputs, tmp_path, pretrained=str(tmp_path / "other.weights.h5"), **lstm)


def test_a_loss_that_is_not_finite_ends_the_training_with_advice(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainyardError, match="not finite; use a lower learning_rate"):
        run(inputs, tmp_path, **PLAIN, learning_rate=1e30)
    assert not (tmp_path / "model").exists()


def test_unreadable_frames_keep_their_reason(tmp_path: Path) -> None:
    labels = [[name] for name in CLASSES for _ in range(3)]
    inputs = write(tmp_path, labels, ["train", "train", "val"] * 3, side=SIDE)
    (shard,) = (inputs["frames"]).rglob("*.bin")
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(Exception, match=r"00000") as told:
        run(inputs, tmp_path / "out", batch_size=2, **PLAIN)
    assert "numpy_function" not in str(told.value)


def test_early_stop_keeps_the_best_epoch(inputs: dict[str, Path], tmp_path: Path) -> None:
    how: dict[str, Any] = {"monitor": "val_loss", "learning_rate": 0.05}
    run(inputs, tmp_path, **PLAIN, epochs=30, early_stop=1, **how)
    bundle = ModelBundle.load(tmp_path / "model")
    losses = [row["val_loss"] for row in bundle.curves]
    best = int(bundle.training["epoch"])
    assert len(losses) == best + 1 < 30
    assert losses[best - 1] == min(losses)
    model = json.loads((tmp_path / "model/model.json").read_text())
    assert model["metrics"]["val_loss"] == min(losses)


@pytest.mark.parametrize(("frames", "classes"), [(20, 5), (10, 3)])
def test_the_convlstm_has_the_published_number_of_parameters(frames: int, classes: int) -> None:
    from components.train_keras.networks import build as build_network

    model = build_network("convlstm", frames, 224, classes, 0.2, 0.2)
    assert model.count_params() == 33_000 + (2704 * frames + 1) * classes
    assert model.input_shape == (None, frames, 224, 224, 3)
    names = model.inputs[0].name, model.layers[-1].name
    assert names == ("time_distributed_input", "dense")


@pytest.mark.parametrize(("network", "size"), SMALLEST.items())
def test_the_smallest_size_is_the_smallest(network: str, size: int) -> None:
    from components.train_keras.networks import build as build_network

    own = {"backbone": "mobilenetv3small", "units": 2} if network != "convlstm" else {}
    assert build_network(network, 2, size, 2, 0, **own).output_shape == (None, 2)
    assert not build(TrainKerasSettings, {"network": network}).size_problems(size)
    assert build(TrainKerasSettings, {"network": network}).size_problems(size - 1)
    if network == "convlstm":
        with pytest.raises(ValueError, match="output size would be zero or negative"):
            build_network(network, 2, size - 1, 2, 0)


def test_a_small_buffer_shuffles_nearby_and_0_shuffles_all() -> None:
    from components.train_keras.data import ShuffledPlan

    plan = ShuffledPlan(100, 10, seed=3, buffer=5)
    order = plan.order(0)
    assert sorted(order) == list(range(100))
    assert max(int(clip) - place for place, clip in enumerate(order)) <= 4, "not before its turn"
    assert list(order) == list(plan.order(0))
    assert list(order) != list(plan.order(1))
    whole = ShuffledPlan(100, 10, seed=3)
    assert max(int(clip) - place for place, clip in enumerate(whole.order(0))) > 50
