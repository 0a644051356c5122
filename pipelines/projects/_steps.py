"""What the DAGs of all projects have in common: their parameters, and how a step is made."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kfp import dsl

from components.core.docstrings import documented
from components.core.images import image
from components.core.stage import Stage
from components.hpo_sweep.component import hpo_sweep
from components.hpo_sweep.stage import STAGE as SWEEP
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines import building
from pipelines.placement import GPU_PARAMETERS, ClusterChoice, GpuChoice
from pipelines.projects._sweep_problems import SWEEP_FIXED

Check = Callable[[Mapping[str, Any]], list[str]]


class Steps:
    """Makes the steps of a DAG while it is drawn.

    Args:
        components: by stage, of all stages of the DAG.
        given: the pipeline's parameters by name.
        train: the stage that trains.
        recorded: whether the registry is told when a step fails.
    """

    def __init__(
        self,
        components: Mapping[str, Any],
        given: Mapping[str, Any],
        train: Stage[Any],
        recorded: bool = False,
    ) -> None:
        self._components = components
        self._given = given
        self._train = train
        self._image = components[train.name].component_spec.implementation.container.image
        self._recorded = recorded

    def __call__(self, stage: Stage[Any], **inputs: Any) -> Any:
        """The task of a stage; settings that are not among its inputs are parameters."""
        fields = [field for field in stage.settings.model_fields if field not in inputs]
        component = self._components[stage.name]
        task = component(**inputs, **{field: self._given[field] for field in fields})
        if stage is SWEEP or (stage is PUBLISH and self._image != image("tao")):
            # the one starts the trainer, the other knows its formats
            task.set_container_image(self._image)
        chosen = {name: self._given[name] for name in GPU_PARAMETERS}
        return building.step(stage.name, task, chosen, self._recorded)

    def search(self, data: Any, split: Any) -> Any:
        """The study of a search for better settings of the trainer, with all its workers."""
        search: dict[str, Any] = {"data": data, "split": split, "trainer": self._train.name}
        search["settings"] = building.as_text(self._train, self._given)
        study = self(SWEEP, **search, worker=0).outputs["study"]
        with dsl.ParallelFor(self._given["more_workers"], name="more-workers") as number:
            self(SWEEP, **search, worker=number)
        return study


def make_pipeline(
    name: str,
    title: str,
    summary: str,
    stages: Sequence[Stage[Any]],
    components: Mapping[str, Any],
    defaults: Mapping[str, Any],
    train: Stage[Any],
    draw: Callable[[Steps], None],
    check: Callable[[Stage[Any], Mapping[str, Any]], list[str]],
    recorded: bool = False,
) -> Any:
    """Makes a pipeline whose parameters are the settings of all its stages, each under its name.

    Stages that have a setting of the same name share the parameter.

    Args:
        name: of the module and of the pipeline function.
        title: shown in the Kubeflow UI.
        summary: one sentence on what goes in and comes out.
        stages: all of them, in the order in which their parameters are shown.
        components: by stage.
        defaults: parameters whose default differs from the stage's.
        train: the stage that trains.
        draw: draws the DAG.
        check: what is wrong with the parameters beside one another.
        recorded: whether the registry is told when a step fails.

    Raises:
        ValueError: a default for a parameter that no stage has.
    """
    components = {**components, SWEEP.name: hpo_sweep}
    choice = ClusterChoice if SWEEP in stages else GpuChoice
    parameters = _parameters(stages, components, choice, defaults)

    def pipeline(*values: Any) -> None:
        given = dict(zip(parameters, values, strict=True))
        with building.guarded(name):
            draw(Steps(components, given, train, recorded))

    pipeline.__name__ = name
    pipeline.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    pipeline.problems = partial(check, train)  # type: ignore[attr-defined]
    described = documented(*stages, summary=summary, others=choice)(pipeline)
    return dsl.pipeline(name=name.replace("_", "-"), display_name=title)(described)


def _parameters(
    stages: Sequence[Stage[Any]],
    components: Mapping[str, Any],
    choice: type[GpuChoice],
    defaults: Mapping[str, Any],
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
    for name, info in choice.model_fields.items():
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        declared = inspect.Parameter(name, kind, default=info.default, annotation=info.annotation)
        found[name] = declared  # items of a loop have the type that the list says
    if unknown := set(defaults) - set(found):
        raise ValueError(f"no stage has the parameters {', '.join(sorted(unknown))}")
    required = inspect.Parameter.empty
    return dict(sorted(found.items(), key=lambda item: item[1].default is not required))
