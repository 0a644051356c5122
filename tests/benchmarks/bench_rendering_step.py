"""One training step of a renderer on one CPU, as ratios of its time within one run.

The published network, 4 aux photos of 640x360 and crops of 128x128 in a batch of 2: half of the
usual sizes in each direction. In turns, on the same frames:

original   whole aux photos; MSE, L1, SSIM with a square window, VGG and Spectral are all computed
           with their graphs and read out, and the chosen sum of them is trained on
ours       what the crops look up of the aux photos; only the chosen loss

A first pair trains on INOVIS, the published default, which needs VGG in both; a second one on what
is trained on where no weights of VGG are given, and the original's on SSIM.

Prints one JSON line per figure; lines with a target of 0 inform only. Ends with 1 if a target is
missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.vgg import cfgs, make_layers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import report  # noqa: E402
from rendered_scene import synced  # noqa: E402

from components.core.models import build  # noqa: E402
from components.core.models.inovis_options import PUBLISHED  # noqa: E402
from components.core.models.vgg_features import VggFeatures  # noqa: E402
from components.core.rendering.reader import RenderingReader  # noqa: E402
from components.core.training.rendering import render  # noqa: E402
from components.core.training.rendering_augmentation import RenderingAugmentation  # noqa: E402
from components.core.training.rendering_losses import (  # noqa: E402
    RenderingLoss,
    l1,
    mse,
    perceptual,
    spectral,
)
from components.core.training.renderings import RenderingExamples  # noqa: E402
from pipelines.demo_scene import write_scene  # noqa: E402

FRAMES, NATIVE, CROP, BATCH, ROUNDS = 6, (640, 360), 128, 2, 5
SPEEDUP = 2.0

Step = Callable[[int], None]


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_scene(folder / "sets", FRAMES, 4, NATIVE)
        reader = RenderingReader(synced(source, folder / "ours"))
        weights = folder / "vgg16.pth"
        layers = make_layers(cfgs["D"])
        torch.save({f"features.{name}": v for name, v in layers.state_dict().items()}, weights)
        original = Original(VggFeatures(weights))
        steps = {
            "original INOVIS": step(examples(reader, whole=True), original.of("INOVIS")),
            "ours INOVIS": step(examples(reader), RenderingLoss("INOVIS", weights)),
            "original SSIM": step(examples(reader, whole=True), original.of("SSIM")),
            "ours L1_SSIM": step(examples(reader), RenderingLoss("L1_SSIM")),
        }
        times = measure(steps)
        shares = [pixels(reader, whole) for whole in (True, False)]
    milliseconds = {key.replace(" ", "_"): 1000 * value for key, value in times.items()}
    results = [
        report(
            "steps_with_INOVIS",
            times["original INOVIS"] / times["ours INOVIS"],
            SPEEDUP,
            **milliseconds,
        ),
        report(
            "steps_without_vgg_weights", times["original SSIM"] / times["ours L1_SSIM"], SPEEDUP
        ),
        report("aux_pixels", shares[0] / shares[1], 0),
    ]
    raise SystemExit(0 if all(results) else 1)


def examples(reader: RenderingReader, whole: bool = False) -> RenderingExamples:
    """The same crops, with whole aux photos or with parts."""
    same = RenderingAugmentation(flip=False)
    return RenderingExamples(reader, range(FRAMES), (CROP, CROP), 0, same, whole_aux=whole)


def step(frames: RenderingExamples, loss: Any) -> Step:
    """Trains a network of its own on the batch of a turn; reading is not part of it."""
    torch.manual_seed(0)
    network = build("inovis", **PUBLISHED).train()
    optimizer = torch.optim.Adam(network.parameters(), 5e-4)
    batches = [frames.batch(0, [n, n + 1]) for n in range(0, FRAMES, BATCH)]

    def run(turn: int) -> None:
        batch = batches[turn % len(batches)]
        optimizer.zero_grad()
        loss(render(network, batch), batch["target"]).backward()
        optimizer.step()

    return run


def measure(steps: dict[str, Step]) -> dict[str, float]:
    """Seconds of a step of each way, medians of rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(ROUNDS + 1):
        for name, run in steps.items():
            began = time.process_time()
            run(turn)
            if turn:
                times[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def pixels(reader: RenderingReader, whole: bool) -> int:
    """Of the aux photos in an epoch."""
    batches = [examples(reader, whole).batch(0, [n, n + 1]) for n in range(0, FRAMES, BATCH)]
    return sum(photo[:, 0].numel() for batch in batches for photo in batch["aux"])


class Original:
    """All losses at every step, each with its graph and read out."""

    def __init__(self, vgg: VggFeatures) -> None:
        self.vgg = vgg

    def of(self, name: str) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss that is trained on."""

        def loss(image: Tensor, target: Tensor) -> Tensor:
            found = {
                "MSE": mse(image, target).mean(),
                "L1": l1(image, target).mean(),
                "SSIM": 1 - ssim(image, target),
                "VGG": perceptual(self.vgg, image, target).mean(),
                "Spectral": spectral(image, target).mean(),
            }
            found["XIAO"] = found["SSIM"] + 0.1 * found["VGG"]
            found["INOVIS"] = 0.025 * found["SSIM"] + 0.1 * found["VGG"]
            assert all(value.item() >= 0 for value in found.values())
            return found[name]

        return loss


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """With five convolutions by a window of 11x11."""
    place = torch.arange(11.0) - 5
    line = torch.exp(-(place**2) / 4.5)
    line = line / line.sum()
    window = torch.outer(line, line).expand(3, 1, 11, 11)

    def mean(values: Tensor) -> Tensor:
        return functional.conv2d(values, window, padding=5, groups=3)

    first, second = mean(image), mean(target)
    variances = mean(image**2) - first**2 + mean(target**2) - second**2
    both = mean(image * target) - first * second
    above = (2 * first * second + 1e-4) * (2 * both + 9e-4)
    return (above / ((first**2 + second**2 + 1e-4) * (variances + 9e-4))).mean()


if __name__ == "__main__":
    main()
