"""Speed of training I3D, as ratios within one run; see README.md beside this file.

With a GPU: clips per second of a training step on 3x32x112x112 in the study's form and in ours,
what share of the device's bf16 peak that is, and how busy `fit` keeps the GPU with packed frames.
Without one: what bf16, channels-last and compilation do to a smaller step on the CPU, and whether
the packed reader delivers what an assumed GPU step would take.

Prints one JSON line per figure; lines with a target of 0 inform only. Ends with 1 if a target is
missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import report  # noqa: E402

from components.core.artifacts.frames import FrameReader, write_frames  # noqa: E402
from components.core.cpus import usable_cpus  # noqa: E402
from components.core.events import Reporter  # noqa: E402
from components.core.models.i3d import I3D, arguments_for  # noqa: E402
from components.core.training.classification import ClipClassification  # noqa: E402
from components.core.training.clips import ClipExamples, network_input  # noqa: E402
from components.core.training.fit import fit, use_channels_last  # noqa: E402
from components.core.training.loader import make_loader  # noqa: E402
from components.core.training.optimizers import make_optimizer  # noqa: E402
from components.core.training.options import FitOptions  # noqa: E402
from components.core.training.views import Augmentation, Window  # noqa: E402

CLASSES, FRAMES, SIZE = 26, 32, 112
FORWARD_MACS = 45.66e9
"""Multiplications of I3D on one clip of 3x32x112x112; a training step costs three forwards."""

STEP_FLOPS = 2 * 3 * FORWARD_MACS
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "A40": 149.7e12, "L4": 121e12}
"""Published dense bf16 FLOP/s by a part of the device's name; others are measured only."""

ASSUMED_SHARE, ASSUMED_CPUS = 0.25, 16
"""Without a GPU: an H100 that reaches this share of its peak, on a machine with so many CPUs."""

BATCHES = (64, 32, 16, 8)
"""The first that the study's form has memory for is everyone's."""

SPEEDUP, BUSY = 3.0, 0.95
SMALL = {"width": 0.25, "frames": 16, "size": 32, "batch": 2}
"""The step on the CPU."""


@dataclass(frozen=True)
class Form:
    """A way to make the same training step."""

    name: str
    bf16: bool = False
    channels_last: bool = False
    compile: bool = False
    tf32: bool = False
    """GPU convolutions in TF32, PyTorch's default."""
    ours: bool = False
    """Our optimizer (fused on a GPU), fed with stored frames; else Adam, fed with float32."""


STUDY = Form("study")
OURS = Form("ours", bf16=True, channels_last=True, compile=True, tf32=True, ours=True)


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    results = on_gpu() if torch.cuda.is_available() else on_cpu()
    raise SystemExit(0 if all(results) else 1)


def on_gpu() -> list[bool]:
    """Steps in turns, then `fit` with both kinds of storage."""
    device = torch.device("cuda")
    forms = (STUDY, Form("study_tf32", tf32=True), OURS)
    batch = largest_batch(device)
    steps = {form.name: step_of(form, device, batch) for form in forms}
    rates = take_turns(steps, batch, rounds=5)
    ours, matmul = rates["ours"], matmul_flops(device)
    reached = ours * STEP_FLOPS
    results = [
        report("ours_of_study_fp32", ours / rates["study"], SPEEDUP, batch=batch, **rates),
        report("ours_of_study_tf32", ours / rates["study_tf32"], 0),
        report("share_of_measured_matmul_peak", reached / matmul, 0, tflops=matmul / 1e12),
    ]
    name = torch.cuda.get_device_name(device)
    for part, peak in PEAKS.items():
        if part in name.split():
            results.append(report(f"share_of_{part}_bf16_peak", reached / peak, 0))
    steps.clear()
    torch.cuda.empty_cache()
    for storage in ("jpeg", "raw"):
        fed = fit_rate(storage, batch)
        results.append(report(f"gpu_busy_with_{storage}", fed / ours, BUSY, fit_clips_s=fed))
    return results


def on_cpu() -> list[bool]:
    """Ratios of a small step, and the reader against an assumed GPU step."""
    torch.set_num_threads(1)
    device, batch = torch.device("cpu"), int(SMALL["batch"])
    forms = [
        STUDY,
        Form("channels_last", channels_last=True, ours=True),
        Form("bf16", bf16=True, ours=True),
        Form("bf16_channels_last", bf16=True, channels_last=True, ours=True),
        Form("channels_last_compile", channels_last=True, compile=True, ours=True),
    ]
    steps = {form.name: step_of(form, device, batch) for form in forms}
    rates = take_turns(steps, batch, rounds=5)
    results = [
        report(f"cpu_{name}_of_study_fp32", rate / rates["study"], 0)
        for name, rate in rates.items()
        if name != "study"
    ]
    needed = ASSUMED_SHARE * PEAKS["H100"] / STEP_FLOPS
    with tempfile.TemporaryDirectory() as folder:
        for storage in ("jpeg", "raw"):
            reader = write(Path(folder) / storage, storage, 160)
            rate = reading_rate(reader)
            scaled = rate / usable_cpus() * ASSUMED_CPUS
            details = {"clips_s": rate, "cpus": usable_cpus(), "needed_clips_s": needed}
            results.append(
                report(f"{storage}_reader_of_assumed_step", scaled / needed, 1, **details)
            )
    return results


def largest_batch(device: torch.device) -> int:
    """The largest batch that the study's form has memory for."""
    for batch in BATCHES:
        try:
            step_of(STUDY, device, batch)()
            return batch
        except torch.OutOfMemoryError:
            continue
        finally:
            torch.cuda.empty_cache()
    raise SystemExit(f"not even {BATCHES[-1]} clips fit into the GPU's memory")


