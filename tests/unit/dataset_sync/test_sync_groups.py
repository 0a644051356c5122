"""The CSV that keeps clips of one recording together."""

from pathlib import Path

import pytest
from clips import make_clips

from components.core.artifacts.clips import ClipDataset
from components.core.errors import InputError
from components.core.settings import build
from components.dataset_sync.groups import read_groups
from components.dataset_sync.stage import STAGE, SyncSettings


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> str:
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "clip,group\nrun/a.mp4,one\nrun/b.mp4,two\n",
        "clip,label,source_group\nrun/a.mp4,run,one\nrun/b.mp4,run,two\n",
        "other_group,group,clip\nx,one,run/a.mp4\ny,two,run/b.mp4\n",
        'clip,group\r\n"run/a.mp4",one\r\nrun/b.mp4, two \r\nrun/b.mp4,two\r\n',
    ],
)
def test_finds_the_columns(tmp_path: Path, text: str) -> None:
    expected = {"run/a.mp4": "one", "run/b.mp4": "two"}
    assert read_groups(table(tmp_path, text)) == expected
    assert read_groups(table(tmp_path, text, "utf-8-sig")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has the columns \(none\); needed are `clip` and `group`"),
        ("clip,camera\na,b\n", "has the columns clip, camera"),
        ("clip,a_group,b_group\na,b,c\n", "one other column whose name ends in `group`"),
        ("clip,group\n", "no lines below its header"),
        ("clip,group\na,x\na,y\n,z\n", "a is in the groups 'x' and 'y'; line 4 names no clip"),
    ],
)
def test_refuses_what_is_no_such_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_groups(table(tmp_path, text))


def sync(tmp_path: Path, groups: str) -> ClipDataset:
    settings = build(SyncSettings, {"source": str(tmp_path / "source"), "groups": groups})
    STAGE.execute(settings, {}, {"clips": tmp_path / "out"}, tmp_path / "state")
    return ClipDataset.load(tmp_path / "out")


def test_unknown_and_missing_clips_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_clips(tmp_path / "source", "run/a.mp4", "run/b.mp4", "walk/a.mp4")
    data = sync(tmp_path, table(tmp_path, "clip,group\nrun/a.mp4,x\nwalk/a.mp4,x\nrun/z.mp4,y\n"))
    assert {clip.id: clip.group for clip in data.clips} == {
        "run/a.mp4": "x", "run/b.mp4": "", "walk/a.mp4": "x",
    }  # fmt: skip
    told = capfd.readouterr().err
    assert "groups names 1 clips that do not exist: run/z.mp4" in told
    assert "groups lacks 1 clips, each of which is a group of its own now: run/b.mp4" in told


def test_a_table_for_other_clips_is_refused(tmp_path: Path) -> None:
    make_clips(tmp_path / "source", "run/a.mp4")
    with pytest.raises(InputError, match=r"it names a\.mp4, the data set has run/a\.mp4"):
        sync(tmp_path, table(tmp_path, "clip,group\na.mp4,x\n"))


def test_real_recordings(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "source").symlink_to(shared_data / "surv_fight")
    data = sync(tmp_path, str(shared_data / "surv_fight" / "sources.csv"))
    assert data.classes == ["fight", "noFight"]
    assert len(list(data.usable())) == 243
    assert all(clip.group for clip in data.clips)
    assert 0.1 < sum(clip.duration for clip in data.clips) / 3600 < 0.3
