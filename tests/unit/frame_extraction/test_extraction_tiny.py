"""Tiny clips, videos and pictures alike, from TinyVIRAT's arrangement to what training reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyvirat import TinyVirat, numbers, write_pictures

from components.core.artifacts.frames import FrameReader
from components.core.settings import build
from components.core.stage import Stage
from components.core.training.clips import ClipExamples
from components.core.training.views import Window
from components.dataset_sync.stage import STAGE as SYNC
from components.frame_extraction.stage import STAGE as EXTRACT


def execute(stage: Stage[Any], folder: Path, values: dict[str, Any], **places: Path) -> None:
    inputs = {name: path for name, path in places.items() if name in stage.inputs}
    outputs = {name: path for name, path in places.items() if name in stage.outputs}
    stage.execute(build(stage.settings, values), inputs, outputs, folder / "state")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a long video, a short video, and red pictures; with segments."""
    folder = tmp_path_factory.mktemp("tiny")
    source = TinyVirat(folder / "source")
    source.pictures("train/s1/long", "walking", frames=110)
    source.video("train/s1/short", "Pull", "walking", frames=10)
    source.name("test/s2/red", ["carrying"], 52, side=71)
    red = np.zeros((52, 71, 71, 3), np.uint8)
    red[..., 0] = 220
    write_pictures(source.folder / "videos/test/s2/red_frames", red)
    source.save()
    (folder / "segments.csv").write_text(
        "clip,start,end,label\ntrain/s1/long,0.5,1.25,walking\ntrain/s1/long,1,3,Pull\n"
    )
    values = {
        "source": str(source.folder), "layout": "tinyvirat", "workers": 1,
        "segments": str(folder / "segments.csv"),
    }  # fmt: skip
    execute(SYNC, folder, values, clips=folder / "clips")
    return folder


def extract(folder: Path, out: Path, **values: Any) -> FrameReader:
    values = {"sampling": "all", "crop_margin": 0, "workers": 1, **values}
    execute(EXTRACT, out.parent, values, clips=folder / "clips", frames=out)
    return FrameReader(out)


@pytest.mark.parametrize("size", [14, 28, 56, 15])
@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_all_frames_are_kept_in_order_and_size(
    folder: Path, tmp_path: Path, size: int, storage: str
) -> None:
    reader = extract(folder, tmp_path / "frames", frame_size=size, storage=storage)
    red, long, short = reader.index.clips
    assert [clip.frames for clip in (red, long, short)] == [52, 110, 10]
    frames = reader.read(1, range(110))
    assert frames.shape == (110, size, size, 3)
    assert numbers(frames) == list(range(110))
    assert reader.timestamps(1) == pytest.approx(np.arange(110) / 30, abs=1e-6)
    colour = reader.read(0, [0, 51]).mean(axis=(0, 1, 2))
    assert colour == pytest.approx([220, 0, 0], abs=4)  # red, not blue


def test_segments_arrive_with_the_frames(folder: Path, tmp_path: Path) -> None:
    reader = extract(folder, tmp_path / "frames", frame_size=14)
    red, long, short = reader.index.clips
    assert [(s.start, s.end, s.label) for s in long.segments] == [
        (0.5, 1.25, "walking"), (1, 3, "Pull"),
    ]  # fmt: skip
    assert long.labels == ["walking", "Pull"]
    assert (red.segments, short.segments) == ([], [])


def test_segments_survive_an_interruption(folder: Path, tmp_path: Path) -> None:
    """A finished shard holds them too."""
    whole = extract(folder, tmp_path / "frames", frame_size=14)
    (record,) = tmp_path.glob("state/frame_extraction/*/work/shards/00000.json")
    assert '"label": "Pull"' in record.read_text()
    (result,) = tmp_path.glob("state/frame_extraction/*/results")
    result.rename(tmp_path / "gone")
    again = extract(folder, tmp_path / "again", frame_size=14)
    assert again.index == whole.index


def test_a_clip_shorter_than_the_window_repeats_its_last_frame(
    folder: Path, tmp_path: Path
) -> None:
    reader = extract(folder, tmp_path / "frames", frame_size=28)
    clips = ClipExamples(reader, [2, 1], Window(32, 1, 28), multi_label=True)
    batch = clips.batch(0, [0, 1])
    assert batch["frames"].shape == (2, 32, 28, 28, 3)
    assert numbers(batch["frames"][0].numpy(), step=6) == [*range(10), *[9] * 22]
    assert numbers(batch["frames"][1].numpy()) == list(range(39, 71))  # the middle
    assert batch["labels"].tolist() == [[1, 1, 0], [1, 1, 0]]
