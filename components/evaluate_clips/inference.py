"""Runs a bundle's network over clips: its ONNX graph, which is what will be served.

A checkpoint without one runs with PyTorch; see `torch_inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.evaluate_clips.windows import Window, read_ahead

Progress = Callable[[int, int], None]
PROBABILITIES = "probabilities"
"""What a bundle calls the meaning of an output that is no logits."""

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Classifier(Protocol):
    """Something that gives logits for clips."""

    device: str
    """Where it runs, for people, e.g. `CPU`."""

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `(B, C)` of a batch of inputs, in the bundle's layout."""


def open_classifier(
    directory: Path, bundle: ModelBundle, device: str, threads: int, with_torch: bool = False
) -> Classifier:
    """A bundle's ONNX graph, or its network in PyTorch where it has no graph.

    Args:
        directory: the bundle.
        bundle: its index.
        device: `auto`, `cpu`, `cuda` or `cuda:<number>`.
        threads: of the CPU.
        with_torch: PyTorch even where there is an ONNX graph.

    Raises:
        InputError: neither is there, it cannot be loaded, or there is no such device.
    """
    if not with_torch and "onnx" in bundle.formats:
        return OnnxClassifier(directory, bundle, device, threads)
    if "safetensors" not in bundle.formats:
        have = ", ".join(bundle.formats) or "none"
        raise InputError(
            f"{directory} holds neither an ONNX graph nor safetensors weights (formats: {have}); "
            "evaluate a bundle that training wrote"
        )
    from components.evaluate_clips.torch_inference import TorchClassifier

    return TorchClassifier(directory, device, threads)


class OnnxClassifier:
    """A bundle's ONNX graph in onnxruntime."""

    def __init__(self, directory: Path, bundle: ModelBundle, device: str, threads: int) -> None:
        """Loads the graph; `auto` is a GPU where this onnxruntime can use one.

        Raises:
            InputError: no ONNX file in the bundle, one that onnxruntime refuses, or no such device.
        """
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        path = bundle.file(directory, "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        providers = _providers(device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise InputError(f"{path} cannot be loaded by onnxruntime: {error}") from None
        # onnxruntime falls back to the CPU without a word.
        if device.startswith("cuda") and self._session.get_providers()[0] != CUDA:
            raise InputError(
                f"device: {device!r} is not here: onnxruntime could not start on it (is the number "
                "right, does the driver fit?); use auto or cpu"
            )
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        names = [tensor.name for tensor in self._session.get_inputs()]
        self._input = bundle.inputs[0].name if bundle.inputs else names[0]
        outputs = [tensor.name for tensor in self._session.get_outputs()]
        self._output = bundle.outputs[0].name if bundle.outputs else outputs[0]
        meaning = bundle.outputs[0].meaning if bundle.outputs else ""
        self._gives_probabilities = meaning == PROBABILITIES
        self._multi_label = bundle.multi_label
        if self._input not in names or self._output not in outputs:
            raise InputError(
                f"{path}: model.json names input {self._input!r} and output {self._output!r}, but "
                f"the graph has {', '.join(names)} and {', '.join(outputs)}"
            )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `(B, C)` of a batch of inputs, in the bundle's layout.

        Of a graph that gives probabilities those logits that have them.

        Raises:
            InputError: the graph does not accept this shape.
        """
        try:
            result = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:
            raise InputError(
                f"the ONNX graph fails on an input of shape {batch.shape}: {error}"
            ) from None
        found = np.asarray(result, dtype=np.float32)
        return logits_of(found, self._multi_label) if self._gives_probabilities else found


def clip_logits(
    classifier: Classifier,
    reader: FrameReader,
    clips: Sequence[int],
    window: Window,
    *,
    views: int,
    batch_size: int,
    workers: int,
    progress: Progress = lambda done, total: None,
) -> NDArray[np.float32]:
    """Logits `(N, C)` of clips, averaged over the windows of each.

    Args:
        classifier: the model.
        reader: where the clips lie.
        clips: positions in `reader.index.clips`.
        window: geometry of the model's input.
        views: windows per clip.
        batch_size: windows per run of the network.
        workers: threads that read ahead.
        progress: called with clips done and their total.

    Raises:
        InputError: outputs of another size than the number of classes, or not finite.
    """
    items = [
        (clip, start)
        for clip in clips
        for start in window.starts(reader.index.clips[clip].frames, views)
    ]
    read = read_ahead(
        lambda item: window.read(reader, *item), items, workers, ahead=2 * batch_size + workers
    )
    classes = len(reader.index.classes)
    rows: list[NDArray[np.float32]] = []
    progress(0, len(clips))
    for begin in range(0, len(items), batch_size):
        size = min(batch_size, len(items) - begin)
        found = classifier.logits(np.stack([next(read) for _ in range(size)]))
        if found.shape != (size, classes):
            raise InputError(
                f"the model returns {found.shape} for {size} clips, expected {(size, classes)}"
            )
        if not np.isfinite(found).all():
            raise InputError("the model returns values that are not finite; was training stable?")
        rows.append(found)
        progress((begin + size) // views, len(clips))
    whole = np.concatenate(rows) if rows else np.empty((0, classes), dtype=np.float32)
    return np.asarray(whole.reshape(len(clips), views, classes).mean(axis=1), dtype=np.float32)


def probabilities(logits: NDArray[np.floating], multi_label: bool) -> NDArray[np.float32]:
    """Sigmoid of each logit, or softmax over the classes; `(N, C)` float32."""
    values = logits.astype(np.float64)
    if multi_label:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float32)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def logits_of(probabilities: NDArray[np.float32], multi_label: bool) -> NDArray[np.float32]:
    """What `probabilities` would make these of; the inverse, up to a constant for softmax."""
    tiny = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(probabilities, tiny))
    if multi_label:
        logits -= np.log(np.maximum(1 - probabilities, tiny))
    return logits


def _providers(device: str, available: Sequence[str]) -> list[Any]:
    """What onnxruntime may run on, best first."""
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return [CPU]
    if CUDA not in available:
        raise InputError(
            f"device: {device!r} is not here for ONNX models: this onnxruntime runs on "
            f"{', '.join(name.removesuffix('ExecutionProvider') for name in available)}; "
            "install onnxruntime-gpu, or use auto or cpu"
        )
    number = device.partition(":")[2]
    return [(CUDA, {"device_id": number}) if number else CUDA, CPU]
