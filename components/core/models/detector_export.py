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

FLIPPED = 0.05
"""Accepted share of detections without a partner: among boxes of almost equal scores, or overlaps
close to the limit, rounding decides which stays."""

Found = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes (N, 4), scores (N) and labels (N) of one image."""


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
    worst, total, alone = 0.0, 0, 0
    for images in batches:
        batch = images if images.ndim == 4 else images.unsqueeze(0)
        with torch.no_grad():
            expected = [values.numpy() for values in graph(batch.cpu().float())]
        found = run(batch.cpu().float().numpy())
        for index in range(len(batch)):
            one, other = (
                _rows((values[0][index], values[1][index], values[2][index]))
                for values in (expected, found)
            )
            difference, without = _compared(one, other)
            worst, alone = max(worst, difference), alone + without
            total += len(one[1]) + len(other[1])
    if not total:
        raise TrainyardError("the exported ONNX detector finds nothing, and nor does PyTorch's")
    if alone > FLIPPED * total:
        raise TrainyardError(
            f"the exported ONNX detector differs from PyTorch: {alone} of {total} detections have "
            "no counterpart; the export is not usable"
        )
    return worst


def _evaluated(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode; the network's own modes stay as they are."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        return copy.deepcopy(network.eval()).cpu().float()
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


def _rows(found: Found) -> Found:
    boxes, scores, labels = found
    real = labels >= 0
    return boxes[real], scores[real], labels[real]


def _compared(one: Found, other: Found) -> tuple[float, int]:
    """The largest difference of the scores of pairs, and how many detections have no pair."""
    if not len(one[1]) or not len(other[1]):
        return 0.0, len(one[1]) + len(other[1])
    sides = np.ptp(one[0].reshape(-1, 2, 2), axis=1).max(axis=1)
    edges = np.abs(one[0][:, None] - other[0][None]).max(axis=2)
    scores = np.abs(one[1][:, None] - other[1][None])
    same = one[2][:, None] == other[2][None]
    pairs = same & (edges <= BOX * (1 + sides[:, None])) & (scores <= SCORE)
    # Those at the end of a full table: what is cut off there is as good.
    last = max(one[1].min(), other[1].min()) + SCORE
    alone = int((~pairs.any(axis=1) & (one[1] > last)).sum())
    alone += int((~pairs.any(axis=0) & (other[1] > last)).sum())
    nearest = np.where(pairs, scores, np.inf).min(axis=1)
    paired = nearest[np.isfinite(nearest)]
    return float(paired.max(initial=0.0)), alone
