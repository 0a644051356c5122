"""What a pipeline run will do: its steps in order, their settings, and every problem up front."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from components.core.errors import ProblemsError, SettingsError, TrainyardError
from components.core.settings import Settings, build, closest, problems
from components.core.stage import Stage
from pipelines import plan_tasks
from pipelines.placement import ClusterChoice
from pipelines.plan_tasks import Condition

_SHOWN_ONLY = ("system.Metrics", "system.ClassificationMetrics")
"""Artifact types that Kubeflow keeps as metadata; no file is written for them."""

REQUIRED_MODULES = {
    "data": ("av", "minio", "simplejpeg"),
    "torch": ("torch", "lightning", "onnx"),
    "tensorflow": ("tensorflow", "tf2onnx"),
}
"""Image (and extra) → modules that show whether it is installed here."""

_PARAMETER = re.compile(r"\{\{(\w+)\}\}")
"""Stands for a parameter in the texts of a step."""

RUN_DEFAULTS = {"repository": "model_repository"}
"""Parameters that, unset, get a place inside the run's folder."""


@dataclass(frozen=True)
class Step:
    """One task of a pipeline."""

    task: str
    """KFP task name, e.g. `split-clips`."""
    stage: Stage[Any]
    image: str
    parameters: Mapping[str, str]
    """Setting name → the pipeline parameter it takes its value from."""
    constants: Mapping[str, Any]
    """Setting name → value fixed by the pipeline."""
    texts: Mapping[str, str]
    """Setting name → a text in which `{{parameter}}` stands for the value of a parameter."""
    items: Mapping[str, str]
    """Setting name → the list parameter whose items it takes, in one run of the step for each."""
    artifacts: Mapping[str, tuple[str, str]]
    """Input name → the task and the output of it that it takes."""
    outputs: tuple[str, ...]
    """Outputs that are written; the others exist in the Kubeflow UI only."""
    after: tuple[str, ...]
    """Tasks it waits for."""
    conditions: tuple[Condition, ...] = ()
    """It is skipped unless all of them hold."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pipeline, as the Kubeflow form shows it."""

    name: str
    type: str
    default: Any
    required: bool
    description: str


def nothing_wrong(values: Mapping[str, Any]) -> list[str]:
    """The default `Plan.check`."""
    return []


