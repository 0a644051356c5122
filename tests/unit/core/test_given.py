"""A stage takes the settings that a search found or a task asks for, as if they had been given."""

from pathlib import Path

import pytest
from pydantic import Field

from components.core.artifacts.split import Split
from components.core.artifacts.study import Study, Trial
from components.core.artifacts.task import Task
from components.core.command_line import main, make_parser
from components.core.errors import InputError, SettingsError
from components.core.settings import Settings, build
from components.core.stage import Job, Stage


class RateSettings(Settings):
    """How to train."""

    rate: float = Field(0.5, le=1, description="Rate")
    depth: int = Field(1, description="Depth")


def make_stage(calls: list[RateSettings]) -> Stage[RateSettings]:
    def train(settings: RateSettings, job: Job) -> None:
        assert {*job.inputs} == {"frames"}
        calls.append(settings)
        Split.create("parent", {"a": "train"}, {}).save(job.outputs["model"])

    return Stage(
        name="rate",
        settings=RateSettings,
        function=train,
        inputs={
            "frames": "anything",
            "study": "what a search found (optional)",
            "task": "what is wanted (optional)",
        },
        outputs={"model": "nothing"},
    )


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    Split.create("frames", {"a": "train"}, {}).save(tmp_path / "frames")
    return tmp_path / "frames"


def write_study(folder: Path, *trials: Trial, trainer: str = "rate") -> Path:
    folder.mkdir()
    Study.create(
        name="valley",
        trainer=trainer,
        monitor="val_score",
        direction="maximize",
        search_space={"rate": {"low": 0.1, "high": 2}},
        settings={"rate": 0.5, "depth": 7},
        seed=0,
        sampler="tpe",
        pruner="none",
        trials=trials,
    ).write(folder)
    return folder


def trial(number: int, rate: float, value: float) -> Trial:
    return Trial(number=number, state="complete", value=value, settings={"rate": rate})


def test_only_what_was_searched_changes_and_the_result_is_that_of_those_settings(
    tmp_path: Path, frames: Path
) -> None:
    calls: list[RateSettings] = []
    stage, state = make_stage(calls), tmp_path / "state"
    study = write_study(tmp_path / "study", trial(0, 0.5, 0.3), trial(1, 0.2, 0.8))
    settings = build(RateSettings, {"depth": 3})
    stage.execute(settings, {"frames": frames, "study": study}, {"model": tmp_path / "m"}, state)
    assert calls == [RateSettings(rate=0.2, depth=3)]
    found = build(RateSettings, {"depth": 3, "rate": 0.2})
    stage.execute(found, {"frames": frames}, {"model": tmp_path / "n"}, state)
    assert len(calls) == 1, "the same work, done already"


def test_a_study_without_a_usable_trial_changes_nothing(tmp_path: Path, frames: Path) -> None:
    calls: list[RateSettings] = []
    failed = Trial(number=0, state="failed", value=None, settings={"rate": 0.1})
    for number, trials in enumerate([(), (failed,)]):
        inputs = {"frames": frames, "study": write_study(tmp_path / f"s{number}", *trials)}
        settings = build(RateSettings, {"depth": number})
        out = {"model": tmp_path / f"m{number}"}
        make_stage(calls).execute(settings, inputs, out, tmp_path / "state")
    assert calls == [RateSettings(depth=0), RateSettings(depth=1)]


def test_a_study_of_another_trainer_or_of_values_that_do_not_fit_is_refused(
    tmp_path: Path, frames: Path
) -> None:
    stage, out = make_stage([]), {"model": tmp_path / "model"}
    other = write_study(tmp_path / "other", trial(0, 0.2, 1), trainer="train_video")
    with pytest.raises(InputError, match="searched settings of train_video; give one of rate"):
        stage.execute(RateSettings(), {"frames": frames, "study": other}, out, tmp_path / "state")
    wide = write_study(tmp_path / "wide", trial(0, 1.5, 1))
    with pytest.raises(SettingsError, match="rate: "):
        stage.execute(RateSettings(), {"frames": frames, "study": wide}, out, tmp_path / "state")
    assert not out["model"].exists()


def write_task(folder: Path, **settings: object) -> Path:
    folder.mkdir()
    Task.create("meals", settings).save(folder)
    return folder


def test_of_a_task_a_stage_takes_what_it_knows_and_a_search_has_the_last_word(
    tmp_path: Path, frames: Path
) -> None:
    calls: list[RateSettings] = []
    stage, state = make_stage(calls), tmp_path / "state"
    task = write_task(tmp_path / "task", rate=0.3, depth=4, model_name="meals")
    inputs = {"frames": frames, "task": task}
    stage.execute(RateSettings(), inputs, {"model": tmp_path / "m"}, state)
    assert calls == [RateSettings(rate=0.3, depth=4)]
    stage.execute(
        RateSettings(rate=0.3, depth=4), {"frames": frames}, {"model": tmp_path / "n"}, state
    )
    assert len(calls) == 1, "the same work, done already"
    study = write_study(tmp_path / "study", trial(0, 0.2, 0.3))
    stage.execute(RateSettings(), {**inputs, "study": study}, {"model": tmp_path / "o"}, state)
    assert calls[1:] == [RateSettings(rate=0.2, depth=4)]


def test_a_task_that_says_nothing_of_a_stage_changes_nothing(tmp_path: Path, frames: Path) -> None:
    calls: list[RateSettings] = []
    task = write_task(tmp_path / "task", model_name="meals")
    inputs = {"frames": frames, "task": task}
    make_stage(calls).execute(
        RateSettings(depth=2), inputs, {"model": tmp_path / "m"}, tmp_path / "s"
    )
    assert calls == [RateSettings(depth=2)]


def test_a_task_whose_values_a_stage_refuses_is_refused_by_name(
    tmp_path: Path, frames: Path
) -> None:
    inputs = {"frames": frames, "task": write_task(tmp_path / "task", rate=3)}
    with pytest.raises(SettingsError, match="rate: "):
        make_stage([]).execute(RateSettings(), inputs, {"model": tmp_path / "m"}, tmp_path / "s")


def test_the_command_line_can_do_without_a_study(tmp_path: Path, frames: Path) -> None:
    calls: list[RateSettings] = []
    stage = make_stage(calls)
    assert "--study" in make_parser(stage).format_help()
    words = ["--frames", str(frames), "--state-dir", str(tmp_path / "state")]
    assert main(stage, [*words, "--model", str(tmp_path / "one")]) == 0
    study = write_study(tmp_path / "study", trial(0, 0.2, 1))
    words += ["--study", str(study), "--depth", "2"]
    assert main(stage, [*words, "--model", str(tmp_path / "two")]) == 0
    best = ["-f", str(study / "best.json"), *words[:4]]
    assert main(stage, [*best, "--model", str(tmp_path / "three")]) == 0
    assert calls == [
        RateSettings(),
        RateSettings(rate=0.2, depth=2),
        RateSettings(rate=0.2, depth=7),
    ]
