"""Decoding: the right frames at the right times, upright, in the right colours and shapes."""

import shutil
import socket
import subprocess
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg

from components.core.video.convert import RESIZES, Converter, Fit
from components.core.video.decode import (
    ClipError,
    Schedule,
    TimesError,
    announced,
    counted,
    open_video,
    wanted_frames,
)
from components.core.video.encode import write_clip
from components.core.video.sampling import Sampling

ALL = Sampling("all")
LOSSLESS = {"pixel_format": "yuv444p", "options": {"qp": "0"}}


def frames_of(
    path: Path, sampling: Sampling = ALL, fit: Fit | None = None, announce: bool = True
) -> tuple[np.ndarray, Schedule]:
    """(frames, H, W, 3) of the sampled positions, and the schedule."""
    with open_video(path) as video:
        schedule = announced(video) if announce else counted(path)
        first = video.stream
        fit = fit or Fit("short_side", min(first.width, first.height))
        convert = Converter(fit, schedule.pixel_aspect)
        wanted = set(sampling.positions(schedule.timeline).tolist())
        return np.stack(
            [convert.rgb(f) for _, f in wanted_frames(video, schedule, wanted)]
        ), schedule


def texture(frames: int, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8: blocks of colour that drift, so that frames refer to each other."""
    rng = np.random.default_rng(seed)
    picture = np.kron(
        rng.integers(30, 220, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1))
    )
    moved = [np.roll(picture, (t, 2 * t), (0, 1))[:height, :width] for t in range(frames)]
    return np.stack(moved).astype(np.uint8)


def numbered(frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Grey frames whose brightness is 4 + 8 times their number."""
    grey = (4 + 8 * np.arange(frames)).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (frames, height, width, 3)).copy()


def numbers(frames: np.ndarray) -> list[int]:
    return np.rint((frames.mean(axis=(1, 2, 3)) - 4) / 8).astype(int).tolist()


def quadrants(height: int = 48, width: int = 80) -> np.ndarray:
    """One frame with red, green, blue and white quarters (left to right, top to bottom)."""
    frame = np.full((1, height, width, 3), 255, np.uint8)
    frame[:, : height // 2, : width // 2] = (200, 0, 0)
    frame[:, : height // 2, width // 2 :] = (0, 200, 0)
    frame[:, height // 2 :, : width // 2] = (0, 0, 200)
    return frame


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_every_frame_in_order(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    write_clip(tmp_path / f"a{suffix}", numbered(30), 25, codec)
    found, schedule = frames_of(tmp_path / f"a{suffix}")
    assert numbers(found) == list(range(30))
    assert schedule.timeline.times == pytest.approx(np.arange(30) / 25, abs=0.001)
    assert schedule.timeline.end == pytest.approx(1.2, abs=0.001)


def test_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(20) / 20, 1 + np.arange(5) / 5])
    write_clip(tmp_path / "a.mp4", numbered(25), 20, timestamps=times.tolist())
    found, schedule = frames_of(tmp_path / "a.mp4", Sampling("uniform", 10))
    assert schedule.timeline.times == pytest.approx(times, abs=0.001)
    assert numbers(found) == [2, 6, 10, 14, 18, 20, 21, 22, 23, 24]


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    write_clip(
        tmp_path / "a.mkv", numbered(12), 30, timestamps=(8.333 + np.arange(12) / 30).tolist()
    )
    found, schedule = frames_of(tmp_path / "a.mkv", Sampling("fps", fps=10))
    assert numbers(found) == [0, 3, 6, 9]
    assert schedule.timeline.times[0] == 0
    assert schedule.timeline.end == pytest.approx(0.4, abs=0.002)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_are_exact_though_others_are_not_decoded(tmp_path: Path, codec: str) -> None:
    options = {"crf": "24"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
    write_clip(tmp_path / "a.mp4", texture(90), 25, codec, options=options)
    with av.open(str(tmp_path / "a.mp4")) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
        assert av.video.frame.PictureType.B in kinds
    everything, _ = frames_of(tmp_path / "a.mp4")
    some, schedule = frames_of(tmp_path / "a.mp4", Sampling("uniform", 13))
    positions = Sampling("uniform", 13).positions(schedule.timeline)
    assert np.array_equal(some, everything[positions])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_come_upright(tmp_path: Path, rotation: int) -> None:
    write_clip(tmp_path / "a.mp4", quadrants(), 5, rotation=rotation, **LOSSLESS)
    found, _ = frames_of(tmp_path / "a.mp4")
    expected = np.rot90(quadrants()[0], -rotation // 90)  # clockwise
    assert found[0].shape == expected.shape
    assert np.abs(found[0].astype(int) - expected).max() <= 3


@pytest.mark.parametrize("degrees", [0, 90])
def test_mirrored_pictures_come_upright(tmp_path: Path, degrees: int) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=5, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv444p"
        stream.set_display_rotation(degrees, hflip=True)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(quadrants()[0], "rgb24")))
        output.mux(stream.encode(None))
    found, _ = frames_of(path)
    assert np.abs(found[0].astype(int) - as_ffmpeg_shows(path, found[0].shape)).max() <= 3
    assert not np.array_equal(found[0], quadrants()[0])


@pytest.mark.parametrize("name", ["video_90", "video_180", "video_270"])
def test_phone_recordings_are_turned_as_ffmpeg_turns_them(shared_data: Path, name: str) -> None:
    path = shared_data / "decoder_cases" / "decord" / f"{name}.mov"
    found, _ = frames_of(path, Sampling("uniform", 1))
    shape = found[0].shape
    assert (shape[0] > shape[1]) == (name != "video_180")
    shown = as_ffmpeg_shows(path, shape, frame=1)
    assert np.abs(found[0].astype(int) - shown).mean() < 3


def as_ffmpeg_shows(path: Path, shape: tuple[int, ...], frame: int = 0) -> np.ndarray:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg command to compare with")
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)[frame].astype(int)


COLOURS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)], np.float64
)
MATRICES = {"bt601": (0.299, 0.114, 5), "bt709": (0.2126, 0.0722, 1), "bt2020": (0.2627, 0.0593, 9)}
"""Kr, Kb and FFmpeg's number: ITU-R BT.601, BT.709, BT.2020 (non-constant luminance)."""


