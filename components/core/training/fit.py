"""The one `fit()`: trains any task, survives any interruption, keeps what is asked for."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from components.core import files
from components.core.errors import InputError, StoppedError
from components.core.events import Reporter
from components.core.lifetime import StopSignal, stop_on_sigterm
from components.core.training.callbacks import ProgressReporter, Recorder, Saver
from components.core.training.checkpoint import read_snapshot
from components.core.training.history import Row, best_epoch, exhausted
from components.core.training.loader import Examples, loader_processes, make_loader
from components.core.training.logs import Logs
from components.core.training.module import FitModule
from components.core.training.options import FitOptions
from components.core.training.plan import BatchPlan
from components.core.training.task import Task


@dataclass(frozen=True)
class FitResult:
    """What training left behind."""

    history: list[Row]
    """Figures of every epoch."""
    best: int
    """Number of the best epoch, from 1."""
    weights: dict[int, Path]
    """Epoch → safetensors file: the best, the last and every `keep_every`-th."""
    logs: Path
    """Folder with `log.csv` and `tensorboard/`."""


def fit(
    task: Task,
    train: Examples,
    val: Examples | None,
    options: FitOptions,
    folder: Path,
    report: Reporter,
    unit: str = "examples",
) -> FitResult:
    """Trains `task.network` in place, or continues what an earlier call began in `folder`.

    On the CPU a continued run ends with the same weights, bit for bit, as an undisturbed one,
    whatever ended the earlier attempts; so does one on a GPU with `options.deterministic`, as far
    as its algorithms allow. After SIGTERM or SIGINT the state is saved at the next optimizer step.

    Args:
        task: what to train; frozen parameters (`freezing.freeze`) stay as they are.
        train: training examples.
        val: validation examples; without any the last epoch counts as the best.
        options: how to train.
        folder: where the state is kept; use another one for another training.
        report: gets the progress and the figures of each epoch.
        unit: what an example is called in the progress.

    Raises:
        StoppedError: a signal asked to stop; everything is saved.
        InputError: no examples, everything frozen, no such device, or a damaged state.
        TrainyardError: the loss is no longer finite.
    """
    if not len(train):
        raise InputError("there are no training examples")
    device = resolve_device(options.device)
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, folder / "weights"):
        files.remove_partials(place)
    plan = BatchPlan(len(train), options.batch_size, options.accumulate, options.seed)
    module = FitModule(task, options, plan, read_snapshot(folder / "snapshot.pt"))
    history = module.position.history
    if not exhausted(history, options.epochs, options.early_stop, options.monitor):
        _train(module, train, val, device, folder, report, unit)
    weights = {int(path.stem): path for path in sorted((folder / "weights").glob("*.safetensors"))}
    return FitResult(history, best_epoch(history, options.monitor), weights, folder / "logs")


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:1` stands for.

    Raises:
        InputError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device: {name!r} is not one of auto, cpu, cuda, cuda:<number>") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        have = torch.cuda.device_count()
        raise InputError(f"device: {name!r} is not here ({have} GPUs found); use auto or cpu")
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """Lightning's name of the precision; `auto` is bf16 on GPUs that compute with it.

    Raises:
        InputError: fp16 without a GPU.
    """
    if name == "auto":
        name = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name == "fp16" and device.type == "cpu":
        raise InputError("precision: 'fp16' needs a GPU; on the CPU use auto, fp32 or bf16")
    return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[name]


def _train(
    module: FitModule,
    train: Examples,
    val: Examples | None,
    device: torch.device,
    folder: Path,
    report: Reporter,
    unit: str,
) -> None:
    options, network = module.options, module.task.network
    workers = loader_processes(options.workers, device)
    train_loader = make_loader(train, module.items, workers, device)
    val_loader = None
    if val is not None and len(val):
        batches = BatchPlan(len(val), options.batch_size, shuffle=False).examples(0)
        items = [(0, batch) for batch in batches]
        val_loader = make_loader(val, lambda: items, (workers + 1) // 2, device)
    if options.channels_last:
        use_channels_last(network)
    if options.compile:
        network.compile(dynamic=False)
    module.train()
    with _quiet(), _stop_flag() as stop:
        callbacks = [
            Recorder(report),
            Logs(folder / "logs"),
            ProgressReporter(report, unit),
            Saver(folder, stop),
        ]
        trainer = _make_trainer(module, device, folder, callbacks)
        try:
            trainer.fit(module, train_loader, val_loader)
        except SIGTERMException:  # it came while Lightning was starting
            raise StoppedError("stopped by a signal; run the same command again") from None


def _make_trainer(
    module: FitModule, device: torch.device, folder: Path, callbacks: list[pl.Callback]
) -> pl.Trainer:
    options = module.options
    if TorchElasticEnvironment.detect():
        environment: Any = TorchElasticEnvironment()
    else:
        environment = LightningEnvironment()  # not SLURM's, which takes signals for itself
    return pl.Trainer(
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=1 if device.index is None else [device.index],
        precision=resolve_precision(options.precision, device),  # type: ignore[arg-type]
        plugins=[environment],
        max_epochs=options.epochs - module.position.epoch,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.gradient_clip or None,
        deterministic="warn" if options.deterministic else None,
        benchmark=device.type == "cuda" and not options.deterministic,
        callbacks=callbacks,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def use_channels_last(network: torch.nn.Module) -> None:
    """Lays the weights of 2-D and 3-D convolutions out with the channels last, in place."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for value in network.parameters():
        if value.ndim in formats:
            value.data = value.data.contiguous(memory_format=formats[value.ndim])


@contextlib.contextmanager
def _stop_flag() -> Iterator[StopSignal]:
    if threading.current_thread() is threading.main_thread():
        with stop_on_sigterm() as stop:
            yield stop
    else:  # whoever owns the main thread handles signals
        yield StopSignal()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's advice to programmers away from users."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
