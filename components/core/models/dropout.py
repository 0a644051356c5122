"""Dropout that does not depend on how many processes train together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Rows(NamedTuple):
    """Which rows of a whole batch one process has: every `step`-th from `first` on."""

    first: int
    step: int
    total: int
    """Rows of the whole batch."""


class Dropout(nn.Dropout):
    """`nn.Dropout` whose draws are those of the whole batch, of which each process has some rows.

    The processes must draw from the same seed. Without `rows` a batch is the whole batch.
    """

    rows: Rows | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Any shape whose first axis is the batch.

        Raises:
            ValueError: in training, `rows` say another number of rows than `x` has.
        """
        if not self.training or not self.p:
            return x
        factors: Tensor = kept(x, self.p, self.rows)
        return x * factors


@torch.compiler.disable  # type: ignore[untyped-decorator]  # a compiled draw gives other numbers
def kept(x: Tensor, p: float, rows: Rows | None) -> Tensor:
    """The factor on each value of `x`: 0 with probability `p`, otherwise 1 / (1 - p)."""
    rows = rows or Rows(0, 1, len(x))
    draws = torch.rand((rows.total, *x.shape[1:]), device=x.device)[rows.first :: rows.step]
    if len(draws) != len(x):
        raise ValueError(f"{len(x)} rows came, but {rows} are {len(draws)}")
    factors: Tensor = (draws >= p).to(x.dtype) / (1 - p)
    return factors
