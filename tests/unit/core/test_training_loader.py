"""Loader processes never keep their parent from ending."""

import os
import subprocess
import sys

SCRIPT = """
import torch
from components.core.training.loader import make_loader

class Examples:
    def __len__(self):
        return 4
    def batch(self, epoch, indices):
        return torch.zeros(3)

loader = make_loader(Examples(), lambda: [(0, [0])] * 4, 2, torch.device("cpu"))
batches = iter(loader)
next(batches)
kept = [loader, batches]  # as a trainer's reference cycles keep them
"""


def test_a_process_ends_though_its_loaders_are_alive() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, timeout=60, check=True)
