"""COCO's figures of 1,000 images x 100 boxes: equal to pycocotools', and how much sooner.

Prints JSON lines {name, ratio, target, ok}; exits 1 if a target is missed. Both start from the same
arrays; times are the median of the CPU time of three turns. Beside them, what matches and 200
resamples of the images cost in passes over the figures: smaller is better there.
"""

import contextlib
import io
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from detection_cases import random_case
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.core.metrics.detection import IOUS, coco_figures
from components.core.metrics.detection_bootstrap import image_weights, resampled
from components.core.metrics.detection_matches import matches

IMAGES, BOXES, CLASSES, OBJECTS = 1000, 100, 10, 10
NAMES = [f"class {number}" for number in range(CLASSES)]
STATS = [
    "map", "map50", "map75", "map_small", "map_medium", "map_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
]  # fmt: skip
REPLICATES = 200
LARGEST_ERROR = 1e-9
SOONER, MATCHES, RESAMPLES = 4, 3, 2


def reference(truth, predictions):
    """pycocotools' twelve figures, from the arrays on."""
    there, results = COCO(), []
    annotations = []
    for image, (true, found) in enumerate(zip(truth, predictions, strict=True)):
        for box, number, area in zip(
            xywh(true.boxes), true.classes.tolist(), true.areas.tolist(), strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": number,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                }
            )
        for box, number, score in zip(
            xywh(found.boxes), found.classes.tolist(), found.scores.tolist(), strict=True
        ):
            results.append({"image_id": image, "category_id": number, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        there.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": c, "name": name} for c, name in enumerate(NAMES)],
            "annotations": annotations,
        }
        there.createIndex()
        evaluation = COCOeval(there, there.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def xywh(boxes):
    """Left, top, width and height."""
    corners = boxes.astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()


def seconds(function):
    """CPU time of one call."""
    began = time.process_time()
    function()
    return time.process_time() - began


def main() -> int:
    """Prints one line per measurement; returns the exit code."""
    missed = False

    def line(name, value, target, ok):
        nonlocal missed
        missed |= not ok
        print(json.dumps({"name": name, "ratio": value, "target": target, "ok": bool(ok)}))

    truth, predictions = random_case(0, IMAGES, CLASSES, objects=OBJECTS, found=BOXES)
    ours, theirs = coco_figures(truth, predictions, NAMES), reference(truth, predictions)
    error = max(abs(ours.values[name] - value) for name, value in zip(STATS, theirs, strict=True))
    line("largest difference from pycocotools", error, LARGEST_ERROR, error <= LARGEST_ERROR)
    found = matches(truth, predictions, CLASSES, IOUS)
    weights = image_weights([""] * IMAGES, REPLICATES, seed=0)
    times = {"ours": [], "theirs": [], "matches": [], "resamples": []}
    for _ in range(3):
        times["ours"].append(seconds(lambda: coco_figures(truth, predictions, NAMES)))
        times["theirs"].append(seconds(lambda: reference(truth, predictions)))
        times["matches"].append(seconds(lambda: matches(truth, predictions, CLASSES, IOUS)))
        times["resamples"].append(seconds(lambda: resampled(found, weights)))
    middle = {name: statistics.median(values) for name, values in times.items()}
    sooner = middle["theirs"] / middle["ours"]
    line("figures, times as fast as pycocotools", sooner, SOONER, sooner >= SOONER)
    for name, target in (("matches", MATCHES), ("resamples", RESAMPLES)):
        passes = middle[name] / middle["ours"]
        line(f"{name}, in passes over the figures", passes, target, passes <= target)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
