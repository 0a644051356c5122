"""Command-line options that say where work runs on a cluster, shared by `job` and `run`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from components.core.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.backends import ClusterOptions
    from pipelines.placement import Placement

F = TypeVar("F", bound=Callable[..., Any])

_GPU_OPTIONS = ("gpus", "gpu_products")
_OPTIONS = {
    "gpu_products": "gpu-product",
    "volumes": "pvc",
    "secrets": "secret",
    "tolerations": "toleration",
    "image_pull_secrets": "image-pull-secret",
    "labels": "label",
    "shared_memory": "shm",
    "ephemeral_storage": "disk",
}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

_SHARED = (
    click.option("--gpus", type=int, help="GPUs, of one node  [default: the stage's]"),
    click.option(
        "--gpu-product",
        "gpu_products",
        multiple=True,
        metavar="MODEL",
        help="GPU model that will do, as nodes name it (nvidia.com/gpu.product); repeatable.",
    ),
    click.option(
        "--pvc",
        "volumes",
        multiple=True,
        metavar="CLAIM[:PATH][:ro]",
        help="Volume and where to mount it  [default path: /mnt/CLAIM]; repeatable. State is kept "
        "on the first one.",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME[:VARIABLE[:KEY],…]",
        help="Secret whose keys become environment variables, all or these; never their values. "
        "Repeatable.",
    ),
    click.option(
        "--toleration",
        "tolerations",
        multiple=True,
        metavar="KEY[=VALUE][:EFFECT]",
        help="Taint to put up with; repeatable.",
    ),
    click.option("--namespace", default="", help="Namespace  [default: the kubeconfig's]"),
    click.option(
        "--image-registry", default="", help="Prefix of the images [$TRAINYARD_IMAGE_REGISTRY]"
    ),
)
_ONE_STAGE = (
    click.option("--cpu", help="CPUs  [default: the stage's]"),
    click.option("--memory", help="Memory, such as 32Gi  [default: the stage's]"),
    click.option("--shm", "shared_memory", help="Size of /dev/shm, a part of memory"),
    click.option("--disk", "ephemeral_storage", help="The node's disk, for temporary files"),
    click.option("--gpu-type", help="Name of the GPU resource  [default: nvidia.com/gpu]"),
    click.option(
        "--gpu-label", help="Node label of --gpu-product; `gpu-type` on old clusters"
    ),
    click.option(
        "--deadline", help="Longest time from creation to end, such as 90m or 4d; at most 14d"
    ),
    click.option("--retries", type=int, help="Attempts after failures; evictions do not count"),
    click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of Job and pods."
    ),
    click.option(
        "--image-pull-secret", "image_pull_secrets", multiple=True, metavar="NAME",
        help="Secret with the registry's credentials; repeatable.",
    ),
)  # fmt: skip


def shared_options(command: F) -> F:
    """Adds the options that make sense for one stage and for a whole pipeline."""
    return _decorated(command, _SHARED)


def stage_options(command: F) -> F:
    """Adds every option of a single stage's placement."""
    return _decorated(command, (*_SHARED, *_ONE_STAGE))


def cluster_options(
    backend: str, name: str, file: str | None, options: Mapping[str, Any]
) -> ClusterOptions | None:
    """What the options of `run` mean for a backend on a cluster; None for the local one.

    GPU options are for the stages that use GPUs; the others are for every stage.

    What is malformed is noted in the result: the backend tells it with all other problems.

    Raises:
        SettingsError: options that the backend cannot obey.
    """
    if backend == "local":
        given = {**options, "name": name, "placement": file}
        if useless := [f"--{_OPTIONS.get(key, key)}" for key, value in given.items() if value]:
            text = f"{', '.join(useless)}: for --backend prp only"
            raise SettingsError([text.replace("_", "-")], "the command line")
        return None
    from pipelines.backends import ClusterOptions
    from pipelines.placement import PRP_PLACEMENTS
    from pipelines.placement_changes import read_sound_placements
    from pipelines.placement_rules import namespace_problem

    found: list[str] = []
    placements = dict(PRP_PLACEMENTS)
    if file:
        placements, problems = read_sound_placements(file, placements)
        found += [f"{file}: {problem}" for problem in problems]
    anywhere = {key: value for key, value in options.items() if key not in _GPU_OPTIONS}
    for stage, placement in placements.items():
        chosen = options if placement.gpus else anywhere
        placements[stage], problems = placed(placement, chosen)
        found += problems
    if problem := namespace_problem(options["namespace"]):
        found.append(f"--namespace: {problem}")
    roots = [p.volumes[0].path for p in placements.values() if p.volumes]
    if not roots:
        found.append("--pvc is missing: artifacts and state need a volume; give --pvc CLAIM:/path")
    return ClusterOptions(
        placements,
        roots[0] if roots else "",
        options["namespace"],
        options["image_registry"],
        problems=tuple(dict.fromkeys(found)),
    )


