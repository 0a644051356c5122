"""Neural rendering: frames that the Inovis viewer exported in, a network for the viewer out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.stage import Stage
from components.evaluate_renderings.component import evaluate_renderings
from components.evaluate_renderings.stage import STAGE as EVALUATE
from components.publish_renderer.component import publish_renderer
from components.publish_renderer.stage import STAGE as PUBLISH
from components.rendering_sync.component import rendering_sync
from components.rendering_sync.stage import STAGE as SYNC
from components.train_renderer.component import train_renderer
from components.train_renderer.stage import STAGE as TRAIN
from pipelines.projects._steps import Steps, make_pipeline


def _draw(step: Steps) -> None:
    frames = step(SYNC).outputs["frames"]
    model = step(TRAIN, frames=frames).outputs["model"]
    found = step(EVALUATE, model=model, frames=frames).outputs["evaluation"]
    step(PUBLISH, model=model, evaluation=found)


def _problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    """Parts that are needed later and certainly empty."""
    found = []
    if not values["val_size"]:
        found.append("val_size: 0 leaves nothing to choose the best epoch with; give some frames")
    if values["part"] == "test" and not (values["test_size"] or values["test_indices"]):
        found.append("test_size: 0 leaves nothing to evaluate on; give some frames, or part: val")
    return found


neural_rendering = make_pipeline(
    "neural_rendering",
    "Neural rendering",
    "Frames that the Inovis viewer exported in, an evaluated network that the viewer loads out.",
    (SYNC, TRAIN, EVALUATE, PUBLISH),
    {
        "rendering_sync": rendering_sync,
        "train_renderer": train_renderer,
        "evaluate_renderings": evaluate_renderings,
        "publish_renderer": publish_renderer,
    },
    {},
    TRAIN,
    _draw,
    _problems,
)
