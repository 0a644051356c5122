"""Settings files of the OBDB weed trainer as parameters of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.annotation_sync.stage import AnnotationSyncSettings
from components.core.errors import SettingsError
from components.core.settings import build, read_file
from components.hpo_sweep.stage import SweepSettings
from components.train_detector.stage import TrainDetectorSettings

FOUND = {
    "gamma": 0.22992,
    "lr": 0.004542,
    "momentum": 0.15866,
    "step_size": 5,
    "weight_decay": 0.000298,
}

CLASSES = ["Background", "Black bindweed", "Cleavers", "Fat hen"]


def content(**given: Any) -> dict[str, Any]:
    """The file as it is shipped, with one variant."""
    shipped = {
        "full_hd": 1,
        "variants": ["resnet18"],
        "resnet18": {"run_hpo": 0, "use_settings_file": 0, "optimal_hpo_settings": FOUND},
        "save_dir": "/train/pickled_weed",
        "writer_dir": "/train/runs",
        "dataset_dir": "/weed_data",
        "hpo_parameters": {
            "lr": [1e-7, 1e-2],
            "weight_decay": [1e-5, 0.9],
            "momentum": [0.1, 0.9],
            "step_size": [1, 5],
            "gamma": [0.01, 0.9],
        },
        "fake_dataset_len": 640,
        "max_train_epochs": 10000,
        "max_plateau_count": 1000,
        "search_epochs": 30,
        "max_num_trials": 32,
        "num_initial_data_points": "infer",
        "hpo_timeout": 6000,
        "start_on_checkpoint": 0,
        "annotations_list_4k": ["FieldData 20200515101008 1L GH020068"],
        "annotations_list_full_hd": ["FieldData_20200603102414_1L_GH010033", "Seg_1"],
        "default_class_map": CLASSES,
        "metrics_confidence_range": [0.5, 0.6],
        "excluded_frames": ["bad.png"],
    }
    return {**shipped, **given}


def read(folder: Path, **given: Any) -> dict[str, Any]:
    path = folder / "settings_file.json"
    path.write_text(json.dumps(content(**given), indent="\t"))  # as YAML this is an error
    return read_file(path)


def accepted(values: dict[str, Any]) -> None:
    """Each parameter is one of a stage of the pipeline, and has a value that it accepts."""
    stages = (AnnotationSyncSettings, TrainDetectorSettings, SweepSettings)
    known = {name for stage in stages for name in stage.model_fields}
    assert set(values) <= known
    for stage in stages:
        build(stage, {k: v for k, v in values.items() if k in stage.model_fields})


def test_training_with_found_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = read(tmp_path)
    accepted(values)
    assert values["images"] == "/weed_data"
    assert values["tasks"] == ["FieldData_20200603102414_1L_GH010033", "Seg_1"]
    assert values["classes"] == ["Black bindweed", "Cleavers", "Fat hen"]
    assert values["excluded_images"] == ["bad.png"]
    assert (values["full_hd"], values["epochs"], values["early_stop"]) == (True, 10000, 1000)
    assert "n_trials" not in values
    assert "search_space" not in values
    (variant,) = TrainDetectorSettings(
        variants=values["variants"], variant_settings=values["variant_settings"]
    ).parsed()
    assert (variant.network, variant.backbone) == ("faster_rcnn", "resnet18")
    assert variant.own == {
        "learning_rate": 0.004542,
        "weight_decay": 0.000298,
        "momentum": 0.15866,
        "step_size": 5,
        "gamma": 0.22992,
    }
    told = capsys.readouterr().err
    assert "save_dir has no effect" in told
    assert "fake_dataset_len has no effect" in told
    assert "metrics_confidence_range has no effect" in told
    assert "start_on_checkpoint" not in told  # it is 0


def test_tasks_of_4k_and_of_the_older_file(tmp_path: Path) -> None:
    assert read(tmp_path, full_hd=0)["tasks"] == ["FieldData 20200515101008 1L GH020068"]
    assert read(tmp_path, annotations_list=["old"])["tasks"] == ["old"]


def test_search_of_the_only_variant(tmp_path: Path) -> None:
    values = read(tmp_path, resnet18={"run_hpo": 1}, num_initial_data_points=5)
    accepted(values)
    assert (values["n_trials"], values["sweep_epochs"], values["startup_trials"]) == (32, 30, 5)
    assert values["sweep_minutes"] == 100
    assert values["search_space"]["learning_rate"] == {"low": 1e-7, "high": 1e-2, "log": True}
    assert values["search_space"]["step_size"] == {"low": 1, "high": 5}
    assert set(values["search_space"]) == {
        "learning_rate",
        "weight_decay",
        "momentum",
        "step_size",
        "gamma",
    }
    assert "variant_settings" not in values
    assert "trial_settings" not in values


def test_search_among_several_variants(tmp_path: Path) -> None:
    about = {"run_hpo": 0, "optimal_hpo_settings": FOUND}
    variants = ["resnet50", "resnet18", "retina_net"]
    values = read(
        tmp_path, variants=variants, resnet18={"run_hpo": 1}, resnet50=about, retina_net=about
    )
    accepted(values)
    assert values["variants"] == "resnet50, resnet18, retina_net"  # in their order
    assert values["trial_settings"] == "variants=resnet18; variant_settings="
    own = {v.name: v.own for v in TrainDetectorSettings(
        variants=values["variants"], variant_settings=values["variant_settings"]
    ).parsed()}  # fmt: skip
    assert own["resnet18"] == {}
    assert own["resnet50"]["learning_rate"] == 0.004542
    assert own["retina_net"]["pretrained"] == "coco"


def test_ranges_of_the_older_file_and_weights_of_a_variant(tmp_path: Path) -> None:
    name = "resnet18_weeds_pretrained"
    values = read(
        tmp_path,
        variants=[name],
        hpo_parameters={},
        sherpa_parameters={"lr": [5e-6, 1e-3]},
        **{name: {"run_hpo": 1, "pretrained_model_path": "/train/model.pth"}},
    )
    accepted(values)
    assert values["search_space"] == {"learning_rate": {"low": 5e-6, "high": 1e-3, "log": True}}
    assert values["variant_settings"] == f"{name}: pretrained=/train/model.pth"


def test_settings_file_of_a_variant(tmp_path: Path) -> None:
    found = {"best_value": 0.5995, **FOUND, "lr": 0.125}
    (tmp_path / "resnet18_settings.json").write_text(json.dumps(found))
    values = read(tmp_path, resnet18={"run_hpo": 0, "use_settings_file": 1})
    assert "learning_rate=0.125" in values["variant_settings"]


def test_all_problems_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(
            tmp_path,
            variants=["resnet18", "resnet34", "resnet50", "resnet101"],
            resnet18={"run_hpo": 1},
            resnet34={"run_hpo": 1},
            resnet50={"run_hpo": 0, "use_settings_file": 1},
            hpo_parameters={"learn": [0, 1], "lr": [1]},
        )
    text = str(caught.value)
    assert "run_hpo: it is 1 for resnet18, resnet34" in text
    assert "there is no resnet50_settings.json in" in text
    assert "variants: 'resnet101' has no object of its own" in text
    assert "hpo_parameters.learn: it cannot be searched" in text
    assert "hpo_parameters.lr: expected [low, high]" in text
    assert len(caught.value.problems) == 5


def refused(folder: Path, **given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, **given)
    return caught.value.problems


@pytest.mark.parametrize(
    ("value", "said"), [("False", False), ("0", False), (0, False), (1, True), ("true", True)]
)
def test_switches(tmp_path: Path, value: Any, said: bool) -> None:
    about = {"run_hpo": value, "optimal_hpo_settings": FOUND}
    values = read(tmp_path, full_hd=value, resnet18=about)
    assert values["full_hd"] is said
    assert ("search_space" in values) is said


@pytest.mark.parametrize("value", ["no", 2, None, [], "yes", 0.5])
def test_other_values_of_switches_are_refused(tmp_path: Path, value: Any) -> None:
    about = {"run_hpo": value, "use_settings_file": value, "optimal_hpo_settings": FOUND}
    expected = f"expected 0, 1, false or true, not {value!r}"
    assert refused(tmp_path, full_hd=value, resnet18=about) == [
        f"full_hd: {expected}",
        f"resnet18.run_hpo: {expected}",
        f"resnet18.use_settings_file: {expected}",
    ]


def test_wrong_values_are_told_together(tmp_path: Path) -> None:
    about = {"run_hpo": 0, "typo": 3, "optimal_hpo_settings": {**FOUND, "lrr": 1, "gamma": "x"}}
    found = refused(
        tmp_path,
        resnet18=about,
        hpo_parameters=5,
        max_num_trials=1.5,
        default_class_map="x",
        hpo_timeout="long",
        max_train_epochs=0,
        num_initial_data_points="all",
    )
    assert sorted(found) == [
        "default_class_map: expected a list of names, not 'x'",
        "hpo_parameters: expected an object of [low, high], not 5",
        "hpo_timeout: expected a number of seconds, not 'long'",
        "max_num_trials: expected a whole number of at least 0, not 1.5",
        "max_train_epochs: expected a whole number of at least 1, not 0",
        "num_initial_data_points: expected a whole number, or \"infer\", not 'all'",
        "resnet18.optimal_hpo_settings.gamma: 'x' is no number",
        "resnet18.optimal_hpo_settings.lrr: it is unknown; did you mean 'lr'?",
        "resnet18.typo: it is unknown; known: run_hpo, use_settings_file, optimal_hpo_settings, "
        "pretrained_model_path",
    ]


def test_what_a_search_wrote_may_be_pasted(tmp_path: Path) -> None:
    pasted = {**FOUND, "best_value": 0.6, "Trial-ID": 3, "Iteration": 9, "Objective": 0.1}
    accepted(read(tmp_path, resnet18={"run_hpo": 0, "optimal_hpo_settings": pasted}))


def test_misspelt_keys_get_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = content(max_train_epoch=3, hpo_parameter={"lr": [0.1, 1]})
    del given["max_train_epochs"], given["hpo_parameters"]
    path = tmp_path / "settings_file.json"
    path.write_text(json.dumps(given))
    read_file(path)
    told = capsys.readouterr().err
    assert "max_train_epoch is unknown and has no effect; did you mean 'max_train_epochs'?" in told
    assert "hpo_parameter is unknown and has no effect; did you mean 'hpo_parameters'?" in told


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("varients", ["resnet18"], "varients: it is unknown; did you mean 'variants'?"),
        ("nets", ["resnet18"], 'variants: a list of names, such as ["resnet18"], is missing'),
        ("variants", "resnet18", "variants: expected a list of names, such as [\"resnet18\"], not "
         "'resnet18'"),
    ],
)  # fmt: skip
def test_a_file_without_a_list_of_variants_is_told_so(
    tmp_path: Path, key: str, value: Any, said: str
) -> None:
    given = content()
    del given["variants"]
    path = tmp_path / "settings_file.json"
    path.write_text(json.dumps({**given, key: value}))
    with pytest.raises(SettingsError) as caught:
        read_file(path)
    assert caught.value.problems == [said]


def test_variants_of_other_files_may_be_a_list(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"variants": ["resnet18", "fcos:resnet34"], "epochs": 3}')
    assert read_file(path) == {"variants": "resnet18, fcos:resnet34", "epochs": 3}


def test_other_files_with_variants_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"variants": "resnet18", "epochs": 3}')
    assert read_file(path) == {"variants": "resnet18", "epochs": 3}
