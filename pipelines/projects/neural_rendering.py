"""Neural rendering: frames that the Inovis viewer exported in, a network for the viewer out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check_changes.component import check_changes
from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import YES
from components.core.settings import build
from components.core.stage import Stage
from components.evaluate_renderings.component import evaluate_renderings
from components.evaluate_renderings.stage import STAGE as EVALUATE
from components.publish_renderer.component import publish_renderer
from components.publish_renderer.stage import STAGE as FOR_VIEWER
from components.rendering_sync.component import rendering_sync
from components.rendering_sync.stage import STAGE as SYNC
from components.train_renderer.component import train_renderer
from components.train_renderer.stage import STAGE as TRAIN
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines.projects._steps import Steps, make_pipeline
from pipelines.projects._sweep_problems import own

DEFAULTS: dict[str, object] = {}
"""None of its own: the stages' defaults are made for this project."""


def _draw(step: Steps) -> None:
    frames = step(SYNC).outputs["frames"]
    changed = step(CHECK, dataset=frames).outputs["Output"]
    with dsl.If(changed == YES, name="if-changed"):
        model = step(TRAIN, frames=frames).outputs["model"]
        found = step(EVALUATE, model=model, frames=frames).outputs["evaluation"]
        step(FOR_VIEWER, model=model, evaluation=found)
        step(PUBLISH, model=model, evaluation=found)


def _problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    """Parts that are needed later and certainly empty, a model without a name, and a network that
    cannot be trained or published.
    """
    found = build(CHECK.settings, own(CHECK, values)).problems()
    if not values["val_size"]:
        found.append("val_size: 0 leaves nothing to choose the best epoch with; give some frames")
    if values["part"] == "test" and not (values["test_size"] or values["test_indices"]):
        found.append("test_size: 0 leaves nothing to evaluate on; give some frames, or part: val")
    if depth := values["feature_extraction_depth"]:
        found.append(
            f"feature_extraction_depth: {depth} is not supported by the viewer, for which the "
            "network is published; give 0"
        )
    stored, seen = values["aux_views"], values["in_gt_frame_amount"]
    if 0 < stored < seen:
        found.append(
            f"aux_views: {stored} are stored of each frame, the network sees in_gt_frame_amount: "
            f"{seen}; give at least {seen}, or 0 for all, or a smaller in_gt_frame_amount"
        )
    return found


neural_rendering = make_pipeline(
    "neural_rendering",
    "Neural rendering",
    "Frames that the Inovis viewer exported in, an evaluated network that the viewer loads out.",
    (SYNC, CHECK, TRAIN, EVALUATE, FOR_VIEWER, PUBLISH),
    {
        "rendering_sync": rendering_sync,
        "check_changes": check_changes,
        "train_renderer": train_renderer,
        "evaluate_renderings": evaluate_renderings,
        "publish_renderer": publish_renderer,
        "triton_publish": triton_publish,
    },
    DEFAULTS,
    TRAIN,
    _draw,
    _problems,
)
