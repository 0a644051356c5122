"""Numbered pictures become one Motion-JPEG file, bit by bit, and go through the usual decoder."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from tinyvirat import numbered, numbers, write_pictures

from components.core.video.convert import Converter, Fit
from components.core.video.decode import ClipError, announced, open_video, wanted_frames
from components.core.video.picture_clip import write_picture_clip
from components.core.video.probe import probe


def decoded(path: Path, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """All frames as extraction makes them, and their times."""
    with open_video(path) as video:
        schedule = announced(video)
        convert = Converter(Fit("stretch", side))
        count = len(schedule.timeline.times)
        frames = [convert.rgb(f) for _, f in wanted_frames(video, schedule, set(range(count)))]
    return np.stack(frames), schedule.timeline.times


@pytest.mark.parametrize("fps", [30.0, 12.5, 29.97, 30_000 / 1001, 240.0])
def test_frames_come_at_their_times(tmp_path: Path, fps: float) -> None:
    pictures = dict(enumerate(write_pictures(tmp_path / "pictures", numbered(110))))
    made = write_picture_clip(tmp_path / "clip.avi", pictures, fps)
    assert (made.frames, made.missing, made.damaged) == (110, [], [])
    frames, times = decoded(tmp_path / "clip.avi")
    assert numbers(frames) == list(range(110))
    rate = float(Fraction(fps).limit_denominator(65_535))
    assert times == pytest.approx(np.arange(110) / rate, abs=1e-9)
    found = probe(tmp_path / "clip.avi")
    assert (found.frames, found.width, found.height, found.error) == (110, 32, 32, "")
    assert found.duration == pytest.approx(110 / fps, rel=1e-5)


@pytest.mark.parametrize("chroma", ["444", "420", "422", "Gray"])
def test_colours_are_those_of_another_decoder(tmp_path: Path, chroma: str) -> None:
    """Reference: libjpeg-turbo. Plain areas, so that chroma upsampling does not matter."""
    rng = np.random.default_rng(0)
    pictures, expected = {}, []
    for number in range(6):
        frame = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (33, 47, 3))
        pictures[number] = tmp_path / f"{number}.jpg"
        pictures[number].write_bytes(
            simplejpeg.encode_jpeg(np.ascontiguousarray(frame), 95, "RGB", chroma)
        )
        expected.append(simplejpeg.decode_jpeg(pictures[number].read_bytes()))
    write_picture_clip(tmp_path / "clip.avi", pictures, 30)
    with open_video(tmp_path / "clip.avi") as video:
        wanted = wanted_frames(video, announced(video), set(range(6)))
        frames = [frame.to_ndarray(format="rgb24") for _, frame in wanted]
    difference = np.abs(np.stack(frames).astype(int) - np.stack(expected))
    assert difference.max() <= 3


def test_the_file_holds_the_pictures_and_is_the_same_every_time(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "pictures", numbered(9))
    pictures = {number: path for number, path in enumerate(paths) if number != 4}
    write_picture_clip(tmp_path / "a.avi", pictures, 30, frames=11)
    write_picture_clip(tmp_path / "b.avi", dict(reversed(pictures.items())), 30, frames=11)
    content = (tmp_path / "a.avi").read_bytes()
    assert content == (tmp_path / "b.avi").read_bytes()
    assert [content.count(path.read_bytes()) for path in paths] == [1, 1, 1, 2, 0, 1, 1, 1, 3]


def test_holes_are_filled_up_to_a_limit(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "pictures", numbered(8))
    made = write_picture_clip(tmp_path / "a.avi", {2: paths[2], 7: paths[7]}, 30, frames=10)
    assert (made.frames, made.missing) == (10, [0, 1, 3, 4, 5, 6, 8, 9])
    assert numbers(decoded(tmp_path / "a.avi")[0]) == [2, 2, 2, 2, 2, 2, 2, 7, 7, 7]
    with pytest.raises(ClipError, match="1001 frames in a row have none, from 1 on; at most 1000"):
        write_picture_clip(tmp_path / "b.avi", {0: paths[0]}, 30, frames=1002)
    with pytest.raises(ClipError, match="none of 0 is a JPEG picture"):
        write_picture_clip(tmp_path / "b.avi", {}, 30, frames=1002)


def test_one_picture_is_a_clip(tmp_path: Path) -> None:
    (path,) = write_pictures(tmp_path / "pictures", numbered(1))
    write_picture_clip(tmp_path / "a.avi", {0: path}, 30)
    found = probe(tmp_path / "a.avi")
    assert (found.frames, found.error) == (1, "")
    assert found.duration == pytest.approx(1 / 30, abs=1e-5)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    pictures = dict(enumerate(write_pictures(tmp_path / "pictures", numbered(9))))
    with pytest.raises(OSError, match="No space left on device"):
        write_picture_clip(Path("/dev/full"), pictures, 30)
