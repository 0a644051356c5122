"""The clip writer: what it writes decodes to what it got, always in the same bytes."""

from pathlib import Path

import av
import numpy as np
import pytest

from components.core.video.encode import write_clip


def moving(frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    clip = np.zeros((frames, height, width, 3), np.uint8)
    for t in range(frames):
        clip[t, :, 4 * t : 4 * t + 16] = (220, 120, 30)
    return clip


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_frames_survive(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / name, moving(), 12.5, pixel_format="yuv444p", options={"qp": "0"})
    with av.open(str(tmp_path / name)) as container:
        frames = list(container.decode(video=0))
    found = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    assert np.abs(found.astype(int) - moving()).max() <= 3
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 12.5, abs=0.001)


def test_same_call_same_bytes(tmp_path: Path) -> None:
    contents, ballast = set(), []
    for number in range(8):
        ballast.append(np.random.default_rng(number).bytes(100_000 * number))  # moves memory about
        write_clip(tmp_path / "a.mp4", moving(30), 25)
        contents.add((tmp_path / "a.mp4").read_bytes())
    assert len(contents) == 1


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown suffix"):
        write_clip(tmp_path / "a.xyz", moving(), 25)
    with pytest.raises(ValueError, match="even sizes, got 63x48"):
        write_clip(tmp_path / "a.mp4", moving()[:, :, :63], 25)
    with pytest.raises(ValueError, match=r"\(T, H, W, 3\) uint8"):
        write_clip(tmp_path / "a.mp4", moving()[0], 25)
    assert not list(tmp_path.iterdir())
