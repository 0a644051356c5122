"""What `fit` promises, on networks small enough to compute by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError, TrainyardError
from components.core.events import Reporter
from components.core.files import partial_sibling
from components.core.training.batch_norm import BatchNormWarmup
from components.core.training.checkpoint import read_snapshot
from components.core.training.fit import FitResult, fit, resolve_device, resolve_precision
from components.core.training.freezing import freeze
from components.core.training.options import FitOptions
from components.core.training.plan import BatchPlan
from components.core.training.task import Task


class Points:
    """Fixed points and targets; remembers which epochs it was asked for."""

    def __init__(self, count: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.values = torch.randn(count, 6, generator=random)
        self.wanted = self.values[:, :1] * 2 - self.values[:, 1:2] + 0.3
        self.epochs: list[int] = []

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, epoch: int, indices: list[int]) -> tuple[Tensor, Tensor]:
        self.epochs.append(epoch)
        return self.values[indices], self.wanted[indices]


class Regression(Task):
    """Least squares; notes in which mode its network was called."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.modes: list[tuple[str, bool, bool]] = []
        self.figures = [0.5]

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        self.modes.append(("train", network.training, torch.is_grad_enabled()))
        return functional.mse_loss(network(batch[0]), batch[1])

    def start_validation(self) -> None:
        self.sums = [0.0, 0.0]

    def validate(self, network: nn.Module, batch: Any) -> None:
        self.modes.append(("val", network.training, torch.is_grad_enabled()))
        self.sums[0] += float(functional.mse_loss(network(batch[0]), batch[1])) * len(batch[0])
        self.sums[1] += len(batch[0])

    def validation_metrics(self) -> dict[str, float]:
        return {"val_loss": self.sums[0] / self.sums[1]}


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(6, 1)


def deep(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(16, 1),
    )


def options(**changes: Any) -> FitOptions:
    defaults = {
        "epochs": 4,
        "batch_size": 4,
        "optimizer": "sgd",
        "momentum": 0.0,
        "learning_rate": 0.05,
        "schedule": "constant",
        "monitor": "val_loss",
        "device": "cpu",
        "seed": 5,
    }
    return FitOptions(**{**defaults, **changes})


def train(task: Task, folder: Path, *, count: int = 22, **changes: Any) -> FitResult:
    return fit(task, Points(count, 1), Points(9, 2), options(**changes), folder, Reporter("test"))


def test_a_step_is_the_gradient_of_the_mean_over_all_its_examples(tmp_path: Path) -> None:
    # 22 examples, 4 to a batch: 6 batches; 4 to a step: the second step has 2 batches
    network, reference = linear(), linear()
    train(Regression(network), tmp_path, accumulate=4, epochs=2)
    data, plan = Points(22, 1), BatchPlan(22, 4, 4, seed=5)
    for epoch in range(2):
        batches = plan.examples(epoch)
        for step in (batches[:4], batches[4:]):
            values, wanted = data.batch(epoch, [index for batch in step for index in batch])
            loss = functional.mse_loss(reference(values), wanted)
            reference.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in reference.parameters():
                    assert parameter.grad is not None
                    parameter -= 0.05 * parameter.grad
    torch.testing.assert_close(network.state_dict(), reference.state_dict())


def test_the_recorded_loss_is_the_mean_over_the_epochs_examples(tmp_path: Path) -> None:
    network = linear()
    before = copy.deepcopy(network)
    result = train(Regression(network), tmp_path, learning_rate=0.0, epochs=1, accumulate=3)
    data, held = Points(22, 1), Points(9, 2)
    with torch.no_grad():
        expected = float(functional.mse_loss(before(data.values), data.wanted))
        validated = float(functional.mse_loss(before(held.values), held.wanted))
    assert result.history[0]["train_loss"] == pytest.approx(expected)
    assert result.history[0]["val_loss"] == pytest.approx(validated)


def test_validation_neither_augments_nor_trains_nor_records_gradients(tmp_path: Path) -> None:
    task, held = Regression(deep()), Points(9, 2)
    training = Points(22, 1)
    fit(task, training, held, options(epochs=3), tmp_path, Reporter("test"))
    assert {mode[1:] for mode in task.modes if mode[0] == "val"} == {(False, False)}
    assert {mode[1:] for mode in task.modes if mode[0] == "train"} == {(True, True)}
    assert set(held.epochs) == {0}
    assert set(training.epochs) == {0, 1, 2}


def test_frozen_parts_do_not_change_at_all(tmp_path: Path) -> None:
    network = deep()
    before = copy.deepcopy(network.state_dict())
    freeze(network, ["0"])
    task = Regression(network)
    train(task, tmp_path, optimizer="adamw", weight_decay=0.1)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("0."), key
    # dropout in the frozen part is off: the same input gives the same output while training
    network.train()
    from components.core.training.freezing import keep_frozen

    keep_frozen(network)
    values = torch.randn(5, 6)
    assert torch.equal(network(values), network(values))
    snapshot = read_snapshot(tmp_path / "snapshot.pt")
    assert snapshot is not None
    assert len(snapshot.optimizer["state"]) == 2  # weight and bias of the last layer only


