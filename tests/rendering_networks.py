"""Renderers and their inputs for tests."""

import torch
from torch import nn

from components.core.models import build
from components.core.models.inovis_inputs import example_inputs
from components.core.models.inovis_options import PUBLISHED


def renderer(seed=0, **arguments):
    """A published renderer whose every weight and statistic matters, in evaluation mode."""
    torch.manual_seed(seed)
    network = build("inovis", **{**PUBLISHED, **arguments})
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, (2 / module.weight[0].numel()) ** 0.5)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def inputs(network, **sizes):
    """Random inputs that fit a renderer."""
    return example_inputs(network.channels, network.aux_channels, network.aux_amount, **sizes)
