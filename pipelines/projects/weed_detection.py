"""Weed detection: annotations from CVAT, MongoDB or files in, a served detector out."""

from __future__ import annotations

from kfp import dsl

from components.annotation_sync.component import annotation_sync
from components.annotation_sync.stage import STAGE as SYNC
from components.auto_annotate.component import auto_annotate
from components.auto_annotate.stage import STAGE as ANNOTATE
from components.check_changes.component import check_changes
from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import YES
from components.evaluate_detections.component import evaluate_detections
from components.evaluate_detections.stage import STAGE as EVALUATE
from components.hpo_sweep.stage import STAGE as SWEEP
from components.split_images.component import split_images
from components.split_images.stage import STAGE as SPLIT
from components.train_detector.component import train_detector
from components.train_detector.stage import STAGE as TRAIN
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines.projects._detection_problems import problems
from pipelines.projects._steps import Steps, make_pipeline

DEFAULTS: dict[str, object] = {}
"""None of its own: the stages' defaults are made for this project."""


def _draw(step: Steps) -> None:
    dataset = step(SYNC).outputs["dataset"]
    changed = step(CHECK, dataset=dataset).outputs["Output"]
    with dsl.If(changed == YES, name="if-changed"):
        split = step(SPLIT, dataset=dataset).outputs["split"]
        study = step.search(dataset, split)
        model = step(TRAIN, dataset=dataset, split=split, study=study).outputs["model"]
        tested = step(EVALUATE, model=model, dataset=dataset, split=split)
        found = tested.outputs["evaluation"]
        step(PUBLISH, model=model, evaluation=found)
        step(ANNOTATE, model=model, evaluation=found)


weed_detection = make_pipeline(
    "weed_detection",
    "Weed detection",
    "Annotated images in, an evaluated and published detector out, and with it annotations of "
    "further images.",
    (SYNC, CHECK, SPLIT, TRAIN, EVALUATE, PUBLISH, ANNOTATE, SWEEP),
    {
        "annotation_sync": annotation_sync,
        "check_changes": check_changes,
        "split_images": split_images,
        "train_detector": train_detector,
        "evaluate_detections": evaluate_detections,
        "triton_publish": triton_publish,
        "auto_annotate": auto_annotate,
    },
    DEFAULTS,
    TRAIN,
    _draw,
    problems,
)
