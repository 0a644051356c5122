"""The CSV that says what happens when within the clips."""

from pathlib import Path
from typing import Any

import pytest
from clips import make_clips
from tinyvirat import TinyVirat

from components.core.artifacts.clips import ClipDataset, Segment
from components.core.errors import InputError, ProblemsError
from components.core.settings import build
from components.dataset_sync.stage import STAGE, SyncSettings


def sync(tmp_path: Path, text: str, **values: Any) -> ClipDataset:
    """Synchronises `source` with a table of this content."""
    table = tmp_path / "segments.csv"
    table.write_text(text)
    settings = build(
        SyncSettings, {"source": str(tmp_path / "source"), "segments": str(table), **values}
    )
    STAGE.execute(settings, {}, {"clips": tmp_path / "out"}, tmp_path / "state")
    return ClipDataset.load(tmp_path / "out")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three clips of one second in two class folders."""
    make_clips(tmp_path / "source", "run/a.mp4", "run/b.mp4", "walk/a.mp4")
    return tmp_path


def test_clips_get_the_labels_of_their_segments(folders: Path) -> None:
    text = (
        "note,label,clip,start,end\r\n"
        "x,jump,run/a.mp4,0.5,0.75\r\n"
        ",walk,run/a.mp4,0,0.5\r\n"
        ",walk,run/a.mp4, 0.8 ,1.0\r\n"
    )
    data = sync(folders, text)
    assert data.classes == ["jump", "run", "walk"]
    first, second, third = data.clips
    assert first.labels == ["jump", "walk"]
    assert first.segments == [
        Segment(start=0, end=0.5, label="walk"),
        Segment(start=0.5, end=0.75, label="jump"),
        Segment(start=0.8, end=1, label="walk"),
    ]
    assert (second.labels, second.segments) == (["run"], [])
    assert (third.labels, third.segments) == (["walk"], [])


def test_every_bad_line_is_told_and_nothing_is_transferred(folders: Path) -> None:
    text = (
        "clip,start,end,label\n"
        "run/a.mp4,1,1,walk\n"
        "run/a.mp4,-0.5,1,walk\n"
        "run/a.mp4,0:05,nan,walk\n"
        "run/a.mp4,0,1,\n"
        "run/a.mp4,0\n"
        "run/none.mp4,0,1,walk\n"
        'run/a.mp4,0,1,"walk\nfast"\n'
    )
    with pytest.raises(InputError) as raised:
        sync(folders, text)
    told = str(raised.value)
    for part in (
        "7 problems",
        "line 2: end 1 is not after start 1",
        "line 3: start -0.5 is negative",
        "line 4: start '0:05' and end 'nan' is no number of seconds",
        "line 5: label is empty",
        "line 6: end, label is empty",
        r"line 9: label 'walk\nfast' has a line break",
        "1 clips are not in the data set: run/none.mp4; it has run/a.mp4, run/b.mp4, walk/a.mp4",
    ):
        assert part in told
    assert not list(folders.glob("state/dataset_sync/*/work/objects"))


def test_other_tables_are_refused_at_once(folders: Path) -> None:
    with pytest.raises(ProblemsError, match=r"lacks the columns start, end; it has clip, label"):
        sync(folders, "clip,label\nrun/a.mp4,walk\n")
    with pytest.raises(InputError, match="no lines below its header"):
        sync(folders, "clip,start,end,label\n")


def test_segments_after_the_end_are_told(folders: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sync(folders, "clip,start,end,label\nrun/a.mp4,0,1.05,run\nrun/b.mp4,0,7,run\n")
    assert "segments of 1 clips end after their clip: run/b.mp4" in capfd.readouterr().err


def test_labels_that_are_no_classes_are_refused_where_the_source_names_them(
    tmp_path: Path,
) -> None:
    source = TinyVirat(tmp_path / "source")
    source.video("train/s1/1", "walking")
    source.pictures("test/s2/1", "carrying", "walking")
    source.save()
    text = "clip,start,end,label\ntrain/s1/1,0,0.2,Pull\ntrain/s1/1,0.1,0.4,walking\n"
    data = sync(tmp_path, text, layout="tinyvirat")
    assert data.clips[1].labels == ["walking", "Pull"]  # in the order of classes.txt
    assert data.clips[0].labels == ["walking", "carrying"]
    with pytest.raises(InputError) as raised:
        sync(tmp_path, text + "train/s1/1,0,1,Pul\ntrain/s1/2,0,1,Pull\n", layout="tinyvirat")
    assert "label 'Pul' of 1 segments is no class; did you mean 'Pull'?" in str(raised.value)
    assert "1 clips are not in the data set: train/s1/2" in str(raised.value)
