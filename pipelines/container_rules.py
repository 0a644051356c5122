"""Rules for one container: resources near each other, a pinned image, no secret values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from components.core.images import PATH
from pipelines.names import is_label_key
from pipelines.quantities import quantity
from pipelines.secret_words import secret_in_text, secret_in_value

Document = Mapping[str, Any]

LARGEST_LIMIT = Decimal("1.2")
"""A limit may exceed its request by this factor."""

USUAL_GPUS, MOST_GPUS = 8, 16
"""Of one node."""

PLAIN_RESOURCES = ("cpu", "memory", "ephemeral-storage")
GPU = re.compile(
    r"(nvidia\.com/(gpu|mig-\d+g\.\d+gb|mig-small|a40|a100|rtxa6000|rtx8000|gh200)|amd\.com/gpu)$"
)
GPU_NAMES = "nvidia.com/gpu, nvidia.com/mig-1g.10gb, nvidia.com/a100, amd.com/gpu"

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_DIGESTS = re.compile(r"@sha\d+:[^@/]*$")
"""Good ones and damaged ones."""
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or doubtful, in a document."""

    where: str
    """Document and field, such as `Job/train: containers[0].resources.limits.memory`."""
    what: str
    mend: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.level == "warning" else ""
        return f"{mark}{self.where}: {self.what}; {self.mend}"


def check_resources(where: str, resources: Document, shared: bool = True) -> Iterator[Finding]:
    """Amounts: set, whole where they must be, no request above its limit.

    Args:
        where: path of the container.
        resources: its requests and limits.
        shared: a shared cluster also wants limits near requests, and only resources it knows.
    """
    requests = dict(resources.get("requests") or {})
    ceilings = dict(resources.get("limits") or {})
    for name in dict.fromkeys([*requests, *ceilings]):
        place = f"{where}.resources {name}"
        if not _is_known(str(name), shared):
            text = f"accepted are {', '.join(PLAIN_RESOURCES)} and GPUs such as {GPU_NAMES}"
            yield Finding(place, "unknown resource", text)
        elif not str(name).startswith("hugepages-"):
            yield from check_amounts(
                place, str(name), requests.get(name), ceilings.get(name), shared
            )
    for name, text in ceilings.items() if shared else ():
        if GPU.match(str(name)):
            yield from _check_gpus(f"{where}.resources {name}", text)
    for name in PLAIN_RESOURCES if shared else ("cpu", "memory"):
        if name not in ceilings:
            text = "has no limit" if name in requests else "has neither request nor limit"
            yield Finding(f"{where}.resources {name}", text, "set both, to the same amount")


def _is_known(name: str, shared: bool) -> bool:
    if name in PLAIN_RESOURCES or name.startswith("hugepages-") or GPU.match(name):
        return True
    return not shared and "/" in name and is_label_key(name)


def _check_gpus(place: str, text: object) -> Iterator[Finding]:
    try:
        count = quantity(text)
    except ValueError:
        return  # told with the amounts
    if count > MOST_GPUS:
        most = f"no node has more than {MOST_GPUS}: the pod would wait for ever"
        yield Finding(place, f"{text} GPUs, but {most}", "ask for fewer")
    elif count > USUAL_GPUS:
        few = f"{text} GPUs, but few nodes have more than {USUAL_GPUS}"
        yield Finding(place, few, "expect to wait, or ask for fewer", "warning")


def check_amounts(
    place: str, name: str, asked: object, limited: object, shared: bool = False
) -> Iterator[Finding]:
    """One resource's request and limit; None and '' where there is none."""
    amounts = []
    for text in (asked, limited):
        if text is None or text == "":
            continue
        try:
            amounts.append(quantity(text))
        except ValueError as error:
            yield Finding(place, str(error).partition(";")[0], "write it like 8Gi or 500m")
            return
    if not amounts:
        return
    if any(amount < 0 or (amount == 0 and name in PLAIN_RESOURCES) for amount in amounts):
        yield Finding(place, f"{amounts[0]} is not positive", "ask for what it needs")
        return
    low, high = amounts[0], amounts[-1]
    shown = f"request {asked}, limit {limited}"
    if name not in PLAIN_RESOURCES:
        if low != high or low != low.to_integral_value():
            yield Finding(place, f"{shown}: GPUs are whole and limit = request", "make them equal")
        elif limited is None:
            yield Finding(place, "has a request but no limit", "set the limit, to the same number")
    elif low > high:
        yield Finding(place, f"{shown}: refused by Kubernetes", "raise the limit to the request")
    elif shared and low and high / low > LARGEST_LIMIT:
        more = f"{(high / low - 1) * 100:.0f} % more"
        yield Finding(place, f"{shown}: {more}, at most 20 % are allowed", "make them equal")


def check_image(where: str, image: object) -> Iterator[Finding]:
    """The image is pinned."""
    if problem := image_problem(str(image or "")):
        yield Finding(f"{where}.image", problem, "name a version tag or a digest (@sha256:…)")


def image_problem(image: str) -> str:
    """What is wrong with an image reference, or an empty string; it has to be pinned.

    Credentials in it are never repeated.
    """
    if holds_credentials(image):
        return "is no image: it holds credentials, which belong into an imagePullSecret"
    name, _, digest = image.partition("@")
    path, tag = _split(name)
    if not PATH.fullmatch(path):
        return f"{image!r} is no image"
    if digest:
        return "" if _DIGEST.search(image) else f"{image} has a damaged digest"
    if not _TAG.fullmatch(tag):
        return f"{image} is not pinned: without a tag it is whatever was pushed last"
    if tag in ("latest", "main", "master", "dev", "stable", "nightly"):
        return f"{image} is not pinned: the tag {tag} moves"
    return ""


def holds_credentials(text: str) -> bool:
    """Whether a text holds a secret, or something before an @ that starts no digest."""
    return "@" in _DIGESTS.sub("", text) or bool(secret_in_text(text))


def _split(name: str) -> tuple[str, str]:
    """Path and tag; the colon of a registry's port is none of a tag."""
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag


def check_environment(where: str, variables: list[Document]) -> Iterator[Finding]:
    """Variables appear once and hold no secret."""
    names = [str(variable.get("name")) for variable in variables]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding(f"{where}.env", f"{name} twice", "keep one")
    for variable in variables:
        name, value = str(variable.get("name")), variable.get("value")
        if value is not None and not isinstance(value, str):
            yield Finding(f"{where}.env {name}", "its value is no text", "put it in quotes")
        if value and (problem := secret_in_value(name, str(value)) or secret_in_text(str(value))):
            yield Finding(f"{where}.env {name}", problem, "take it from a Secret (secretKeyRef)")


def limits(container: Document) -> dict[str, Decimal]:
    """What a container may use, by resource; what is no quantity is left out."""
    found = {}
    resources = container.get("resources") or {}
    for name, text in {
        **(resources.get("requests") or {}),
        **(resources.get("limits") or {}),
    }.items():
        try:
            found[str(name)] = quantity(text)
        except ValueError:
            continue
    return found
