"""Places to write to are looked at before the work; named files count by their content."""

from pathlib import Path

import pytest
from pydantic import Field

from components.core.artifacts.split import Split
from components.core.errors import ProblemsError
from components.core.settings import CONTENT, Settings, build
from components.core.stage import Job, Stage


class CopySettings(Settings):
    weights: str = Field("", description="A file", json_schema_extra=CONTENT)


def make_stage(calls: list[str], external: bool = False) -> Stage[CopySettings]:
    def copy(settings: CopySettings, job: Job) -> None:
        calls.append(Path(settings.weights).read_text() if settings.weights else "")
        job.outputs["split"].mkdir()
        Split.create(calls[-1], {}, {}).save(job.outputs["split"])

    outputs = {"split": "the copy"}
    return Stage("copy", CopySettings, copy, outputs=outputs, external=external)


def test_another_file_under_the_same_name_is_another_result(tmp_path: Path) -> None:
    calls: list[str] = []
    stage, weights = make_stage(calls), tmp_path / "weights.pt"
    settings = build(CopySettings, {"weights": str(weights)})
    for number, content in enumerate(["first", "second", "first"]):
        weights.write_text(content)
        out = tmp_path / str(number)
        stage.execute(settings, {}, {"split": out}, tmp_path / "state")
        assert Split.load(out).parent == content
    moved = weights.rename(tmp_path / "moved.pt")
    settings = build(CopySettings, {"weights": str(moved)})
    stage.execute(settings, {}, {"split": tmp_path / "3"}, tmp_path / "state")
    assert calls == ["first", "second"]


@pytest.mark.parametrize("kind", ["file", "folder", "below a file"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    kind: str, tmp_path: Path
) -> None:
    calls: list[str] = []
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    place = {"file": out / "mine.txt", "folder": out, "below a file": out / "mine.txt" / "x"}[kind]
    with pytest.raises(ProblemsError, match=r"choose another output path|cannot be written"):
        make_stage(calls).execute(CopySettings(), {}, {"split": place}, tmp_path / "state")
    assert calls == []
    assert (out / "mine.txt").read_text() == "mine"
    make_stage(calls).execute(CopySettings(), {}, {"split": tmp_path / "b"}, tmp_path / "state")
    assert calls == [""]


def test_a_finished_result_may_be_there_already(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        stage = make_stage(calls)
        stage.execute(CopySettings(), {}, {"split": tmp_path / "out"}, tmp_path / "state")
    assert calls == [""]


def test_what_a_sync_wrote_before_is_compared_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for run in ("one", "two"):
        monkeypatch.setenv("TRAINYARD_RUN_ID", run)
        stage = make_stage(calls, external=True)
        stage.execute(CopySettings(), {}, {"split": tmp_path / "out"}, tmp_path / "state")
    assert calls == ["", ""]
