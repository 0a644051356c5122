"""Steps of a detector on tables of fixed size, with the images of a batch along the first axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best `count` scores of each row, in descending order, and their places.

    Args:
        scores: B, N.
        count: of the result, which may be more than N: the rest is minus infinity at place 0.
    """
    filling = torch.full_like(scores[:, :1], -torch.inf).expand(-1, count)
    values, places = torch.cat([scores, filling], 1).topk(count, dim=1)
    return values, torch.where(values > -torch.inf, places, 0)


def rows(values: Tensor, places: Tensor) -> Tensor:
    """Values (B, N) at places (B, K)."""
    return values.gather(1, places)


def boxes_at(boxes: Tensor, places: Tensor) -> Tensor:
    """Boxes (B, N, 4) at places (B, K)."""
    return boxes.gather(1, places.unsqueeze(2).expand(-1, -1, 4))


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (B, N, 4) cut to the image."""
    limits = [torch.as_tensor(side).to(boxes) for side in (width, height, width, height)]
    return torch.minimum(boxes.clamp(min=0), torch.stack(limits))


def without_small(scores: Tensor, boxes: Tensor, side: float) -> Tensor:
    """Scores (B, N) that are 0 where the box (B, N, 4) has a side below `side` pixels."""
    large = (boxes[..., 2] - boxes[..., 0] >= side) & (boxes[..., 3] - boxes[..., 1] >= side)
    return torch.where(large, scores, 0.0)


def level_anchors(
    generator: AnchorGenerator, images: Tensor, features: Sequence[Tensor]
) -> list[Tensor]:
    """Anchors (N, 4) of each level, as AnchorGenerator places them on a batch of images."""
    found = []
    for feature, cell in zip(features, generator.cell_anchors, strict=True):
        height, width = feature.shape[-2], feature.shape[-1]
        down = torch.arange(height, device=images.device) * (images.shape[-2] // height)
        across = torch.arange(width, device=images.device) * (images.shape[-1] // width)
        y, x = (axis.reshape(-1) for axis in torch.meshgrid(down, across, indexing="ij"))
        centres = torch.stack([x, y, x, y], 1).to(images.dtype)
        own = cell.to(device=images.device, dtype=images.dtype)
        found.append((centres.unsqueeze(1) + own.unsqueeze(0)).reshape(-1, 4))
    return found


def decoded(coder: Any, deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (B, N, 4) of what a network says (B, N, 4) of its anchors (B, N, 4)."""
    flat = deltas.reshape(-1, 4), anchors.reshape(-1, 4)
    decode = getattr(coder, "decode_single", None) or coder.decode  # FCOS has the latter only
    boxes: Tensor = decode(*flat)
    return boxes.reshape(deltas.shape)


def by_anchor(maps: Tensor, numbers: int) -> Tensor:
    """Maps (B, A * numbers, H, W) as rows (B, H * W * A, numbers), in the order of anchors."""
    batch, _, height, width = maps.shape
    split = maps.reshape(batch, -1, numbers, height, width)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, -1, numbers)
