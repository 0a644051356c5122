"""Detectors on any backbone: they are torchvision's, take images as they are, and learn."""

import copy

import pytest
import torch
import torchvision.models
from detector_bundles import TINY, tiny_detector
from torch import nn
from torchvision.models import get_model, list_models
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from components.core.errors import InputError
from components.core.models import build
from components.core.models.backbone_names import BACKBONES, NETWORKS, feed_problems
from components.core.models.backbones import STRIDES, _features, group_norm
from components.core.models.detector_input import DEVIATION, MEAN

TARGET = {"boxes": torch.tensor([[8.0, 10.0, 60.0, 50.0]]), "labels": torch.tensor([2])}
EMPTY = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


@pytest.mark.parametrize(
    ("published", "name", "arguments"),
    [
        ("fasterrcnn_resnet50_fpn", "faster_rcnn", {}),
        ("fasterrcnn_resnet50_fpn_v2", "faster_rcnn", {"v2": True, "norm": "batch"}),
        ("retinanet_resnet50_fpn", "retinanet", {}),
        ("retinanet_resnet50_fpn_v2", "retinanet", {"v2": True, "norm": "batch"}),
        ("fcos_resnet50_fpn", "fcos", {}),
    ],
)
def test_a_network_has_the_parameters_that_torchvision_publishes_weights_for(
    published, name, arguments
):
    ours = shapes(build(name, classes=90, **arguments))
    theirs = shapes(get_model(published, weights=None, weights_backbone=None))
    if arguments.get("norm") != "batch":  # frozen ones count no batches
        theirs = {k: v for k, v in theirs.items() if not k.endswith("num_batches_tracked")}
    assert ours == theirs


def shapes(network):
    return {name: value.shape for name, value in network.state_dict().items()}


def test_every_backbone_of_torchvision_with_features_at_every_stride_is_accepted():
    # RegNets compute with tensors while they are built, which meta tensors cannot. GoogLeNet
    # takes minutes to draw its weights, and the others refuse images of this size.
    left_out = ("regnet", "googlenet", "inception", "maxvit", "vit")
    names = [n for n in list_models(module=torchvision.models) if not n.startswith(left_out)]
    with torch.device("meta"):
        fitting = {n for n in names if set(found(n)) >= set(STRIDES)}
    assert fitting == {n for n in BACKBONES if not n.startswith("regnet")}
    regnets = {n for n in list_models(module=torchvision.models) if n.startswith("regnet")}
    assert regnets == {n for n in BACKBONES if n.startswith("regnet")}


def found(name):
    return _features(get_model(name, weights=None))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("backbone", ["resnet18", "regnet_y_400mf", "shufflenet_v2_x0_5"])
