"""A detector whose answers a test can tell beforehand, as a real bundle with an ONNX graph.

It finds at most one red, one green and one blue object on an image: the box around all pixels of
that colour, with the brightest pixel as the score. Pictures with such objects are made here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from components.core.artifacts.detection_evaluation import DetectionEvaluation
from components.core.artifacts.model_bundle import ModelBundle, Tensor
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
    """The bundle; images are taken in their own size from 64 x 64 pixels on."""
    folder.mkdir(parents=True)
    _export(folder / "model.onnx")
    bundle = ModelBundle(
        fingerprint=digest([name, "colour detector"]),
        name=name,
        formats={"onnx": "model.onnx"},
        task="object_detection",
        classes=CLASSES,
        inputs=[
            Tensor(
                name="image",
                dtype="float32",
                shape=[-1, 3, -1, -1],
                layout="B,C,H,W",
                range=[0, 1],
                meaning="RGB",
            )
        ],
        outputs=[
            Tensor(name="boxes", dtype="float32", shape=[-1, 3, 4], meaning="boxes"),
            Tensor(name="scores", dtype="float32", shape=[-1, 3], meaning="scores"),
            Tensor(name="labels", dtype="int64", shape=[-1, 3], meaning="labels"),
        ],
        preprocessing={
            "min_size": 64,
            "max_size": 4096,
            "tile_size": 0,
            "tile_overlap": 0,
            "size_divisor": 32,
        },
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
        task="object_detection",
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


def _export(path: Path) -> None:
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
    torch.onnx.export(
        Colours().eval(),
        (torch.zeros(1, 3, 64, 64),),
        str(path),
        input_names=["image"],
        output_names=names,
        dynamic_axes=axes,
        dynamo=False,
        opset_version=17,
    )
