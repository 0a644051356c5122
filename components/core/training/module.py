"""The LightningModule that every task is trained through."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from components.core.models.dropout import Dropout, Rows
from components.core.training.averaging import moving_average
from components.core.training.batch_norm import BatchNormWarmup
from components.core.training.checkpoint import Position, Snapshot
from components.core.training.freezing import keep_frozen
from components.core.training.optimizers import make_optimizer
from components.core.training.options import FitOptions
from components.core.training.plan import BatchPlan
from components.core.training.processes import Processes
from components.core.training.schedule import learning_rate
from components.core.training.seeds import BATCH, VALIDATION, seed_all
from components.core.training.task import Task


class FitModule(pl.LightningModule):
    """Trains a task and knows exactly where training stands.

    Lightning runs the loops; the position, the learning rate and all randomness come from here,
    so that continuing from a snapshot repeats what an undisturbed run does. Where several processes
    train together, nothing of the position or the snapshot depends on how many they are.
    """

    loss_sum: Tensor
    """Sum of the losses of this process's examples of the epoch in progress."""

    def __init__(
        self,
        task: Task,
        options: FitOptions,
        plan: BatchPlan,
        snapshot: Snapshot | None,
        processes: Processes,
    ) -> None:
        super().__init__()
        self.task = task
        self.options = options
        self.plan = plan
        self.processes = processes
        self.position = snapshot.position if snapshot else Position()
        self.validation: dict[str, float] = {}
        self._restored = snapshot
        self.averaged = moving_average(task.network, options.ema) if options.ema else None
        self.register_buffer("loss_sum", torch.zeros((), dtype=torch.float64))
        self._examples = 0
        self._warmup = BatchNormWarmup(task.network) if options.warm_batch_norm else None
        if snapshot:
            task.network.load_state_dict(snapshot.network)
            self.loss_sum.copy_(snapshot.loss_sum)
            self._examples = plan.before(self.position.batch)
            if self.averaged is not None:
                self.averaged.load_state_dict(snapshot.averaged)

    @property
    def best_network(self) -> torch.nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        module = self.averaged.module if self.averaged is not None else self.task.network
        assert isinstance(module, torch.nn.Module)
        return module

    def items(self) -> list[tuple[int, list[int]]]:
        """The batches left of the epoch in progress; one empty batch when only validation is."""
        epoch, batch = self.position.epoch, self.position.batch
        if batch >= self.plan.batches:
            return [(epoch, [])]
        return [(epoch, examples) for examples in self.plan.examples(epoch, batch)]

    def snapshot(self) -> Snapshot:
        """What `checkpoint` writes; only valid where no gradients are being accumulated.

        Every process must ask for it; what the first one gets is the state of all.
        """
        total = self.loss_sum
        if self.processes.count > 1:
            total = torch.tensor(self.processes.total(float(total)), dtype=torch.float64)
        averaged = self.averaged.state_dict() if self.averaged is not None else {}
        return Snapshot(
            position=self.position,
            network=self.task.network.state_dict(),
            optimizer=self._optimizer().state_dict(),
            loss_sum=total,
            averaged=averaged,
            scaler=self.trainer.precision_plugin.state_dict(),
        )

    def train(self, mode: bool = True) -> FitModule:
        """Sets the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        keep_frozen(self.task.network)
        return self

    def configure_optimizers(self) -> Optimizer:
        """Called by Lightning once the network is on its device."""
        return make_optimizer(self.task.network, self.options, self.device)

    def on_fit_start(self) -> None:
        """Restores what needs the optimizer to exist."""
        if not self.processes.first:  # the first one goes on with the sum over all
            self.loss_sum.zero_()
            self._examples = 0
        if self._restored:
            self._optimizer().load_state_dict(self._restored.optimizer)
            self.trainer.precision_plugin.load_state_dict(self._restored.scaler)
            self._restored = None

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes the batch independent of everything but its position."""
        here = self.position
        seed_all(self.options.seed, BATCH, here.epoch, here.batch)
        self._share_dropout(self.plan.size(here.batch))
        rate = learning_rate(self.options, here.step, self.plan.steps, here.history)
        for group in self._optimizer().param_groups:
            group["lr"] = rate
        if self._warmup:
            self._warmup.before_batch(here.epoch * self.plan.batches + here.batch)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The batch's share of the step's loss, which is the mean over all of its examples."""
        size = self.plan.share(self.position.batch)
        loss = self.task.loss(self.task.network, batch)
        self.loss_sum += loss.detach().double() * size
        self._examples += size
        # Lightning divides by `accumulate` whatever the number and size of the step's batches, and
        # the gradients are averaged over the processes whatever the size of their shares
        factor = self.options.accumulate * self.processes.count
        return loss * (factor * size / self.plan.step_size(self.position.batch))

    def finish_batch(self) -> bool:
        """Counts the batch just trained; True when the optimizer has stepped with it."""
        here = self.position
        if here.batch >= self.plan.batches:  # the empty batch
            return True
        if self._warmup:
            self._warmup.after_batch()
        stepped = self.plan.ends_step(here.batch)
        here.batch += 1
        here.step += stepped
        if stepped and self.averaged is not None:
            self.averaged.update_parameters(self.task.network)
        return stepped

    def finish_epoch(self, figures: dict[str, float]) -> None:
        """Counts the epoch just validated."""
        here = self.position
        here.history.append({"epoch": here.epoch + 1, "step": here.step, **figures})
        here.epoch += 1
        here.batch = 0
        self.loss_sum.zero_()
        self._examples = 0

    def on_validation_epoch_start(self) -> None:
        """Starts a validation whose randomness, if any, is that of the epoch."""
        seed_all(self.options.seed, VALIDATION, self.position.epoch)
        self.processes.share_buffers(self.best_network)
        self.task.start_validation()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Hands the batch to the task; Lightning has switched gradients and dropout off."""
        if batch is not None:  # else the others share a batch too small for all
            self.task.validate(self.best_network, batch)

    def on_validation_epoch_end(self) -> None:
        """Takes the task's figures."""
        self.validation = self.task.validation_metrics()

    def mean_loss(self) -> float:
        """Mean training loss of the epoch so far, over this process's examples."""
        return float(self.loss_sum) / max(self._examples, 1)

    def epoch_loss(self) -> float:
        """Mean training loss of the epoch so far, over all examples; all processes must ask."""
        total = self.processes.total(float(self.loss_sum))
        return total / max(self.plan.before(self.position.batch), 1)

    def _share_dropout(self, size: int) -> None:
        rank, count = self.processes.rank, self.processes.count
        for layer in self.task.network.modules():
            if isinstance(layer, Dropout) and count > 1:
                layer.rows = Rows(rank, count, size)

    def _optimizer(self) -> Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        return optimizer
