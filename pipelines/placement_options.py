"""Command-line options that say where work runs on a cluster, for `job`, `run` and `compile`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines import option_texts

if TYPE_CHECKING:
    from pipelines.placement import Placement

F = TypeVar("F", bound=Callable[..., Any])

_NAMES = {
    "gpu_products": "gpu-product",
    "volumes": "pvc",
    "secrets": "secret",
    "tolerations": "toleration",
    "image_pull_secrets": "image-pull-secret",
    "labels": "label",
    "shared_memory": "shm",
    "ephemeral_storage": "disk",
}
"""Field of a placement → the option that sets it, where they differ by more than a dash."""

_SHARED = (
    click.option(
        "--gpus",
        type=int,
        help="GPUs, of one node, of the stages that use some  [default: the stage's]. In a "
        "compiled pipeline it is what the form proposes.",
    ),
    click.option(
        "--nodes", type=int, help="Pods that train together, each with so many GPUs  [default: 1]"
    ),
    click.option("--gpu-type", help="GPU resource, a MIG profile too  [default: nvidia.com/gpu]"),
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
        help="Secret whose keys become environment variables, all (of Jobs only) or these; never "
        "their values. Repeatable.",
    ),
    click.option(
        "--toleration",
        "tolerations",
        multiple=True,
        metavar="KEY[=VALUE][:EFFECT]",
        help="Taint to put up with; repeatable.",
    ),
    click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of Jobs and pods."
    ),
    click.option("--queue", metavar="NAME", help="Kueue's LocalQueue that admits the work."),
    click.option(
        "--image-pull-secret",
        "image_pull_secrets",
        multiple=True,
        metavar="NAME",
        help="Secret with the registry's credentials; repeatable.",
    ),
    click.option("--namespace", default="", help="Namespace  [default: the kubeconfig's]"),
    click.option(
        "--image-registry", default="", help="Prefix of the images [$TRAINYARD_IMAGE_REGISTRY]"
    ),
)
_ONE_STAGE = (
    click.option("--cpu", help="CPUs  [default: the stage's]"),
    click.option("--cpu-limit", help="Most CPUs  [default: the same]"),
    click.option("--memory", help="Memory, such as 32Gi  [default: the stage's]"),
    click.option("--memory-limit", help="Most memory  [default: the same]"),
    click.option("--shm", "shared_memory", help="Size of /dev/shm, a part of memory"),
    click.option("--disk", "ephemeral_storage", help="The node's disk, for temporary files"),
    click.option("--gpu-label", help="Node label of --gpu-product; `gpu-type` on old clusters"),
    click.option(
        "--deadline", help="Longest time from creation to end, such as 90m or 4d; at most 14d"
    ),
    click.option("--retries", type=int, help="Attempts after failures; evictions do not count"),
    click.option("--ttl", help="How long the finished Job and its log stay  [default: 7d]"),
    click.option("--priority-class", metavar="NAME", help="PriorityClass of the pods."),
)
_PIPELINE = (
    click.option(
        "--placement", metavar="FILE", help="YAML: stage, or `all` → fields such as `gpus: 4`."
    ),
    click.option(
        "--storage",
        type=click.Choice(["artifact", "volume"]),
        help="Outputs pass whole through Kubeflow's store (artifact, the default), or stay on the "
        "first --pvc and only their place passes (volume).",
    ),
    click.option(
        "--notify", default="", metavar="SECRET", help="Secret with the URL to tell of each end."
    ),
)


def option_name(field: str) -> str:
    """The option that sets a field of a placement, without its dashes."""
    return _NAMES.get(field, field).replace("_", "-")


def shared_options(command: F) -> F:
    """Adds the options that make sense for one stage and for a whole pipeline."""
    return _decorated(command, _SHARED)


def stage_options(command: F) -> F:
    """Adds every option of a single stage's placement."""
    return _decorated(command, (*_SHARED, *_ONE_STAGE))


