"""A detector as one function of a batch of images to tables of fixed size: what is exported.

It computes what torchvision's evaluation does for images of one size, with the network's own
modules, but without lists and without results of varying length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FasterRCNN

from components.core.models.detector_candidates import of_cells, of_proposals
from components.core.models.detector_input import DIVISOR, normalised
from components.core.models.detector_nms import apart, kept_boxes
from components.core.models.detector_tables import best, boxes_at, rows

NOTHING = -1
"""Label of a row without a detection."""


class DetectorGraph(nn.Module):
    """Finds objects on batches of images of one size."""

    score_threshold: Tensor

    def __init__(self, network: nn.Module) -> None:
        """Takes a network of `detectors`, which is shared and not copied."""
        super().__init__()
        settings: Any = network.roi_heads if isinstance(network, FasterRCNN) else network
        self.network = network
        self.candidates = of_proposals if isinstance(network, FasterRCNN) else of_cells
        self.nms_iou = float(settings.nms_thresh)
        self.detections = int(settings.detections_per_img)
        self.register_buffer("score_threshold", torch.tensor([float(settings.score_thresh)]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detections of each image, the best first, filled up to `detections` rows.

        Args:
            images: B, 3, H, W, float32, [0, 1], RGB, of any height and width.

        Returns:
            Boxes (B, N, 4, float32; left, top, right, bottom in pixels), scores (B, N, float32,
            0 to 1) and labels (B, N, int64, from 0); rows without a detection hold the score 0
            and the label -1.
        """
        height, width = images.shape[-2], images.shape[-1]
        padding = (0, _up(width) - width, 0, _up(height) - height)
        batch = functional.pad(normalised(images), padding)
        boxes, scores, labels = self.candidates(self.network, batch, height, width)
        scores = torch.where(scores > self.score_threshold, scores, 0.0)
        kept = kept_boxes(apart(boxes, labels), scores, self.nms_iou, self.detections)
        values, order = best(torch.where(kept, scores, 0.0), self.detections)
        found = values > 0
        return (
            torch.where(found.unsqueeze(2), boxes_at(boxes, order), 0.0),
            torch.where(found, values, 0.0),
            torch.where(found, rows(labels, order), NOTHING),
        )


def _up(side: int) -> int:
    """The next multiple of DIVISOR; with positive numbers only, as ONNX divides towards 0."""
    return (side + DIVISOR - 1) // DIVISOR * DIVISOR