def test_freezing_everything_is_refused(tmp_path: Path) -> None:
    network = deep()
    freeze(network, ["0", "1"])
    with pytest.raises(InputError, match="every parameter is frozen"):
        train(Regression(network), tmp_path)


def test_best_last_and_series_are_kept(tmp_path: Path) -> None:
    class Scripted(Regression):
        scores = iter([0.9, 0.3, 0.5, 0.3, 0.4, 0.8, 0.7])

        def validation_metrics(self) -> dict[str, float]:
            kept.append(copy.deepcopy(self.network.state_dict()))
            return {"val_loss": next(self.scores)}

    kept: list[dict[str, Tensor]] = []
    result = train(Scripted(linear()), tmp_path, epochs=7, keep_every=3)
    assert result.best == 2
    assert sorted(result.weights) == [2, 3, 6, 7]
    for epoch, path in result.weights.items():
        torch.testing.assert_close(load_file(path), dict(kept[epoch - 1]), rtol=0, atol=0)
    assert [row["val_loss"] for row in result.history] == [0.9, 0.3, 0.5, 0.3, 0.4, 0.8, 0.7]


@pytest.mark.parametrize("place", ["snapshot.pt", "weights/0001.safetensors", "logs/log.csv"])
def test_what_a_kill_left_half_written_is_gone_afterwards(tmp_path: Path, place: str) -> None:
    left = partial_sibling(tmp_path / place)
    left.parent.mkdir(exist_ok=True)
    left.write_text("half")
    fit(Regression(linear()), Points(8, 1), None, options(), tmp_path, Reporter("test"))
    assert not left.exists()


def test_early_stopping_ends_training_and_a_second_call_does_nothing(tmp_path: Path) -> None:
    class Worse(Regression):
        def validation_metrics(self) -> dict[str, float]:
            self.figures.append(self.figures[-1] + 0.1)
            return {"val_loss": self.figures[-1]}

    result = train(Worse(linear()), tmp_path, epochs=20, early_stop=3)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert result.best == 1
    again = Worse(linear())
    assert train(again, tmp_path, epochs=20, early_stop=3) == result
    assert again.modes == []


def test_the_moving_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    class Tracing(Regression):
        def validation_metrics(self) -> dict[str, float]:
            raw.append(self.network.weight.detach().clone())  # type: ignore[union-attr]
            return super().validation_metrics()

    raw: list[Tensor] = []
    task = Tracing(linear())
    result = train(task, tmp_path, batch_size=22, epochs=4, ema=0.3)
    average = raw[0]
    for count, value in enumerate(raw[1:], 1):
        decay = min(0.3, (1 + count) / (10 + count))
        average = decay * average + (1 - decay) * value
    kept = load_file(result.weights[4])["weight"]
    torch.testing.assert_close(kept, average)
    assert not torch.equal(kept, raw[-1])
    held = Points(9, 2)
    bias = load_file(result.weights[4])["bias"]
    loss = functional.mse_loss(functional.linear(held.values, kept, bias), held.wanted)
    assert result.history[-1]["val_loss"] == pytest.approx(float(loss))


def test_without_validation_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    result = fit(Regression(linear()), Points(8, 1), None, options(), tmp_path, Reporter("test"))
    assert result.best == 4
    assert list(result.weights) == [4]


def test_batch_statistics_of_a_short_training_are_usable(tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=0.01), nn.Linear(8, 1))

    last = [
        train(Regression(network()), tmp_path / str(warm), warm_batch_norm=warm, count=40).history[
            -1
        ]
        for warm in (True, False)
    ]
    assert last[0]["train_loss"] == last[1]["train_loss"]
    assert last[0]["val_loss"] < 0.5 * last[1]["val_loss"]
    again = network()
    train(Regression(again), tmp_path / "again")
    assert again.get_submodule("1").momentum == 0.01


def test_early_batch_statistics_average_the_recent_batches() -> None:
    layer = nn.BatchNorm1d(3, momentum=0.01)
    warmup, mean = BatchNormWarmup(layer), torch.zeros(3)
    for batches, values in enumerate(torch.randn(600, 7, 3) + 4):
        warmup.before_batch(batches)
        layer(values)
        warmup.after_batch()
        mean = torch.lerp(mean, values.mean(0), max(0.01, min(1.0, 5 / (batches + 1))))
        assert layer.running_mean is not None
        torch.testing.assert_close(layer.running_mean, mean, rtol=1e-3, atol=1e-3)


