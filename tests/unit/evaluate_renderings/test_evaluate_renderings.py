"""Figures of whole frames against independent ones, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_scene import scene, synced
from scipy.ndimage import correlate1d
from trained_renderers import Told, trained

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.artifacts.renderings import RenderingDataset
from components.core.errors import InputError
from components.core.rendering.reader import RenderingReader
from components.core.settings import build, problems
from components.evaluate_renderings.frames import baseline, filled
from components.evaluate_renderings.stage import STAGE, EvaluateRenderingsSettings


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    source = scene(folder / "scene", sets=("hall", "office"))
    return synced(source, folder / "synced", test_size=2)


@pytest.fixture(scope="module")
def model(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(frames, tmp_path_factory.mktemp("model")) / "model"


def run(inputs: dict[str, Path], place: Path, told: Told | None = None, **changes: Any) -> Path:
    settings = build(EvaluateRenderingsSettings, {"device": "cpu", **changes})
    outputs = {"evaluation": place / "evaluation", "report": place / "report.html"}
    STAGE.execute(settings, inputs, outputs, place / "state", told or Told())
    return place / "evaluation"


@pytest.fixture(scope="module")
def evaluation(frames: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = {"model": model, "frames": frames}
    return run(inputs, tmp_path_factory.mktemp("evaluation"), gallery=1)


def similar(one: np.ndarray, two: np.ndarray) -> float:
    """SSIM of Wang et al. (2004) over the windows that lie in the pictures."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))

    def mean(values: np.ndarray) -> np.ndarray:
        rows = correlate1d(values, weights / weights.sum(), axis=0)
        return correlate1d(rows, weights / weights.sum(), axis=1)[5:-5, 5:-5]

    first, second = mean(one), mean(two)
    spread = mean(one**2) - first**2 + mean(two**2) - second**2
    common = mean(one * two) - first * second
    light = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    return float((light * (2 * common + 9e-4) / (spread + 9e-4)).mean())


def test_figures_are_those_of_the_written_pictures(evaluation: Path, frames: Path) -> None:
    index, metrics = RenderingEvaluation.load(evaluation), RenderingMetrics.read(evaluation)
    reader = RenderingReader(frames)
    positions = reader.index.positions("test")
    assert len(positions) == index.frames == len(metrics.frames) == 4
    assert set(metrics.sets) == {"hall", "office"}
    for place, frame in zip(positions, metrics.frames, strict=True):
        assert frame.name == reader.index.frames[place].id
        path = evaluation / "renderings" / f"{frame.name}.png"
        picture = np.asarray(Image.open(path), np.float64) / 255
        target = reader.crop(place).target.transpose(1, 2, 0).astype(np.float64)
        assert picture.shape == target.shape == (64, 96, 3)  # whole frames
        ratio = -10 * np.log10(((picture - target) ** 2).mean())
        assert frame.psnr == pytest.approx(ratio, abs=0.02)
        assert frame.l1 == pytest.approx(np.abs(picture - target).mean(), abs=2e-3)
        similarity = np.mean([similar(picture[..., c], target[..., c]) for c in range(3)])
        assert frame.ssim == pytest.approx(float(similarity), abs=0.01)
    for name in ("psnr", "ssim", "l1", "baseline_psnr", "gain"):
        values = np.load(evaluation / f"{name}.npy")
        assert values.shape == (4,)
        assert metrics.figures[name] == pytest.approx(values.mean())
        low, high = metrics.intervals[name]
        assert low <= values.mean() <= high
    assert "lpips" not in metrics.figures
    assert index.figures == metrics.figures


