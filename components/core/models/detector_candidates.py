"""What the networks find before the weaker of overlapping boxes go: boxes, scores, labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import roi_align

from components.core.models.detector_nms import apart, kept_boxes
from components.core.models.detector_tables import (
    best,
    boxes_at,
    by_anchor,
    clipped,
    decoded,
    level_anchors,
    without_small,
)

Candidates = tuple[Tensor, Tensor, Tensor]
"""Boxes (B, N, 4), scores (B, N; 0 where there is none) and labels (B, N, from 0)."""

SMALLEST_PROPOSAL, SMALLEST_BOX = 1e-3, 1e-2
"""Sides in pixels below which torchvision drops proposals and boxes of Faster R-CNN."""


def of_cells(network: Any, images: Tensor, height: int, width: int) -> Candidates:
    """Of RetinaNet and FCOS: the best `topk_candidates` of each level.

    Args:
        network: one of the two.
        images: B, 3, H, W, normalised and padded.
        height, width: of the images without the padding, in pixels.
    """
    features = list(network.backbone(images).values())
    found: list[Candidates] = []
    for feature, anchors in zip(
        features, level_anchors(network.anchor_generator, images, features), strict=True
    ):
        said = network.head([feature])
        scores = torch.sigmoid(said["cls_logits"][..., 1:])  # nothing is labelled 0
        if "bbox_ctrness" in said:
            scores = torch.sqrt(scores * torch.sigmoid(said["bbox_ctrness"]))
        classes = scores.shape[2]
        values, places = best(scores.flatten(1), network.topk_candidates)
        cells = torch.div(places, classes, rounding_mode="floor")
        boxes = decoded(network.box_coder, boxes_at(said["bbox_regression"], cells), anchors[cells])
        found.append((clipped(boxes, height, width), values.clamp(min=0), places % classes))
    boxes, scores, labels = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
    return boxes, scores, labels


def of_proposals(network: Any, images: Tensor, height: int, width: int) -> Candidates:
    """Of Faster R-CNN: every proposal as each of the classes; arguments as of `of_cells`."""
    features = network.backbone(images)
    where, real = _proposals(network.rpn, images, list(features.values()), height, width)
    heads = network.roi_heads
    maps = [features[name] for name in heads.box_roi_pool.featmap_names]
    logits, deltas = heads.box_predictor(heads.box_head(_pooled(heads.box_roi_pool, maps, where)))
    batch, count = where.shape[0], where.shape[1]
    every = heads.box_coder.decode_single(deltas, where.reshape(-1, 4))
    boxes = every.reshape(batch, count, -1, 4)[:, :, 1:]  # 0 is the background
    scores = torch.softmax(logits, -1).reshape(batch, count, -1)[:, :, 1:]
    scores = torch.where(real.unsqueeze(2), scores, 0.0)
    labels = torch.arange(scores.shape[2], device=images.device).expand_as(scores)
    boxes = clipped(boxes.reshape(batch, -1, 4), height, width)
    return boxes, without_small(scores.flatten(1), boxes, SMALLEST_BOX), labels.flatten(1)


def _proposals(
    rpn: Any, images: Tensor, features: list[Tensor], height: int, width: int
) -> tuple[Tensor, Tensor]:
    """The best proposals of each image (B, N, 4), and which of them are any (B, N)."""
    found = []
    all_anchors = level_anchors(rpn.anchor_generator, images, features)
    for level, (logits, deltas, anchors) in enumerate(
        zip(*rpn.head(features), all_anchors, strict=True)
    ):
        values, places = best(by_anchor(logits, 1).flatten(1), rpn.pre_nms_top_n())
        boxes = decoded(rpn.box_coder, boxes_at(by_anchor(deltas, 4), places), anchors[places])
        found.append((boxes, torch.sigmoid(values), torch.full_like(places, level)))
    boxes, scores, levels = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
    boxes = clipped(boxes, height, width)
    scores = without_small(scores, boxes, SMALLEST_PROPOSAL)
    count = rpn.post_nms_top_n()
    kept = kept_boxes(apart(boxes, levels), scores, rpn.nms_thresh, count)
    values, places = best(torch.where(kept, scores, 0.0), count)
    return boxes_at(boxes, places), values > 0


def _pooled(pool: Any, maps: list[Tensor], boxes: Tensor) -> Tensor:
    """The features of each box (B, N, 4) on the level for its size: B * N, C, 7, 7."""
    batch, count = boxes.shape[0], boxes.shape[1]
    image = torch.arange(batch, device=boxes.device).unsqueeze(1).expand(-1, count)
    places = torch.cat([image.unsqueeze(2).to(boxes.dtype), boxes], 2).reshape(-1, 5)
    levels = pool.map_levels([boxes.reshape(-1, 4)])
    result = boxes.new_zeros(batch * count, maps[0].shape[1], *pool.output_size)
    for level, (features, scale) in enumerate(zip(maps, pool.scales, strict=True)):
        own = torch.nonzero(levels == level).flatten()
        found = roi_align(features, places[own], pool.output_size, scale, pool.sampling_ratio)
        result = result.index_put((own,), found)
    return result
