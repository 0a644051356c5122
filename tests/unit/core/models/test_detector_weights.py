"""Weights to begin a detector with: of classification networks, of detectors, old and new."""

import pickle

import pytest
import torch
from detector_bundles import tiny_detector, write_detector
from torchvision.models import get_model
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from components.core.errors import InputError, ServiceError
from components.core.models import build
from components.core.models.detectors import load_backbone


@pytest.fixture(scope="module")
def field_checkpoint(tmp_path_factory):
    """A checkpoint as the weed detector's trainer wrote it: 11 entries, the background first."""
    network = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), 1000)
    network.roi_heads.box_predictor = FastRCNNPredictor(1024, 11)
    path = tmp_path_factory.mktemp("checkpoint") / "epoch_10_resnet18_checkpoint.pt"
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    content = {
        "epoch": 10,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.7,
    }
    torch.save(content, path)
    return path, network


def faster(classes):
    return build("faster_rcnn", classes=classes, backbone="resnet18")


def test_a_checkpoint_of_the_weed_detector_is_taken_whole(field_checkpoint):
    path, theirs = field_checkpoint
    ours = faster(10)
    assert load_backbone(ours, path) == []
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


def test_only_the_head_stays_untrained_with_another_number_of_classes(field_checkpoint):
    path, theirs = field_checkpoint
    ours = faster(3)
    (note,) = load_backbone(ours, path)
    assert note == "the head for another number of classes was replaced by an untrained one"
    state, fresh = theirs.state_dict(), set()
    for name, value in ours.state_dict().items():
        if value.shape != state[name].shape or not torch.equal(value, state[name]):
            fresh.add(name.rsplit(".", 2)[0])
    assert fresh == {"roi_heads.box_predictor"}


def test_names_of_older_torchvision_are_known(field_checkpoint, tmp_path):
    path, _ = field_checkpoint
    state = torch.load(path, weights_only=True)["model_state_dict"]
    old = {}
    for name, value in state.items():
        shorter = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        if shorter.startswith("backbone.fpn."):
            shorter = shorter.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        old[shorter] = value
    assert len(old) == len(state)
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pt")
    ours = faster(10)
    assert load_backbone(ours, tmp_path / "old.pt") == []
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_weights_of_a_classification_network_fill_the_backbone(backbone, norm, tmp_path):
    theirs = get_model(backbone, weights=None, num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / "imagenet.pth")
    ours = build("fcos", classes=2, backbone=backbone, norm=norm)
    (note,) = load_backbone(ours, tmp_path / "imagenet.pth")
    head = "fc" if backbone == "resnet18" else "classifier"
    assert note == f"not taken, as no part of the backbone: {head}"
    state = theirs.state_dict()
    body = ours.backbone.body.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in body.items())


def test_statistics_have_no_place_in_a_network_that_normalises_groups(tmp_path):
    torch.save(get_model("resnet18", weights=None).state_dict(), tmp_path / "weights.pth")
    ours = build("fcos", classes=2, backbone="resnet18", norm="group")
    notes = load_backbone(ours, tmp_path / "weights.pth")
    assert any("statistics of batch normalisation were not taken" in note for note in notes)


def test_a_bundle_is_taken_whole_and_its_backbone_by_another_kind(tmp_path):
    write_detector(tmp_path / "bundle", network="fcos", onnx=False, seed=3)
    same = tiny_detector("fcos", seed=4)
    assert load_backbone(same, tmp_path / "bundle") == []
    other = tiny_detector("retinanet", seed=4)
    (note,) = load_backbone(other, tmp_path / "bundle")
    assert note.startswith("only the backbone was taken")
    for name, value in tiny_detector("fcos", seed=3).state_dict().items():
        assert torch.equal(same.state_dict()[name], value)
        if name.startswith("backbone.body."):
            assert torch.equal(other.state_dict()[name], value)


def test_weights_of_another_backbone_are_refused(tmp_path):
    torch.save(get_model("resnet34", weights=None).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(InputError, match="do not fit this network"):
        load_backbone(build("fcos", classes=2, backbone="resnet50"), tmp_path / "weights.pth")


def test_weights_of_another_width_are_refused_and_change_nothing(tmp_path):
    write_detector(tmp_path / "bundle", network="fcos", onnx=False)
    ours = tiny_detector("fcos", channels=64)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(InputError, match="other shapes"):
        load_backbone(ours, tmp_path / "bundle")
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save(faster(2), tmp_path / "module.pth")
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap()))
    for name in ("module.pth", "trap.pth"):
        with pytest.raises(InputError, match="cannot be read as weights"):
            load_backbone(faster(2), tmp_path / name)


def test_published_weights_that_cannot_be_had_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"imagenet weights of resnet18 cannot be fetched"):
        load_backbone(faster(2), "imagenet")
    with pytest.raises(InputError, match="no weights of 'coco' for this detector on resnet18"):
        load_backbone(faster(2), "coco")
    assert not list(tmp_path.rglob("*.pth"))


def test_published_weights_are_taken_from_the_cache(tmp_path, monkeypatch):
    """The cache holds what torchvision would have fetched."""
    from torchvision.models import ResNet18_Weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    theirs = get_model("resnet18", weights=None)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    ours = faster(2)
    load_backbone(ours, "imagenet")
    assert torch.equal(ours.backbone.body.conv1.weight, theirs.conv1.weight)
