"""Tasks for several experiments: results whole, old ones in the archive, exit codes true.

The stage here is a real one that writes a text; those of TAO are in test_tao_command.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydantic import Field

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, ProblemsError, StoppedError, TrainyardError
from components.core.settings import Settings
from components.core.stage import Job, Stage
from components.core.tao.key import VARIABLE
from components.core.tao.project import Project
from pipelines.demo_tao import write_project
from pipelines.tao_places import place, project_and_experiments
from pipelines.tao_running import require_sound, run
from pipelines.tao_steps import Step

SECRET = "tlt_encode"
DSSD, DETECTNET = "dssd_resnet18_01", "detectnetv2_resnet18_01"


class WriteSettings(Settings):
    """Settings of the stage here."""

    experiment: str = Field("", description="whose")
    text: str = Field("first", description="to write")
    bad: str = Field("", description="what is wrong")


def write(settings: WriteSettings, job: Job) -> None:
    if settings.text == "fail":
        raise InputError(f"TAO failed: -k {SECRET}")
    if settings.text == "stop":
        raise StoppedError("stopped by SIGTERM")
    folder = job.outputs["model"]
    folder.mkdir()
    (folder / "weights.txt").write_text(settings.text, encoding="utf-8")
    formats = {"text": "weights.txt"}
    ModelBundle(fingerprint=settings.text, name="text", formats=formats, task="none").save(folder)


def problem(settings: WriteSettings) -> list[TrainyardError]:
    return [InputError(f"{settings.experiment}: {settings.bad}")] if settings.bad else []


STAGE = Stage("write", WriteSettings, write, outputs={"model": "a text"}, check=problem)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tao")
    write_project(root)
    return root


@pytest.fixture
def project(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv("TRAINYARD_STATE_DIR", raising=False)
    shutil.copytree(written, tmp_path / "root")
    return Project.load(tmp_path / "root" / "projects" / "example")


def step(project: Project, name: str, text: str = "first", bad: str = "") -> Step:
    experiment = project.experiment(name)
    settings = WriteSettings(experiment=name, text=text, bad=bad)
    outputs = {"model": place(experiment, "model")}
    return Step("train", experiment, STAGE, settings, {}, outputs)


def content(project: Project, name: str) -> str:
    path = project.experiment(name).models / "model" / "weights.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def test_a_result_is_replaced_only_where_wanted_and_never_deleted(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([step(project, DSSD)], overwrite=False, keep_going=False) == 0
    assert run([step(project, DSSD)], overwrite=False, keep_going=False) == 0  # done already
    later = project.experiment(DSSD).models / "exported"
    later.mkdir()
    (later / "model.onnx").write_text("of the first", encoding="utf-8")

    with pytest.raises(ProblemsError, match=r"other settings, .*; --overwrite moves"):
        require_sound([step(project, DSSD, "second")], overwrite=False)
    require_sound([step(project, DSSD)], overwrite=False)
    assert content(project, DSSD) == "first"

    assert run([step(project, DSSD, "second")], overwrite=True, keep_going=False) == 0
    assert content(project, DSSD) == "second"
    (kept,) = project.layout.archive.iterdir()
    assert kept.name.startswith(f"{DSSD}-20")
    assert (kept / "model" / "weights.txt").read_text(encoding="utf-8") == "first"
    assert (kept / "exported" / "model.onnx").is_file()
    assert json.loads((kept / "train.json").read_text())["settings"]["text"] == "first"
    assert not later.exists()

    assert run([step(project, DSSD, "second")], overwrite=True, keep_going=False) == 0
    assert len(list(project.layout.archive.iterdir())) == 1
    assert "nothing has changed since" in capsys.readouterr().err


def test_a_result_whose_files_are_gone_is_none(project: Project) -> None:
    assert run([step(project, DSSD)], overwrite=False, keep_going=False) == 0
    (project.experiment(DSSD).models / "model" / "weights.txt").unlink()
    assert not step(project, DSSD).is_done
    with pytest.raises(ProblemsError, match=r"weights.txt is missing; --overwrite moves"):
        require_sound([step(project, DSSD)], overwrite=False)
    require_sound([step(project, DSSD)], overwrite=True)
    assert run([step(project, DSSD)], overwrite=True, keep_going=False) == 0
    assert content(project, DSSD) == "first"
    (kept,) = project.layout.archive.iterdir()
    assert [path.name for path in (kept / "model").iterdir()] == ["model.json"]


def test_a_failed_run_leaves_the_old_result_in_its_place(project: Project) -> None:
    assert run([step(project, DSSD)], overwrite=False, keep_going=False) == 0
    assert run([step(project, DSSD, "fail")], overwrite=True, keep_going=False) == 3
    assert content(project, DSSD) == "first"
    assert not project.layout.archive.exists()
    names = [path.name for path in project.experiment(DSSD).models.iterdir()]
    assert sorted(names) == ["model", "train.json"]


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_failure_stops_or_goes_on_and_the_exit_code_tells(
    project: Project, capsys: pytest.CaptureFixture[str], keep_going: bool
) -> None:
    chosen = [step(project, DSSD, "fail"), step(project, DETECTNET)]
    assert run(chosen, overwrite=False, keep_going=keep_going) == 3
    assert content(project, DETECTNET) == ("first" if keep_going else "")
    told = capsys.readouterr().err
    assert f"error: {DSSD}: TAO failed: -k ${VARIABLE}" in told
    assert SECRET not in told
    assert (f"not started: {DETECTNET}" in told) == (not keep_going)
    assert f"train: {int(keep_going)} of 2 experiments done" in told


def test_a_changed_specification_is_noticed(project: Project) -> None:
    assert run([step(project, DSSD)], overwrite=False, keep_going=False) == 0
    written = (project.experiment(DSSD).models / "train.json").read_text(encoding="utf-8")
    assert SECRET not in written
    assert json.loads(written)["experiment"]["head"] == "dssd"
    spec = project.layout.specs(DSSD) / "train.txt"
    spec.write_text(spec.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    with pytest.raises(ProblemsError, match="other settings, specifications or data"):
        require_sound([step(project, DSSD)], overwrite=False)


def test_a_stopped_task_ends_the_command_with_its_code(project: Project) -> None:
    chosen = [step(project, DSSD, "stop"), step(project, DETECTNET)]
    with pytest.raises(SystemExit) as ended:
        run(chosen, overwrite=False, keep_going=True)
    assert ended.value.code == 143
    assert content(project, DETECTNET) == ""


def test_problems_of_all_experiments_are_told_together(project: Project) -> None:
    chosen = [step(project, DSSD, bad="no template"), step(project, DETECTNET, bad="no data")]
    with pytest.raises(ProblemsError) as caught:
        require_sound(chosen, overwrite=False)
    assert caught.value.problems == [f"{DSSD}: no template", f"{DETECTNET}: no data"]


def test_work_is_kept_in_the_project(project: Project) -> None:
    run([step(project, DSSD)], overwrite=False, keep_going=False)
    assert list((project.folder / ".trainyard" / "write").iterdir())


def test_projects_are_found_by_path_and_by_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.layout.root)
    expected = project.folder, (DSSD, DETECTNET)
    assert project_and_experiments("example", [DSSD, DETECTNET, DSSD]) == expected
    assert project_and_experiments("", ["projects/example", DSSD, DETECTNET]) == expected
    with pytest.raises(InputError, match=r"'exampel' is no project.*did you mean 'example'"):
        project_and_experiments("", ["exampel", DSSD])