def test_warped_photographs_show_what_they_saw(frames: Path) -> None:
    """The demonstration's coordinates are exact, so that they come close where they see."""
    reader = RenderingReader(frames)
    crop = reader.crop(reader.index.positions("test")[0], whole_aux=True)
    batch = {
        "levels": [torch.from_numpy(level.copy())[None] for level in crop.levels],
        "aux": [torch.from_numpy(view.copy())[None] for view in crop.aux],
        "coordinates": [torch.from_numpy(places)[None] for places in crop.coordinates],
        "target": torch.from_numpy(crop.target.copy())[None],
        "valid": torch.ones(1, 1, *crop.target.shape[1:]),
    }
    seen = np.stack([places[2] for places in crop.coordinates]).max(0) > 0
    found = baseline(batch)[0].numpy()
    assert 0.5 < seen.mean() < 1
    assert np.abs(found - crop.target)[:, seen].mean() < 0.06
    nearest = crop.coordinates[0][2] > 0
    batch["coordinates"][1] = torch.full_like(batch["coordinates"][1], 0.1)
    again = baseline(batch)[0].numpy()
    assert np.array_equal(again[:, nearest], found[:, nearest])  # the first one goes first


def test_holes_take_the_nearest_colour() -> None:
    picture = torch.zeros(1, 3, 6, 8)
    shown = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
    for row, column, value in ((1, 1, 0.25), (4, 6, 0.75)):
        picture[0, :, row, column] = value
        shown[0, 0, row, column] = True
    found = filled(picture, shown)[0, 0]
    rows, columns = np.mgrid[:6, :8]
    first, second = (np.hypot(rows - r, columns - c) for r, c in ((1, 1), (4, 6)))
    clear = np.abs(first - second) > 0.5
    expected = np.where(first < second, 0.25, 0.75)
    assert np.array_equal(found.numpy()[clear], expected[clear])
    assert torch.equal(filled(picture, torch.zeros_like(shown)), picture)


