"""The command line of INOVIS's train.py as the stage's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.core.command_line import main
from components.core.settings import build, problems
from components.train_renderer.command import translated
from components.train_renderer.stage import (
    NAME_VARIABLE,
    NETWORK,
    STAGE,
    TrainRendererSettings,
)


def settings(line: str, told: list[str] | None = None) -> dict[str, str]:
    """Option → value of a translated line."""
    words = translated(line.split(), (told if told is not None else []).append)
    return dict(zip(words[::2], words[1::2], strict=True))


def test_names_values_and_lists_are_translated() -> None:
    told: list[str] = []
    found = settings(
        "office -set_description hall office -test_indices 0 5 -batch_size=3 -epochs 20 "
        "-learning_rate=1e-3 -loss_function=MSE -save_checkpoint_frequency 5 "
        "-save_checkpoint_best_epoch_frequency=50 -dataset_size 7 "
        "--in_gt_frame_amount=2 --upsample_mode deconv --warp_rgbd=False "
        "--in_channels_current 4 4 4 4 --filter_sizes 16 32 32 32 64",
        told,
    )
    name = found.pop("--results")
    assert re.fullmatch(r"\d{4}(_\d\d){5}_office", name)
    assert found.pop("--model") == f"{name}_model"
    assert found == {
        "--run-name": "office",
        "--batch-size": "3",
        "--epochs": "20",
        "--learning-rate": "1e-3",
        "--loss-function": "MSE",
        "--keep-every": "5",
        "--in-gt-frame-amount": "2",
        "--upsample-mode": "deconv",
        "--warp-rgbd": "false",
        "--filter-sizes": "[16, 32, 32, 32, 64]",
    }
    said = "\n".join(told)
    assert "-set_description hall office: it is for rendering_sync" in said
    assert "give it sets there" in said
    assert "test_indices" in said
    assert "max_frames" in said
    assert "the best epoch is always kept" in said


def test_a_value_of_zero_is_no_longer_ignored() -> None:
    assert settings("-epochs=0 -write_output_nth_epoch 0")["--epochs"] == "0"
    assert problems(TrainRendererSettings, {"epochs": 0})


def test_every_old_option_of_the_network_is_a_setting() -> None:
    """Those of `python train.py --help`, which are the arguments of the published network."""
    text = """
        feature_extraction_depth mask_warped warp_rgbd extract_lowres_features
        reweight_with_low_res conv_block_extraction_pr conv_block_extraction_gt
        conv_block_reweighting conv_block_reconstruction upsample_mode pooling_mode
        feature_scale filter_sizes fe_current_filter_base fe_gt_filter_base
        disable_reweighting in_gt_frame_amount
    """
    old = text.split()
    fields = TrainRendererSettings.model_fields
    assert set(old) <= set(NETWORK) <= set(fields)
    line = " ".join(
        f"--{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name in old
        for value in [fields[name].default]
    )
    found = settings(line)
    assert len(found) == len(old) + 2  # and the two outputs


def test_the_defaults_are_those_of_the_published_configuration() -> None:
    defaults = build(TrainRendererSettings, {})
    assert defaults.crop == (256, 256)
    assert (defaults.input_width, defaults.input_height) == (512, 512)
    assert (defaults.batch_size, defaults.epochs, defaults.learning_rate) == (2, 1001, 5e-4)
    assert (defaults.patience, defaults.cooldown, defaults.gamma) == (10, 25, 0.75)
    assert defaults.lowest_rate == 5e-5


def test_loading_a_checkpoint_is_fine_tuning_or_resuming(tmp_path: Path) -> None:
    assert settings(f"-checkpoint_load_dir {tmp_path}")["--pretrained"] == str(tmp_path)
    line = f"-checkpoint_load_dir {tmp_path} -restore_dataloader True"
    assert settings(line)["--resume-from"] == str(tmp_path)
    (tmp_path / "model_zoo.pth").touch()
    found = settings(f"-checkpoint_load_dir {tmp_path} -restore_dataloader=False")
    assert found["--pretrained"] == str(tmp_path / "model_zoo.pth")


def test_all_problems_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model_zoo.pth").touch()
    with pytest.raises(SystemExit) as caught:
        translated(
            f"-bach_size=3 -output_results maybe --in_channels_gt 3 -epochs "
            f"-checkpoint_load_dir {tmp_path} -restore_dataloader True".split()
        )
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "-bach_size: unknown; did you mean 'batch_size'?" in said
    assert "-output_results: got 'maybe', accepted are True and False" in said
    assert "--in_channels_gt: got 3, the data makes it 4" in said
    assert "-epochs: got []" in said
    assert "cannot be resumed" in said


def test_debugging_pictures_of_the_old_network_have_no_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    assert "--output-warped" not in settings("--output_warped=False", told)
    assert not told
    assert "--output-warped" not in settings("--output_warped True", told)
    assert told[0].startswith("--output_warped: has no effect")
    with pytest.raises(SystemExit):
        translated(["--output_warped=perhaps"])
    assert "output_warped: got 'perhaps'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "name"),
    [("my office/hall", "my_office_hall"), ("../_x", "x"), ("é" * 80 + "a", "a"), ("", "")],
)
def test_folders_and_traces_share_one_clean_name(given: str, name: str) -> None:
    environment: dict[str, str] = {}
    words = translated(
        [*([given] if given else []), "-epochs=1"], environment=environment, tell=print
    )
    found = dict(zip(words[::2], words[1::2], strict=True))
    folder = found["--results"]
    assert re.fullmatch(r"\d{4}(_\d\d){5}" + (f"_{name}" if name else ""), folder)
    assert environment == {NAME_VARIABLE: folder}
    assert found["--model"] == f"{folder}_model"
    assert found.get("--run-name", "") == name
    assert not problems(TrainRendererSettings, {"run_name": name})


def test_a_folder_that_is_given_and_a_name_that_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment: dict[str, str] = {}
    words = translated(["office", "--results", "out"], environment=environment)
    assert words == ["--run-name", "office", "--results", "out"]
    assert not environment
    with pytest.raises(SystemExit):
        translated(["//", "-epochs=1"])
    assert "'//': the run's name needs a letter or a digit" in capsys.readouterr().err


def test_a_name_of_a_run_that_files_cannot_have() -> None:
    for name in ("_office", "ä" * 3, "o" + "ä" * 50):
        (said,) = problems(TrainRendererSettings, {"run_name": name})
        assert "begin with a letter or digit" in said
    assert not problems(TrainRendererSettings, {"run_name": "o" + "ä" * 49})


def test_the_new_command_line_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    new = [
        "--frames",
        "data",
        "--batch-size",
        "2",
        "-f",
        "settings.yaml",
        "--filter-sizes",
        "[1,2]",
        "--dry-run",
    ]
    assert translated(new) == new
    mixed = translated(["--frames", "data", "-batch_size=2", "--results", "out"])
    assert mixed == ["--batch-size", "2", "--frames", "data", "--results", "out"]
    old = translated(["-batch_size=2", "--frames", "data", "--dry-run"])
    assert main(STAGE, old) == 0
    assert '"batch_size": 2' in capsys.readouterr().out
