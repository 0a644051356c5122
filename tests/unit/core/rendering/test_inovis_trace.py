"""Traces compute what the network does, and the viewer's text file names the trace beside it."""

import os
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from rendering_networks import inputs, renderer

from components.core.errors import InputError, TrainyardError
from components.core.formats.viewer_network import (
    ViewerNetwork,
    read_viewer_network,
    write_viewer_network,
)
from components.core.models.bundle import save_bundle, save_weights
from components.core.models.inovis_weights import load_renderer_weights
from components.core.models.trace import export_trace, load_trace, verify_trace, write_for_viewer

KINDS = [
    {},
    {
        "mask_warped": True,
        "normalization": "group",
        "sampling": "bilinear",
        "reweight_with_low_res": True,
        "reweight_with_validity": True,
        "output_warped": True,
    },
    {
        "in_gt_frame_amount": 1,
        "feature_extraction_depth": 1,
        "upsample_mode": "deconv",
        "conv_block_reconstruction": "basic",
    },
]


def five_pairs(path):
    """The viewer's reader: words, of which every second one is a value."""
    words = path.read_text().split()
    assert len(words) == 10
    name, *rest = words[1::2]
    return name, *(int(word) for word in rest)


@pytest.mark.parametrize("arguments", KINDS, ids=str)
def test_a_trace_takes_any_size_and_batch(tmp_path, arguments):
    network = renderer(**arguments).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert export_trace(network, tmp_path / "net.pt") <= 1e-5
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    given = inputs(network.eval(), size=(64, 96), aux_size=(40, 56), batch=3, seed=7)
    with torch.no_grad():
        found, expected = load_trace(tmp_path / "net.pt")(*given), network(*given)
    assert expected.std() > 0.02
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_a_trace_says_nothing_of_the_machine_and_keeps_its_parameters(tmp_path):
    network = renderer()
    export_trace(network, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        text = b"".join(archive.read(name) for name in archive.namelist())
        [version] = [archive.read(n) for n in archive.namelist() if n.endswith("/version")]
    assert str(Path(__file__).parents[4]).encode() not in text
    assert int(version) <= 9  # that libtorch 1.12 reads
    assert set(load_trace(tmp_path / "net.pt").state_dict()) == set(network.state_dict())


def test_a_trace_of_another_network_is_refused(tmp_path):
    network = renderer()
    export_trace(network, tmp_path / "net.pt")
    batch = inputs(network)
    with pytest.raises(TrainyardError, match=r"net.pt differs from the network by .*not usable"):
        verify_trace(tmp_path / "net.pt", renderer(seed=1), [batch])
    (tmp_path / "half.pt").write_bytes((tmp_path / "net.pt").read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"half.pt cannot be read as TorchScript"):
        verify_trace(tmp_path / "half.pt", network, [batch])


def test_a_network_that_changes_when_traced_leaves_nothing(tmp_path):
    network = renderer()
    plain = type(network)._at_depth

    class Drifting(type(network)):
        def _at_depth(self, coordinates):
            moved = plain(self, coordinates)
            return moved * 0 if coordinates.shape[2] > 40 else moved  # a size fixed by the trace

    network.__class__ = Drifting
    with pytest.raises(TrainyardError, match="differs"):
        export_trace(network, tmp_path / "net.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:FutureWarning")
def test_the_viewer_finds_the_trace_by_the_name_in_its_text_file(tmp_path):
    network = renderer(in_gt_frame_amount=5)
    write_for_viewer(tmp_path / "networks", "office_epoch7", network, pre_init_lookups=True)
    [text] = (tmp_path / "networks").glob("*.txt")
    assert text.read_text() == (
        "name: office_epoch7\nfeature_extraction_depth: 0\nmovec_channels: 3\n"
        "groundtruth_amount: 5\nprevInitMV: 1\n"
    )
    name, depth, channels, amount, pre_init = five_pairs(text)
    assert (depth, channels, amount, pre_init) == (0, 3, 5, 1)
    assert name == text.stem
    trace = torch.jit.load(text.with_name(f"{name}.pt"))
    given = inputs(network)
    assert len(given[1]) == amount
    assert trace(*given).shape == (1, 3, 32, 48)
    assert read_viewer_network(text) == ViewerNetwork(name, depth, channels, amount, True)


def test_the_published_text_file_is_read(tmp_path):
    path = tmp_path / "Office_epoch419.txt"
    path.write_text(
        "name: Office_epoch419\nfeature_extraction_depth: 0\nmovec_channels: 3\n"
        "groundtruth_amount: 4\nprevInitMV: 0\n"
    )
    assert read_viewer_network(path) == ViewerNetwork("Office_epoch419")
    path.write_text(path.read_text().replace("prevInitMV", "preInitMV"))  # as its manual says
    assert read_viewer_network(path) == ViewerNetwork("Office_epoch419")
    for text, words in [("name: a b\n", "3 words"), ("a b c d e f g h i x", "whole numbers")]:
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_viewer_network(path)


def test_what_the_viewer_cannot_use_is_refused_and_writes_nothing(tmp_path):
    network = renderer(
        in_gt_frame_amount=7, feature_extraction_depth=1, filter_sizes=[120] * 5, out_channels=4
    )
    with pytest.raises(InputError) as error:
        write_for_viewer(tmp_path, "my network", network)
    for words in (
        "'my network'",
        "'my_network'",
        "groundtruth_amount: 7",
        "depth: 1",
        "channels: 4",
    ):
        assert words in str(error.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"office.pt is not there; write the trace first"):
        write_viewer_network(tmp_path, ViewerNetwork("office"))
    with pytest.raises(InputError, match=r"'../office' cannot name"):
        write_for_viewer(tmp_path, "../office", renderer())


def test_a_network_of_the_viewer_is_replaced_only_on_demand(tmp_path):
    write_for_viewer(tmp_path, "office", renderer())
    before = (tmp_path / "office.pt").read_bytes()
    with pytest.raises(InputError, match="has a network 'office'; choose another name"):
        write_for_viewer(tmp_path, "office", renderer(seed=1))
    assert (tmp_path / "office.pt").read_bytes() == before
    write_for_viewer(tmp_path, "office", renderer(seed=1), replace=True)
    assert (tmp_path / "office.pt").read_bytes() != before


class SomebodysOptimizer:
    """A class that a checkpoint names and that must not be run."""

    def __setstate__(self, state):
        raise AssertionError("something in the file was executed")


def published_checkpoint(folder, state):
    """As the published program writes it, classes and all."""
    folder.mkdir()
    content = {
        "device": torch.device("cpu"),
        "models": {"renderer": OrderedDict(state)},
        "models_init_params": {"renderer": {"model_type": SomebodysOptimizer}},
        "optimizers": {"renderer_opt": {"state": {}, "param_groups": [{"lr": 5e-4}]}},
        "schedulers": {},
        "extra": SomebodysOptimizer(),
    }
    torch.save(content, folder / "model_zoo.pth")
    return folder


@pytest.mark.parametrize("kind", ["trace", "folder", "zoo", "state", "safetensors", "bundle"])
def test_weights_are_taken_from_whatever_holds_them(tmp_path, kind):
    network, other = renderer(), renderer(seed=1)
    path = tmp_path / {"trace": "net.pt", "state": "net.pth"}.get(kind, "net.safetensors")
    if kind == "trace":
        export_trace(network, path)
    elif kind in ("folder", "zoo"):
        path = published_checkpoint(tmp_path / "__epoch-3", network.state_dict())
        path = path / "model_zoo.pth" if kind == "zoo" else path
    elif kind == "state":
        torch.save(network.state_dict(), path)
    else:
        save_weights(path, network)
    if kind == "bundle":
        save_bundle(tmp_path / "model", path, name="n", task="rendering")
        path = tmp_path / "model"
    load_renderer_weights(other, path)
    given = inputs(network)
    with torch.no_grad():
        assert torch.equal(other(*given), network(*given))


def test_weights_of_another_network_and_other_files_are_refused(tmp_path):
    export_trace(renderer(in_gt_frame_amount=2), tmp_path / "net.pt")
    with pytest.raises(
        InputError, match=r"net.pt do not fit this network: .*inx32.weight is 32x12x"
    ):
        load_renderer_weights(renderer(), tmp_path / "net.pt")
    torch.save({"models": {"critic": {}}, "x": SomebodysOptimizer()}, tmp_path / "zoo.pth")
    with pytest.raises(InputError, match="none of a network 'renderer'"):
        load_renderer_weights(renderer(), tmp_path / "zoo.pth")
    (tmp_path / "text.pt").write_text("no weights")
    for name in ("text.pt", "absent.pt"):
        with pytest.raises(InputError, match=name):
            load_renderer_weights(renderer(), tmp_path / name)


OLD = """
import sys, torch
given, expected = torch.load(sys.argv[2])
with torch.no_grad():
    found = torch.jit.load(sys.argv[1]).eval()(*given)
print(torch.__version__, float((found - expected).abs().max()))
"""


@pytest.mark.skipif(
    "TRAINYARD_TEST_OLD_TORCH" not in os.environ,
    reason="set TRAINYARD_TEST_OLD_TORCH to a python with PyTorch 1.12, the viewer's",
)
@pytest.mark.parametrize("arguments", KINDS, ids=str)
def test_the_viewers_libtorch_computes_the_same(tmp_path, arguments):
    network = renderer(**arguments)
    export_trace(network, tmp_path / "net.pt")
    given = inputs(network, size=(64, 96), batch=2)
    with torch.no_grad():
        torch.save((given, network(*given)), tmp_path / "given.pt")
    python = os.environ["TRAINYARD_TEST_OLD_TORCH"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    files = [str(tmp_path / name) for name in ("net.pt", "given.pt")]
    said = subprocess.run(
        [python, "-c", OLD, *files], capture_output=True, text=True, env=environment, check=True
    ).stdout
    version, difference = said.split()
    assert python == sys.executable or version.startswith("1.12")
    assert float(difference) < 1e-5
