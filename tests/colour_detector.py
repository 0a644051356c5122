"""A detector whose answers a test can tell beforehand, as a real bundle with an ONNX graph.

It finds at most one red, one green and one blue object on an image: the box around all pixels of
that colour, with the brightest pixel as the score. Pictures with such objects are made here too.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from components.core.artifacts.detection_evaluation import DetectionEvaluation
from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, Preprocessing, tensors
from components.core.state import digest

CLASSES = ["red", "green", "blue"]
SEEN = 0.03
"""Brightness from which a pixel counts."""

Found = tuple[str, float, tuple[int, int, int, int]]
"""Class, score, and left, top, right, bottom in pixels."""


def paint(path: Path, *objects: Found, size: tuple[int, int] = (64, 64)) -> Path:
    """A picture on which the detector finds exactly these objects; scores of 8 bits."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for name, score, (left, top, right, bottom) in objects:
        image[top:bottom, left:right, CLASSES.index(name)] = round(255 * score)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_detector(folder: Path, name: str = "colours") -> ModelBundle:
    """The bundle; images are taken in their own size."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(_graph())
    bundle = ModelBundle(
        fingerprint=digest([name, "colour detector"]),
        name=name,
        formats={"onnx": "model.onnx"},
        task=TASK,
        classes=CLASSES,
        **tensors(len(CLASSES)),
        preprocessing=Preprocessing().model_dump(),
    )
    bundle.save(folder)
    return bundle


def write_evaluation(
    folder: Path, bundle: ModelBundle, thresholds: Mapping[str, float]
) -> DetectionEvaluation:
    """The index of an evaluation of the bundle."""
    folder.mkdir(parents=True)
    evaluation = DetectionEvaluation(
        fingerprint=digest([bundle.fingerprint, dict(thresholds)]),
        task=TASK,
        classes=bundle.classes,
        part="test",
        images=1,
        models={bundle.name: bundle.fingerprint},
        dataset="0" * 64,
        splits=[],
        code_version="0",
        settings={},
        figures={},
        thresholds=dict(thresholds),
        files={},
    )
    evaluation.save(folder)
    return evaluation


@cache
def _graph() -> bytes:
    import torch

    class Colours(torch.nn.Module):
        def forward(self, image):
            seen = image > SEEN
            ones = torch.ones_like(image[:1, :1])
            far = 1e6
            sides = []
            for axis in (3, 2):
                place = torch.cumsum(ones, dim=axis) - 1
                low = torch.where(seen, place, far).amin(dim=(2, 3))
                high = torch.where(seen, place + 1, 0.0).amax(dim=(2, 3))
                sides.append((low, high))
            (left, right), (top, bottom) = sides
            boxes = torch.stack([left, top, right, bottom], dim=2)
            brightest = image.amax(dim=(2, 3))
            there = brightest > SEEN
            scores, order = torch.where(there, brightest, 0.0).topk(3, dim=1)
            labels = torch.where(scores > 0, order, -1)
            boxes = torch.gather(boxes, 1, order.unsqueeze(2).expand(-1, -1, 4))
            return torch.where((scores > 0).unsqueeze(2), boxes, 0.0), scores, labels

    names = ["boxes", "scores", "labels"]
    axes = {
        "image": {0: "batch", 2: "height", 3: "width"},
        **{name: {0: "batch"} for name in names},
    }
    content = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # of the exporter about itself
        torch.onnx.export(
            Colours().eval(),
            (torch.zeros(1, 3, 64, 64),),
            content,
            input_names=["image"],
            output_names=names,
            dynamic_axes=axes,
            dynamo=False,
            opset_version=17,
        )
    return content.getvalue()
