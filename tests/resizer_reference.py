"""The resizer networks as their table reads, computed without any of our layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def linear(length: int, wanted: int) -> np.ndarray:
    """The matrix of linear interpolation between corners, wanted x length."""
    matrix = np.zeros((wanted, length))
    for row in range(wanted):
        position = row * (length - 1) / (wanted - 1) if wanted > 1 else 0.0
        before = min(int(position), max(length - 2, 0))
        matrix[row, before] += 1 - (position - before)
        matrix[row, min(before + 1, length - 1)] += position - before
    return matrix


def enlarged(x: Tensor, size: tuple[int, int, int]) -> Tensor:
    t, h, w = (torch.from_numpy(linear(n, m)).to(x) for n, m in zip(x.shape[2:], size, strict=True))
    return torch.einsum("bcthw,pt,qh,rw->bcpqr", x, t, h, w)


def conv(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """SAME padding of an odd kernel with stride 1, then the convolution."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    pads = [amount for k in reversed(weight.shape[2:]) for amount in (k // 2, k // 2)]
    return functional.conv3d(functional.pad(x, pads), weight, bias)


def norm(state: dict[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{key}"].view(1, -1, 1, 1, 1)
        for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + eps) * weight + bias


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def body(
    state: dict[str, Tensor],
    x: Tensor,
    size: tuple[int, int, int],
    blocks: int,
    at: Callable[[int, Tensor], Tensor] = lambda point, value: value,
) -> Tensor:
    """The forward pass; `at` may replace the value at each of the points 0 to 8.

    Activations come before the norms of c1 and c2.
    """
    x = at(0, x)
    plain = enlarged(x, size)
    a = at(1, leaky(conv(state, "c1.conv3d", x)))
    a = at(2, norm(state, "c2.bn", leaky(conv(state, "c2.conv3d", a)), 1e-3))
    inner = a = at(3, enlarged(a, size))
    for n in range(blocks):
        name = f"residual_blocks.{n}"
        b = leaky(norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", a), 1e-5))
        a = a + norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", b), 1e-5)
    a = at(5, norm(state, "c3.bn", conv(state, "c3.conv3d", at(4, a)), 1e-3))
    return at(8, at(7, conv(state, "c4.conv3d", at(6, a + inner))) + plain)


def shaken(network: nn.Module) -> nn.Module:
    """Random batch statistics, so that a norm in the wrong place shows."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.3, 2)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return network.eval()
