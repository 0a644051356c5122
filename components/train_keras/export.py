"""The trained network as SavedModel and ONNX, with names that clients of served models know."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from components.core.errors import TrainyardError
from components.train_keras.networks import INPUT, OUTPUT

TOLERANCE = 1e-4
"""Largest accepted difference of a probability."""

OPSET = 17
SIGNATURE = "serving_default"


def export_savedmodel(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel whose serving signature goes from INPUT to OUTPUT."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, _function(model), input_signature=[_specification(model)])
    with _quiet():
        archive.write_out(str(path), verbose=False)


def export_onnx(model: keras.Model, path: Path) -> None:
    """Writes an ONNX model from INPUT to OUTPUT; its batch axis is free."""
    specification = [_specification(model)]
    function = tf.function(_function(model), input_signature=specification)
    with _quiet():
        graph, _ = tf2onnx.convert.from_function(function, specification, opset=OPSET)
    _rename(graph.graph, {graph.graph.output[0].name: OUTPUT})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def verify(model: keras.Model, savedmodel: Path, onnx_file: Path, clips: NDArray[Any]) -> float:
    """Runs all three on clips; returns the largest difference of a probability.

    Args:
        model: the network.
        savedmodel: what was exported from it.
        onnx_file: likewise.
        clips: (B, T, H, W, 3) float32 in [0, 1].

    Raises:
        TrainyardError: it is more than TOLERANCE.
    """
    served = tf.saved_model.load(str(savedmodel)).signatures[SIGNATURE]
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch in (clips, clips[:1]):
        expected = keras.ops.convert_to_numpy(model(batch, training=False))
        for name, found in (
            ("SavedModel", served(**{INPUT: tf.constant(batch)})[OUTPUT].numpy()),
            ("ONNX model", session.run([OUTPUT], {INPUT: batch})[0]),
        ):
            difference = float(np.abs(found - expected).max())
            if not difference <= TOLERANCE:  # also refuses NaN
                raise TrainyardError(
                    f"the exported {name} gives other probabilities than the network (by up to "
                    f"{difference:.1e}, accepted {TOLERANCE:g}); nothing is published"
                )
            largest = max(largest, difference)
    return largest


def _function(model: keras.Model) -> Any:
    def serve(**inputs: Any) -> dict[str, Any]:
        return {OUTPUT: model(inputs[INPUT], training=False)}

    return lambda time_distributed_input: serve(time_distributed_input=time_distributed_input)


def _specification(model: keras.Model) -> Any:
    return tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Gives values of an ONNX graph other names, wherever they occur in it."""
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    for value in graph.output:
        value.name = names.get(value.name, value.name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the talk of the exporters away from users."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
