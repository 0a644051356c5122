"""The one `fit()`: trains any task, survives any interruption, keeps what is asked for."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from components.core import files
from components.core.errors import InputError, StoppedError
from components.core.events import Reporter
from components.core.lifetime import orderly_stop
from components.core.training.batch_norm import whole_batch_statistics
from components.core.training.callbacks import ProgressReporter, Recorder, Saver
from components.core.training.checkpoint import read_snapshot
from components.core.training.history import Row, best_epoch, exhausted
from components.core.training.loader import Examples, loader_processes, make_loader
from components.core.training.logs import Logs
from components.core.training.module import FitModule
from components.core.training.optimizers import trained_parameters
from components.core.training.options import FitOptions
from components.core.training.plan import BatchPlan, share_problems
from components.core.training.processes import joined
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
    extra: Sequence[pl.Callback] = (),
) -> FitResult:
    """Trains `task.network` in place, or continues what an earlier call began in `folder`.

    On the CPU a continued run ends with the same weights, bit for bit, as an undisturbed one,
    whatever ended the earlier attempts; so does one on a GPU with `options.deterministic`, as far
    as its algorithms allow. After SIGTERM or SIGINT the state is saved at the next optimizer step.

    Started by torchrun in several processes, each takes its share of every batch, and the result is
    that of one process: batch normalisation sees the whole batch, and `models.dropout.Dropout`
    draws for it. Other randomness in the network is drawn alike in each. Every process calls this
    with the same arguments; the first one writes and reports. Training may be continued by another
    number of processes.

    Args:
        task: what to train; frozen parameters (`freezing.freeze`) stay as they are.
        train: training examples.
        val: validation examples; without any the last epoch counts as the best.
        options: how to train.
        folder: where the state is kept; use another one for another training.
        report: gets the progress and the figures of each epoch.
        unit: what an example is called in the progress.
        extra: called after an epoch was validated and before its state is saved, in the first
            process only; must leave network and randomness as they are.

    Raises:
        StoppedError: a signal asked to stop; everything is saved.
        InputError: no examples, everything frozen, no such device, or a damaged state.
        TrainyardError: the loss is no longer finite.
    """
    if not len(train):
        raise InputError("there are no training examples")
    trained_parameters(task.network)
    device = resolve_device(options.device)
    with joined(device) as processes:
        if problems := share_problems(len(train), options.batch_size, processes.count):
            raise InputError("; ".join(problems))
        if processes.first:
            folder.mkdir(parents=True, exist_ok=True)
            for place in (folder, folder / "weights", folder / "logs"):
                files.remove_partials(place)
        else:
            report = Reporter(report.stage, "silent")
        processes.wait()
        size, share = options.batch_size, (processes.rank, processes.count)
        plan = BatchPlan(len(train), size, options.accumulate, options.seed, True, *share)
        module = FitModule(task, options, plan, read_snapshot(folder / "snapshot.pt"), processes)
        history = module.position.history
        if not exhausted(history, options.epochs, options.early_stop, options.monitor):
            _train(module, train, val, device, folder, report, unit, extra)
        processes.wait()
    return _result(history, options, folder)


def finished(options: FitOptions, folder: Path) -> FitResult | None:
    """What an earlier `fit` with these options left in `folder`, if it came to its end.

    Raises:
        InputError: a damaged state.
    """
    snapshot = read_snapshot(folder / "snapshot.pt")
    history = snapshot.position.history if snapshot else []
    if not exhausted(history, options.epochs, options.early_stop, options.monitor):
        return None
    return _result(history, options, folder)


def _result(history: list[Row], options: FitOptions, folder: Path) -> FitResult:
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
    extra: Sequence[pl.Callback],
) -> None:
    options, network, processes = module.options, module.task.network, module.processes
    workers = loader_processes(options.workers, device, processes.local_count)
    train_loader = make_loader(train, module.items, workers, device)
    val_loader = None
    if val is not None and len(val):
        share = {"process": processes.rank, "processes": processes.count}
        batches = BatchPlan(len(val), options.batch_size, shuffle=False, **share).examples(0)
        items = [(0, batch) for batch in batches]
        val_loader = make_loader(val, lambda: items, (workers + 1) // 2, device)
    if options.channels_last:
        use_channels_last(network)
    if options.compile:
        network.compile(dynamic=False)
    module.train()
    with _whole_batches(module, device), _quiet(), orderly_stop() as stop:
        callbacks = [Recorder(report), Logs(folder / "logs"), Saver(folder, stop)]
        if processes.first:  # others need not wait for their loss
            callbacks[2:2] = [ProgressReporter(report, unit), *extra]
        trainer = _make_trainer(module, device, folder, callbacks)
        try:
            trainer.fit(module, train_loader, val_loader)
        except SIGTERMException:  # it came while Lightning was starting
            text = "stopped by a signal; run the same command again"
            raise StoppedError(text, stop.number) from None


def _make_trainer(
    module: FitModule, device: torch.device, folder: Path, callbacks: list[pl.Callback]
) -> pl.Trainer:
    options, processes = module.options, module.processes
    where: dict[str, Any] = {"devices": 1 if device.index is None else [device.index]}
    if processes.count > 1:
        where = {
            "devices": processes.local_count,
            "num_nodes": processes.count // processes.local_count,
            # Batch statistics are shared where they matter, before a validation; otherwise the
            # processes would have to go through validations of the same length.
            "strategy": DDPStrategy(broadcast_buffers=False),
            "sync_batchnorm": device.type == "cuda",
        }
    if TorchElasticEnvironment.detect():
        environment: Any = TorchElasticEnvironment()
    else:
        environment = LightningEnvironment()  # not SLURM's, which takes signals for itself
    trainer = pl.Trainer(
        **where,
        accelerator="cpu" if device.type == "cpu" else "gpu",
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
    if processes.count > 1:
        _keep_signals(trainer)
    return trainer


def _keep_signals(trainer: pl.Trainer) -> None:
    """Leaves signals to the Saver.

    Lightning would communicate in a signal handler, where the other processes do not expect it,
    and before every batch, where each of them would wait for its GPU.
    """
    connector: Any = trainer._signal_connector
    connector.register_signal_handlers = lambda: None
    loop: Any = trainer.fit_loop.epoch_loop
    loop._broadcast_sigterm_tensor = lambda: None


def _whole_batches(module: FitModule, device: torch.device) -> AbstractContextManager[None]:
    if module.processes.count == 1 or device.type != "cpu":
        return nullcontext()
    return whole_batch_statistics(module.task.network, module.processes.group)


def use_channels_last(network: torch.nn.Module) -> None:
    """Lays the weights of 2-D and 3-D convolutions out with the channels last, in place."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for value in network.parameters():
        if value.ndim in formats:
            value.data = value.data.contiguous(memory_format=formats[value.ndim])


@contextmanager
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