def test_the_report_and_the_table(evaluation: Path) -> None:
    text = (evaluation / "report.html").read_text()
    assert text == (evaluation.parent / "report.html").read_text()
    metrics = RenderingMetrics.read(evaluation)
    assert f"<b>{metrics.figures['psnr']:.2f} dB</b>" in text
    assert text.count("data:image/jpeg") == 3  # the worst, the best, one in the middle
    assert "error, 4 times" in text
    assert "http" not in text.split("<body>")[1].replace("http://www.w3.org/2000/svg", "")
    with open(evaluation / "frame_figures.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ratios = [float(row["psnr"]) for row in rows]
    assert ratios == sorted(ratios)
    assert {row["name"] for row in rows} == {frame.name for frame in metrics.frames}
    listed = RenderingEvaluation.load(evaluation).files
    there = {str(p.relative_to(evaluation)) for p in evaluation.rglob("*") if p.is_file()}
    assert there == {*listed, "index.json"}


def test_frames_that_were_rendered_are_not_rendered_again(
    frames: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluate_renderings import frames as module

    inputs = {"model": model, "frames": frames}
    compared, seen = module.compared, []

    def failing(name: str, *arguments: Any) -> Any:
        seen.append(name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return compared(name, *arguments)

    monkeypatch.setattr(module, "compared", failing)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path)
    assert not (tmp_path / "evaluation").exists()
    run(inputs, tmp_path)
    assert len(seen) == 5  # two, the third twice, the fourth
    assert len({*seen}) == 4


def test_a_mask_says_which_pixels_count(frames: Path, model: Path) -> None:
    from components.evaluate_renderings.frames import compared

    random = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 32, 32, generator=random)
    image = target.clone()
    image[..., :16] = 0
    valid = torch.ones(1, 1, 32, 32)
    valid[..., :16] = 0
    batch = {
        "levels": [torch.zeros(1, 4, 32, 32)],
        "aux": [],
        "coordinates": [torch.zeros(1, 3, 32, 32)],
        "target": target,
        "valid": valid,
    }
    batch["aux"] = [torch.rand(1, 4, 32, 32, generator=random)]
    assert compared("one", image, batch, None).psnr == 100
    batch["valid"] = torch.ones_like(valid)
    assert compared("one", image, batch, None).psnr < 15
    with pytest.raises(InputError, match="no numbers"):
        compared("one", image * float("nan"), batch, None)


def test_frames_of_which_nothing_counts_are_left_out(
    frames: Path, model: Path, tmp_path: Path
) -> None:
    """Data sets of older versions hold such frames."""
    place = Path(shutil.copytree(frames, tmp_path / "frames"))
    index = RenderingDataset.load(place)
    tests = [index.frames[number] for number in index.positions("test")]

    def masked(count: int) -> None:
        entries = []
        for entry in index.frames:
            if entry not in tests[:count]:
                entries.append(entry)
                continue
            mask = np.zeros((entry.height, entry.width), np.uint8)
            mask[:5] = 255  # SSIM has no figure there
            path, content = place / entry.file, (frames / entry.file).read_bytes()
            path.unlink()
            path.write_bytes(content + mask.tobytes())
            entries.append(entry.model_copy(update={"mask": True}))
        (place / "index.json").unlink()
        index.model_copy(update={"frames": entries}).save(place)

    masked(1)
    told = Told()
    found = run({"model": model, "frames": place}, tmp_path / "one", told)
    metrics = RenderingMetrics.read(found)
    assert [frame.name for frame in metrics.frames] == [entry.id for entry in tests[1:]]
    assert metrics.figures["psnr"] < 50
    note = f"1 frame left out of all figures: nothing counts in the masks of {tests[0].id}."
    assert note in metrics.notes
    assert note in told.lines
    masked(4)
    with pytest.raises(InputError, match="no frame of the test part can be compared"):
        run({"model": model, "frames": place}, tmp_path / "none")


def test_notes_and_refusals(frames: Path, model: Path, tmp_path: Path) -> None:
    told = Told()
    place = run({"model": model, "frames": frames}, tmp_path / "val", told, part="val", gallery=0)
    notes = RenderingMetrics.read(place).notes
    assert "The model was chosen by the val part; only the test part is new." in notes
    assert any("LPIPS is left out" in line for line in told.lines)
    assert "data:image" not in (place / "report.html").read_text()
    others = synced(scene(tmp_path / "others", seed=5), tmp_path / "other")
    with pytest.raises(InputError, match=r"trained on the frames .* say other_data=true"):
        run({"model": model, "frames": others}, tmp_path / "refused")
    place = run(
        {"model": model, "frames": others}, tmp_path / "accepted", other_data=True, bootstrap=0,
        save_renderings=False,
    )  # fmt: skip
    metrics = RenderingMetrics.read(place)
    assert not metrics.intervals
    assert any("trained on other frames" in line for line in metrics.notes)
    assert not (place / "renderings").exists()
    broken = tmp_path / "clips"
    broken.mkdir()
    content = json.loads((model / "model.json").read_text())
    (broken / "model.json").write_text(json.dumps({**content, "task": "clip_classification"}))
    with pytest.raises(InputError, match="a renderer \\(view_synthesis\\) is needed"):
        run({"model": broken, "frames": frames}, tmp_path / "task")
    assert problems(EvaluateRenderingsSettings, {"part": "all", "device": "gpu"})
    assert ModelBundle.load(model).task == "view_synthesis"


def test_weights_for_lpips_are_read_before_any_work(tmp_path: Path) -> None:
    from torchvision.models import alexnet, squeezenet1_1

    def said(path: Path) -> list[str]:
        settings = build(EvaluateRenderingsSettings, {"lpips_weights": str(path)})
        return [str(problem) for problem in STAGE.check(settings)]

    place = tmp_path / "net.pth"
    assert "does not exist" in said(place)[0]
    place.write_text("no weights")
    (text,) = said(place)
    assert text.startswith(f"lpips_weights: {place} cannot be read")
    torch.save(squeezenet1_1(weights=None).state_dict(), place)
    assert said(place)[0].startswith(f"lpips_weights: {place} are not the weights of AlexNet")
    torch.save(alexnet(weights=None).state_dict(), place)
    assert said(place) == []
