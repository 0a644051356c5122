"""How to train: what every trainer offers, apart from the data and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "multistep", "step", "plateau", "constant")
MILESTONE_UNITS = ("epoch", "step")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def milestone_problems(
    schedule: str, milestones: Sequence[float], unit: str, epochs: int
) -> list[str]:
    """What is wrong with milestones; empty when nothing is. Arguments as in FitOptions."""
    given = list(milestones)
    if schedule != "multistep":
        if not given:
            return []
        return [
            f"milestones: {given} have no effect with schedule {schedule!r}; set schedule: "
            "multistep, or leave them out"
        ]
    if not given:
        return ["milestones: schedule multistep needs them, for example [15, 25]"]
    problems = []
    if given != sorted(set(given)) or given[0] <= 0:
        fixed = sorted({value for value in given if value > 0})
        problems.append(
            f"milestones: {given} must be above 0, each larger than the one before; "
            + (f"use {fixed}" if fixed else "for example [15, 25]")
        )
    late = [value for value in given if value >= epochs]
    if unit == "epoch" and late:
        problems.append(
            f"milestones: {late} would never be reached in {epochs} epochs; use milestones below "
            f"{epochs}, more epochs, or milestone_unit: step if they count optimizer steps"
        )
    return problems


def step_problems(schedule: str, step_size: int) -> list[str]:
    """What is wrong with a step size; empty when nothing is. Arguments as in FitOptions."""
    if schedule == "step" and step_size < 1:
        return [f"step_size: schedule step needs the epochs of a step, not {step_size}; e.g. 5"]
    return []


@dataclass(frozen=True)
class FitOptions:
    """Options of `fit`; the defaults suit a small network trained from scratch."""

    epochs: int = 30
    batch_size: int = 8
    """Examples per batch, at most; over all processes where several train together."""
    accumulate: int = 1
    """Batches per optimizer step."""
    optimizer: str = "adamw"
    """One of OPTIMIZERS."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    """Not applied to biases and normalisation layers."""
    momentum: float = 0.9
    """Of SGD."""
    schedule: str = "cosine"
    """One of SCHEDULES."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises linearly."""
    milestones: tuple[float, ...] = ()
    """When `multistep` multiplies the learning rate by `decay`, in `milestone_unit`."""
    milestone_unit: str = "epoch"
    """One of MILESTONE_UNITS; a step is a step of the optimizer."""
    step_size: int = 0
    """Epochs after which `step` multiplies the learning rate by `decay`, again and again."""
    decay: float = 0.1
    patience: int = 10
    """Epochs without a lower validation loss after which `plateau` multiplies the learning rate by
    `decay`."""
    cooldown: int = 25
    """Epochs after such a change before `plateau` counts again."""
    lowest_rate: float = 0.0
    """`plateau` does not go below."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 means no limit."""
    precision: str = "auto"
    """One of PRECISIONS; `auto` is bf16 where a GPU supports it, otherwise fp32."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, e.g. 0.999; 0 means none."""
    warm_batch_norm: bool = True
    """Average batch statistics evenly at first; off for networks with pretrained statistics."""
    monitor: str = "val_macro_f1"
    """The validation figure that chooses the best epoch; the loss is better when lower."""
    early_stop: int = 0
    """Epochs without a better `monitor` after which training ends; 0 means never."""
    keep_every: int = 0
    """Keep the weights of every so many epochs; 0 means only best and last."""
    checkpoint_minutes: float = 10.0
    """Longest time between two saves of the state that a restart continues from."""
    seed: int = 0
    deterministic: bool = False
    """Only algorithms that repeat exactly on a GPU, at some cost of speed."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:<number>`."""
    workers: int = 0
    """Loader processes of each training process; 0 chooses: its share of the usable CPUs beside a
    GPU, none beside the CPU."""
    channels_last: bool = True
    """Memory format of weights and activations; faster on most devices."""
    compile: bool = False
    """torch.compile the network."""