def placed(base: Placement, options: Mapping[str, Any]) -> tuple[Placement, list[str]]:
    """The placement with the given options applied, and what is malformed among them.

    Unset options change nothing; malformed ones neither, so that the rest can be checked.
    """
    from pipelines.placement_changes import change_sound

    found: list[str] = []

    def parsed(option: str, texts: Sequence[str], parse: Callable[[str], Any]) -> list[Any]:
        made = []
        for text in texts:
            try:
                made.append(parse(text))
            except ValueError as error:
                shown = text.partition("=")[0] if option == "secret" else text
                found.append(f"--{option} {shown}: {error}")
        return made

    fields: dict[str, Any] = {
        name: options[name]
        for name in (
            "gpus",
            "cpu",
            "memory",
            "shared_memory",
            "ephemeral_storage",
            "gpu_type",
            "gpu_label",
            "retries",
        )
        if options.get(name) is not None
    }
    for name in ("gpu_products", "image_pull_secrets"):
        if options.get(name):
            fields[name] = tuple(options[name])
    lists = {
        "volumes": ("pvc", _volume),
        "secrets": ("secret", _secret),
        "tolerations": ("toleration", _toleration),
    }
    for name, (option, parse) in lists.items():
        if made := parsed(option, options.get(name) or (), parse):
            fields[name] = (*getattr(base, name), *made)
    if pairs := parsed("label", options.get("labels") or (), _pair):
        fields["labels"] = {**base.labels, **dict(pairs)}
    for deadline in parsed(
        "deadline", [text] if (text := options.get("deadline")) else [], seconds
    ):
        fields["deadline"] = deadline
    if "gpus" in fields:
        base = _per_gpu(base, fields["gpus"])
    changed, problems = change_sound(base, fields)
    return changed, found + [_as_option(problem) for problem in problems]


def _as_option(problem: str) -> str:
    """A problem of a placement's field, told of the option that sets it."""
    field, colon, text = problem.partition(":")
    option = _OPTIONS.get(field, field).replace("_", "-")
    return f"--{option}{colon}{text}"


def _per_gpu(base: Placement, gpus: int) -> Placement:
    """CPUs and memory in proportion to the GPUs: what they would idle beside counts as misuse."""
    from pipelines.quantities import quantity

    if gpus <= 0 or not base.gpus or gpus == base.gpus:
        return replace(base, gpu_products=()) if gpus == 0 else base

    def scaled(text: str) -> str:
        return f"{int(quantity(text) * gpus / base.gpus) >> 20}Mi" if text else ""

    cpu = str(max(1, round(quantity(base.cpu) * gpus / base.gpus)))
    memory, shared = scaled(base.memory), scaled(base.shared_memory)
    return replace(base, cpu=cpu, memory=memory, shared_memory=shared)


def seconds(text: str) -> int:
    """The seconds of `90m`, `36h`, `4d` or a plain number.

    Raises:
        ValueError: it is none of these.
    """
    match = re.fullmatch(r"(\d+)([smhd]?)", text.strip())
    if not match or not int(match[1]):
        raise ValueError("expected a time such as 90m, 36h or 4d")
    return int(match[1]) * _UNITS[match[2]]


def _decorated(command: F, options: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def _volume(text: str) -> dict[str, Any]:
    claim, *rest = text.split(":")
    read_only = bool(rest) and rest[-1] == "ro"
    paths = rest[:-1] if read_only else rest
    path = paths[0] if paths else f"/mnt/{claim}"
    if not claim or len(paths) > 1 or not path.startswith("/"):
        raise ValueError("expected CLAIM, CLAIM:/path or CLAIM:/path:ro")
    return {"claim": claim, "path": path, "read_only": read_only}


def _secret(text: str) -> dict[str, Any]:
    if "=" in text:  # somebody means a value: what follows is not repeated
        raise ValueError(
            "values never belong on the command line, only names: NAME, NAME:VARIABLE,… or "
            "NAME:VARIABLE:KEY,…; put the value into the Secret with kubectl create secret"
        )
    name, _, listed = text.partition(":")
    parts = [part.partition(":") for part in listed.split(",") if part]
    variables = {variable: key or variable for variable, _, key in parts}
    if not name:
        raise ValueError("expected NAME, NAME:VARIABLE,… or NAME:VARIABLE:KEY,…")
    return {"name": name, "variables": variables}


def _toleration(text: str) -> dict[str, Any]:
    taint, _, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or effect not in ("", "NoSchedule", "NoExecute", "PreferNoSchedule"):
        raise ValueError("expected KEY, KEY=VALUE or KEY:NoSchedule")
    made = {"key": key, "effect": effect, "operator": "Equal" if equals else "Exists"}
    return {**made, **({"value": value} if equals else {})}


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ValueError("expected KEY=VALUE")
    return key, value
