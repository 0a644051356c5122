"""Variants and their own settings, as a text."""

from typing import Any

import pytest

from components.core.errors import SettingsError
from components.core.settings import READ, build, place_kind
from components.train_detector.stage import TrainDetectorSettings, check
from components.train_detector.variants import parse_variants


def problems(**given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        build(TrainDetectorSettings, given)
    return str(caught.value)


def test_names() -> None:
    variants, found = parse_variants("resnet18, retinanet:resnet50,retina_net", "fcos", "")
    assert not found
    assert [(v.network, v.backbone) for v in variants] == [
        ("fcos", "resnet18"),
        ("retinanet", "resnet50"),
        ("retinanet", "resnet50"),
    ]
    assert [v.folder for v in variants] == ["resnet18", "retinanet_resnet50", "retina_net"]


def test_settings_of_single_variants() -> None:
    settings = build(
        TrainDetectorSettings,
        {
            "variants": "resnet18, retinanet:resnet50",
            "variant_settings": "resnet18: lr=0.004, momentum=0.16; "
            "retinanet:resnet50: learning_rate=1e-3 step_size=3",
            "schedule": "step",
            "weight_decay": 0.5,
        },
    )
    first, second = (settings.of(variant) for variant in settings.parsed())
    assert (first.learning_rate, first.momentum, first.step_size) == (0.004, 0.16, 5)
    assert (second.learning_rate, second.momentum, second.step_size) == (0.001, 0.9, 3)
    assert first.weight_decay == second.weight_decay == 0.5
    assert (first.network, second.network) == ("faster_rcnn", "retinanet")
    assert second.variants == "retinanet:resnet50"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"variants": " , "}, "variants: none is given"),
        ({"variants": "resnet18,resnet18"}, "'resnet18' is there twice"),
        ({"variants": "yolo:resnet18"}, "unknown network 'yolo'; accepted: faster_rcnn"),
        ({"variants": "retina:resnet18"}, "did you mean 'retinanet'"),
        ({"variants": "my net"}, "'my net' names no backbone"),
        ({"variant_settings": "resnet50: lr=1"}, "'resnet50' is not among the variants resnet18"),
        ({"variant_settings": "lr=1"}, "not of the form resnet18: learning_rate=0.01"),
        ({"variant_settings": "resnet18: rate=1"}, "'rate=1' of 'resnet18'"),
        ({"variant_settings": "resnet18: lr=fast"}, "is no number"),
        ({"variant_settings": "resnet18: momentum=2"}, "resnet18: momentum: Input should be less"),
        ({"variant_settings": "resnet18: step_size=1.5"}, "resnet18: step_size"),
        ({"min_size": 16}, "min_size: 16 is too small"),
        ({"min_size": 1000, "max_size": 900}, "min_size: 1000 is more than max_size 900"),
        ({"tile_overlap": 8}, "tile_overlap: 8 is not less than tile_size 0; give tile_size"),
        ({"tile_size": 64, "tile_overlap": 64}, "tile_overlap: 64 is not less than tile_size 64"),
        ({"anchor_sizes": [16, 8]}, "use [8.0, 16.0]"),
        ({"aspect_ratios": [0]}, "aspect_ratios: got [0.0], accepted are numbers above 0"),
        ({"variants": "resnet19"}, "variants: resnet19: backbone: got 'resnet19', which cannot"),
        ({"channels": 33}, "channels: got 33, accepted are multiples of 32"),
        ({"anchor_sizes": [16, 32]}, "anchor_sizes: got 2, give one for each of 5 levels"),
        ({"variants": "fcos:resnet18", "aspect_ratios": [1]}, "fcos has no anchor boxes"),
        ({"variants": "fcos:resnet18", "v2": True}, "v2: fcos has no second form"),
        ({"batch_norm": "frozen"}, "batch_norm: frozen keeps the statistics"),
        ({"trainable_layers": 3}, "trainable_layers: 3 would freeze random weights"),
        ({"schedule": "multistep"}, "milestones: schedule multistep needs them"),
    ],
)
def test_problems(given: dict[str, Any], said: str) -> None:
    assert said in problems(**given)


def test_all_problems_at_once() -> None:
    text = problems(variants="a b", min_size=16, tile_overlap=3, batch_norm="frozen")
    for name in ("variants", "min_size", "tile_overlap", "batch_norm"):
        assert f"{name}: " in text


def test_networks_are_looked_at_beside_numbers_out_of_range() -> None:
    text = problems(variants="resnet19", channels=33, min_size=-1, epochs=0, anchor_sizes=[1, 2])
    for name in ("variants", "channels", "min_size", "epochs", "anchor_sizes"):
        assert f"  - {name}: " in text


def test_files_of_weights_are_looked_for() -> None:
    settings = build(
        TrainDetectorSettings,
        {"pretrained": "/no/weights.pt", "variant_settings": "resnet18: pretrained=/no/others.pt"},
    )
    told = "\n".join(str(problem) for problem in check(settings))
    assert "pretrained: /no/weights.pt does not exist; give imagenet, coco" in told
    assert "variant_settings: resnet18: pretrained: /no/others.pt does not exist" in told
    assert not check(build(TrainDetectorSettings, {"pretrained": "imagenet"}))


def test_devices_that_are_not_here_are_told_before_anything_runs() -> None:
    (problem,) = check(build(TrainDetectorSettings, {"device": "cuda:77"}))
    assert "device: 'cuda:77' is not here" in str(problem)
    (problem,) = check(build(TrainDetectorSettings, {"device": "cpu", "precision": "fp16"}))
    assert "precision: 'fp16' needs a GPU" in str(problem)
    assert not check(build(TrainDetectorSettings, {"device": "cpu"}))


def test_published_weights_are_no_place_that_a_pod_would_have_to_have() -> None:
    field = TrainDetectorSettings.model_fields["pretrained"]
    assert place_kind(field, "imagenet") == place_kind(field, "coco") == ""
    assert place_kind(field, "/data/weights.pt") == READ
