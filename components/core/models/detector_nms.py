"""Non-maximum suppression with results of a fixed size, for PyTorch and for ONNX alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.onnx import symbolic_helper
from torchvision.ops import nms

BOOL = 9
"""ONNX's number of the type."""


@torch.library.custom_op("trainyard::kept_boxes", mutates_args=())
def kept_boxes(boxes: Tensor, scores: Tensor, iou: float, limit: int) -> Tensor:
    """Which boxes stay when of any two that overlap more than `iou` the weaker goes.

    Args:
        boxes: B, N, 4, float32, left, top, right, bottom; those of different groups lie apart.
        scores: B, N, float32; a box with a score of 0 or less is none.
        iou: intersection by union.
        limit: at most so many stay on an image, the best ones.

    Returns:
        B, N, bool.
    """
    mask = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    for row, own_boxes, own_scores in zip(mask, boxes, scores, strict=True):
        candidates = torch.nonzero(own_scores > 0).flatten()
        kept = nms(own_boxes[candidates], own_scores[candidates], iou)[:limit]
        row[candidates[kept]] = True
    return mask


@kept_boxes.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float, limit: int) -> Tensor:
    return torch.empty(scores.shape, dtype=torch.bool, device=scores.device)


def apart(boxes: Tensor, groups: Tensor) -> Tensor:
    """Boxes (B, N, 4) moved so that those of different groups (B, N) never overlap."""
    step = boxes.amax((0, 1, 2)) + 1
    return boxes + (groups.to(boxes.dtype) * step).unsqueeze(2)


def written_nms(graph: Any, boxes: Any, scores: Any, iou: Any, limit: Any) -> Any:
    """Writes `kept_boxes` with ONNX's own operator; for `register_custom_op_symbolic`."""

    def constant(*values: float, dtype: torch.dtype = torch.int64) -> Any:
        return graph.op("Constant", value_t=torch.tensor(values, dtype=dtype))

    chosen = graph.op(
        "NonMaxSuppression",
        boxes,
        graph.op("Unsqueeze", scores, constant(1)),
        constant(symbolic_helper._parse_arg(limit, "i")),
        constant(symbolic_helper._parse_arg(iou, "f"), dtype=torch.float32),
        constant(0.0, dtype=torch.float32),
    )
    places = graph.op("Gather", chosen, constant(0, 2), axis_i=1)  # image and box
    ones = graph.op("Expand", constant(1), graph.op("Shape", places, start_i=0, end_i=1))
    shape = graph.op("Shape", scores)
    nothing = graph.op("ConstantOfShape", shape, value_t=torch.tensor([0]))
    marked = graph.op("ScatterND", nothing, places, ones)
    mask = graph.op("Cast", marked, to_i=BOOL)
    return mask.setType(scores.type().with_dtype(torch.bool))
