"""Exports a detector to ONNX, suppression of overlapping boxes and all, and proves the result."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.onnx.utils import register_custom_op_symbolic

from components.core.detection.agreement import NOTHING_COMPARED, agreement
from components.core.errors import TrainyardError
from components.core.models.detector_graph import DetectorGraph
from components.core.models.detector_nms import written_nms
from components.core.models.export import OPSET, quiet

INPUT, OUTPUTS = "image", ("boxes", "scores", "labels")
"""Names in the graph."""

THRESHOLD = "score_threshold"
"""The graph's constant that every detection exceeds; may be changed in the file."""

BOX, SCORE = 1e-2, 1e-3
"""Accepted differences: of a box's edges relative to 1 + its longer side, and of its score."""


def export_detector(network: nn.Module, size: tuple[int, int], path: Path) -> None:
    """Writes a detector as one self-contained ONNX file for any batch, height and width.

    Input `image` (B, 3, H, W, float32, [0, 1], RGB); outputs as of `DetectorGraph`.

    Args:
        network: one of `detectors`; neither changed nor moved.
        size: height and width in pixels of an example, of no matter to the result.
        path: the file to write.
    """
    import onnx

    graph = DetectorGraph(_evaluated(network))
    example = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    free = {0: "batch"}
    register_custom_op_symbolic("trainyard::kept_boxes", written_nms, OPSET)
    # By tracing: torch.export takes ten times as long, and its shapes fail at some sizes.
    with quiet(), torch.no_grad():
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            dynamo=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={INPUT: {**free, 2: "height", 3: "width"}, **dict.fromkeys(OUTPUTS, free)},
            opset_version=OPSET,
        )
    model = onnx.load(str(path))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = graph.detections
    for node in model.graph.node:
        node.doc_string = ""  # places in the source of the exporting machine
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def verify_detector(path: Path, network: nn.Module, batches: Sequence[Tensor]) -> float:
    """Compares the exported file with the network, whatever the scores of its detections.

    Args:
        path: the file.
        network: what it was exported from.
        batches: images (3, H, W) or batches of them (B, 3, H, W), float32, [0, 1]; of any sizes.

    Returns:
        The largest difference of a score.

    Raises:
        TrainyardError: detections of one are not those of the other.
    """
    graph = DetectorGraph(_evaluated(network))
    graph.score_threshold.zero_()
    run = _session(path)
    total = NOTHING_COMPARED
    for images in batches:
        batch = (images if images.ndim == 4 else images.unsqueeze(0)).cpu().float()
        with torch.no_grad():
            expected = [values.numpy() for values in graph(batch)]
        total += agreement(expected, run(batch.numpy()), box=BOX, score=SCORE)
    if not total.detections:
        raise TrainyardError(
            "the exported ONNX detector cannot be compared: neither it nor PyTorch finds anything"
        )
    if not total.good:
        raise TrainyardError(
            f"the exported ONNX detector differs from PyTorch: {total.alone} of "
            f"{total.detections} detections have no counterpart; the export is not usable"
        )
    return total.difference


def _evaluated(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode; the network's own modes stay as they are."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        return copy.deepcopy(network.eval()).cpu().float().eval()
    finally:
        for module, training in modes:
            module.training = training


def _session(path: Path) -> Callable[[NDArray[np.float32]], Sequence[NDArray[Any]]]:
    """The file with a score threshold of 0, so that there is something to compare."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    thresholds = [tensor for tensor in model.graph.initializer if tensor.name == THRESHOLD]
    if not thresholds:
        raise TrainyardError(
            f"{path} holds no {THRESHOLD}; it is no detector that was exported here"
        )
    thresholds[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32), THRESHOLD))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(list(OUTPUTS), {INPUT: images})
