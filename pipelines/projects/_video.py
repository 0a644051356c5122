"""The DAG of every project that trains a clip classifier; projects differ in their defaults."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check_changes.component import check_changes
from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import YES
from components.core.docstrings import documented
from components.core.settings import build
from components.dataset_sync.component import dataset_sync
from components.dataset_sync.stage import STAGE as SYNC
from components.evaluate_clips.component import evaluate_clips
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.frame_extraction.component import frame_extraction
from components.frame_extraction.stage import STAGE as EXTRACT
from components.hpo_sweep.component import hpo_sweep
from components.hpo_sweep.plan import SweepPlan
from components.hpo_sweep.stage import STAGE as SWEEP
from components.split_clips.component import split_clips
from components.split_clips.stage import STAGE as SPLIT
from components.train_video.component import train_video
from components.train_video.stage import STAGE as TRAIN
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines import building
from pipelines.placement import GPU_PARAMETERS, ClusterChoice

STAGES = (SYNC, CHECK, SPLIT, EXTRACT, TRAIN, EVALUATE, PUBLISH, SWEEP)
COMPONENTS = {
    "dataset_sync": dataset_sync,
    "check_changes": check_changes,
    "split_clips": split_clips,
    "frame_extraction": frame_extraction,
    "hpo_sweep": hpo_sweep,
    "train_video": train_video,
    "evaluate_clips": evaluate_clips,
    "triton_publish": triton_publish,
}
SWEEP_FIXED = ("trainer", "settings", "worker")
"""Settings of the search that the DAG gives it."""


def video_pipeline(name: str, title: str, summary: str, defaults: Mapping[str, Any]) -> Any:
    """Makes the pipeline from clips to a published classifier.

    Its parameters are the settings of all its stages, each under its own name; stages that have
    a setting of the same name share the parameter.

    Args:
        name: of the module and of the pipeline function.
        title: shown in the Kubeflow UI.
        summary: one sentence on what goes in and comes out.
        defaults: parameters whose default differs from the stage's.

    Raises:
        ValueError: a default for a parameter that no stage has.
    """
    parameters = _parameters(defaults)

    def pipeline(*values: Any) -> None:
        given = dict(zip(parameters, values, strict=True))

        def step(stage: Any, **inputs: Any) -> Any:
            fields = [field for field in stage.settings.model_fields if field not in inputs]
            task = COMPONENTS[stage.name](**inputs, **{field: given[field] for field in fields})
            return building.step(stage.name, task, {name: given[name] for name in GPU_PARAMETERS})

        with building.guarded(name):
            clips = step(SYNC).outputs["clips"]
            changed = step(CHECK, clips=clips).outputs["Output"]
            with dsl.If(changed == YES, name="if-changed"):
                split = step(SPLIT, clips=clips).outputs["split"]
                frames = step(EXTRACT, clips=clips).outputs["frames"]
                search: dict[str, Any] = {"data": frames, "split": split, "trainer": TRAIN.name}
                search["settings"] = building.as_text(TRAIN, given)
                study = step(SWEEP, **search, worker=0).outputs["study"]
                with dsl.ParallelFor(given["more_workers"], name="more-workers") as number:
                    step(SWEEP, **search, worker=number)
                model = step(TRAIN, frames=frames, split=split, study=study).outputs["model"]
                tested = step(EVALUATE, model=model, frames=frames, split=split)
                step(PUBLISH, model=model, evaluation=tested.outputs["evaluation"])

    pipeline.__name__ = name
    pipeline.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    pipeline.problems = problems  # type: ignore[attr-defined]
    described = documented(*STAGES, summary=summary, others=ClusterChoice)(pipeline)
    return dsl.pipeline(name=name.replace("_", "-"), display_name=title)(described)


def problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of the stages, each sound for itself, beside one another."""
    return [*_size_problems(values), *_search_problems(values)]


def _search_problems(values: Mapping[str, Any]) -> list[str]:
    """What the trainer says of the search; without one there is nothing to ask."""
    fields = [field for field in SWEEP.settings.model_fields if field not in SWEEP_FIXED]
    own = {field: values[field] for field in fields}
    if not (own["n_trials"] or own["search_space"]):
        return []
    base = {field: values[field] for field in TRAIN.settings.model_fields}
    sweep = SWEEP.settings(**own, trainer=TRAIN.name, settings=base)
    wrong = SweepPlan.of(sweep)[1]
    return [text for error in wrong for text in getattr(error, "problems", [str(error)])]


def _size_problems(values: Mapping[str, Any]) -> list[str]:
    frame_size, input_size = int(values["frame_size"]), int(values["input_size"])
    stored = frame_size + int(values["crop_margin"])
    if input_size > stored:
        return [
            f"input_size: {input_size} is larger than the frames that will be stored ({stored} "
            f"pixels); use at most {stored}, or a larger frame_size"
        ]
    training = build(TRAIN.settings, {n: values[n] for n in TRAIN.settings.model_fields})
    found = training.size_problems(input_size or frame_size)
    return [text if input_size else text.replace("input_size:", "frame_size:") for text in found]


def _parameters(defaults: Mapping[str, Any]) -> dict[str, inspect.Parameter]:
    """Parameter by name, those without a default first."""
    found: dict[str, inspect.Parameter] = {}
    for stage in STAGES:
        signature = inspect.signature(COMPONENTS[stage.name].python_func)
        for field in stage.settings.model_fields:
            if stage is SWEEP and field in SWEEP_FIXED:
                continue
            declared = signature.parameters[field]
            default = defaults.get(field, declared.default)
            # kfp 2.17 finds no parameter of type list[float] in a text, but one of type list
            kind = typing.get_origin(declared.annotation) or declared.annotation
            found.setdefault(field, declared.replace(default=default, annotation=kind))
    for name, info in ClusterChoice.model_fields.items():
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        declared = inspect.Parameter(name, kind, default=info.default, annotation=info.annotation)
        found[name] = declared  # items of a loop have the type that the list says
    if unknown := set(defaults) - set(found):
        raise ValueError(f"no stage has the parameters {', '.join(sorted(unknown))}")
    required = inspect.Parameter.empty
    return dict(sorted(found.items(), key=lambda item: item[1].default is not required))
