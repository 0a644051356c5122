"""Freezing that really freezes: no gradients, no moving statistics, no dropout."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def freeze(network: nn.Module, names: Iterable[str]) -> None:
    """Takes the named sub-modules out of training.

    Their parameters no longer require gradients, so they are not given to the optimizer either;
    `keep_frozen` keeps their batch statistics and dropout switched off.

    Raises:
        AttributeError: no sub-module of that name.
    """
    for name in names:
        network.get_submodule(name).requires_grad_(False)


def frozen_modules(network: nn.Module) -> list[nn.Module]:
    """The sub-modules that have parameters, none of which is trained."""
    return [
        module
        for module in network.modules()
        if (own := list(module.parameters())) and not any(p.requires_grad for p in own)
    ]


def keep_frozen(network: nn.Module) -> None:
    """Puts what is frozen into evaluation mode; call it after every `network.train()`."""
    for module in frozen_modules(network):
        module.eval()
