"""frame_extraction: which frames are stored, how, and what happens to clips that cannot be."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_datasets import write_dataset

from components.core.artifacts.clips import ClipDataset
from components.core.artifacts.frames import FrameReader
from components.core.errors import InputError, OutOfSpaceError, SettingsError
from components.core.events import Reporter
from components.core.files import same_tree
from components.core.settings import build
from components.core.video.encode import write_clip
from components.frame_extraction.stage import STAGE, ExtractionSettings


def extract(clips: Path, out: Path, **values: Any) -> FrameReader:
    settings = build(ExtractionSettings, {"crop_margin": 0, "workers": 2, **values})
    state = out.with_name(f"{out.name}-state")
    STAGE.execute(settings, {"clips": clips}, {"frames": out}, state, Reporter("test", "log"))
    return FrameReader(out)


def numbered(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Grey frames whose brightness is 4 + 8 times their number."""
    grey = (4 + 8 * np.arange(frames)).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (frames, height, width, 3)).copy()


def numbers(frames: np.ndarray) -> list[int]:
    return np.rint((frames.mean(axis=(1, 2, 3)) - 4) / 8).astype(int).tolist()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of six clips of 6, 11, … 31 frames at 25 fps, two classes."""
    folder = tmp_path_factory.mktemp("small")
    files = {}
    for number in range(6):
        clip_id = f"{'sit' if number % 2 else 'run'}/{number}.mp4"
        files[clip_id] = folder / f"{number}.mp4"
        write_clip(files[clip_id], numbered(6 + 5 * number), 25)
    write_dataset(folder / "clips", files)
    return folder / "clips"


@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_uniform(small: Path, tmp_path: Path, storage: str) -> None:
    reader = extract(small, tmp_path / "out", sample_frames=8, frame_size=32, storage=storage)
    index, dataset = reader.index, ClipDataset.load(small)
    assert [clip.id for clip in index.clips] == [clip.id for clip in dataset.clips]
    assert [clip.labels for clip in index.clips] == [clip.labels for clip in dataset.clips]
    assert (index.parent, index.classes) == (dataset.fingerprint, ["run", "sit"])
    assert index.sampling == {"mode": "uniform", "frames": 8}
    assert numbers(reader.read(0, range(8))) == [0, 1, 2, 3, 4, 5, 5, 5]  # the last one repeats
    assert [clip.frames for clip in index.clips] == [6, 8, 8, 8, 8, 8]
    expected = [int(31 / 8 * (k + 0.5)) for k in range(8)]
    assert numbers(reader.read(5, range(8))) == expected
    assert reader.timestamps(5) == pytest.approx(np.array(expected) / 25, abs=1e-4)
    assert reader.read(5, [0]).shape == (1, 32, 32, 3)


def test_fixed_rate_and_all(small: Path, tmp_path: Path) -> None:
    reader = extract(small, tmp_path / "fps", sampling="fps", sample_fps=5, frame_size=16)
    assert numbers(reader.read(5, range(7))) == [0, 5, 10, 15, 20, 25, 30]
    reader = extract(small, tmp_path / "all", sampling="all", frame_size=16)
    assert [clip.frames for clip in reader.index.clips] == [6, 11, 16, 21, 26, 31]
    assert numbers(reader.read(5, range(31))) == list(range(31))


def test_a_rate_above_the_clip_s_own_stores_frames_once(small: Path, tmp_path: Path) -> None:
    once = extract(small, tmp_path / "once", sampling="all", frame_size=16, storage="raw")
    twice = extract(
        small, tmp_path / "twice", sampling="fps", sample_fps=50, frame_size=16, storage="raw"
    )
    assert numbers(twice.read(0, range(12))) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert twice.index.shard_sizes == once.index.shard_sizes


def test_sizes(small: Path, tmp_path: Path) -> None:
    for resize, shape in {
        "stretch": (40, 40),
        "letterbox": (40, 40),
        "short_side": (40, 53),
    }.items():
        out = tmp_path / resize
        reader = extract(small, out, resize=resize, frame_size=32, crop_margin=8, sample_frames=2)
        assert reader.read(0, [0]).shape[1:3] == shape
        assert (reader.index.frame_size, reader.index.crop_margin) == (32, 8)
        bars = reader.read(0, [1])[0, 0].max() < 8
        assert bars == (resize == "letterbox")


@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_the_number_of_workers_changes_nothing(small: Path, tmp_path: Path, storage: str) -> None:
    for workers in (1, 3):
        extract(small, tmp_path / str(workers), storage=storage, frame_size=40, workers=workers)
    assert same_tree(tmp_path / "1", tmp_path / "3")


def test_a_second_run_reuses_the_first(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = extract(small, tmp_path / "out", frame_size=32)
    again = extract(small, tmp_path / "out", frame_size=32, workers=1)
    assert again.index == first.index
    assert "already done" in capsys.readouterr().err


def damaged(path: Path) -> Path:
    """A clip that opens, and gives its first frames only."""
    rng = np.random.default_rng(0)
    write_clip(path, rng.integers(0, 255, (40, 48, 64, 3), np.uint8), 25)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + len(content) // 3
    content[start : start + 20_000] = bytes(20_000)
    path.write_bytes(content)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Ten clips, of which one cannot be opened and one breaks on the way."""
    files = {}
    for number in range(8):
        files[f"run/{number}.mp4"] = tmp_path / f"{number}.mp4"
        write_clip(files[f"run/{number}.mp4"], numbered(4 + number), 25)
    files["run/5b.mp4"] = damaged(tmp_path / "damaged.mp4")
    (tmp_path / "text.mp4").write_text("no video at all")
    files["run/3b.mp4"] = tmp_path / "text.mp4"
    write_dataset(tmp_path / "mixed", dict(sorted(files.items())))
    return tmp_path / "mixed"


