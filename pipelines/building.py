"""How a pipeline is built: placements, storage and notification, applied while its DAG is drawn.

A project draws its DAG once, with `step`. What the steps ask of a cluster is not its business: it
comes from the options in force, so that one definition compiles for any cluster.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kfp import dsl, kubernetes

from components.core.images import IMAGES, image
from components.core.stage import Stage
from pipelines import catalog
from pipelines.node_groups import lead_task
from pipelines.placement import PLACEMENTS, Placement, place, with_registry

RUN_ID_LABEL = "metadata.labels['pipeline/runid']"
"""Where a pod of Kubeflow finds the id of its run."""

Storage = Literal["artifact", "volume"]


@dataclass(frozen=True)
class BuildOptions:
    """What a compiled pipeline is made with, besides the DAG."""

    placements: Mapping[str, Placement] = field(default_factory=lambda: dict(PLACEMENTS))
    """By stage."""
    storage: Storage = "artifact"
    """artifact: outputs pass whole through the artifact store; volume: they stay on a volume that
    every step mounts, and artifacts say only where."""
    state_dir: str = ""
    """Where stages keep their work, on a volume; '' for the pod's own disk, lost with it."""
    notify: str = ""
    """Secret with TRAINYARD_WEBHOOK_URL, told when a run ends; '' for nobody."""
    registry: str = ""
    """Prefix of the images; '' for the environment's or the default."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Image, one of `components.core.images.IMAGES` → the reference to use instead."""


_OPTIONS: ContextVar[BuildOptions | None] = ContextVar("build options", default=None)


def current() -> BuildOptions:
    """The options in force while a DAG is drawn."""
    return _OPTIONS.get() or BuildOptions()


@contextmanager
def using(options: BuildOptions) -> Iterator[None]:
    """DAGs that are drawn meanwhile have these options."""
    token = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def build(name: str, options: BuildOptions) -> Any:
    """The pipeline (a kfp GraphComponent), drawn anew with the given options.

    The GPU parameters of its form get the defaults that the placements ask for.

    Raises:
        SettingsError: there is no such pipeline.
    """
    from pipelines.plan import read

    drawn = catalog.load(name)
    info = drawn.pipeline_spec.pipeline_info
    placements = {
        step.stage.name: options.placements[step.stage.name] for step in read(drawn).steps
    }
    function = _with_defaults(drawn.pipeline_func, gpu_defaults(placements))
    with using(replace(options, placements=placements)):
        return dsl.pipeline(
            name=info.name, display_name=info.display_name, pipeline_config=_config(placements)
        )(function)


def _config(placements: Mapping[str, Placement]) -> dsl.PipelineConfig | None:
    """How long pods stay after the run, where a placement says it."""
    given = [p.ttl for p in placements.values() if p.ttl != Placement.ttl]
    return dsl.PipelineConfig(ttl_seconds_after_finished=max(given)) if given else None


def gpu_defaults(placements: Mapping[str, Placement]) -> dict[str, str]:
    """What the form shows for GPUs: those of the stage that asks for most."""
    most = max(placements.values(), key=lambda placement: placement.gpus)
    return {"gpus": str(most.gpus), **({"gpu_type": most.gpu_type} if most.gpus else {})}


def _with_defaults(function: Any, defaults: Mapping[str, Any]) -> Any:
    """The function with other defaults in its signature, which is what kfp reads."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def changed(*values: Any, **named: Any) -> Any:
        return function(*values, **named)

    changed.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            parameter.replace(default=defaults.get(name, parameter.default))
            for name, parameter in signature.parameters.items()
        ]
    )
    return changed


@contextmanager
def guarded(pipeline: str) -> Iterator[None]:
    """Whatever is drawn meanwhile ends with a notification, if the options in force ask for one.

    Args:
        pipeline: name of the pipeline, for people.
    """
    secret = current().notify
    if not secret:
        yield
        return
    from pipelines.notification import notification

    with dsl.ExitHandler(notification(pipeline, secret, **_shared(current())), name="run"):
        yield


def _shared(options: BuildOptions) -> dict[str, Any]:
    """What every pod of this cluster needs, as far as all stages say the same."""
    first, *others = options.placements.values()
    return {
        name: getattr(first, name)
        for name in ("image_pull_secrets", "tolerations", "labels", "queue")
        if all(getattr(other, name) == getattr(first, name) for other in others)
    }


def step(stage: str, task: Any, chosen: Mapping[str, Any], recorded: bool = False) -> Any:
    """Places a task of a stage as the options in force say; returns the task.

    Stages that use GPUs get those that the pipeline's parameters choose.

    Args:
        stage: name of the stage.
        task: the KFP task made from its component.
        chosen: the pipeline's parameters named in GPU_PARAMETERS.
        recorded: whether the registry is told when the task fails.
    """
    options = current()
    placement = options.placements[stage]
    if options.state_dir:
        own = {"TRAINYARD_STATE_DIR": options.state_dir}
        if options.storage == "volume":
            own["TRAINYARD_ARTIFACTS"] = "location"
        placement = replace(placement, environment={**placement.environment, **own})
    if recorded:
        placement = with_registry(placement)
    if recorded or options.state_dir:
        # a retry goes on with what its own run has fetched, published or recorded
        kubernetes.use_field_path_as_env(task, "TRAINYARD_RUN_ID", RUN_ID_LABEL)
    if placement.nodes > 1:
        reference = image_reference(task.container_spec.image, options)
        return place(task, lead_task(stage, placement, reference))
    return place(task, placement, chosen if _follows_form(stage, placement, options) else None)


def as_text(stage: Stage[Any], given: Mapping[str, Any]) -> str:
    """The settings of a stage as lines of name=value, for a task that starts the stage itself.

    Kubeflow puts the values of parameters into the text as they are, so they must hold nothing
    that JSON escapes: `plan` refuses those, and stages that train have no lists of texts.

    Args:
        stage: the stage.
        given: the pipeline's parameters by name.
    """
    return "\n".join(f"{name}={given[name]}" for name in stage.settings.model_fields)


def image_reference(imported: str, options: BuildOptions) -> str:
    """The image that the options want in place of the one a component had when it was imported."""
    for name in IMAGES:
        if imported == image(name):
            return options.images.get(name) or image(name, options.registry)
    return imported


def _follows_form(stage: str, placement: Placement, options: BuildOptions) -> bool:
    """Whether a stage gets the GPUs of the form: it uses some, and has no other number of them."""
    form = gpu_defaults(options.placements)
    own = {"gpus": str(placement.gpus), "gpu_type": placement.gpu_type}
    uses_gpus = placement.gpus or PLACEMENTS.get(stage, placement).gpus
    return bool(uses_gpus) and form.items() <= own.items()
