"""What command-line options mean for a run on a cluster, and for a pipeline that is compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from components.core.errors import SettingsError
from pipelines import option_texts
from pipelines.names import NAME_RULE, is_name
from pipelines.placement_options import option_name, parsed, placed
from pipelines.secret_words import secret_in_text

if TYPE_CHECKING:
    from pipelines.backends import ClusterOptions
    from pipelines.building import BuildOptions, Storage
    from pipelines.placement import Placement

JOB_BACKENDS = ("prp",)
"""Backends that make Jobs of the stages; the others compile a Kubeflow pipeline."""
_KUBEFLOW_ONLY = ("storage", "experiment")


_GPU_OPTIONS = ("nodes", "gpus", "gpu_products", "gpu_type", "node_selector")
"""They are for the stages that use GPUs; the others are for every stage."""


def cluster_options(
    backend: str,
    name: str,
    state_dir: str,
    options: Mapping[str, Any],
    values: Mapping[str, Any],
) -> ClusterOptions | None:
    """What the options of `run` mean for a backend on a cluster; None for the local one.

    What is malformed is noted in the result: the backend tells it with all other problems.

    Args:
        backend: one of `pipelines.backends.NAMES`.
        name: of the run.
        state_dir: '' for `state` on the first volume.
        options: by the names of the options above.
        values: the pipeline parameters that were given; those of GPU_PARAMETERS are options too.

    Raises:
        SettingsError: options that the backend cannot obey.
    """
    from pipelines.backends import CLUSTER_NAMES, ClusterOptions

    if backend == "local":
        _refuse({**options, "name": name}, f"--backend {', '.join(CLUSTER_NAMES)}")
        return None
    jobs = backend in JOB_BACKENDS
    if jobs:
        _refuse({name: options.get(name) for name in _KUBEFLOW_ONLY}, "--backend kubeflow, kubectl")
    found = [*_contradictions(options, values), *_name_problems(options)]
    if jobs:
        options = {**options, **_chosen_gpus(values)}
    placements, problems = _placements(options, jobs)
    root = _root(placements)
    storage: Storage = options.get("storage") or "artifact"
    if jobs and not root:
        problems.append(
            "--pvc is missing: artifacts and state need a volume; give --pvc CLAIM:/path"
        )
    elif not jobs:
        problems += _storage_problems(storage, root, state_dir, placements)
        problems += _group_problems(storage, placements)
    return ClusterOptions(
        placements,
        root,
        options["namespace"],
        options["image_registry"],
        storage=storage,
        notify=options.get("notify") or "",
        experiment=options.get("experiment") or "",
        service_account=options.get("service_account") or "",
        problems=tuple(dict.fromkeys([*found, *problems])),
    )


def build_options(
    options: Mapping[str, Any], state_dir: str, problems: list[str] | None = None
) -> BuildOptions:
    """What the options of `compile` mean.

    Args:
        options: by the names of the options above.
        state_dir: '' for `state` on the first volume.
        problems: gets what is wrong with them, which is raised where there is no such list.

    Raises:
        SettingsError: everything that is wrong with them.
    """
    from pipelines.building import BuildOptions

    placements, found = _placements(options, jobs=False)
    found += _name_problems(options)
    root = _root(placements)
    storage: Storage = options.get("storage") or "artifact"
    found += _storage_problems(storage, root, state_dir, placements)
    found += _group_problems(storage, placements)
    images = dict(parsed("image", options.get("images"), option_texts.image_reference, found))
    if problems is not None:
        problems += dict.fromkeys(found)
    elif found:
        raise SettingsError(list(dict.fromkeys(found)), "the command line")
    return BuildOptions(
        placements,
        storage,
        state_dir or state_below(root),
        notify=options.get("notify") or "",
        registry=options["image_registry"],
        images=images,
    )


def state_below(root: str) -> str:
    """Where stages keep their work on a volume, unless somebody says otherwise."""
    return str(PurePosixPath(root, "state")) if root else ""


def _name_problems(options: Mapping[str, Any]) -> Iterator[str]:
    """Names that no cluster would take; what may be a secret is not repeated."""
    from components.core.images import registry_problem

    for name, listing in (("notify", "secrets"), ("service_account", "serviceaccounts")):
        if (given := options.get(name)) and not is_name(given):
            shown = "what was given" if name == "notify" or secret_in_text(given) else repr(given)
            yield (
                f"--{option_name(name)}: {shown} is no name in Kubernetes; {NAME_RULE}; "
                f"`kubectl get {listing}` lists them"
            )
    if secret := secret_in_text(options["image_registry"]):
        yield f"--image-registry: it holds a secret ({secret}); give --image-pull-secret NAME"
    elif problem := registry_problem(options["image_registry"]):
        yield f"--image-registry: {problem}"


def _refuse(options: Mapping[str, Any], backends: str) -> None:
    if useless := [f"--{option_name(name)}" for name, value in options.items() if value]:
        raise SettingsError([f"{', '.join(useless)}: for {backends} only"], "the command line")


def _placements(options: Mapping[str, Any], jobs: bool) -> tuple[dict[str, Placement], list[str]]:
    """Placements by stage, from their defaults, a file and options; and what is wrong."""
    from pipelines.node_groups import can_be_distributed
    from pipelines.placement import PLACEMENTS, PRP_PLACEMENTS
    from pipelines.placement_changes import read_sound_placements
    from pipelines.placement_rules import namespace_problem, task_problems

    found: list[str] = []
    placements = dict(PRP_PLACEMENTS if jobs else PLACEMENTS)
    if file := options.get("placement"):
        placements, problems = read_sound_placements(file, placements)
        found += [f"{file}: {problem}" for problem in problems]
    for stage, placement in placements.items():
        alone = set() if can_be_distributed(stage) else {"nodes"}
        unfit = alone if placement.gpus else set(_GPU_OPTIONS)
        fit = {key: value for key, value in options.items() if key not in unfit}
        placements[stage], problems = placed(placement, fit)
        found += problems if jobs else [*problems, *task_problems(placements[stage])]
    if problem := namespace_problem(options["namespace"]):
        found.append(f"--namespace: {problem}")
    for warning in _unheeded(placements, jobs):
        click.echo(f"warning: {warning}", err=True)
    return placements, found


def _unheeded(placements: Mapping[str, Placement], jobs: bool) -> Iterator[str]:
    """What the placements ask for in vain, each with the stages that do."""
    from pipelines.placement_rules import unheeded_by_jobs, unheeded_by_tasks

    stages: dict[str, list[str]] = {}
    for stage, placement in placements.items():
        for text in (unheeded_by_jobs if jobs else unheeded_by_tasks)(placement):
            stages.setdefault(text, []).append(stage)
    for text, asking in stages.items():
        yield f"{text} ({'every stage' if len(asking) == len(placements) else ', '.join(asking)})"


def _root(placements: Mapping[str, Placement]) -> str:
    """Where the first volume is mounted that every step can write to; '' where there is none."""
    first, *others = placements.values()
    for volume in first.volumes:
        if not volume.read_only and all(volume in other.volumes for other in others):
            return volume.path
    return first.volumes[0].path if first.volumes else ""


def _storage_problems(
    storage: str, root: str, state_dir: str, placements: Mapping[str, Placement]
) -> list[str]:
    if storage == "volume" and not root:
        return [
            "--storage volume: outputs would stay on a volume, and no step has one; add --pvc "
            "CLAIM:/path, or take --storage artifact"
        ]
    place = PurePosixPath(state_dir or state_below(root))
    if not str(state_dir or root):
        return []
    lost = [
        stage
        for stage, placement in placements.items()
        if not any(place.is_relative_to(v.path) and not v.read_only for v in placement.volumes)
    ]
    if not lost:
        return []
    return [
        f"--state-dir {place}: not on a volume that every step can write to (lacking: "
        f"{', '.join(lost)}); add --pvc CLAIM:/path without :ro, and a place below that path"
    ]


def _group_problems(storage: str, placements: Mapping[str, Placement]) -> list[str]:
    """What Kubeflow tasks on several nodes lack."""
    from pipelines.node_groups import node_problems

    found = []
    for stage, placement in placements.items():
        found += node_problems(stage, placement)
        if placement.nodes > 1 and storage != "volume":
            found.append(
                f"{stage}: {placement.nodes} nodes find one another's data on a volume only; add "
                "--storage volume"
            )
    return found


def _contradictions(options: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """GPU options that say another thing than the parameter of the same name."""
    return [
        f"{name}: {values[name]!r}, but --{name.replace('_', '-')} says {options[name]!r}; give one"
        for name in ("gpus", "gpu_type")
        if options.get(name) is not None
        and name in values
        and str(values[name]) != str(options[name])
    ]


def _chosen_gpus(values: Mapping[str, Any]) -> dict[str, Any]:
    """The sound ones of GPU_PARAMETERS; the others are told with the rest of the parameters."""
    from components.core.settings import problems
    from pipelines.placement import GPU_PARAMETERS, ClusterChoice

    given = {name: values[name] for name in GPU_PARAMETERS if name in values}
    sound = {n: value for n, value in given.items() if not problems(ClusterChoice, {n: value})}
    return {**sound, "gpus": int(sound["gpus"])} if "gpus" in sound else sound