@dataclass(frozen=True)
class Plan:
    """A compiled pipeline, read back."""

    name: str
    steps: tuple[Step, ...]
    parameters: Mapping[str, Parameter]
    check: Callable[[Mapping[str, Any]], list[str]] = nothing_wrong
    """What is wrong with values, each sound for its stage, beside one another."""

    @property
    def recorded(self) -> bool:
        """Whether the registry is told what becomes of a run."""
        return any(step.stage.name == "record_run" for step in self.steps)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Validates parameter values against every stage and fills in the defaults.

        Returns:
            Parameter name → typed value, for all parameters.

        Raises:
            SettingsError: with every unknown name, missing value, wrong type and bad value.
        """
        if found := self.problems(given):
            raise SettingsError(found, f"the parameters of {self.name}")
        return self._typed(given)

    def unrolled(self, given: Mapping[str, Any]) -> Plan:
        """The plan in which a step that runs for each item of a list stands once for each.

        Args:
            given: parameter values; lists of the wrong type are taken for empty.
        """
        values = self._filled(given)
        steps: list[Step] = []
        for step in self.steps:
            lists = [values[parameter] for parameter in step.items.values()]
            rows = zip(*lists, strict=True) if all(type(x) is list for x in lists) else ()
            steps += [_one_of(step, row) for row in rows] if step.items else [step]
        return replace(self, steps=tuple(steps))

    def problems(self, given: Mapping[str, Any]) -> list[str]:
        """What `resolve` would refuse; empty when the values are fine."""
        found = [
            f"{name}: unknown parameter{closest(name, self.parameters)}"
            for name in given
            if name not in self.parameters
        ]
        found += [
            f"{name}: the value holds '{{{{$', which Kubeflow would take for a placeholder"
            for name, value in given.items()
            if "{{$" in str(value)
        ]
        values = self._filled(given)
        for step in self.steps:
            found += problems(step.stage.settings, self._settings(step, values))
        found += problems(ClusterChoice, self._cluster_choice(values))
        wrong = {re.split(r"\W", text, maxsplit=1)[0] for text in found}
        found += [
            f"{name}: the value {value!r} holds a quotation mark, backslash or line break, which "
            "Kubeflow cannot hand on inside a text; leave it out"
            for name, value in given.items()
            if name not in wrong  # of its type, a value may need none of them
            and name in self._inside_texts()
            and {*_written(value)} & {*'"\\\n\r'}
        ]
        return list(dict.fromkeys(found or self.check(self._typed(given))))

    def sound_steps(self, given: Mapping[str, Any]) -> dict[str, Settings]:
        """Task → settings, of the steps that nothing is wrong with."""
        values = self._filled(given)
        return {
            step.task: self.settings(step, values)
            for step in self.steps
            if not problems(step.stage.settings, self._settings(step, values))
        }

    def resolve_checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`resolve`, and a look at the outside world: extras, sources, services.

        Where parameters are wrong, the steps that they leave alone are looked at all the same.

        Raises:
            ProblemsError: with every problem of both kinds.
        """
        wrong = self.problems(given)
        told = tuple(wrong)
        outside = [p for p in self._outside(self.sound_steps(given)) if not str(p).endswith(told)]
        if wrong:
            raise ProblemsError([*wrong, *outside], f"the parameters of {self.name}")
        if outside:
            raise ProblemsError(outside, f"what {self.name} needs")
        return self._typed(given)

    def run_places(self, given: Mapping[str, Any], folder: PurePath) -> dict[str, str]:
        """Unset parameters that get a place inside the run's folder."""
        return {
            name: str(folder / place)
            for name, place in RUN_DEFAULTS.items()
            if name in self.parameters and not given.get(name)
        }

    def settings(self, step: Step, values: Mapping[str, Any]) -> Settings:
        """A step's validated settings for the given parameter values."""
        built: Settings = build(step.stage.settings, self._settings(step, values))
        return built

    def _typed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter's value in its proper type, of values that nothing is wrong with."""
        values = self._filled(given)
        for step in self.steps:
            settings = build(step.stage.settings, self._settings(step, values))
            values |= {p: getattr(settings, name) for name, p in step.parameters.items()}
        values |= vars(build(ClusterChoice, self._cluster_choice(values)))
        return {name: values[name] for name in self.parameters}

    def _inside_texts(self) -> set[str]:
        """Parameters whose values become parts of texts."""
        texts = [text for step in self.steps for text in step.texts.values()]
        return {name for text in texts for name in _PARAMETER.findall(text)}

    def _cluster_choice(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in ClusterChoice.model_fields if name in values}

    def _outside(self, settings: Mapping[str, Settings]) -> list[str | TrainyardError]:
        """What the steps of the given tasks would not find."""
        found: list[str | TrainyardError] = []
        for image in dict.fromkeys(step.image for step in self.steps):
            absent = [m for m in REQUIRED_MODULES.get(image, ()) if not _importable(m)]
            if absent:
                found.append(
                    f"{', '.join(absent)} not installed here; run: pip install 'trainyard[{image}]'"
                )
        if not found:
            for step in self.steps:
                if step.task in settings:
                    found += step.stage.check(settings[step.task])
        return list({str(problem): problem for problem in found}.values())

    def _filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = {p.name: p.default for p in self.parameters.values() if not p.required}
        return values | {name: value for name, value in given.items() if name in self.parameters}

    @staticmethod
    def _settings(step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        taken = {name: values[p] for name, p in step.parameters.items() if p in values}
        texts = {
            name: _PARAMETER.sub(lambda found: _written(values.get(found[1], "")), text)
            for name, text in step.texts.items()
        }
        return {**step.constants, **texts, **taken}


def read(pipeline: Any) -> Plan:
    """Reads the plan of a kfp pipeline from its compiled form."""
    spec = _as_dict(pipeline.pipeline_spec)
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    order = inspect.signature(pipeline.pipeline_func).parameters  # protobuf's maps have none
    parameters = {name: _parameter(name, declared[name]) for name in order if name in declared}
    function = pipeline.pipeline_func
    check = getattr(function, "problems", nothing_wrong)
    return Plan(function.__name__, tuple(_steps(spec)), parameters, check)


def load_stage(name: str) -> Stage[Any]:
    """The STAGE of `components.<name>`."""
    stage = importlib.import_module(f"components.{name}.stage").STAGE
    assert isinstance(stage, Stage)
    return stage


def image_of(stage: str) -> str:
    """Name of the image that a stage runs in, one of `components.core.images.IMAGES`."""
    component = getattr(importlib.import_module(f"components.{stage}.component"), stage)
    return _image_name(component.component_spec.implementation.container.image)


def _image_name(reference: str) -> str:
    return reference.rpartition("/")[2].partition(":")[0].removeprefix("trainyard-")


def _as_dict(spec: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    content: dict[str, Any] = json_format.MessageToDict(spec)
    return content


def _parameter(name: str, declared: Mapping[str, Any]) -> Parameter:
    kind = str(declared["parameterType"])
    default = declared.get("defaultValue", "")
    if kind == "NUMBER_INTEGER" and default != "":
        default = int(default)
    required = not declared.get("isOptional", False)
    shown = {"NUMBER_INTEGER": "int", "NUMBER_DOUBLE": "float", "BOOLEAN": "bool"}
    return Parameter(
        name=name,
        type=shown.get(kind, {"STRING": "str", "LIST": "list", "STRUCT": "dict"}.get(kind, kind)),
        default=default,
        required=required,
        description=str(declared.get("description", "")),
    )


def _steps(spec: Mapping[str, Any]) -> list[Step]:
    """The steps of a compiled pipeline, those of its groups too, in an order that can be run."""
    executors = spec["deploymentSpec"]["executors"]
    found = []
    for task in plan_tasks.flattened(spec):
        container = executors[task.component["executorLabel"]]["container"]
        found.append(_step(task, container))
    return found


def _step(task: plan_tasks.Task, container: Mapping[str, Any]) -> Step:
    arguments = container["args"]
    stage = load_stage(arguments[arguments.index("--function_to_execute") + 1])
    settings = {n: s for n, s in task.parameters.items() if n in stage.settings.model_fields}
    fixed = {
        name: source["runtimeValue"]["constant"]
        for name, source in settings.items()
        if "runtimeValue" in source
    }
    texts = {
        name: plan_tasks.PLACEHOLDER.sub(
            lambda found: f"{{{{{task.parameters[found[1]]['componentInputParameter']}}}}}", value
        )
        for name, value in fixed.items()
        if isinstance(value, str) and plan_tasks.PLACEHOLDER.search(value)
    }
    written = task.component.get("outputDefinitions", {}).get("artifacts", {})
    return Step(
        task=task.name,
        stage=stage,
        image=_image_name(container["image"]),
        parameters={
            name: source["componentInputParameter"]
            for name, source in settings.items()
            if "componentInputParameter" in source
        },
        constants={name: value for name, value in fixed.items() if name not in texts},
        texts=texts,
        items={name: source["itemOf"] for name, source in settings.items() if "itemOf" in source},
        artifacts={
            name: (source["producerTask"], source["outputArtifactKey"])
            for name in stage.inputs
            if name in task.artifacts and (source := task.artifacts[name]["taskOutputArtifact"])
        },
        outputs=tuple(
            name
            for name in stage.outputs
            if written[name]["artifactType"]["schemaTitle"] not in _SHOWN_ONLY
        ),
        after=task.after,
        conditions=task.conditions,
    )


def _one_of(step: Step, row: Sequence[Any]) -> Step:
    """The run of a step in which its settings take these items."""
    own = dict(zip(step.items, row, strict=True))
    task = "-".join([step.task, *(str(item) for item in row)])
    return replace(step, task=task, constants={**step.constants, **own}, items={})


def _written(value: Any) -> str:
    """A value inside a text, as Kubeflow writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
