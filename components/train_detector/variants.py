"""The networks that are trained one after the other and compared, and their own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.core.settings import closest

NETWORKS = ("faster_rcnn", "retinanet", "fcos")

ALIASES = {
    "retina_net": "retinanet:resnet50",
    "resnet18_weeds_pretrained": "resnet18",
}
"""Names that the weed trainer's settings files have for variants."""

OWN = ("learning_rate", "weight_decay", "momentum", "step_size", "gamma", "pretrained")
"""Settings that a variant may have of its own."""

SHORT = {"lr": "learning_rate"}
"""Other names of settings."""


@dataclass(frozen=True)
class Variant:
    """One network to train."""

    name: str
    """As the settings give it."""
    network: str
    """One of NETWORKS."""
    backbone: str
    """As torchvision calls it."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Setting → what this variant has in place of the others'."""

    @property
    def folder(self) -> str:
        """The name as part of file names."""
        return self.name.replace(":", "_")


def parse_variants(names: str, network: str, own: str) -> tuple[list[Variant], list[str]]:
    """The variants that settings ask for, and everything that is wrong with them.

    Args:
        names: backbones, or `<network>:<backbone>`, with commas between them.
        network: of the names without one.
        own: `<name>: <setting>=<value> …; <name>: …`.
    """
    given = [name for text in names.split(",") if (name := text.strip())]
    settings, problems = parse_own(own)
    variants = []
    if not given:
        problems.append("variants: none is given; name a backbone, such as resnet18")
    for name in dict.fromkeys(given):
        if given.count(name) > 1:
            problems.append(f"variants: {name!r} is there twice; name it once")
        family, colon, backbone = ALIASES.get(name, name).rpartition(":")
        if colon and family not in NETWORKS:
            hint = closest(family, NETWORKS) or f"; accepted: {', '.join(NETWORKS)}"
            problems.append(f"variants: {name!r} has an unknown network {family!r}{hint}")
        elif not backbone or not backbone.isidentifier():
            problems.append(
                f"variants: {name!r} names no backbone; write resnet18 or retinanet:resnet50"
            )
        else:
            variants.append(Variant(name, family or network, backbone, settings.get(name, {})))
    for name in settings:
        if name not in given:
            problems.append(
                f"variant_settings: {name!r} is not among the variants {', '.join(given)}"
                f"{closest(name, given)}"
            )
    return variants, problems


def parse_own(text: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Variant → setting → value, and everything that is wrong with the text."""
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for part in filter(None, map(str.strip, text.replace("\n", ";").split(";"))):
        head, _, tail = part.partition("=")
        name, colon, first = head.rpartition(":")
        words = f"{first}={tail}".replace(",", " ").split() if tail else []
        if not colon or not name.strip() or not words:
            problems.append(
                f"variant_settings: {part!r} is not of the form resnet18: learning_rate=0.01"
            )
            continue
        own = found.setdefault(name.strip(), {})
        for word in words:
            key, _, value = word.partition("=")
            key = SHORT.get(key, key)
            if key not in OWN or not value:
                hint = closest(key, OWN) or f"; accepted: {', '.join(OWN)}"
                problems.append(f"variant_settings: {word!r} of {name.strip()!r}{hint}")
                continue
            try:
                own[key] = _value(key, value)
            except ValueError:
                problems.append(f"variant_settings: {word!r} of {name.strip()!r} is no number")
    return found, problems


def _value(key: str, text: str) -> Any:
    if key == "pretrained":
        return text
    number = float(text)
    return int(number) if key == "step_size" and number.is_integer() else number