def test_batch_statistics_of_a_layer_with_several_calls_lie_between_those_of_its_calls() -> None:
    layer = nn.BatchNorm1d(3)
    warmup = BatchNormWarmup(layer)
    scales = torch.tensor([0.1, 1.0, 3.0, 0.5])
    for batches in range(60):
        warmup.before_batch(batches)
        values = torch.randn(4, 500, 3) * scales[:, None, None]
        for part in values:
            layer(part)
        warmup.after_batch()
        assert layer.running_var is not None
        assert bool((layer.running_var > 0.005).all())
        assert bool((layer.running_var < 10).all())
        if not batches:  # nothing is left of what it started with
            shares = 0.1 * 0.9 ** torch.tensor([3.0, 2.0, 1.0, 0.0])
            expected = (values.var(1) * shares[:, None]).sum(0) / shares.sum()
            torch.testing.assert_close(layer.running_var, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_network_is_not_compiled_again_for_every_batch(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    plain = train(Regression(deep()), tmp_path / "plain", count=24)
    compiled = train(Regression(deep()), tmp_path / "compiled", count=24, compile=True)
    graphs = counters["stats"]["unique_graphs"]
    assert 1 <= graphs <= 4  # training and validation, two sizes of validation batches
    assert compiled.history[0]["train_loss"] == pytest.approx(
        plain.history[0]["train_loss"], rel=0.3
    )


def test_a_diverging_training_ends_with_advice_and_keeps_its_last_good_state(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        TrainyardError, match=r"loss became (inf|nan) in epoch .*learning_rate \(1e\+12\)"
    ):
        train(Regression(linear()), tmp_path, learning_rate=1e12, epochs=50)
    snapshot = read_snapshot(tmp_path / "snapshot.pt")
    assert snapshot is None or torch.isfinite(snapshot.network["weight"]).all()


def test_gradients_are_clipped(tmp_path: Path) -> None:
    network = linear()
    before = network.weight.detach().clone()  # type: ignore[union-attr]
    train(Regression(network), tmp_path, gradient_clip=1e-3, batch_size=22, epochs=1)
    moved = (network.weight.detach() - before).norm()  # type: ignore[union-attr]
    assert 0 < moved <= 0.05 * 1e-3 * 1.001


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_optimizer_learns_in_every_precision_of_the_cpu(
    tmp_path: Path, optimizer: str, precision: str
) -> None:
    result = train(
        Regression(linear()),
        tmp_path,
        optimizer=optimizer,
        precision=precision,
        momentum=0.9,
        learning_rate=0.01 if optimizer == "sgd" else 0.05,
        epochs=8,
    )
    assert result.history[-1]["val_loss"] < 0.3 * result.history[0]["train_loss"]


def test_sgd_has_plain_momentum(tmp_path: Path) -> None:
    network, reference = linear(), linear()
    changes = {"momentum": 0.9, "learning_rate": 0.01, "weight_decay": 0.1}
    train(Regression(network), tmp_path, batch_size=22, epochs=3, **changes)
    data = Points(22, 1)
    velocities = [torch.zeros_like(value) for value in reference.parameters()]
    for _ in range(3):
        loss = functional.mse_loss(reference(data.values), data.wanted)
        gradients = torch.autograd.grad(loss, list(reference.parameters()))
        with torch.no_grad():
            for value, gradient, velocity in zip(
                reference.parameters(), gradients, velocities, strict=True
            ):
                decay = 0.1 * value if value.ndim > 1 else 0.0  # biases are left alone
                velocity.mul_(0.9).add_(gradient + decay)
                value -= 0.01 * velocity
    torch.testing.assert_close(network.state_dict(), reference.state_dict())


def test_biases_and_norms_are_not_decayed(tmp_path: Path) -> None:
    network = deep()
    before = copy.deepcopy(network.state_dict())

    class Still(Regression):
        def loss(self, network: nn.Module, batch: Any) -> Tensor:
            return 0 * super().loss(network, batch)

    train(Still(network), tmp_path, optimizer="adamw", weight_decay=0.5)
    after = network.state_dict()
    assert torch.equal(after["0.0.bias"], before["0.0.bias"])
    assert torch.equal(after["0.1.weight"], before["0.1.weight"])
    assert (after["1.weight"].abs() < before["1.weight"].abs()).all()


def test_it_is_silent_and_leaves_nothing_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(Regression(linear()), tmp_path / "fit")
    assert list((tmp_path / "here").iterdir()) == []
    out, err = capfd.readouterr()
    assert out == ""
    assert all(line.startswith("test: ") for line in err.splitlines())
    assert "train_loss" in err
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == [
        "logs",
        "snapshot.pt",
        "weights",
    ]


def test_devices_and_precisions_resolve_or_are_refused() -> None:
    cpu = torch.device("cpu")
    assert resolve_device("cpu") == cpu
    assert resolve_precision("auto", cpu) == "32-true"
    with pytest.raises(InputError, match="'fp16' needs a GPU"):
        resolve_precision("fp16", cpu)
    with pytest.raises(InputError, match="'tpu0' is not one of auto, cpu, cuda"):
        resolve_device("tpu0")
    with pytest.raises(InputError, match=r"cuda:99.*is not here"):
        resolve_device("cuda:99")
