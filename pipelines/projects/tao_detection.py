"""TAO detection: an experiment of an NVIDIA TAO project in, a served detector out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.stage import Stage
from components.tao_convert.component import tao_convert
from components.tao_convert.stage import STAGE as CONVERT
from components.tao_engine.component import tao_engine
from components.tao_engine.stage import STAGE as ENGINE
from components.tao_evaluate.component import tao_evaluate
from components.tao_evaluate.stage import STAGE as EVALUATE
from components.tao_export.component import tao_export
from components.tao_export.stage import STAGE as EXPORT
from components.tao_prune.component import tao_prune
from components.tao_prune.stage import STAGE as PRUNE
from components.tao_train.component import tao_train
from components.tao_train.stage import STAGE as TRAIN
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines.projects._steps import Steps, make_pipeline

DEFAULTS: dict[str, object] = {"prune_threshold": 0.0, "build_engine": "auto"}
"""Pruning is asked for; an engine is built where Triton needs one."""


def _draw(step: Steps) -> None:
    records = step(CONVERT).outputs["records"]
    trained = step(TRAIN, records=records).outputs["model"]
    model = step(PRUNE, model=trained, records=records).outputs["pruned"]
    found = step(EVALUATE, model=model, records=records).outputs["evaluation"]
    exported = step(EXPORT, model=model, records=records).outputs["exported"]
    engine = step(ENGINE, exported=exported, records=records).outputs["engine"]
    step(PUBLISH, model=engine, evaluation=found)


def _problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    """Nothing that the stages do not see themselves."""
    return []


tao_detection = make_pipeline(
    "tao_detection",
    "TAO detection",
    "An experiment of an NVIDIA TAO project in, an evaluated and published detector out.",
    (CONVERT, TRAIN, PRUNE, EVALUATE, EXPORT, ENGINE, PUBLISH),
    {
        "tao_convert": tao_convert,
        "tao_train": tao_train,
        "tao_prune": tao_prune,
        "tao_evaluate": tao_evaluate,
        "tao_export": tao_export,
        "tao_engine": tao_engine,
        "triton_publish": triton_publish,
    },
    DEFAULTS,
    TRAIN,
    _draw,
    _problems,
)