def write_colours(path: Path, matrix: str, full: bool, bits: int) -> None:
    """A lossless clip of COLOURS side by side, from the recommendations' own formulas."""
    kr, kb, number = MATRICES[matrix]
    red, green, blue = COLOURS.T / 255
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
    top, unit = 2**bits - 1, 2 ** (bits - 8)
    if full:
        codes = np.stack([y * top, cb * top + 128 * unit, cr * top + 128 * unit])
    else:
        codes = np.stack([219 * y + 16, 224 * cb + 128, 224 * cr + 128]) * unit
    codes = np.clip(np.rint(codes), 0, top).astype(np.uint8 if bits == 8 else np.uint16)
    planes = np.broadcast_to(np.repeat(codes, 16, axis=1)[:, None], (3, 32, 96))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=5, options={"qp": "0"})
        stream.width, stream.height = 96, 32
        stream.pix_fmt = "yuv444p" if bits == 8 else "yuv444p10le"
        stream.codec_context.colorspace = number
        stream.codec_context.color_range = 2 if full else 1
        frame = av.VideoFrame(96, 32, stream.pix_fmt)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((32, plane.line_size // values.itemsize), values.dtype)
            rows[:, :96] = values
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range = number, 2 if full else 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_colours(tmp_path: Path, matrix: str, full: bool, bits: int) -> None:
    write_colours(tmp_path / "a.mkv", matrix, full, bits)
    with open_video(tmp_path / "a.mkv") as video:
        schedule = announced(video)
        ((_, frame),) = wanted_frames(video, schedule, {0})
        convert = Converter(Fit("short_side", 64))
        rgb = convert.rgb(frame)
        jpeg = simplejpeg.decode_jpeg(convert.jpeg(frame, 95))
    middles = np.arange(6) * 32 + 16
    assert np.abs(rgb[32, middles] - COLOURS).max() <= 2
    assert np.abs(jpeg[32, middles] - COLOURS).max() <= 4


def test_jpeg_shows_what_rgb_shows(tmp_path: Path) -> None:
    for rotation, resize, size in product((0, 90), RESIZES, (48, 49)):
        write_clip(tmp_path / "a.mp4", texture(1), 5, rotation=rotation)
        with open_video(tmp_path / "a.mp4") as video:
            schedule = announced(video)
            ((_, frame),) = wanted_frames(video, schedule, {0})
            convert = Converter(Fit(resize, size))
            jpeg = simplejpeg.decode_jpeg(convert.jpeg(frame, 95)).astype(int)
            same = simplejpeg.encode_jpeg(convert.rgb(frame), 95, "RGB", "420")
        assert jpeg.shape == (*convert.stored, 3)
        difference = jpeg - simplejpeg.decode_jpeg(same)
        assert np.abs(difference @ (0.299, 0.587, 0.114)).mean() < 1  # brightness
        assert np.abs(difference).mean() < 6


def test_fits() -> None:
    assert Fit("stretch", 224, 16).stored(100, 400) == (240, 240)
    assert Fit("letterbox", 224, 16).scaled(100, 400) == (60, 240)
    assert Fit("letterbox", 224, 16).stored(100, 400) == (240, 240)
    assert Fit("short_side", 224, 16).stored(100, 400) == (240, 960)
    assert Fit("short_side", 224, 16).stored(400, 100) == (960, 240)
    assert Fit("letterbox", 64).scaled(1, 4000) == (1, 64)
    assert Fit("stretch", 64).stored(1, 1) == (64, 64)


def test_letterbox_centres_the_whole_picture_on_black(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", quadrants(40, 80), 5, **LOSSLESS)
    (found,), _ = frames_of(tmp_path / "a.mp4", fit=Fit("letterbox", 80))
    assert not found[:20].any()
    assert not found[60:].any()
    assert np.abs(found[20:60].astype(int) - quadrants(40, 80)[0]).max() <= 3


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 80, 80, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(quadrants(80, 80)[0], "rgb24")))
        output.mux(stream.encode(None))
    (found,), schedule = frames_of(path, fit=Fit("short_side", 40))
    assert schedule.pixel_aspect == 2
    assert found.shape == (40, 80, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (241, 321)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.full((4, *size, 3), (180, 60, 120), np.uint8)
    write_clip(tmp_path / "a.mp4", picture, 5, **LOSSLESS)
    for resize in ("stretch", "letterbox", "short_side"):
        found, _ = frames_of(tmp_path / "a.mp4", fit=Fit(resize, 33))
        assert np.abs(found[:, 16, found.shape[2] // 2].astype(int) - (180, 60, 120)).max() <= 3


def comb(frames: np.ndarray) -> float:
    """How much lines differ from the mean of their neighbours: the mark of interlacing."""
    lines = frames.astype(float)
    return float(np.abs(lines[:, 1:-1] - (lines[:, :-2] + lines[:, 2:]) / 2).mean())


def test_interlaced_frames_are_deinterlaced(tmp_path: Path) -> None:
    bar = np.zeros((24, 64, 96, 3), np.uint8)
    for t in range(24):
        bar[t, :, 3 * t : 3 * t + 20] = 220
    woven = bar[::2].copy()
    woven[:, 1::2] = bar[1::2, 1::2]  # the second field shows the next moment
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as output:
        options = {"flags": "+ildct+ilme", "qscale": "2"}
        stream = output.add_stream("mpeg2video", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv422p"
        for image in woven:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    found, _ = frames_of(path)
    assert len(found) == 12
    assert comb(woven) > 10
    assert comb(found) < 0.2 * comb(woven)
    some, _ = frames_of(path, Sampling("uniform", 4))
    assert np.array_equal(some, found[[1, 4, 7, 10]])


def test_progressive_frames_are_left_alone(tmp_path: Path) -> None:
    stripes = np.zeros((3, 32, 48, 3), np.uint8)
    stripes[:, ::2] = 200
    write_clip(tmp_path / "a.mp4", stripes, 5, **LOSSLESS)
    found, _ = frames_of(tmp_path / "a.mp4")
    assert np.abs(found.astype(int) - stripes).max() <= 3


def test_packets_that_lie_about_the_order_are_noticed(shared_data: Path) -> None:
    path = shared_data / "decoder_cases" / "mmaction2" / "test.avi"  # packed B-frames
    with pytest.raises(TimesError):
        frames_of(path)
    found, schedule = frames_of(path, announce=False)
    assert len(found) == 164
    assert np.all(np.diff(schedule.timeline.times) > 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("decord/corrupted.mp4", "decode: Invalid data"),
        ("derived/truncated_tail_faststart.mp4", "decode: Invalid data"),
        ("derived/audio_only.mp4", "no video stream"),
        ("derived/text_named.mp4", "open: Invalid data"),
    ],
)
@pytest.mark.parametrize("sampling", [Sampling("all"), Sampling("uniform", 2)])
def test_broken_clips_are_named_whatever_is_wanted(
    shared_data: Path, name: str, reason: str, sampling: Sampling
) -> None:
    if name == "decord/corrupted.mp4" and sampling.mode == "uniform":
        sampling = Sampling("uniform", 8)  # two samples end before the damage
    with pytest.raises(ClipError, match=reason):
        frames_of(shared_data / "decoder_cases" / name, sampling)


def test_a_playlist_does_not_make_us_fetch_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/part.ts"
        path = tmp_path / "clip.mp4"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n")
        with pytest.raises(ClipError):
            frames_of(path)
        with pytest.raises(TimeoutError):
            server.accept()
