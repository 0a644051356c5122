"""Weights from elsewhere, whatever wrapped them; bundles; the exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, TrainyardError
from components.core.models import build
from components.core.models.bundle import load_network, save_bundle, save_weights
from components.core.models.export import export_onnx, verify_onnx
from components.core.models.pretrained import load_pretrained

ARGUMENTS: dict[str, Any] = {"classes": 4, "width": 0.125, "drop_pool_2a": True}


def network(seed: int, **changes: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build("i3d", **{**ARGUMENTS, **changes})


def same(first: nn.Module, second: nn.Module, without: str = "\0") -> bool:
    other = second.state_dict()
    return all(
        torch.equal(value, other[key])
        for key, value in first.state_dict().items()
        if without not in key
    )


def upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if "num_batches" not in key}


def fork(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key if "logits" in key else f"model.{key}": value for key, value in state.items()}


def parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "convert",
    [upstream, fork, parallel, lambda state: parallel(fork(upstream(state)))],
    ids=["upstream", "fork", "parallel", "all"],
)
@pytest.mark.parametrize("form", ["zip", "legacy", "wrapped", "safetensors"])
def test_published_forms_load(tmp_path: Path, convert: Any, form: str) -> None:
    source, target = network(1), network(2)
    state = convert(source.state_dict())
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    elif form == "wrapped":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:  # torch 0.3 wrote what torch now calls the legacy serialization
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    assert not same(source, target)
    assert load_pretrained(target, path) == []
    assert same(source, target, without="num_batches_tracked")


def test_a_head_of_other_classes_is_replaced_and_said_so(tmp_path: Path) -> None:
    source, target = network(1, classes=157), network(2)
    head = target.get_submodule("logits.conv3d").weight.clone()
    torch.save(fork(source.state_dict()), tmp_path / "weights.pt")
    notes = load_pretrained(target, tmp_path / "weights.pt")
    assert notes == ["the head for 157 classes was replaced by an untrained one for 4"]
    assert torch.equal(target.get_submodule("logits.conv3d").weight, head)
    assert same(target, source, without="logits")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    target = network(2)
    path = tmp_path / "weights.pt"
    torch.save(network(1, width=0.25).state_dict(), path)
    with pytest.raises(InputError, match=r"other shapes: .*16x3x7x7x7.*8x3x7x7x7.*width"):
        load_pretrained(target, path)
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"lacks Conv3d_1a_7x7.*the network has no conv1.weight"):
        load_pretrained(target, path)
    assert same(target, network(2))


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def test_files_that_are_no_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(InputError, match="does not exist"):
        load_pretrained(network(1), path)
    path.write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_pretrained(network(1), path)
    for text in ("sizes: [1, 2]\n", "(lp0\n.", "c", ".", "\x80\x02."):  # each breaks elsewhere
        path.write_text(text)
        with pytest.raises(InputError, match="cannot be read as weights") as caught:
            load_pretrained(network(1), path)
        assert "weights_only" not in str(caught.value)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds a list"):
        load_pretrained(network(1), path)
    torch.save({"x": Evil()}, path)
    with pytest.raises(InputError, match="more than tensors"):
        load_pretrained(network(1), path)
    assert "executed" not in capsys.readouterr().out
    (tmp_path / "weights.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_pretrained(network(1), tmp_path / "weights.safetensors")


def make_bundle(folder: Path, source: nn.Module) -> ModelBundle:
    save_weights(folder.parent / "w.safetensors", source)
    architecture = {"name": "i3d", "arguments": ARGUMENTS}
    return save_bundle(
        folder,
        folder.parent / "w.safetensors",
        name="i3d",
        task="clip_classification",
        architecture=architecture,
    )


def test_a_bundle_gives_the_network_back(tmp_path: Path) -> None:
    source = network(1)
    source.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    bundle = make_bundle(tmp_path / "bundle", source)
    again = load_network(tmp_path / "bundle")
    assert same(source, again)
    assert not again.training
    assert ModelBundle.load(tmp_path / "bundle") == bundle
    assert load_pretrained(target := network(2), tmp_path / "bundle") == []
    assert same(source, target)
    other = make_bundle(tmp_path / "other", network(3))
    assert other.fingerprint != bundle.fingerprint


def test_a_damaged_bundle_is_named(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", network(1))
    weights = tmp_path / "bundle" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"weights\.safetensors is damaged"):
        load_network(tmp_path / "bundle")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    source = network(1)
    source(torch.randn(4, 3, 9, 18, 17))  # gives the batch statistics some values
    export_onnx(source, torch.zeros(2, 3, 9, 18, 17), path, "clip", "logits")
    assert source.training
    return source, path


def test_the_exported_model_takes_any_batch_and_nothing_else(
    exported: tuple[nn.Module, Path],
) -> None:
    source, path = exported
    batches = [torch.randn(n, 3, 9, 18, 17) for n in (1, 2, 3, 5)]
    assert verify_onnx(path, source, batches) < 1e-5
    model = onnx.load(str(path))
    (clip,), (logits,) = model.graph.input, model.graph.output
    shape = [d.dim_param or d.dim_value for d in clip.type.tensor_type.shape.dim]
    assert (clip.name, shape[1:]) == ("clip", [3, 9, 18, 17])
    assert isinstance(shape[0], str)
    assert logits.name == "logits"
    assert {n.op_type for n in model.graph.node} >= {"Conv", "MaxPool"}
    assert "BatchNormalization" not in {n.op_type for n in model.graph.node}
    assert b".py" not in path.read_bytes()


def test_an_export_that_computes_something_else_is_refused(
    exported: tuple[nn.Module, Path],
) -> None:
    _, path = exported
    with pytest.raises(TrainyardError, match="differs from PyTorch by"):
        verify_onnx(path, network(9), [torch.randn(2, 3, 9, 18, 17)])
    broken = network(1)
    broken.get_submodule("logits.conv3d").bias.data.fill_(float("nan"))
    with pytest.raises(TrainyardError, match="not usable"):
        verify_onnx(path, broken, [torch.randn(2, 3, 9, 18, 17)])


class Sensitive(nn.Module):
    """Enlarges every rounding of its first layer ten thousand times, as fine positions do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(512, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(1e4 * self.layer(x))


def test_an_export_as_exact_as_float32_allows_is_accepted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, path = Sensitive().eval(), tmp_path / "model.onnx"
    export_onnx(source, torch.zeros(2, 512), path, "x", "y")
    batch = torch.randn(16, 512)
    verify_onnx(path, source, [batch], tolerance=1e-9)  # PyTorch is no more exact itself
    source.layer.bias.data += 1e-5
    with pytest.raises(TrainyardError, match="not usable"):
        verify_onnx(path, source, [batch], tolerance=1e-9)
