"""Evaluated detectors, and publishing them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from detector_bundles import CLASSES, write_detector
from detector_cases import write_case

from components.core.artifacts.publication import Publication
from components.evaluate_detections.stage import STAGE as EVALUATE
from components.evaluate_detections.stage import EvaluateSettings
from components.triton_publish.stage import STAGE, PublishSettings


def write_models(folder: Path) -> None:
    """Two detectors with their evaluations, and one that was kept as weights only."""
    case = write_case(folder, classes=list(CLASSES))
    belongs = {"dataset": case.dataset.fingerprint, "split": case.split.fingerprint}
    shutil.rmtree(folder / "model")
    for seed, name in enumerate(("first", "second", "weights")):
        write_detector(folder / name, seed=seed, onnx=name != "weights", name="weeds", **belongs)
        places = {"evaluation": folder / f"{name} evaluation", "metrics": folder / f"{name}.json"}
        EVALUATE.execute(
            EvaluateSettings(part="val", bootstrap=20, gallery=2),
            {"model": folder / name, "dataset": folder / "dataset", "split": folder / "split"},
            {**places, **{n: folder / f"{name} {n}" for n in EVALUATE.outputs if n not in places}},
            folder / "state",
        )


def publish(models: Path, out: Path, model: str = "first", **settings: Any) -> Publication:
    """Publishes one of them."""
    STAGE.execute(
        PublishSettings(**settings),
        {"model": models / model, "evaluation": models / f"{model} evaluation"},
        {"published": out},
        out.parent / "state",
    )
    return Publication.load(out)
