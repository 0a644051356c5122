"""The loss on single frames: labels in time, and the published mixture, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.artifacts.clips import Segment
from components.core.artifacts.frames import FrameReader, write_frames
from components.core.errors import InputError
from components.core.training.classification import ClipClassification
from components.core.training.clips import ClipBatch, ClipExamples
from components.core.training.views import Augmentation, Window, swap_pairs

CLASSES = ["left", "other", "right"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> FrameReader:
    """Clips of 10 frames; `timed` has two segments, uneven times and a label without segment."""
    rng = np.random.default_rng(0)
    uneven = np.array([0.0, 0.1, 0.2, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 2.5])
    folder = tmp_path_factory.mktemp("frames") / "frames"
    index = write_frames(
        folder,
        [
            (name, labels, "", rng.integers(0, 256, (10, 8, 8, 3), np.uint8), times)
            for name, labels, times in (
                ("timed", ["left", "other", "right"], uneven),
                ("untimed", ["other", "right"], uneven),
                ("none", [], uneven),
            )
        ],
        CLASSES,
        storage="raw",
    )
    segments = [
        Segment(start=0.2, end=1.0, label="left"),
        Segment(start=0.9, end=1.1, label="right"),
        Segment(start=2.0, end=9.0, label="right"),
    ]
    timed = index.clips[0].model_copy(update={"segments": segments})
    index.model_copy(update={"clips": [timed, *index.clips[1:]]}).save(folder)
    return FrameReader(folder)


def test_a_frame_has_the_labels_of_the_segments_it_begins_in(reader: FrameReader) -> None:
    left = [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    right = [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]
    found = reader.frame_labels(0, range(10))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack([left, np.ones(10), right], 1))
    np.testing.assert_array_equal(reader.frame_labels(0, [9, 4, 40]), found[[9, 4, 9]])


def test_without_segments_labels_hold_for_every_frame(reader: FrameReader) -> None:
    assert reader.frame_labels(1, [0, 5]).tolist() == [[0, 1, 1], [0, 1, 1]]
    assert reader.frame_labels(2, [0, 5]).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_batch_has_the_labels_of_the_frames_seen_also_in_the_mirror(reader: FrameReader) -> None:
    window = Window(frames=4, stride=2, size=8)
    swaps = swap_pairs(["left=right"], CLASSES)
    augmentation = Augmentation(3, mirror=True, swaps=swaps)
    examples = ClipExamples(reader, [1, 0], window, True, augmentation, per_frame=True)
    seen = set()
    for epoch in range(40):
        batch = examples.batch(epoch, [1, 0])
        along = batch["frame_labels"]
        assert along.shape == (2, 4, 3)
        view = augmentation.view(window, epoch, 1, (10, 8, 8))
        expected = reader.frame_labels(0, window.numbers(view.start))
        if view.mirrored:
            expected = expected[:, [2, 1, 0]]
        np.testing.assert_array_equal(along[0], expected)
        seen.add((view.start, view.mirrored))
        assert along[1].tolist() == [batch["labels"][1].tolist()] * 4  # it has no segments
    assert len(seen) == 8
    assert "frame_labels" not in ClipExamples(reader, [0], window, True).batch(0, [0])


class AlongTime(nn.Module):
    """Gives fixed logits, B x classes x T', and their mean where time is not asked for."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, clips: Tensor, along_time: bool = False) -> Tensor:
        return self.logits if along_time else self.logits.mean(2)


def interpolated(values: np.ndarray, wanted: int) -> np.ndarray:
    """B x C x T' → B x C x wanted, linear between the middles of equal stretches of time."""
    length = values.shape[2]
    middles = (np.arange(wanted) + 0.5) * length / wanted - 0.5
    flat = values.reshape(-1, length)
    rows = [np.interp(middles, np.arange(length), row) for row in flat]
    return np.stack(rows).reshape(*values.shape[:2], wanted)


def cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    p = 1 / (1 + np.exp(-logits))
    return float(-(weights * labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


@pytest.mark.parametrize("share", [0.5, 0.2, 1.0])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_loss_mixes_frames_and_clips(share: float, steps: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 3, steps))
    labels = (rng.random((4, 16, 3)) < 0.3).astype(np.float32)
    weights, smooth = np.array([1.0, 3.0, 0.5]), 0.1
    network = AlongTime(torch.from_numpy(logits).float())
    task = ClipClassification(network, 3, True, weights, smooth, localisation=share)
    batch: ClipBatch = {
        "frames": torch.zeros(4, 16, 2, 2, 3, dtype=torch.uint8),
        "labels": torch.zeros(4, 3),  # those of the whole clips, which the window may not show
        "frame_labels": torch.from_numpy(labels),
    }
    loss = task.loss(network, batch)
    along = interpolated(logits, 16)
    soft = labels * (1 - smooth) + smooth / 2
    on_frames = cross_entropy(along.transpose(0, 2, 1), soft, weights)
    on_clips = cross_entropy(along.max(2), soft.max(1), weights)
    expected = share * on_frames + (1 - share) * on_clips
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert network.logits.grad is not None
    assert network.logits.grad.abs().max() > 0
    halves = []
    for rows in (slice(0, 2), slice(2, 4)):
        half = AlongTime(torch.from_numpy(logits[rows]).float())
        part: Any = {key: value[rows] for key, value in batch.items()}  # type: ignore[index]
        halves.append(float(task.loss(half, part).detach()))
    assert np.mean(halves) == pytest.approx(float(loss.detach()), rel=1e-5)  # a mean over the clips


def test_without_a_share_nothing_changes() -> None:
    logits, labels = torch.randn(4, 3, 2), (torch.rand(4, 3) < 0.5).float()
    network = AlongTime(logits)
    batch: ClipBatch = {"frames": torch.zeros(4, 8, 2, 2, 3, dtype=torch.uint8), "labels": labels}
    loss = ClipClassification(network, 3, True).loss(network, batch)
    expected = cross_entropy(logits.mean(2).numpy(), labels.numpy(), np.ones(3))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_it_needs_several_labels_a_clip() -> None:
    with pytest.raises(InputError, match=r"localisation: 0\.5 needs .* multi_label: true"):
        ClipClassification(AlongTime(torch.zeros(1, 2, 1)), 2, localisation=0.5)
