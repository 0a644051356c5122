"""Runs a detector's graph on batches: with onnxruntime on a CPU, with PyTorch on a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.model_bundle import ModelBundle
from components.core.cpus import usable_cpus
from components.core.errors import InputError

Tables = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes (B, N, 4), scores (B, N) and labels (B, N) as of `DetectorGraph`."""

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")

Run = Callable[[NDArray[np.uint8]], Tables]
"""From images B, 3, H, W, uint8, RGB."""


def open_detector(directory: Path, bundle: ModelBundle, device: str) -> tuple[Run, str]:
    """A bundle's detector, and where it runs, for people.

    Args:
        directory: the bundle.
        bundle: its index.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        InputError: the bundle holds nothing that can run there, it cannot be loaded, or there is
            no such device.
    """
    if not DEVICE.fullmatch(device):
        raise InputError(f"device: {device!r} is not one of auto, cpu, cuda, cuda:<number>")
    have = ", ".join(bundle.formats) or "none"
    if "safetensors" not in bundle.formats and "onnx" not in bundle.formats:
        raise InputError(
            f"{directory} holds neither an ONNX graph nor safetensors weights (formats: {have})"
        )
    on_gpu = device.startswith("cuda") or (device == "auto" and _has_gpu())
    if on_gpu and "safetensors" not in bundle.formats and device != "auto":
        raise InputError(
            f"device: {device!r} needs safetensors weights, which {directory} lacks (formats: "
            f"{have}); use cpu"
        )
    if "safetensors" in bundle.formats and (on_gpu or "onnx" not in bundle.formats):
        return _with_torch(directory, device)
    return _with_onnx(directory, bundle), "CPU"


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _with_onnx(directory: Path, bundle: ModelBundle) -> Run:
    import onnxruntime

    path = bundle.file(directory, "onnx")
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.enable_mem_pattern = False  # images come in many sizes
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions share no public base class
        raise InputError(f"{path} cannot be loaded by onnxruntime: {error}") from None
    meanings = {tensor.meaning: tensor.name for tensor in bundle.outputs}
    outputs = [meanings.get(name, name) for name in ("boxes", "scores", "labels")]
    given = [tensor.name for tensor in session.get_inputs()]
    there = [tensor.name for tensor in session.get_outputs()]
    if len(given) != 1 or not set(outputs) <= set(there):
        raise InputError(
            f"{path} is no detector's graph: it has inputs {', '.join(given)} and outputs "
            f"{', '.join(there)}, but one input and {', '.join(outputs)} are needed"
        )

    def run(images: NDArray[np.uint8]) -> Tables:
        try:
            found: Any = session.run(outputs, {given[0]: images.astype(np.float32) / 255})
        except Exception as error:
            raise InputError(
                f"the ONNX graph fails on an input of shape {images.shape}: {error}"
            ) from None
        return found[0], found[1], found[2]

    return run


def _with_torch(directory: Path, device: str) -> tuple[Run, str]:
    import torch

    from components.core.models.bundle import load_network
    from components.core.models.detector_graph import DetectorGraph
    from components.core.training.fit import resolve_device

    place = resolve_device(device)
    graph = DetectorGraph(load_network(directory)).to(place).eval()

    def run(images: NDArray[np.uint8]) -> Tables:
        # Full float32: cuDNN would otherwise round to TF32, and the ONNX graph does not.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                batch = torch.from_numpy(images).to(place).float().div(255)
                boxes, scores, labels = (table.cpu().numpy() for table in graph(batch))
        except RuntimeError as error:
            raise InputError(
                f"the network fails on an input of shape {images.shape}: {error}; a smaller "
                "batch_size needs less memory"
            ) from None
        return boxes, scores, labels

    return run, "CPU" if place.type == "cpu" else torch.cuda.get_device_name(place)
