"""Optimizers over exactly the parameters that are trained."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from components.core.errors import InputError
from components.core.training.options import FitOptions


def make_optimizer(network: nn.Module, options: FitOptions, device: torch.device) -> Optimizer:
    """The optimizer of `options` over the parameters of `network` that require gradients.

    Weight decay applies to weights of convolutions and linear maps only: shrinking biases and
    normalisation scales does not regularise.

    SGD has plain momentum (no Nesterov), as PyTorch's default and the published recipes of I3D
    have it.

    Raises:
        InputError: every parameter is frozen.
    """
    trained = trained_parameters(network)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # with fp16 a fused step unscales by itself, which rules out clipping before it
    fused = device.type == "cuda" and not (options.gradient_clip and options.precision == "fp16")
    rate = options.learning_rate
    if options.optimizer == "sgd":
        return SGD(groups, lr=rate, momentum=options.momentum, fused=fused)
    if options.optimizer == "adam":
        return Adam(groups, lr=rate, fused=fused)
    return AdamW(groups, lr=rate, fused=fused)


def trained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that require gradients.

    Raises:
        InputError: every parameter is frozen.
    """
    trained = [value for value in network.parameters() if value.requires_grad]
    if not trained:
        raise InputError("every parameter is frozen; nothing is left to train")
    return trained
