"""Runs a bundle's ONNX graph over clips; knows nothing of how the model was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.evaluate_clips.windows import Window, read_ahead

Progress = Callable[[int, int], None]


class Classifier:
    """A bundle's ONNX graph in onnxruntime, on a GPU where onnxruntime has one."""

    def __init__(self, directory: Path, bundle: ModelBundle, threads: int) -> None:
        """Loads the graph.

        Raises:
            InputError: no ONNX file in the bundle, or one that onnxruntime refuses.
        """
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        path = bundle.file(directory, "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        available = onnxruntime.get_available_providers()
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in available]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise InputError(f"{path} cannot be loaded by onnxruntime: {error}") from None
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        names = [tensor.name for tensor in self._session.get_inputs()]
        self._input = bundle.inputs[0].name if bundle.inputs else names[0]
        outputs = [tensor.name for tensor in self._session.get_outputs()]
        self._output = bundle.outputs[0].name if bundle.outputs else outputs[0]
        if self._input not in names or self._output not in outputs:
            raise InputError(
                f"{path}: model.json names input {self._input!r} and output {self._output!r}, but "
                f"the graph has {', '.join(names)} and {', '.join(outputs)}"
            )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `(B, C)` of inputs `(B, 3, T, H, W)`.

        Raises:
            InputError: the graph does not accept this shape.
        """
        try:
            result = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:
            raise InputError(
                f"the ONNX graph fails on an input of shape {batch.shape}: {error}"
            ) from None
        return np.asarray(result, dtype=np.float32)


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
        batch_size: windows per run of the graph.
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
