"""Frames are chosen by the time at which they are on display."""

import numpy as np
import pytest

from components.core.video.sampling import Sampling, Timeline


def constant(frames: int, fps: float) -> Timeline:
    return Timeline(np.arange(frames) / fps, frames / fps)


def test_uniform_takes_the_middle_of_equal_parts() -> None:
    assert Sampling("uniform", 5).positions(constant(10, 25)).tolist() == [1, 3, 5, 7, 9]
    assert Sampling("uniform", 1).positions(constant(9, 25)).tolist() == [4]
    # 250 frames in 32 parts of 7.8125 frames: the middle of part k lies in frame 7.8125 (k + 0.5)
    expected = [int(7.8125 * (k + 0.5)) for k in range(32)]
    assert Sampling("uniform", 32).positions(constant(250, 25)).tolist() == expected


def test_a_clip_with_no_more_frames_than_wanted_gives_each_once() -> None:
    for frames in (1, 2, 31, 32):
        expected = list(range(frames))
        assert Sampling("uniform", 32).positions(constant(frames, 25)).tolist() == expected


def test_uniform_follows_time_where_the_rate_varies() -> None:
    # 20 frames in the first second, then 5 in another: half of the samples belong to each.
    times = np.concatenate([np.arange(20) / 20, 1 + np.arange(5) / 5])
    positions = Sampling("uniform", 10).positions(Timeline(times, 2.0))
    assert positions.tolist() == [2, 6, 10, 14, 18, 20, 21, 22, 23, 24]


@pytest.mark.parametrize("fps", [24, 25, 30, 30000 / 1001, 59.94, 120])
def test_the_clip_s_own_rate_takes_every_frame(fps: float) -> None:
    positions = Sampling("fps", fps=fps).positions(constant(300, fps))
    assert positions.tolist() == list(range(300))


def test_the_clip_s_own_rate_takes_every_frame_of_rounded_times() -> None:
    milliseconds = np.round(np.arange(300) * 1000 / 30) / 1000  # as Matroska stores 30 fps
    positions = Sampling("fps", fps=30).positions(Timeline(milliseconds, 10.0))
    assert positions.tolist() == list(range(300))


def test_lower_and_higher_rates() -> None:
    assert Sampling("fps", fps=5).positions(constant(25, 25)).tolist() == [0, 5, 10, 15, 20]
    assert Sampling("fps", fps=10).positions(constant(10, 25)).tolist() == [0, 2, 5, 7]
    doubled = Sampling("fps", fps=50).positions(constant(5, 25))
    assert doubled.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_fps_follows_time_where_the_rate_varies() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    positions = Sampling("fps", fps=5).positions(Timeline(times, 1.2))
    assert positions.tolist() == [0, 2, 2, 2, 2, 3]


def test_single_frames_and_clips_without_duration() -> None:
    still = Timeline(np.zeros(1), 0.0)
    for sampling in (Sampling("uniform", 8), Sampling("fps", fps=10), Sampling("all")):
        assert sampling.positions(still).tolist() == [0]


def test_records() -> None:
    assert Sampling("uniform", 32, 5.0).record() == {"mode": "uniform", "frames": 32}
    assert Sampling("fps", 32, 5.0).record() == {"mode": "fps", "fps": 5.0}
    assert Sampling("all").record() == {"mode": "all"}
