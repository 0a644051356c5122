"""FrameDataset: what is written is what is read, in windows and crops, after kills and damage."""

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from components.core.artifacts.frame_shards import ShardWriter, encode_clip
from components.core.artifacts.frames import FrameDataset, FrameReader, write_frames
from components.core.errors import InputError


def smooth(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8 gradients that differ from frame to frame."""
    rows, columns = np.mgrid[:height, :width]
    shift = np.arange(frames)[:, None, None] * 9 + seed * 31
    planes = (rows * 2 + shift, columns * 2 + shift, rows + columns + 0 * shift)
    return (np.stack(planes, axis=-1) % 200).astype(np.uint8)


CLIPS = [
    ("run/a.mp4", ["run"], "tape 1", smooth(6, 40, 48, 1), np.arange(6) / 25),
    ("run/b.mp4", ["run"], "tape 1", smooth(3, 40, 48, 2), np.arange(3) / 25),
    ("sit/c.mp4", ["sit", "run"], "", smooth(9, 52, 40, 3), np.arange(9) / 12.5),
]


@pytest.fixture(params=["raw", "jpeg"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> FrameReader:
    write_frames(
        tmp_path / "frames",
        CLIPS,
        ["run", "sit"],
        "parent",
        request.param,
        crop_margin=8,
        jpeg_quality=95,
        shard_bytes=4000,
    )
    return FrameReader(tmp_path / "frames")


def check(reader: FrameReader, found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() == 0 if reader.index.storage == "raw" else difference.mean() < 4


def test_frames_labels_and_times_come_back(stored: FrameReader) -> None:
    assert len(stored) == 3
    for number, (clip_id, labels, group, frames, times) in enumerate(CLIPS):
        entry = stored.index.clips[number]
        assert (entry.id, entry.labels, entry.group) == (clip_id, labels, group)
        assert (entry.frames, entry.height, entry.width) == frames.shape[:3]
        check(stored, stored.read(number, range(len(frames))), frames)
        assert stored.timestamps(number) == pytest.approx(times, abs=0)
    assert stored.index.frame_size == 32
    assert len(stored.index.shard_sizes) > 1


def test_windows_repeat_the_last_frame(stored: FrameReader) -> None:
    frames = CLIPS[1][3]
    check(stored, stored.read(1, [1, 2, 3, 4, 100]), frames[[1, 2, 2, 2, 2]])
    check(stored, stored.read(1, [2, 0, 2]), frames[[2, 0, 2]])
    assert stored.read(1, []).shape == (0, 40, 48, 3)


def test_crops(stored: FrameReader) -> None:
    frames = CLIPS[2][3]
    check(stored, stored.read(2, [0, 4], (5, 3, 20, 30)), frames[[0, 4], 5:25, 3:33])
    check(stored, stored.read(2, [8], (0, 0, 52, 40)), frames[[8]])
    for crop in [(33, 0, 20, 30), (-1, 0, 20, 30), (0, 11, 20, 30), (0, 0, 0, 30)]:
        with pytest.raises(ValueError, match=r"crop .* does not fit"):
            stored.read(2, [0], crop)


def test_reading_into_an_array(stored: FrameReader) -> None:
    out = np.zeros((2, 20, 30, 3), np.uint8)
    assert stored.read(2, [1, 2], (5, 3, 20, 30), out=out) is out
    check(stored, out, CLIPS[2][3][1:3, 5:25, 3:33])
    with pytest.raises(ValueError, match="C-contiguous uint8"):
        stored.read(2, [1, 2, 3], (5, 3, 20, 30), out=out)
    with pytest.raises(ValueError, match="start at 0"):
        stored.read(0, [-1])


def test_readers_travel_to_other_processes(stored: FrameReader) -> None:
    stored.read(0, [0])
    copy = pickle.loads(pickle.dumps(stored))
    check(copy, copy.read(0, [1]), CLIPS[0][3][[1]])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        check(stored, pool.apply(stored.read, (0, [1])), CLIPS[0][3][[1]])


def test_repeated_frames_share_their_bytes(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "work")
    clip = encode_clip(smooth(2, 8, 8), [0.0, 0.5], "raw", 90)
    twice = clip.__class__(
        clip.payload, clip.offsets[[0, 0, 1, 1]], clip.timestamps[[0, 0, 1, 1]], 8, 8, clip.checksum
    )
    writer.add("a/a", ["a"], "", twice)
    writer.finish(tmp_path / "out")
    fields = {"parent": "", "classes": ["a"], "storage": "raw", "frame_size": 8}
    FrameDataset.create(writer, **fields).save(tmp_path / "out")
    reader = FrameReader(tmp_path / "out")
    assert np.array_equal(reader.read(0, range(4)), smooth(2, 8, 8)[[0, 0, 1, 1]])
    assert (tmp_path / "out" / "shards" / "00000.bin").stat().st_size == 2 * 8 * 8 * 3


def test_same_frames_same_fingerprint(tmp_path: Path) -> None:
    def fingerprint(name: str, clips: list) -> str:
        return write_frames(tmp_path / name, clips, ["run", "sit"], "parent").fingerprint

    first = fingerprint("one", CLIPS)
    assert first == fingerprint("two", CLIPS)
    changed = [(*CLIPS[0][:3], CLIPS[0][3] + np.uint8(20), CLIPS[0][4]), *CLIPS[1:]]
    relabelled = [(CLIPS[0][0], ["sit"], *CLIPS[0][2:]), *CLIPS[1:]]
    assert len({first, fingerprint("three", changed), fingerprint("four", relabelled)}) == 3


def test_a_new_writer_takes_finished_shards_over(tmp_path: Path) -> None:
    clips = [encode_clip(frames, times, "raw", 90) for *_, frames, times in CLIPS]
    writer = ShardWriter(tmp_path, shard_bytes=1)
    writer.skip("bad", "broken")
    writer.add("a", ["run"], "", clips[0])
    writer.add("b", ["run"], "", clips[1])
    (tmp_path / ".partial-shard").write_bytes(b"begun")  # as SIGKILL leaves it
    (tmp_path / "00002.bin").write_bytes(b"complete, but without its record")
    again = ShardWriter(tmp_path, shard_bytes=1)
    assert again.done == 3
    assert [clip.id for clip in again.clips] == ["a", "b"]
    assert [skipped.reason for skipped in again.skipped] == ["broken"]
    left = {"00000.bin", "00000.json", "00001.bin", "00001.json"}
    assert {path.name for path in tmp_path.iterdir()} == left
    again.add("c", ["sit"], "", clips[2])
    assert again.clips[2].first == 9
    assert again.shard_sizes == [clip.offsets[-1, 1] for clip in clips]


def test_a_shard_of_another_size_than_its_record_is_made_again(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, shard_bytes=1)
    for number, (*_, frames, times) in enumerate(CLIPS):
        writer.add(str(number), ["run"], "", encode_clip(frames, times, "raw", 90))
    (tmp_path / "00001.bin").write_bytes(b"cut")
    assert ShardWriter(tmp_path, shard_bytes=1).done == 1


def test_damage_is_named(stored: FrameReader) -> None:
    shard = stored.directory / "shards" / "00000.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"00000\.bin is missing or does not have"):
        stored.read(0, [0])
    shard.unlink()
    with pytest.raises(InputError, match=r"00000\.bin is missing"):
        stored.read(0, [0])
    if stored.index.storage == "jpeg":
        shard.write_bytes(b"\0" * len(content))
        with pytest.raises(InputError, match=r"00000\.bin is damaged \(run/a\.mp4\)"):
            stored.read(0, [0])
    (stored.directory / "timestamps.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"timestamps\.npy is missing or damaged"):
        stored.timestamps(0)


def test_another_schema_is_refused(stored: FrameReader) -> None:
    index = stored.directory / "index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, "schema": "trainyard/split"}))
    with pytest.raises(InputError, match="'trainyard/frame-dataset' version 1 is needed"):
        FrameReader(stored.directory)


def test_an_unknown_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="storage must be jpeg or raw, got 'png'"):
        write_frames(tmp_path / "out", CLIPS, ["run", "sit"], storage="png")


def test_nothing_is_overwritten(tmp_path: Path, stored: FrameReader) -> None:
    with pytest.raises(OSError, match="not empty"):
        write_frames(stored.directory, CLIPS, ["run", "sit"])
    assert FrameReader(stored.directory).index == stored.index
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
