"""The stage on a small scene: what it publishes, fine-tunes, resumes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_scene import scene, synced
from safetensors.torch import load_file
from torch import nn
from trained_renderers import Told, trained

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.renderings import RenderingDataset
from components.core.artifacts.training_results import TrainingResults
from components.core.errors import InputError, SettingsError
from components.core.models.bundle import load_network
from components.core.rendering.reader import RenderingReader
from components.core.training.renderings import RenderingExamples


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    return synced(scene(folder / "scene"), folder / "synced")


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def done(frames: Path, tmp_path_factory: pytest.TempPathFactory, told: Told) -> Path:
    return trained(frames, tmp_path_factory.mktemp("done"), told, epochs=3, keep_every=2)


def weights(place: Path) -> dict[str, torch.Tensor]:
    return load_file(place / "weights.safetensors")


def same(one: Path, two: Path) -> bool:
    first, second = weights(one), weights(two)
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def test_the_bundle_of_the_best_epoch(done: Path, frames: Path) -> None:
    bundle = ModelBundle.load(done / "model")
    assert bundle.task == "view_synthesis"
    assert bundle.dataset == RenderingDataset.load(frames).fingerprint
    assert set(bundle.formats) == {"safetensors", "torchscript", "onnx"}
    names = [tensor.name for tensor in bundle.inputs]
    assert names == [
        *("level0", "level1", "level2", "level3"),
        *("aux1", "aux2", "coordinates1", "coordinates2"),
    ]
    losses = [row["val_loss"] for row in bundle.curves]
    assert len(losses) == 3
    assert bundle.metrics["val_loss"] == min(losses)
    assert bundle.training["epoch"] == losses.index(min(losses)) + 1
    assert {path.name for path in (done / "model" / "checkpoints").iterdir()} == {"0002"}
    assert ModelBundle.load(done / "model" / "last").training["epoch"] == 3
    assert (done / "model" / "log" / "log.csv").read_text().count("\n") == 4


def test_each_trace_is_named_by_its_text_and_renders_as_the_network(
    done: Path, frames: Path
) -> None:
    folder = done / "results" / "out_checkpoints"
    texts = sorted(folder.glob("*.txt"))
    assert len(texts) == 3  # best, last, every second one
    reader = RenderingReader(frames)
    batch = RenderingExamples(reader, [0], aux=2, whole_aux=True).batch(0, [0])
    given = tuple(tuple(batch[name]) for name in ("levels", "aux", "coordinates"))
    for text in texts:
        words = text.read_text().split()  # as the viewer: labels are passed over
        assert len(words) == 10
        name, (depth, channels, photographs, pre_init) = words[1], map(int, words[3::2])
        assert (depth, channels, photographs, pre_init) == (0, 3, 2, 0)
        assert name == text.stem
        assert " " not in name
        trace = torch.jit.load(folder / f"{name}.pt")  # type: ignore[no-untyped-call]
        assert "tiny" in name
        kept = {"best": "", "last": "last", "epoch-2": "checkpoints/0002"}
        network = load_network(done / "model" / kept[name.rpartition("_")[2]])
        with torch.no_grad():
            torch.testing.assert_close(trace(*given), network(*given), atol=1e-4, rtol=0)


def test_pictures_show_what_the_network_renders(done: Path, frames: Path) -> None:
    folder = done / "results" / "out_results"
    assert {path.name for path in folder.iterdir()} == {"epoch-0002", "epoch-0003"}
    picture = np.asarray(Image.open(folder / "epoch-0003" / "Result0.png"), np.float32)
    assert picture.shape == (64, 3 * 64, 3)
    reader = RenderingReader(frames)
    val = RenderingExamples(reader, reader.index.positions("val"), (64, 64), 2)
    batch = val.batch(0, [0])
    network = load_network(done / "model" / "last")
    with torch.no_grad():
        image = network(batch["levels"], batch["aux"], batch["coordinates"])[0]
    for place, values in ((0, image), (64, batch["target"][0])):
        shown = picture[:, place : place + 64].transpose(2, 0, 1)
        assert np.abs(shown - values.numpy() * 255).max() <= 0.51
    apart = np.abs(picture[:, :64] - picture[:, 64:128]) * 4
    assert np.abs(picture[:, 128:] - np.minimum(apart, 255)).max() <= 1


def test_what_is_told_before_and_kept_beside(done: Path, told: Told) -> None:
    said = "\n".join(told.lines)
    assert "no vgg_weights are given: training with L1_SSIM" in said
    assert "parameters and 2 photographs, crops of 32x32" in said
    results = TrainingResults.load(done / "results")
    assert results.epochs == 3
    assert results.settings["run_name"] == "tiny"
    assert results.name.endswith("_tiny")
    assert (done / "results" / "out_runs" / "log.csv").is_file()
    assert list((done / "results" / "out_runs" / "tensorboard").glob("events*"))
    content = json.loads((done / "model" / "model.json").read_text())
    assert content["training"]["loss_function"] == ""


def test_a_training_that_is_resumed_ends_as_an_undisturbed_one(
    frames: Path, done: Path, tmp_path: Path
) -> None:
    first = trained(frames, tmp_path / "first", epochs=2, keep_every=2)
    resumed = trained(
        frames,
        tmp_path / "resumed",
        epochs=3,
        keep_every=2,
        resume_from=str(first / "results"),
    )
    for part in ("", "last", "checkpoints/0002"):
        assert same(done / "model" / part, resumed / "model" / part), part
    curves = [ModelBundle.load(place / "model").curves for place in (done, resumed)]
    first_rows, second_rows = ([{**row, "seconds": 0} for row in rows] for rows in curves)
    assert first_rows == second_rows
    assert same(first / "model" / "last", resumed / "model" / "checkpoints" / "0002")
    pictures = resumed / "results" / "out_results"
    assert {path.name for path in pictures.iterdir()} == {"epoch-0002", "epoch-0003"}
    # and the results of what was resumed can be resumed again
    assert TrainingResults.load(resumed / "results").epochs == 3


def test_a_whole_name_is_that_of_the_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.train_renderer.stage import NAME_VARIABLE, TrainRendererSettings
    from components.train_renderer.training import training_name

    settings = TrainRendererSettings(run_name="office")
    first = training_name(settings, tmp_path)
    assert first.endswith("_office")
    monkeypatch.setenv(NAME_VARIABLE, "2024_01_02_03_04_05_office")
    assert training_name(settings, tmp_path) == "2024_01_02_03_04_05_office"
    monkeypatch.delenv(NAME_VARIABLE)
    assert training_name(settings, tmp_path) == first


def test_resuming_refuses_what_would_be_another_training(
    frames: Path, done: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        trained(
            frames,
            tmp_path,
            epochs=3,
            learning_rate=0.1,
            loss_function="MSE",
            resume_from=str(done / "results"),
        )
    text = str(caught.value)
    assert "learning_rate: got 0.1, the training that goes on has 0.002" in text
    assert "loss_function: got 'MSE'" in text
    assert "epochs: 3 are done" in text
    assert "keep_every" not in text
    with pytest.raises(SettingsError, match="brought the rate to 0 by epoch 1"):
        trained(
            frames,
            tmp_path / "longer",
            epochs=2,
            schedule="cosine",
            resume_from=str(
                trained(frames, tmp_path / "cosine", epochs=1, schedule="cosine") / "results"
            ),
        )


@pytest.mark.parametrize("form", ["bundle", "trace", "zoo", "results"])
def test_fine_tuning_starts_from_weights_and_nothing_else(
    frames: Path, done: Path, tmp_path: Path, form: str
) -> None:
    place = done / "model" / ("" if form == "results" else "last")
    source = {
        "results": done / "results",
        "bundle": place,
        "trace": next(place.glob("*.pt")),
        "zoo": tmp_path / "model_zoo.pth",
    }[form]
    if form == "zoo":
        torch.save({"models": {"renderer": weights(place)}, "device": "cuda"}, source)
    tuned = trained(
        frames,
        tmp_path / "tuned",
        epochs=1,
        learning_rate=1e-12,
        schedule="constant",
        pretrained=str(source),
    )
    before, after = weights(place), weights(tuned / "model")
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(after[name], value, atol=1e-8, rtol=0)
    assert len(ModelBundle.load(tuned / "model").curves) == 1
    assert len(ModelBundle.load(tuned / "model").training["pretrained"]) > 0


def test_validation_figures_are_those_of_the_kept_network(done: Path, frames: Path) -> None:
    bundle, reader = ModelBundle.load(done / "model"), RenderingReader(frames)
    positions = reader.index.positions("val")
    examples = RenderingExamples(reader, positions, (64, 64), 2)
    network, ratios = load_network(done / "model"), []
    for number in range(len(examples)):
        batch = examples.batch(0, [number])
        with torch.no_grad():
            image = network(batch["levels"], batch["aux"], batch["coordinates"])
        error = float(((image - batch["target"]).double() ** 2).mean())
        ratios.append(-10 * np.log10(error))
    assert bundle.metrics["val_psnr"] == pytest.approx(np.mean(ratios), abs=1e-3)


def test_only_the_chosen_loss_is_computed(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core.training import rendering_losses
    from components.train_renderer.stage import TrainRendererSettings
    from components.train_renderer.training import prepare

    settings = TrainRendererSettings(
        loss_function="MSE", in_gt_frame_amount=2, input_width=64, input_height=64
    )
    prepared = prepare(settings, frames, Told())
    asked: list[str] = []
    for name in ("L1", "SSIM", "Spectral"):
        monkeypatch.setitem(
            rendering_losses.PLAIN,
            name,
            lambda *_, name=name: asked.append(name),  # type: ignore
        )
    batch = prepared.train.batch(0, [0, 1])
    loss = prepared.task.loss(prepared.task.network, batch)
    image = prepared.task.network(batch["levels"], batch["aux"], batch["coordinates"])
    torch.testing.assert_close(loss, nn.functional.mse_loss(image, batch["target"]))
    assert not asked


def test_all_problems_with_the_data_are_told_at_once(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        trained(
            frames,
            tmp_path,
            in_gt_frame_amount=3,
            input_width=512,
            crop_width=128,
            crop_height=64,
            batch_size=50,
            device="cuda:99",
        )
    text = str(caught.value)
    assert "in_gt_frame_amount: 3 photographs are asked for, the frames have 2" in text
    assert "input_width, input_height: crops of 64 x 512" in text
    assert "crop_width, crop_height: crops of 64 x 128" in text
    assert "batch_size: 50 is more than the" in text
    assert "cuda:99" in text


def test_weights_of_another_network_are_refused(frames: Path, done: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not fit this network"):
        trained(frames, tmp_path, fe_gt_filter_base=10, pretrained=str(done / "model"))


def test_weights_that_cannot_be_read_name_their_setting(frames: Path, tmp_path: Path) -> None:
    from components.train_renderer.stage import STAGE, TrainRendererSettings

    bad = tmp_path / "bad.pth"
    bad.write_text("no weights")
    (problem,) = STAGE.check(TrainRendererSettings(vgg_weights=str(bad)))
    assert str(problem).startswith(f"vgg_weights: {bad} cannot be read")
    torch.save(nn.Linear(2, 2).state_dict(), bad)
    (problem,) = STAGE.check(TrainRendererSettings(vgg_weights=str(bad)))
    assert str(problem).startswith(f"vgg_weights: {bad} are not the weights of VGG-16")
    assert not STAGE.check(TrainRendererSettings(vgg_weights=str(bad), loss_function="MSE"))
    with pytest.raises(InputError, match=r"^pretrained: the weights in .*bad.pth do not fit"):
        trained(frames, tmp_path, pretrained=str(bad))
    bad.write_text("no weights")
    with pytest.raises(InputError, match=r"^pretrained: .*bad.pth cannot be read"):
        trained(frames, tmp_path, pretrained=str(bad))


def test_a_network_that_the_viewer_cannot_use_has_a_trace_and_no_text(
    frames: Path, tmp_path: Path
) -> None:
    told = Told()
    place = trained(
        frames, tmp_path, told, epochs=1, feature_extraction_depth=1, filter_sizes=[24] * 5
    )
    assert "the viewer will not take it: feature_extraction_depth" in "\n".join(told.lines)
    folder = place / "results" / "out_checkpoints"
    assert len(list(folder.glob("*.pt"))) == 2
    assert not list(folder.glob("*.txt"))
