"""Probing: measured figures, a reason for every file that cannot be used, never an exception."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from components.core.video.encode import write_clip
from components.core.video.probe import Probe, probe


def test_figures(tmp_path: Path) -> None:
    frames = np.zeros((30, 48, 64, 3), np.uint8)
    write_clip(tmp_path / "a.mp4", frames, 30000 / 1001, rotation=90)
    found = probe(tmp_path / "a.mp4")
    assert found == Probe(
        duration=pytest.approx(1.001, abs=1e-4),
        fps=pytest.approx(29.97, abs=1e-2),
        frames=30,
        width=48,
        height=64,
        rotation=90,
    )


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_clockwise(tmp_path: Path, rotation: int) -> None:
    write_clip(tmp_path / "a.mov", np.zeros((2, 48, 64, 3), np.uint8), 10, rotation=rotation)
    found = probe(tmp_path / "a.mov")
    assert found.rotation == rotation
    assert (found.width, found.height) == ((48, 64) if rotation in (90, 270) else (64, 48))


def test_a_variable_rate_is_averaged_over_the_duration(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(20) / 20, 1 + np.arange(5) / 5])
    frames = np.zeros((25, 32, 32, 3), np.uint8)
    write_clip(tmp_path / "a.mp4", frames, 20, timestamps=times.tolist())
    found = probe(tmp_path / "a.mp4")
    assert found.duration == pytest.approx(2.0, abs=0.01)
    assert found.fps == pytest.approx(12.5, abs=0.1)


def test_files_of_a_header_that_lies(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), np.uint8)
    write_clip(tmp_path / "whole.mkv", frames, 25)
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) * 2 // 3])
    found = probe(tmp_path / "cut.mkv")
    assert 20 < found.frames < 40
    assert found.duration == pytest.approx(found.frames / 25, abs=0.05)
    assert found.error == ""


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("Dear diary,")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")  # reading it would wait for ever
    for name in ("empty", "text"):
        assert probe(tmp_path / f"{name}.mp4").error.startswith("open: Invalid data")
    for name in ("folder", "pipe", "absent"):
        assert probe(tmp_path / f"{name}.mp4") == Probe(error="open: not a file")


def test_every_decoder_case(shared_data: Path) -> None:
    folder = shared_data / "decoder_cases"
    with open(folder / "index.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    known = {".csv", ".md", ""}
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in known
    }
    assert found == set(rows)
    for name, row in rows.items():
        result = probe(folder / name)
        if row["error"] and not row["error"].startswith("decode"):
            assert result.error.startswith(row["error"].partition(":")[0]), name
            assert result == Probe(error=result.error)
            continue
        assert result.error == "", name
        turned = abs(int(row["rotation_deg"])) == 90
        width, height = int(row["width"]), int(row["height"])
        assert (result.width, result.height) == ((height, width) if turned else (width, height))
        assert result.rotation == -int(row["rotation_deg"]) % 360, name
        if not row["error"]:
            assert result.frames == int(row["frames_decoded"]), name
            if row["duration_s"]:
                assert result.duration == pytest.approx(float(row["duration_s"]), abs=0.05), name
