"""The DAG of every project that trains a clip classifier; projects differ in their defaults."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kfp import dsl

from components.check_changes.component import check_changes
from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import YES
from components.core.docstrings import documented
from components.core.stage import Stage
from components.dataset_sync.component import dataset_sync
from components.dataset_sync.stage import STAGE as SYNC
from components.evaluate_clips.component import evaluate_clips
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.frame_extraction.component import frame_extraction
from components.frame_extraction.stage import STAGE as EXTRACT
from components.hpo_sweep.component import hpo_sweep
from components.hpo_sweep.stage import STAGE as SWEEP
from components.read_task.component import read_task
from components.read_task.stage import STAGE as READ
from components.record_run.component import record_run
from components.record_run.stage import STAGE as RECORD
from components.split_clips.component import split_clips
from components.split_clips.stage import STAGE as SPLIT
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines import building
from pipelines.placement import GPU_PARAMETERS, ClusterChoice
from pipelines.plan import load_stage
from pipelines.projects._video_problems import SWEEP_FIXED, problems

COMPONENTS = {
    "read_task": read_task,
    "dataset_sync": dataset_sync,
    "check_changes": check_changes,
    "split_clips": split_clips,
    "frame_extraction": frame_extraction,
    "hpo_sweep": hpo_sweep,
    "evaluate_clips": evaluate_clips,
    "triton_publish": triton_publish,
    "record_run": record_run,
}


def video_pipeline(
    name: str,
    title: str,
    summary: str,
    defaults: Mapping[str, Any],
    trainer: Any,
    recorded: bool = False,
) -> Any:
    """Makes the pipeline from clips to a published classifier.

    Its parameters are the settings of all its stages, each under its own name; stages that have
    a setting of the same name share the parameter.

    Args:
        name: of the module and of the pipeline function.
        title: shown in the Kubeflow UI.
        summary: one sentence on what goes in and comes out.
        defaults: parameters whose default differs from the stage's.
        trainer: the component that trains.
        recorded: whether a task of the registry may say what is wanted, and the registry what
            became of it.

    Raises:
        ValueError: a default for a parameter that no stage has.
    """
    train = load_stage(trainer.name.replace("-", "_"))
    around = (READ, RECORD) if recorded else ()
    stages = (SYNC, CHECK, SPLIT, EXTRACT, train, EVALUATE, PUBLISH, SWEEP, *around)
    components = {**COMPONENTS, train.name: trainer}
    parameters = _parameters(stages, components, defaults)
    own_image = trainer.component_spec.implementation.container.image

    def pipeline(*values: Any) -> None:
        given = dict(zip(parameters, values, strict=True))

        def step(stage: Any, **inputs: Any) -> Any:
            fields = [field for field in stage.settings.model_fields if field not in inputs]
            task = components[stage.name](**inputs, **{field: given[field] for field in fields})
            if stage in (SWEEP, PUBLISH):  # the one starts the trainer, the other knows its formats
                task.set_container_image(own_image)
            chosen = {name: given[name] for name in GPU_PARAMETERS}
            return building.step(stage.name, task, chosen, recorded)

        with building.guarded(name):
            wanted = {"task": step(READ).outputs["wanted"]} if recorded else {}
            clips = step(SYNC, **wanted).outputs["clips"]
            changed = step(CHECK, clips=clips, **wanted).outputs["Output"]
            with dsl.If(changed == YES, name="if-changed"):
                split = step(SPLIT, clips=clips, **wanted).outputs["split"]
                frames = step(EXTRACT, clips=clips).outputs["frames"]
                search: dict[str, Any] = {"data": frames, "split": split, "trainer": train.name}
                search["settings"] = building.as_text(train, given)
                study = step(SWEEP, **search, worker=0).outputs["study"]
                with dsl.ParallelFor(given["more_workers"], name="more-workers") as number:
                    step(SWEEP, **search, worker=number)
                model = step(train, frames=frames, split=split, study=study).outputs["model"]
                tested = step(EVALUATE, model=model, frames=frames, split=split)
                found = tested.outputs["evaluation"]
                published = step(PUBLISH, model=model, evaluation=found, **wanted)
                if recorded:
                    step(RECORD, published=published.outputs["published"], evaluation=found)

    pipeline.__name__ = name
    pipeline.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    pipeline.problems = partial(problems, train)  # type: ignore[attr-defined]
    described = documented(*stages, summary=summary, others=ClusterChoice)(pipeline)
    return dsl.pipeline(name=name.replace("_", "-"), display_name=title)(described)


def _parameters(
    stages: Sequence[Stage[Any]], components: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, inspect.Parameter]:
    """Parameter by name, those without a default first."""
    found: dict[str, inspect.Parameter] = {}
    for stage in stages:
        signature = inspect.signature(components[stage.name].python_func)
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