def pipeline_options(command: F) -> F:
    """Adds every option of a whole pipeline on a cluster."""
    return _decorated(command, (*_SHARED, *_PIPELINE))


def placed(base: Placement, options: Mapping[str, Any]) -> tuple[Placement, list[str]]:
    """The placement with the given options applied, and what is malformed among them.

    Unset options change nothing; malformed ones neither, so that the rest can be checked.
    """
    from pipelines.placement_changes import change_sound

    found: list[str] = []
    fields = {name: options[name] for name in _PLAIN if options.get(name) is not None}
    for name in ("gpu_products", "image_pull_secrets"):
        if options.get(name):
            fields[name] = tuple(options[name])
    for name, (option, parse) in _LISTS.items():
        if made := parsed(option, options.get(name), parse, found):
            fields[name] = (*getattr(base, name), *made)
    if pairs := parsed("label", options.get("labels"), option_texts.pair, found):
        fields["labels"] = {**base.labels, **dict(pairs)}
    for name in ("deadline", "ttl"):
        given = [text] if (text := options.get(name)) else []
        for number in parsed(name, given, option_texts.seconds, found):
            fields[name] = number
    if chosen := options.get("node_selector"):
        wanted = {label: (str(value),) for label, value in chosen.items()}
        fields["node_labels"] = {**base.node_labels, **wanted}
    if "gpus" in fields:
        base = _per_gpu(base, fields["gpus"])
    changed, problems = change_sound(base, fields)
    return changed, found + [_as_option(problem) for problem in problems]


_PLAIN = (
    "gpus", "nodes", "gpu_type", "gpu_label", "cpu", "cpu_limit", "memory", "memory_limit",
    "shared_memory", "ephemeral_storage", "retries", "queue", "priority_class",
)  # fmt: skip
"""Fields of a placement that options give as they are."""

_LISTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "volumes": ("pvc", option_texts.volume),
    "secrets": ("secret", option_texts.secret),
    "tolerations": ("toleration", option_texts.toleration),
}
"""Fields that options add to → option, and what reads its text."""


def parsed(
    option: str, texts: Sequence[str] | None, parse: Callable[[str], Any], found: list[str]
) -> list[Any]:
    """What the texts of an option say; problems are added to `found`."""
    made = []
    for text in texts or ():
        try:
            made.append(parse(text))
        except ValueError as error:
            found.append(f"--{option}{_shown(option, text)}: {error}")
    return made


def _shown(option: str, text: str) -> str:
    """What was given for an option, without what may be secret."""
    from pipelines.container_rules import holds_credentials

    if option == "image" and holds_credentials(text):
        name = text.partition("=")[0]
        return f" {name}=…" if name.isalnum() else ""
    return f" {text.partition('=')[0] if option == 'secret' else text}"


def _as_option(problem: str) -> str:
    """A problem of a placement's field, told of the option that sets it."""
    field, colon, text = problem.partition(":")
    return f"--{option_name(field)}{colon}{text}"


def _per_gpu(base: Placement, gpus: int) -> Placement:
    """CPUs and memory in proportion to the GPUs: what they would idle beside counts as misuse."""
    from pipelines.container_rules import MOST_GPUS
    from pipelines.quantities import quantity

    if not 0 < gpus <= MOST_GPUS or not base.gpus or gpus == base.gpus:
        return replace(base, gpu_products=()) if gpus == 0 else base

    def scaled(text: str) -> str:
        return f"{int(quantity(text) * gpus / base.gpus) >> 20}Mi" if text else ""

    def cores(text: str) -> str:
        return str(max(1, round(quantity(text) * gpus / base.gpus))) if text else ""

    return replace(
        base,
        cpu=cores(base.cpu),
        cpu_limit=cores(base.cpu_limit),
        memory=scaled(base.memory),
        memory_limit=scaled(base.memory_limit),
        shared_memory=scaled(base.shared_memory),
    )


def _decorated(command: F, options: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
