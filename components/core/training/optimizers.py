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

    Raises:
        InputError: every parameter is frozen.
    """
    trained = [value for value in network.parameters() if value.requires_grad]
    if not trained:
        raise InputError("every parameter is frozen; nothing is left to train")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # with fp16 a fused step unscales by itself, which rules out clipping before it
    fused = device.type == "cuda" and not (options.gradient_clip and options.precision == "fp16")
    rate = options.learning_rate
    if options.optimizer == "sgd":
        momentum = options.momentum
        return SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=fused)
    if options.optimizer == "adam":
        return Adam(groups, lr=rate, fused=fused)
    return AdamW(groups, lr=rate, fused=fused)
