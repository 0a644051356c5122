"""The generated data set of TinyVIRAT's arrangement: what its tests and demonstration rely on."""

import json
from pathlib import Path

import av
import pytest

from components.core.artifacts.clips import ClipDataset
from components.core.errors import SettingsError
from components.core.files import same_tree
from components.core.settings import build
from components.dataset_sync.stage import STAGE, SyncSettings
from pipelines.demo import run_demo
from pipelines.demo_tinyvirat import CLASSES, FPS, SHORT, Extent, write_clips

SMALL = Extent(scenes=(2, 1), clips=10, frames=(12, 18), sides=(60, 70))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("demo") / "source", SMALL)


def test_the_same_call_writes_the_same_files(source: Path, tmp_path: Path) -> None:
    assert same_tree(source, write_clips(tmp_path / "again", SMALL))
    assert not same_tree(source, write_clips(tmp_path / "other", SMALL, seed=1))


def test_it_has_what_the_real_one_has(source: Path) -> None:
    assert (source / "classes.txt").read_text() == "\n".join(CLASSES)  # no final newline
    assert list(CLASSES) != sorted(CLASSES)
    parts = {}
    for part in ("train", "test"):
        tubes = json.loads((source / f"tiny_{part}.json").read_text())["tubes"]
        parts[part] = {tube["path"].partition("/")[0] for tube in tubes}
        assert any(len(tube["label"]) > 1 for tube in tubes)
        assert all(60 <= side <= 70 for tube in tubes for side in tube["dim"][1:])
        for tube in tubes:
            video = source / "videos" / part / tube["path"]
            pictures = video.with_name(f"{video.stem}_frames")
            assert video.exists() != pictures.exists()
            if video.exists():
                with av.open(str(video)) as opened:
                    assert sum(1 for _ in opened.decode(video=0)) == tube["dim"][0]
    assert parts == {"train": {"scene_00", "scene_01"}, "test": {"scene_02"}}


def test_it_is_read_with_its_one_flaw(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = build(
        SyncSettings, {"source": str(source), "layout": "tinyvirat", "frame_rate": FPS}
    )
    STAGE.execute(settings, {}, {"clips": tmp_path / "clips"}, tmp_path / "state")
    data = ClipDataset.load(tmp_path / "clips")
    assert data.classes == list(CLASSES)
    assert len(list(data.usable())) == 30
    assert [c.id for c in data.clips if c.frames == SHORT] == ["train/scene_00/1"]
    told = capfd.readouterr().err
    assert told.count("warning") == 1
    assert "missing or damaged: 1 picture of 1 clip " in told


def test_a_demo_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no demo of 'low_res.*did you mean 'low_resolution"):
        run_demo(tmp_path / "demo", name="low_resolution_action")
    assert not (tmp_path / "demo").exists()