def test_unusable_clips_are_left_out_and_listed(mixed: Path, tmp_path: Path) -> None:
    reader = extract(mixed, tmp_path / "out", frame_size=32, max_bad_fraction=0.2)
    assert [clip.id for clip in reader.index.clips] == [f"run/{number}.mp4" for number in range(8)]
    reasons = {skipped.id: skipped.reason for skipped in reader.index.skipped}
    assert set(reasons) == {"run/3b.mp4", "run/5b.mp4"}
    assert reasons["run/3b.mp4"].startswith("open: Invalid data")
    assert reasons["run/5b.mp4"].startswith("decode: Invalid data")
    assert numbers(reader.read(7, range(11))) == list(range(11))


def test_too_many_unusable_clips_are_fatal(mixed: Path, tmp_path: Path) -> None:
    for fraction in (0.05, 0.15):  # more than 5 % are known before, more than 15 % are found
        with pytest.raises(InputError) as failure:
            extract(mixed, tmp_path / "out", frame_size=32, max_bad_fraction=fraction)
        assert f"max_bad_fraction={fraction}" in str(failure.value)
        assert "run/3b.mp4: open: Invalid data" in str(failure.value)
        assert not (tmp_path / "out").exists()
    assert "2 of 10 clips cannot be used" in str(failure.value)
    assert "run/5b.mp4: decode: Invalid data" in str(failure.value)


def test_nothing_usable(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    write_dataset(tmp_path / "clips", {"run/a.mp4": tmp_path / "text.mp4"})
    with pytest.raises(InputError, match="no usable clip"):
        extract(tmp_path / "clips", tmp_path / "out", max_bad_fraction=1.0)
    write_dataset(tmp_path / "none", {})
    with pytest.raises(InputError, match="holds no clips"):
        extract(tmp_path / "none", tmp_path / "out")


def test_what_cannot_fit_is_not_started(small: Path, tmp_path: Path) -> None:
    with pytest.raises(OutOfSpaceError) as failure:
        extract(small, tmp_path / "out", frame_size=8192, crop_margin=8192, storage="raw")
    # 6 + 11 + 16 + 21 + 26 + 31 frames of 16384 x 16384 x 3 bytes
    assert "at least 89,389 MB" in str(failure.value)
    assert "storage=jpeg" in str(failure.value)
    assert not (tmp_path / "out").exists()


def test_wrong_settings_are_reported_together() -> None:
    with pytest.raises(SettingsError) as failure:
        build(ExtractionSettings, {"sampling": "random", "frame_size": 0, "storage": "png"})
    for key in ("sampling: ", "frame_size: ", "storage: "):
        assert key in str(failure.value)
    assert "'uniform', 'fps' or 'all'" in str(failure.value)


def test_every_decoder_case(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "decoder_cases"
    with open(folder / "index.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 82
    write_dataset(tmp_path / "clips", {name: folder / name for name in rows})
    values = {"sampling": "all", "frame_size": 64, "max_bad_fraction": 0.1}
    reader = extract(tmp_path / "clips", tmp_path / "out", **values)
    frames = {clip.id: clip.frames for clip in reader.index.clips}
    assert frames == {n: int(row["frames_decoded"]) for n, row in rows.items() if not row["error"]}
    reasons = {skipped.id: skipped.reason for skipped in reader.index.skipped}
    expected = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert set(reasons) == set(expected)
    for name, error in expected.items():
        kind, _, exception = error.partition(": ")
        assert reasons[name].startswith(kind)
        assert exception in reasons[name]
    for number, clip in enumerate(reader.index.clips):
        assert reader.read(number, range(clip.frames)).shape == (clip.frames, 64, 64, 3)
        times = reader.timestamps(number)
        assert times[0] == 0
        assert np.all(np.diff(times) > 0)


def test_real_recordings(shared_data: Path, tmp_path: Path) -> None:
    falls = sorted((shared_data / "gmdcsa24_fall").glob("*/*.mp4"))
    fights = sorted((shared_data / "surv_fight").glob("*/*.mp4"))[::40]
    assert len(falls) == 18
    assert len(fights) >= 6
    clips = tmp_path / "clips"
    write_dataset(clips, {f"{path.parent.name}/{path.name}": path for path in falls + fights})
    reader = extract(clips, tmp_path / "out", sample_frames=16, frame_size=64, resize="letterbox")
    assert len(reader) == len(falls) + len(fights)
    assert not reader.index.skipped
    for number, clip in enumerate(reader.index.clips):
        frames = reader.read(number, range(16))
        assert clip.frames == 16
        assert frames.std(axis=(1, 2, 3)).min() > 10  # a picture, not a surface
        assert np.abs(frames[:-1].astype(int) - frames[1:]).mean() > 0.1  # that moves
