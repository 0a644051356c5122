"""Gradients and batch statistics of I3D in two processes are those of PyTorch's layers in one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.multiprocessing.spawn import spawn
from whole_batch import PROCESSES, clips, network, work


def test_two_processes_have_the_gradients_and_statistics_of_one(tmp_path: Path) -> None:
    spawn(work, (str(tmp_path),), PROCESSES)
    gradients, state = torch.load(tmp_path / "result.pt", weights_only=True)
    alone = network()
    batch = clips()
    torch.manual_seed(2)
    alone(batch).square().sum().backward()
    expected = {name: value.grad for name, value in alone.named_parameters()}
    torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(state, dict(alone.state_dict()), rtol=1e-12, atol=1e-12)
