"""Weights to begin a detector with: a backbone's, a whole detector's, or those of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import Tensor, nn
from torchvision.models import get_model_weights

from components.core.errors import InputError, ServiceError
from components.core.models.pretrained import COUNTER, fit_weights, read_weights

IMAGENET, COCO = "imagenet", "coco"
"""Names of what torchvision publishes: weights of backbones, and of whole detectors."""

HEADS = ("roi_heads.box_predictor", "head.classification_head.cls_logits")
"""The parts of a detector whose size depends on the number of classes."""

BODY = "backbone.body."

STATISTICS = ("running_mean", "running_var")


def load_backbone(network: nn.Module, source: Path | str) -> list[str]:
    """Loads weights in place, into the backbone or into all of a detector.

    Args:
        network: a detector that `detectors` made.
        source: `imagenet` or `coco` (torchvision's weights, from its cache or downloaded); or a
            bundle, or a `.pt`, `.pth` or `.safetensors` file with the state dict of a detector
            or of a classification network. Nothing in a file is executed, so whole pickled
            modules are refused; checkpoints that keep a state dict beside other things are read.

    Returns:
        Notes for the user: what stays untrained, and why.

    Raises:
        InputError: the weights cannot be read or do not belong to this network.
        ServiceError: torchvision's cannot be fetched.
    """
    given = _published(network, str(source)) if source in (IMAGENET, COCO) else None
    if given is None:
        given = read_weights(Path(source))
    notes: list[str] = []
    given = _fitted_names(network, given, notes)
    body = {k.removeprefix(BODY): v for k, v in given.items() if k.startswith(BODY)}
    if not body:
        return notes + _load_body(network, given, source)
    if _beyond_backbone(given) != _beyond_backbone(network.state_dict()):
        notes.append("only the backbone was taken: the weights are of another kind of detector")
        return notes + _load_body(network, body, source)
    given, head = _without_other_head(network, given, notes)
    return notes + fit_weights(network, given, source, head="", optional=[head])


def _without_other_head(
    network: nn.Module, given: dict[str, Tensor], notes: list[str]
) -> tuple[dict[str, Tensor], str]:
    """The weights without a head for another number of classes; and the name of the head."""
    own = network.state_dict()
    head = next(name for name in HEADS if any(key.startswith(f"{name}.") for key in own))
    names = [name for name in given if name.startswith(f"{head}.")]
    same_inputs = all(given[name].shape[1:] == own[name].shape[1:] for name in names)
    if not same_inputs or all(given[name].shape == own[name].shape for name in names):
        return given, head
    notes.append("the head for another number of classes was replaced by an untrained one")
    return {name: value for name, value in given.items() if name not in names}, head


def _load_body(network: nn.Module, given: dict[str, Tensor], source: Path | str) -> list[str]:
    body = cast(nn.Module, cast(nn.Module, network.backbone).body)
    own = body.state_dict()
    used = {name: value for name, value in given.items() if name in own}
    left = sorted({name.split(".")[0] for name in given if name not in own})
    notes = fit_weights(body, used, source, head="")
    return notes + ([f"not taken, as no part of the backbone: {', '.join(left)}"] if left else [])


def _fitted_names(
    network: nn.Module, given: Mapping[str, Tensor], notes: list[str]
) -> dict[str, Tensor]:
    """Weights under the names of this network: torchvision before 0.13 had shorter ones."""
    own = network.state_dict()
    body = {name.removeprefix(BODY) for name in own if name.startswith(BODY)}
    known = own.keys() | body
    found: dict[str, Tensor] = {}
    grouped = False
    for name, value in given.items():
        stem, _, leaf = name.rpartition(".")
        longer = (name, f"{stem}.0.{leaf}", f"{stem}.0.0.{leaf}")
        fitting = next((candidate for candidate in longer if candidate in known), name)
        if fitting not in known and leaf == COUNTER:
            continue
        if fitting not in known and leaf in STATISTICS and f"{stem}.weight" in known:
            grouped = True
            continue
        found[fitting] = value
    if grouped:
        notes.append(
            "the statistics of batch normalisation were not taken: this network normalises groups "
            "of channels (norm=frozen or batch uses them)"
        )
    return found


def _beyond_backbone(weights: Mapping[str, Tensor]) -> set[str]:
    names = (name for name in weights if not name.startswith("backbone."))
    return {name for name in names if not name.endswith(COUNTER)}


def _published(network: nn.Module, source: str) -> dict[str, Tensor]:
    """Torchvision's weights for the backbone, or for the whole detector.

    Raises:
        InputError: there are none for this network.
        ServiceError: they cannot be fetched.
    """
    backbone, detector = str(network.backbone.name), str(network.published)  # type: ignore[union-attr]
    name = backbone if source == IMAGENET else detector
    if not name:
        raise InputError(
            f"pretrained: there are no weights of {source!r} for this detector on {backbone}; "
            "accepted are imagenet, a file or a bundle, or coco with the backbone resnet50"
        )
    try:
        state = get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ServiceError(
            f"pretrained: the {source} weights of {name} cannot be fetched: {reason}; download "
            "them elsewhere and give the file"
        ) from None
    return dict(state)
