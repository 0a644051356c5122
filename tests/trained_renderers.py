"""Settings of a renderer that trains in seconds, and trainings with them."""

from pathlib import Path
from typing import Any

from components.core.events import Reporter
from components.core.settings import build
from components.evaluate_renderings.stage import STAGE as EVALUATE
from components.evaluate_renderings.stage import EvaluateRenderingsSettings
from components.train_renderer.stage import STAGE, TrainRendererSettings

TINY: dict[str, Any] = {
    "run_name": "tiny",
    "input_width": 64,
    "input_height": 64,
    "crop_width": 32,
    "crop_height": 32,
    "in_gt_frame_amount": 2,
    "feature_amount_current": 4,
    "feature_amount_gt": 4,
    "fe_current_filter_base": 8,
    "fe_gt_filter_base": 8,
    "filter_sizes": [12, 12, 12, 12, 12],
    "batch_size": 2,
    "epochs": 2,
    "learning_rate": 0.002,
    "write_output_nth_epoch": 2,
    "output_images": 2,
    "device": "cpu",
}


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("train_renderer", "silent")
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def trained(frames: Path, place: Path, told: Reporter | None = None, **changes: Any) -> Path:
    """Trains and publishes `place/model` and `place/results`; returns `place`."""
    settings = build(TrainRendererSettings, {**TINY, **changes})
    outputs = {name: place / name for name in STAGE.outputs}
    report = told or Reporter("train_renderer", "silent")
    STAGE.execute(settings, {"frames": frames}, outputs, place / "state", report)
    return place


def evaluated(frames: Path, place: Path, **changes: Any) -> dict[str, Path]:
    """Trains for an epoch and evaluates: what publishing takes."""
    model = (
        trained(frames, place, **{"epochs": 1, "write_output_nth_epoch": 0, **changes}) / "model"
    )
    settings = build(EvaluateRenderingsSettings, {"device": "cpu", "gallery": 0})
    outputs = {"evaluation": place / "evaluation", "report": place / "report.html"}
    given = {"model": model, "frames": frames}
    EVALUATE.execute(settings, given, outputs, place / "state", Told())
    return {"model": model, "evaluation": outputs["evaluation"]}
