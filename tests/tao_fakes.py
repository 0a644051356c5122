"""Programs that stand for those of NVIDIA's images, which cannot run here.

They are real processes with the vendor's own arguments: they read the specification, look for the
paths in it, and write records, checkpoints, `status.json`, output and exit codes as the vendor's
do. What they compute is nothing. Everything up to the call of such a program is thus real in the
tests; that the vendor's own ones behave the same is not shown by them.

`install(folder)` writes them; put `folder` in TAO_PATH. They read FAKE_TAO_… variables: CALLS (file
that every call is appended to), SECONDS (of an epoch), FAIL_AT (epoch), BEST (epoch), SUFFIX (of
checkpoints), QUIET_FAILURE (FAIL is told, and the exit code is 0).
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from components.core.tao.heads import HEADS

PROGRAM = Path(__file__).with_name("tao_program.py")

Graph = tuple[str, list[tuple[str, list[int]]], str]

_NMS: Graph = ("Input", [("NMS", [1, 200, 7]), ("NMS_1", [1, 1, 1])], "NMSDynamic_TRT")
_BOXES = [("BatchedNMS", [1]), ("BatchedNMS_1", [200, 4])]
_SCORES = [("BatchedNMS_2", [200]), ("BatchedNMS_3", [200])]
_BATCHED: Graph = ("Input", _BOXES + _SCORES, "BatchedNMSDynamic_TRT")
_QUERIES = [("pred_logits", [300, 1, 1]), ("pred_boxes", [300, 1, 1])]
_DETR: Graph = ("inputs", _QUERIES, "MultiscaleDeformableAttnPlugin_TRT")
_MAPS = [("output_cov/Sigmoid", [3, 1, 1]), ("output_bbox/BiasAdd", [12, 1, 1])]

GRAPHS: dict[str, Graph] = {
    "detectnet_v2": ("input_1", _MAPS, ""),
    **dict.fromkeys(("ssd", "dssd", "retinanet"), _NMS),
    **dict.fromkeys(("yolo_v3", "yolo_v4", "yolo_v4_tiny"), _BATCHED),
    "faster_rcnn": ("input_image", _NMS[1], "NMSDynamic_TRT"),
    "efficientdet_tf2": ("input", _NMS[1], "EfficientNMS_TRT"),
    "dino": _DETR,
    "deformable_detr": _DETR,
    "rtdetr": ("inputs", _QUERIES, ""),
}
"""Head → input, outputs and TensorRT operator of its ONNX file."""


def install(folder: Path) -> Path:
    """Writes a program for every head into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, head in HEADS.items():
        words = [sys.executable, str(PROGRAM), name, head.framework, json.dumps(GRAPHS[name])]
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder


def calls(path: Path) -> list[dict[str, Any]]:
    """The calls that FAKE_TAO_CALLS has: `command`, and some of the `environment`."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
