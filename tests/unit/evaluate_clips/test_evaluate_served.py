"""Models as others serve them: frames last, values from 0 to 1, probabilities out; and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clip_bundles import (
    CLASSES,
    FRAMES,
    SIZE,
    TRAITS,
    Motion,
    write_bundle,
    write_clips,
    write_split,
)

from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError
from components.core.models.export import export_onnx
from components.evaluate_clips.inference import logits_of, probabilities
from components.evaluate_clips.stage import STAGE, EvaluateSettings

COUNT = 48
SIGNATURE = b"\x89PNG\r\n"


class Served(torch.nn.Module):
    """Motion with the input and output of a Keras model."""

    def __init__(self, multi_label: bool) -> None:
        super().__init__()
        self.motion = Motion(multi_label, 0.2 if multi_label else 3.0)
        self.multi_label = multi_label

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        logits = self.motion(clip.permute(0, 4, 1, 2, 3) * 2 - 1)
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)


def write_case(folder: Path, multi_label: bool) -> None:
    rng = np.random.default_rng(4)
    classes = TRAITS if multi_label else CLASSES
    if multi_label:
        labels = [[t for t in TRAITS if rng.random() < 0.5] for _ in range(COUNT)]
    else:
        labels = [CLASSES[row % 4] for row in rng.permutation(COUNT)]
    shown = [labels[row - 1] if row % 4 == 0 else own for row, own in enumerate(labels)]
    frames = write_clips(folder / "frames", labels, classes, shown=shown)
    parts = [("train", "val", "test")[row % 3] for row in range(COUNT)]
    write_split(folder / "split", frames, parts)
    scale = 0.2 if multi_label else 3.0
    write_bundle(folder / "plain", multi_label=multi_label, scale=scale)
    tensor = {"name": "time_distributed_input", "dtype": "float32", "layout": "B,T,H,W,C"}
    tensor |= {"shape": [-1, FRAMES, SIZE, SIZE, 3], "range": [0, 1]}
    out = {"name": "dense", "dtype": "float32", "shape": [-1, len(classes)]}
    write_bundle(
        folder / "served",
        multi_label=multi_label,
        fingerprint="f" * 64,
        inputs=[Tensor(**tensor)],
        outputs=[Tensor(**out, meaning="probabilities")],
    )
    example = torch.rand(2, FRAMES, SIZE, SIZE, 3)
    names = "time_distributed_input", "dense"
    export_onnx(Served(multi_label).eval(), example, folder / "served" / "model.onnx", *names)


def evaluate(folder: Path, model: str, **settings: object) -> Path:
    out = folder / f"{model} evaluated"
    STAGE.execute(
        EvaluateSettings(**{"bootstrap": 0, "workers": 1, "baseline": False, **settings}),
        {"model": folder / model, "frames": folder / "frames", "split": folder / "split"},
        {"evaluation": out, "report": folder / f"{model}.html"},
        folder / "state",
    )
    return out


@pytest.mark.parametrize("multi_label", [False, True])
def test_layout_range_and_probabilities_make_no_difference(
    multi_label: bool, tmp_path: Path
) -> None:
    write_case(tmp_path, multi_label)
    plain = evaluate(tmp_path, "plain")
    served = evaluate(tmp_path, "served", train_confusion=True)
    for name in ("probabilities", "predictions", "actuals", "confusion"):
        ours, theirs = np.load(plain / f"{name}.npy"), np.load(served / f"{name}.npy")
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    logits = np.load(served / "logits.npy")
    np.testing.assert_allclose(
        probabilities(logits, multi_label), np.load(served / "probabilities.npy"), atol=1e-6
    )
    trained = np.load(served / "train_confusion.npy")
    assert trained.sum() == COUNT // 3 * (len(TRAITS) if multi_label else 1)
    assert not (plain / "train_confusion.npy").exists()
    page = (tmp_path / "served.html").read_text()
    assert ("The clips that were trained on" in page) == (not multi_label)
    pictures = {path.name for path in served.glob("*.png")}
    assert pictures == {"training_history.png"} | (
        set() if multi_label else {"confusion.png", "train_confusion.png"}
    )
    for name in pictures:
        assert (served / name).read_bytes().startswith(SIGNATURE)
        assert name in Evaluation.load(served).files


def test_the_training_part_is_seen_in_the_same_pass_and_in_its_own_order(tmp_path: Path) -> None:
    write_case(tmp_path, False)
    served = evaluate(tmp_path, "served", train_confusion=True)
    of_train = evaluate(tmp_path, "plain", part="train")
    ours = np.load(served / "train_confusion.npy")
    np.testing.assert_array_equal(ours, np.load(of_train / "confusion.npy"))
    assert 0 < np.trace(ours) < ours.sum(), "some clips are shown as what they are not"


def test_certain_probabilities_have_logits_that_give_them_again() -> None:
    certain = np.array([[1, 0], [0.25, 0.75]], np.float32)
    for multi_label in (False, True):
        logits = logits_of(certain, multi_label)
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(probabilities(logits, multi_label), certain, atol=1e-6)


def test_a_layout_that_is_none_is_refused(tmp_path: Path) -> None:
    write_case(tmp_path, False)
    tensor = Tensor(name="clip", dtype="float32", shape=[-1, 3, 6, 16, 16], layout="B,X,H,W,C")
    write_bundle(tmp_path / "strange", inputs=[tensor])
    with pytest.raises(InputError, match="has the layout 'B,X,H,W,C'; expected B, C, T, H and W"):
        evaluate(tmp_path, "strange")
