"""What a served model should answer: the bundle's own outputs for a random batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.detection.bundles import example_side, gives_detections
from components.core.formats.savedmodel import SIGNATURE
from components.core.formats.triton import TYPES
from components.core.rendering.bundles import TASK as RENDERING
from components.core.rendering.bundles import sized_inputs
from components.triton_publish.evaluated import Servable

Arrays = Mapping[str, NDArray[Any]]
"""Name of an input or output → its values, batch axis first."""

Reference = Callable[[Arrays], Arrays]
"""Gives every output of the bundle for a batch of its inputs."""

PATCHES = 8
"""Patches along a side of an image."""

WORDS = [b"", b"one", b"another word"]


def random_batch(bundle: ModelBundle, size: int) -> dict[str, NDArray[Any]]:
    """A value for every input, the same each time.

    Floats and integers fill the range that the bundle gives, [0, 1] without one; axes of any size
    have 1. A detector gets images of a size that it is made for.
    """
    generator = np.random.default_rng(0)
    if gives_detections(bundle):
        return {bundle.inputs[0].name: _images(size, example_side(bundle), generator)}
    if bundle.task == RENDERING:
        return {t.name: _values(t, size, generator) for t in sized_inputs(bundle)}
    return {tensor.name: _values(tensor, size, generator) for tensor in bundle.inputs}


def reference(model: Servable) -> tuple[str, Reference]:
    """Who computes the outputs to compare with, and how.

    ONNX Runtime does it for a SavedModel too, where the bundle has the same as ONNX.
    """
    if model.kind == "onnx":
        return "onnxruntime", _onnx(model.bundle, model.path)
    if "onnx" in model.bundle.formats:
        twin = model.bundle.file(model.place, "onnx")
        if _same_names(model.bundle, twin):
            return "onnxruntime", _onnx(model.bundle, twin)
    return "TensorFlow", _tensorflow(model.path)


def _images(count: int, side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Patches of colour under noise: on noise alone a detector finds less."""
    patches = generator.uniform(0, 1, size=(count, 3, PATCHES, PATCHES))
    places = np.arange(side) * PATCHES // side
    noise = generator.uniform(0, 1, size=(count, 3, side, side))
    return (0.8 * patches[:, :, places][:, :, :, places] + 0.2 * noise).astype(np.float32)


def _values(tensor: Tensor, size: int, generator: np.random.Generator) -> NDArray[Any]:
    shape = (size, *(length if length > 0 else 1 for length in tensor.shape[1:]))
    if TYPES[tensor.dtype] == "TYPE_STRING":
        return generator.choice(np.array(WORDS, dtype=object), size=shape)
    low, high = tensor.range or (0.0, 1.0)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return generator.uniform(low, high, size=shape).astype(dtype)
    return generator.integers(int(low), int(high), size=shape, endpoint=True).astype(dtype)


def _session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _onnx(bundle: ModelBundle, path: Path) -> Reference:
    names = [tensor.name for tensor in bundle.outputs]

    def compute(batch: Arrays) -> Arrays:
        return dict(zip(names, _session(path).run(names, dict(batch)), strict=True))

    return compute


def _same_names(bundle: ModelBundle, path: Path) -> bool:
    """An exporter may give an ONNX file other names than the SavedModel has."""
    session = _session(path)
    have = [{t.name for t in found} for found in (session.get_inputs(), session.get_outputs())]
    want = [{t.name for t in described} for described in (bundle.inputs, bundle.outputs)]
    return have[0] == want[0] and want[1] <= have[1]


def _tensorflow(folder: Path) -> Reference:
    def compute(batch: Arrays) -> Arrays:
        import tensorflow

        with tensorflow.device("CPU:0"):
            loaded = tensorflow.saved_model.load(str(folder))
            feed = {name: tensorflow.constant(values) for name, values in batch.items()}
            found = loaded.signatures[SIGNATURE](**feed)
        return {name: np.asarray(values.numpy()) for name, values in found.items()}

    return compute