def step_of(form: Form, device: torch.device, batch: int) -> Callable[[], object]:
    """One training step on data that lies on the device already."""
    small = device.type == "cpu"
    size, frames = (int(SMALL["size"]), int(SMALL["frames"])) if small else (SIZE, FRAMES)
    torch.manual_seed(0)
    network = I3D(**arguments_for(size, CLASSES, SMALL["width"] if small else 1.0, 0.5)).to(device)
    stored = torch.randint(0, 256, (batch, frames, size, size, 3), dtype=torch.uint8)
    clips = network_input(stored).contiguous().to(device)
    labels = torch.randint(0, 2, (batch, CLASSES)).float().to(device)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    stored = stored.to(device)
    if form.channels_last:
        use_channels_last(network)
    if form.compile:
        network.compile(dynamic=False)
    if form.ours:
        options = FitOptions(optimizer="adam", learning_rate=1e-4)
        optimizer = make_optimizer(network, options, device)

    def step() -> None:
        torch.backends.cudnn.allow_tf32 = form.tf32
        torch.backends.cudnn.benchmark = form.ours
        with torch.autocast(device.type, torch.bfloat16, enabled=form.bf16):
            given = network_input(stored) if form.channels_last else clips
            loss = functional.binary_cross_entropy_with_logits(network(given).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    network.train()
    return step


def take_turns(steps: dict[str, Callable[[], object]], batch: int, rounds: int) -> dict[str, float]:
    """Clips per second of each step, medians of rounds of about half a second."""
    counts: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for name, step in steps.items():
        seconds(step, 3)  # compiles, chooses algorithms
        counts[name] = max(1, round(0.5 / seconds(step, 1)))
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, counts[name]) / counts[name])
    return {name: batch / statistics.median(found) for name, found in times.items()}


def seconds(step: Callable[[], object], count: int) -> float:
    """Time of some steps: the GPU's, or what the CPU worked, which other programs disturb less."""
    on_device = torch.cuda.is_available()
    clock = time.perf_counter if on_device else time.process_time
    if on_device:
        torch.cuda.synchronize()
    began = clock()
    for _ in range(count):
        step()
    if on_device:
        torch.cuda.synchronize()
    return clock() - began


def matmul_flops(device: torch.device, size: int = 8192) -> float:
    """FLOP/s of a large bf16 product: what the device reaches where nothing else limits it."""
    values = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    product = torch.empty_like(values)
    rate = take_turns({"": lambda: torch.mm(values, values, out=product)}, 1, 5)[""]
    return 2 * size**3 * rate


def write(folder: Path, storage: str, count: int) -> FrameReader:
    """Clips as extraction stores them for this size: soft moving patterns with a little noise."""
    side = SIZE + 12
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 6, (40, side, side, 3)).astype(np.float32)
    y, x, t = np.mgrid[0:side, 0:side, 0:40].astype(np.float32)

    def clips() -> Any:
        for number in range(count):
            speed, width = rng.uniform(0.5, 3), rng.uniform(5, 30)
            waves = 128 + 100 * np.sin((x + speed * t) / width) * np.cos(y / width)
            frames = waves.transpose(2, 0, 1)[..., None] + noise
            labels = [f"class {number % CLASSES}"]
            pixels = frames.clip(0, 255).astype(np.uint8)
            yield f"{number}.mp4", labels, "", pixels, np.arange(40) / 25

    classes = [f"class {number}" for number in range(CLASSES)]
    write_frames(folder, clips(), classes, storage=storage, crop_margin=12)
    return FrameReader(folder)


def examples_of(reader: FrameReader, repeats: int = 1) -> ClipExamples:
    window = Window(FRAMES, 1, SIZE)
    return ClipExamples(reader, list(range(len(reader))) * repeats, window, True, Augmentation(0))


def reading_rate(reader: FrameReader, batch: int = 16) -> float:
    """Clips per second of the trainer's loader with a process per usable CPU; median of five."""
    examples = examples_of(reader)
    order = [(0, list(range(n, n + batch))) for n in range(0, len(examples), batch)]
    loader = make_loader(examples, lambda: order, usable_cpus(), torch.device("cpu"))
    times = []
    for _ in range(6):
        began = time.perf_counter()
        consume(loader)
        times.append(time.perf_counter() - began)
    return len(examples) / statistics.median(times[1:])


def consume(batches: Sequence[Any] | Any) -> None:
    for batch in batches:
        assert batch["frames"].shape[1:] == (FRAMES, SIZE, SIZE, 3)


def fit_rate(storage: str, batch: int) -> float:
    """Clips per second of `fit` itself after its first epoch: with the loading and the loop."""
    options = FitOptions(
        epochs=3,
        batch_size=batch,
        optimizer="adam",
        learning_rate=1e-4,
        schedule="constant",
        precision="bf16",
        device="cuda",
        compile=True,
    )
    network: nn.Module = I3D(**arguments_for(SIZE, CLASSES, 1.0, 0.5))
    with tempfile.TemporaryDirectory() as folder:
        reader = write(Path(folder) / "frames", storage, 256)
        examples = examples_of(reader, repeats=16)
        task = ClipClassification(network, CLASSES, multi_label=True)
        told = Reporter("bench", "silent")
        result = fit(task, examples, None, options, Path(folder) / "fit", told)
    return len(examples) / min(row["seconds"] for row in result.history[1:])


if __name__ == "__main__":
    main()
