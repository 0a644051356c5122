"""The exported form of detectors finds what torchvision's evaluation finds."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from detector_bundles import tiny_detector
from torchvision.ops import batched_nms

from components.core.errors import TrainyardError
from components.core.models.backbone_names import NETWORKS
from components.core.models.detector_export import export_detector, verify_detector
from components.core.models.detector_graph import DetectorGraph
from components.core.models.detector_nms import apart, kept_boxes

KINDS = [(name, {}) for name in NETWORKS] + [(name, {"v2": True}) for name in NETWORKS[:2]]


@pytest.mark.parametrize(("name", "arguments"), KINDS)
@pytest.mark.parametrize("size", [(64, 96), (70, 131), (33, 40)])
def test_a_batch_gives_what_the_network_gives_for_each_image(name, arguments, size):
    network = tiny_detector(name, score_threshold=0.2, **arguments)
    images = torch.rand(3, 3, *size)
    with torch.no_grad():
        tables = DetectorGraph(network)(images)
        results = network(list(images))
    assert [table.shape for table in tables] == [(3, 20, 4), (3, 20), (3, 20)]
    total = 0
    for boxes, scores, labels, expected in zip(*tables, results, strict=True):
        real = labels >= 0
        # Torchvision's RetinaNet and FCOS have an output for the background that is never taught.
        known = expected["labels"] > 0
        count = min(int(real.sum()), int(known.sum()))
        assert int(real.sum()) >= count > 0
        torch.testing.assert_close(boxes[:count], expected["boxes"][known][:count])
        torch.testing.assert_close(scores[:count], expected["scores"][known][:count])
        assert torch.equal(labels[:count], expected["labels"][known][:count] - 1)
        assert not boxes[~real].any()
        assert not scores[~real].any()
        assert (scores[real] > 0.2).all()
        total += count
    assert total > 3


def test_rows_without_a_detection_are_marked():
    boxes, scores, labels = DetectorGraph(tiny_detector(score_threshold=1.0))(
        torch.rand(2, 3, 64, 64)
    )
    assert not boxes.any()
    assert not scores.any()
    assert (labels == -1).all()


def test_suppression_is_that_of_torchvision_for_each_image_and_group():
    generator = torch.Generator().manual_seed(5)
    corners = torch.rand(2, 200, 2, generator=generator) * 100
    boxes = torch.cat([corners, corners + 10 + 40 * torch.rand(2, 200, 2, generator=generator)], 2)
    scores = torch.rand(2, 200, generator=generator) - 0.1
    groups = torch.randint(0, 3, (2, 200), generator=generator)
    kept = kept_boxes(apart(boxes, groups), scores, 0.4, 200)
    for row in range(2):
        real = torch.nonzero(scores[row] > 0).flatten()
        chosen = batched_nms(boxes[row][real], scores[row][real], groups[row][real], 0.4)
        assert set(real[chosen].tolist()) == set(torch.nonzero(kept[row]).flatten().tolist())
    few = kept_boxes(apart(boxes, groups), scores, 0.4, 5)
    assert few.sum(1).tolist() == [5, 5]
    assert bool((few <= kept).all())


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join([kind[0], *kind[1]]))
def exported(request, tmp_path_factory):
    name, arguments = request.param
    network = tiny_detector(name, **arguments)
    path = tmp_path_factory.mktemp(name) / "model.onnx"
    export_detector(network, (64, 96), path)
    return name, arguments, network, path


def test_the_file_holds_for_any_batch_and_size(exported):
    _, _, network, path = exported
    generator = torch.Generator().manual_seed(1)
    batches = [
        torch.rand(shape, generator=generator)
        for shape in (
            (1, 3, 64, 96),
            (3, 3, 33, 97),
            (3, 100, 140),
            (2, 3, 130, 20),
            (1, 3, 256, 160),
        )
    ]
    assert verify_detector(path, network, batches) < 1e-3


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_other_backbones_are_exported_for_any_size_as_well(backbone, tmp_path):
    network = tiny_detector("fcos", backbone=backbone)
    export_detector(network, (64, 96), tmp_path / "model.onnx")
    batches = [torch.rand(1, 3, 64, 64), torch.rand(3, 3, 33, 100)]
    assert verify_detector(tmp_path / "model.onnx", network, batches) < 1e-3


def test_the_file_describes_itself_and_nothing_of_the_machine(exported):
    _, _, _, path = exported
    graph = onnx.load(str(path)).graph
    described = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }
    assert described == {
        "image": ["batch", 3, "height", "width"],
        "boxes": ["batch", 20, 4],
        "scores": ["batch", 20],
        "labels": ["batch", 20],
    }
    assert not any(b"/" + part in path.read_bytes() for part in (b"site-packages", b"detectors.py"))
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.onnx"]


def test_other_weights_are_refused(exported):
    name, arguments, _, path = exported
    other = tiny_detector(name, seed=1, **arguments)
    with pytest.raises(TrainyardError, match="have no counterpart; the export is not usable"):
        verify_detector(path, other, [torch.rand(2, 3, 64, 96)])


def test_a_file_that_finds_less_is_refused(tmp_path):
    network = tiny_detector()
    export_detector(network, (64, 64), tmp_path / "model.onnx")
    network.detections_per_img = 10
    export_detector(network, (64, 64), tmp_path / "less.onnx")
    network.detections_per_img = 20
    image = torch.rand(1, 3, 64, 64)
    verify_detector(tmp_path / "model.onnx", network, [image])
    model = onnx.load(str(tmp_path / "model.onnx"))
    for initializer in model.graph.initializer:
        if initializer.name.endswith("cls_logits.bias"):
            values = onnx.numpy_helper.to_array(initializer).copy()
            values[1] = -50  # one class is never found
            initializer.CopyFrom(onnx.numpy_helper.from_array(values, initializer.name))
    onnx.save(model, str(tmp_path / "less.onnx"))
    with pytest.raises(TrainyardError, match="have no counterpart"):
        verify_detector(tmp_path / "less.onnx", network, [image])


def test_the_score_threshold_of_the_network_is_in_the_file(tmp_path):
    network = tiny_detector(score_threshold=0.4)
    export_detector(network, (64, 64), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    image = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    _, scores, labels = session.run(None, {"image": image})
    assert 0 < (labels >= 0).sum() < labels.size
    assert (scores[labels >= 0] > 0.4).all()


def test_an_export_leaves_the_network_as_it_was(tmp_path):
    network = tiny_detector().train()
    network.backbone.body.eval()  # as a trainer that keeps statistics has it
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export_detector(network, (64, 64), tmp_path / "model.onnx")
    verify_detector(tmp_path / "model.onnx", network, [torch.rand(1, 3, 64, 64)])
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
