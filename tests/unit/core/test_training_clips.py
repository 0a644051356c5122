"""Which frames and labels a network gets, and the loss and figures of classification."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional

from components.core.artifacts.frames import FrameReader, write_frames
from components.core.training.classification import ClipClassification
from components.core.training.clip_views import balanced_weights
from components.core.training.clips import ClipBatch, ClipExamples, network_input
from components.core.training.views import Augmentation, Window, swap_pairs

CLASSES = ["left", "other", "right"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> FrameReader:
    """Clips whose pixels say where they come from: frame in red, row in green, column in blue."""
    clips = []
    for name, frames, height, width, labels in (
        ("long", 20, 24, 28, ["left"]),
        ("short", 5, 20, 20, ["right"]),
        ("plain", 12, 20, 22, ["other"]),
        ("both", 12, 20, 20, ["left", "other"]),
    ):
        array = np.zeros((frames, height, width, 3), np.uint8)
        array[..., 0] = np.arange(frames)[:, None, None]
        array[..., 1] = np.arange(height)[None, :, None]
        array[..., 2] = np.arange(width)[None, None, :]
        clips.append((name, labels, "", array, np.arange(frames) / 10))
    folder = tmp_path_factory.mktemp("frames") / "frames"
    write_frames(folder, clips, CLASSES, storage="raw")
    return FrameReader(folder)


WINDOW = Window(frames=4, stride=3, size=16)


def test_validation_sees_the_middle(reader: FrameReader) -> None:
    examples = ClipExamples(reader, [0, 2], WINDOW)
    batch = examples.batch(0, [0, 1])
    frames = batch["frames"]
    assert frames.shape == (2, 4, 16, 16, 3)
    assert frames.dtype == torch.uint8
    assert frames[0, :, 0, 0].tolist() == [[5 + 3 * n, 4, 6] for n in range(4)]
    assert frames[1, :, -1, -1].tolist() == [[1 + 3 * n, 17, 18] for n in range(4)]
    assert batch["labels"].tolist() == [0, 1]
    assert torch.equal(examples.batch(9, [0, 1])["frames"], frames)


def test_short_clips_repeat_their_last_frame(reader: FrameReader) -> None:
    for augmentation in (None, Augmentation(seed=1)):
        batch = ClipExamples(reader, [1], WINDOW, augmentation=augmentation).batch(3, [0])
        assert batch["frames"][0, :, 0, 0, 0].tolist() == [0, 3, 4, 4]


def test_training_sees_every_start_and_crop_and_repeats_by_seed(reader: FrameReader) -> None:
    examples = ClipExamples(reader, [0], WINDOW, augmentation=Augmentation(seed=1))
    corners = [examples.batch(epoch, [0])["frames"][0, :, 0, 0] for epoch in range(400)]
    starts = {int(corner[0, 0]) for corner in corners}
    assert starts == set(range(11))  # 20 frames, a window of 10: the last start included
    assert {int(corner[0, 1]) for corner in corners} == set(range(9))
    assert {int(corner[0, 2]) for corner in corners} == set(range(13))
    for corner in corners:
        assert (corner[:, 0] - corner[0, 0]).tolist() == [0, 3, 6, 9]
        assert corner[0, 1] == corner[3, 1]  # one crop for all frames
    again = pickle.loads(pickle.dumps(examples))
    assert torch.equal(again.batch(7, [0])["frames"], examples.batch(7, [0])["frames"])
    other = ClipExamples(reader, [0], WINDOW, augmentation=Augmentation(seed=2))
    assert any(
        not torch.equal(other.batch(e, [0])["frames"], examples.batch(e, [0])["frames"])
        for e in range(3)
    )
    assert examples.targets.tolist() == [0]


def test_mirroring_swaps_the_labels_of_whole_clips(reader: FrameReader) -> None:
    swaps = swap_pairs(["left=right"], CLASSES)
    window = Window(frames=2, stride=1, size=20)
    mirrored = 0
    for multi_label in (False, True):
        clips = [1, 3] if multi_label else [1, 2]
        augmentation = Augmentation(5, mirror=True, swaps=swaps)
        examples = ClipExamples(reader, clips, window, multi_label, augmentation)
        for epoch in range(30):
            batch = examples.batch(epoch, [0, 1])
            for frames, label, index in zip(batch["frames"], batch["labels"], (0, 1), strict=True):
                columns = frames[:, 0, :, 2].int()
                turned = bool((columns[:, 0] > columns[:, -1]).all())
                assert turned or bool((columns[:, 0] < columns[:, -1]).all())
                mirrored += turned
                own = examples.targets[index]
                if multi_label:
                    expected = own[[2, 1, 0]] if turned else own
                    assert label.tolist() == expected.tolist()
                else:
                    assert int(label) == ({0: 2, 1: 1, 2: 0}[int(own)] if turned else int(own))
    assert 40 < mirrored < 80  # about half of 120
    assert examples.targets.tolist() == [[0, 0, 1], [1, 1, 0]]  # unchanged by it


def test_swap_pairs_are_checked_together() -> None:
    assert swap_pairs([" left = right "], CLASSES) == {0: 2, 2: 0}
    with pytest.raises(ValueError, match=r"no class 'up'.*left, other, right.*one other class"):
        swap_pairs(["left=up", "left=right", "right=other"], CLASSES)


def test_network_input_is_the_documented_one() -> None:
    frames = torch.randint(0, 256, (2, 4, 5, 6, 3), dtype=torch.uint8)
    found = network_input(frames)
    expected = torch.from_numpy(frames.numpy().transpose(0, 4, 1, 2, 3) / 255 * 2 - 1)
    torch.testing.assert_close(found, expected.float())
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1)
    assert network_input(ends).flatten().tolist() == [-1, 1]


class Fixed(nn.Module):
    """Looks its logits up: the first pixel of a clip is its row in the table."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(logits)

    def forward(self, clips: Tensor) -> Tensor:
        rows = ((clips[:, 0, 0, 0, 0] + 1) * 127.5).round().long()
        return self.table[rows]