def test_a_network_learns_from_boxes_and_from_images_without_any(name, backbone):
    network = tiny_detector(name, backbone=backbone, norm="group").train()
    images = [torch.rand(3, 70, 90), torch.rand(3, 64, 100)]
    losses = network(images, [TARGET, EMPTY])
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    without = [k for k, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    network.zero_grad()
    negative = sum(network(images, [EMPTY, EMPTY]).values())
    negative.backward()  # several processes wait for each other's gradient of every parameter
    assert torch.isfinite(negative)
    assert not [k for k, p in network.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [False, True])
def test_images_are_normalised_once_padded_and_never_resized(name, training):
    network = tiny_detector(name).train(training)
    seen = []
    network.backbone.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    image, small = torch.rand(3, 70, 90), torch.rand(3, 40, 33)
    network([image, small], [TARGET, EMPTY] if training else None)
    (batch,) = seen
    assert batch.shape == (2, 3, 96, 96)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
    torch.testing.assert_close(batch[0, :, :70, :90], (image - mean) / deviation)
    assert not batch[0, :, 70:].any()
    assert not batch[1, :, 40:].any()


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_b0", "shufflenet_v2_x0_5"])
def test_copies_keep_the_mode_and_change_with_it(backbone):
    """As those that average weights; torchvision's own feature extractors do not."""
    network = tiny_detector("fcos", backbone=backbone, norm="batch")
    image = torch.rand(1, 3, 64, 64)
    twin = copy.deepcopy(network)
    expected = network.backbone(image)["0"]
    torch.testing.assert_close(twin.backbone(image)["0"], expected, rtol=0, atol=0)
    assert (twin.train().backbone(image)["0"] - expected).abs().max() > 1e-3
    twin.load_state_dict(network.state_dict())  # training had moved the statistics
    torch.testing.assert_close(twin.eval().backbone(image)["0"], expected, rtol=0, atol=0)


def test_targets_are_not_changed():
    network = tiny_detector("retinanet").train()
    target = {name: value.clone() for name, value in TARGET.items()}
    network([torch.rand(3, 64, 64)], [target])
    assert torch.equal(target["boxes"], TARGET["boxes"])


def test_a_small_first_image_does_not_spoil_the_pooling_of_later_ones():
    """Torchvision would guess the levels' scales from the first image that it sees."""
    used, fresh = tiny_detector("faster_rcnn"), tiny_detector("faster_rcnn")
    image = torch.rand(3, 128, 128)
    with torch.no_grad():
        used([torch.rand(3, 20, 20)])
        torch.testing.assert_close(used([image])[0]["boxes"], fresh([image])[0]["boxes"])


@pytest.mark.parametrize("layers", range(6))
def test_as_many_layers_of_a_resnet_are_trained_as_with_torchvision(layers):
    network = build("faster_rcnn", classes=2, backbone="resnet18", trainable_layers=layers)
    theirs = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=layers)
    expected = {name: p.requires_grad for name, p in theirs.body.named_parameters()}
    assert {n: p.requires_grad for n, p in network.backbone.body.named_parameters()} == expected
    assert all(p.requires_grad for p in network.rpn.parameters())


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "convnext_tiny", "densenet121"])
def test_fewer_layers_of_other_backbones_are_trained_the_lower_the_number(backbone):
    counts = []
    for layers in range(6):
        body = build("fcos", classes=1, backbone=backbone, trainable_layers=layers).backbone.body
        frozen = [name for name, p in body.named_parameters() if not p.requires_grad]
        counts.append(len(frozen))
        assert frozen == [name for name, _ in body.named_parameters()][: len(frozen)]
    assert counts[0] == len(list(body.parameters()))
    assert counts[5] == 0
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("norm", "kind", "others"),
    [
        ("frozen", FrozenBatchNorm2d, (nn.BatchNorm2d, nn.GroupNorm)),
        ("batch", nn.BatchNorm2d, (FrozenBatchNorm2d, nn.GroupNorm)),
        ("group", nn.GroupNorm, (FrozenBatchNorm2d, nn.BatchNorm2d)),
    ],
)
def test_the_backbone_has_the_normalisation_that_was_asked_for(norm, kind, others):
    for backbone in ("resnet18", "efficientnet_b0"):
        body = build("retinanet", classes=1, backbone=backbone, norm=norm).backbone.body
        assert any(isinstance(module, kind) for module in body.modules())
        assert not any(isinstance(module, others) for module in body.modules())


@pytest.mark.parametrize("channels", [3, 16, 24, 40, 256, 576])
def test_any_number_of_channels_has_a_group_normalisation(channels):
    layer = group_norm(channels).train()
    assert torch.isfinite(layer(torch.rand(1, channels, 2, 2))).all()


def test_all_problems_of_the_arguments_are_told_at_once():
    wrong = {
        "classes": 0,
        "backbone": "resnet19",
        "v2": True,
        "anchor_sizes": [8, 16],
        "aspect_ratios": [0.0],
        "trainable_layers": 6,
        "norm": "layer",
        "channels": 48,
        "score_threshold": 2,
        "nms_iou": -1,
        "detections": 0,
    }
    with pytest.raises(InputError) as caught:
        build("fcos", **wrong)
    assert all(f"- {name}: " in str(caught.value) for name in wrong)
    assert "did you mean resnet18?" in str(caught.value)


def test_a_network_without_features_at_every_stride_is_told():
    assert feed_problems("resnet34") == []
    (problem,) = feed_problems("vit_b_16")
    assert "accepted: resnet18, " in problem


def test_anchors_are_those_that_were_asked_for():
    sizes, ratios = [4, 8, 16, 32, 64], [1.0, 3.0]
    network = tiny_detector("faster_rcnn", anchor_sizes=sizes, aspect_ratios=ratios)
    areas = [
        float((cell[0, 2] - cell[0, 0]) * (cell[0, 3] - cell[0, 1]))
        for cell in network.rpn.anchor_generator.cell_anchors
    ]
    assert areas == [size**2 for size in sizes]
    assert [len(cell) for cell in network.rpn.anchor_generator.cell_anchors] == [2] * 5


def test_the_same_arguments_give_a_network_that_takes_the_weights():
    first = tiny_detector("faster_rcnn", v2=True)
    again = build("faster_rcnn", classes=3, v2=True, **TINY)
    again.load_state_dict(first.state_dict())
