"""Bundles with real SavedModels made by Keras, and evaluations to publish them with."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from clip_bundles import CLASSES, FRAMES, SIZE, write_bundle, write_clips, write_split

from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.state import digest
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.evaluate_clips.stage import EvaluateSettings

CLIP = "time_distributed_input"
FEATURES = 7

PLOTS = ("training_history.png", "train_confusion.png", "confusion.png")


def clip_tensor() -> Tensor:
    return Tensor(
        name=CLIP,
        dtype="float32",
        shape=[-1, FRAMES, SIZE, SIZE, 3],
        layout="B,T,H,W,C",
        range=[0, 1],
    )


def dense_tensor() -> Tensor:
    return Tensor(name="dense", dtype="float32", shape=[-1, len(CLASSES)], meaning="probabilities")


def tensorflow() -> Any:
    """The module, without what it says when it is loaded."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with suppress(ImportError):
        # Both bring an LLVM: where TensorFlow's is first, loading the one of PyTorch aborts.
        importlib.import_module("triton")
    import tensorflow

    return tensorflow


def write_savedmodel_bundle(
    directory: Path, *, seed: int = 1, onnx: bool = False, several: bool = False, **fields: Any
) -> ModelBundle:
    """A ModelBundle with the SavedModel of a tiny Keras network with random weights.

    Args:
        directory: to create.
        seed: of the weights, so another one gives another model.
        onnx: also write the same network as ONNX.
        several: with a second input, `length`, and a second output, `features`.
        fields: override the index.
    """
    tensorflow()
    directory.mkdir(parents=True)
    network = _network(seed, several)
    inputs, outputs = [clip_tensor()], [dense_tensor()]
    if several:
        inputs.append(Tensor(name="length", dtype="int32", shape=[-1, 1], range=[1, FRAMES]))
        outputs.insert(0, Tensor(name="features", dtype="float32", shape=[-1, FEATURES]))
    _export_savedmodel(network, directory / "model.savedmodel", inputs)
    formats = {"savedmodel": "model.savedmodel"}
    if onnx:
        _export_onnx(network, directory / "model.onnx", inputs, outputs)
        formats["onnx"] = "model.onnx"
    content: Mapping[str, Any] = {
        "fingerprint": digest(["keras", seed, onnx, several]),
        "name": "actions",
        "formats": formats,
        "task": "clip_classification",
        "classes": CLASSES,
        "inputs": inputs,
        "outputs": outputs,
        "preprocessing": {"frames": FRAMES, "stride": 1, "size": SIZE},
        "training": {"epochs": 50, "shuffle_size": 300, "batch_size": 4},
    }
    bundle = ModelBundle(**{**content, **fields})
    bundle.save(directory)
    return bundle


def write_evaluations(folder: Path, bundles: Mapping[str, ModelBundle]) -> None:
    """`<name> evaluation` of each bundle with all plots: the figures are those of another model."""
    frames = write_clips(folder / "frames", [CLASSES[row % 4] for row in range(16)])
    write_split(folder / "split", frames, ["train", "test"] * 8)
    write_bundle(folder / "evaluated")
    EVALUATE.execute(
        EvaluateSettings(bootstrap=20, baseline=False),
        {
            "model": folder / "evaluated",
            "frames": folder / "frames",
            "split": folder / "split",
        },
        {"evaluation": folder / "evaluated evaluation"},
        folder / "state",
    )
    index = Evaluation.load(folder / "evaluated evaluation")
    metrics = (folder / "evaluated evaluation" / "metrics.json").read_bytes()
    for name, bundle in bundles.items():
        own = folder / f"{name} evaluation"
        own.mkdir()
        index.model_copy(update={"models": {name: bundle.fingerprint}}).save(own)
        (own / "metrics.json").write_bytes(metrics)
        for plot in PLOTS:
            (own / plot).write_bytes(f"picture of {plot}".encode())


def outputs_of(folder: Path, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What TensorFlow itself answers with a SavedModel."""
    tf = tensorflow()
    loaded = tf.saved_model.load(str(folder))
    feed = {name: tf.constant(values) for name, values in batch.items()}
    found = loaded.signatures["serving_default"](**feed)
    return {name: value.numpy() for name, value in found.items()}


def _network(seed: int, several: bool) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    clip = keras.Input((FRAMES, SIZE, SIZE, 3), name=CLIP)
    features = keras.layers.Flatten()(keras.layers.AveragePooling3D((2, 4, 4))(clip))
    features = keras.layers.Dense(FEATURES, activation="tanh", name="features")(features)
    if not several:
        dense = keras.layers.Dense(len(CLASSES), activation="softmax", name="dense")(features)
        return keras.Model([clip], {"dense": dense})
    length = keras.Input((1,), name="length", dtype="int32")
    both = keras.layers.Concatenate()([features, keras.ops.cast(length, "float32")])
    dense = keras.layers.Dense(len(CLASSES), activation="softmax", name="dense")(both)
    return keras.Model([clip, length], {"dense": dense, "features": features})


def _served(network: Any, inputs: list[Tensor]) -> tuple[Any, list[Any]]:
    """The function to export, whose parameters name the inputs, and what it takes."""
    tf = tensorflow()

    def one(time_distributed_input: Any) -> Any:
        return network([time_distributed_input], training=False)

    def two(time_distributed_input: Any, length: Any) -> Any:
        return network([time_distributed_input, length], training=False)

    specs = [tf.TensorSpec([None, *t.shape[1:]], t.dtype, name=t.name) for t in inputs]
    return (one if len(inputs) == 1 else two), specs


def _export_savedmodel(network: Any, folder: Path, inputs: list[Tensor]) -> None:
    import keras

    function, specs = _served(network, inputs)
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", fn=function, input_signature=specs)
    archive.write_out(str(folder), verbose=False)


def _export_onnx(network: Any, path: Path, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    import onnx
    import tf2onnx

    function, specs = _served(network, inputs)
    model, _ = tf2onnx.convert.from_function(
        tensorflow().function(function, input_signature=specs), input_signature=specs, opset=18
    )
    # The converter numbers outputs in the order of their names.
    renamed = {
        old.name: new
        for old, new in zip(model.graph.output, sorted(t.name for t in outputs), strict=True)
    }
    for node in model.graph.node:
        node.output[:] = [renamed.get(name, name) for name in node.output]
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for output in model.graph.output:
        output.name = renamed[output.name]
    onnx.save(model, str(path))