def batches(labels: Tensor, size: int) -> list[ClipBatch]:
    frames = torch.zeros(len(labels), 2, 3, 3, 3, dtype=torch.uint8)
    frames[:, 0, 0, 0, 0] = torch.arange(len(labels))
    return [
        {"frames": f, "labels": y}
        for f, y in zip(frames.split(size), labels.split(size), strict=True)
    ]


def loss_of(task: ClipClassification, batch: ClipBatch) -> float:
    return float(task.loss(task.network, batch).detach())


@pytest.mark.parametrize("multi_label", [False, True])
def test_validation_figures_equal_scikit_learns(multi_label: bool) -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 4) * 0.4  # small ones would pass for probabilities
    labels = (torch.rand(50, 4) < 0.4).float() if multi_label else torch.randint(0, 4, (50,))
    task = ClipClassification(Fixed(logits), 4, multi_label)
    for _ in range(2):  # the second validation forgets the first
        task.start_validation()
        for batch in batches(labels, 7):
            with torch.no_grad():
                task.validate(task.network, batch)
    found = task.validation_metrics()
    predicted = (logits > 0).float() if multi_label else logits.argmax(1)
    loss = (
        functional.binary_cross_entropy_with_logits(logits, labels)
        if multi_label
        else functional.cross_entropy(logits, labels)
    )
    assert found == pytest.approx(
        {
            "val_loss": float(loss),
            "val_macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
            "val_micro_f1": f1_score(labels, predicted, average="micro", zero_division=0),
            "val_accuracy": accuracy_score(labels, predicted),
        },
        abs=1e-6,
    )


def test_balanced_weights_even_out_the_classes() -> None:
    targets = np.array([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(targets, 3)
    assert np.bincount(targets, weights=weights[targets]) == pytest.approx([10 / 3] * 3)
    assert weights[targets].mean() == pytest.approx(1)
    hot = np.zeros((1000, 3), np.float32)
    hot[:100, 0] = hot[:700, 1] = hot[:1, 2] = 1
    assert balanced_weights(hot, 3) == pytest.approx([9, 1, 100])


def test_the_training_loss_weights_and_smooths_and_adds_up_over_batches() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 3), torch.randint(0, 3, (12,))
    weights = np.array([0.5, 1.0, 3.0])
    task = ClipClassification(Fixed(logits), 3, weights=weights, label_smoothing=0.2)
    targets = functional.one_hot(labels, 3) * 0.8 + 0.2 / 3
    each = -(targets * logits.log_softmax(1)).sum(1) * torch.from_numpy(weights)[labels]
    (whole,) = batches(labels, 12)
    assert loss_of(task, whole) == pytest.approx(float(each.mean()))
    parts = [loss_of(task, part) for part in batches(labels, 4)]
    assert np.mean(parts) == pytest.approx(float(each.mean()))


def test_the_multi_label_loss_is_weighted_binary_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 3), (torch.rand(6, 3) < 0.5).float()
    task = ClipClassification(
        Fixed(logits), 3, True, weights=np.array([1.0, 4.0, 9.0]), label_smoothing=0.1
    )
    (whole,) = batches(labels, 6)
    p, y = logits.sigmoid(), labels * 0.9 + 0.05
    w = torch.tensor([1.0, 4.0, 9.0])
    expected = -(w * y * p.log() + (1 - y) * (1 - p).log()).mean()
    assert loss_of(task, whole) == pytest.approx(float(expected), rel=1e-5)
