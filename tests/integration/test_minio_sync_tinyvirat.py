"""dataset_sync of TinyVIRAT from a real MinIO: many small pictures, killed, changed, damaged."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy, running_proxy
from servers import S3Server
from tinyvirat import TinyVirat

from components.core.artifacts.clips import ClipDataset
from components.core.errors import InputError, StoppedError

REPOSITORY = Path(__file__).parents[2]
FRAMES = 40
CLIPS = 6


class Project:
    """Clips as pictures, one as a video, in a bucket; a proxy before it, and a state directory."""

    def __init__(self, client: Any, bucket: str, proxy: Proxy, folder: Path) -> None:
        self.client, self.bucket, self.proxy, self.folder = client, bucket, proxy, folder
        source = TinyVirat(folder / "local")
        for number in range(CLIPS):
            part = "test" if number == 0 else "train"
            source.pictures(f"{part}/s{number % 2}/{number}", "walking", frames=FRAMES + number)
        source.video("train/s1/video", "Pull", "carrying")
        self.local = source.save()
        for path in self.local.rglob("*"):
            if path.is_file():
                self.upload(path.relative_to(self.local).as_posix())
        self.runs = 0

    def upload(self, name: str) -> None:
        self.client.fput_object(self.bucket, f"set/{name}", str(self.local / name))

    @property
    def out(self) -> Path:
        return self.folder / f"out{self.runs}"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Starts `python -m components.dataset_sync` with a new output."""
        self.runs += 1
        self.proxy.requests.clear()
        command = [sys.executable, "-m", "components.dataset_sync", "--layout", "tinyvirat"]
        command += ["--source", f"s3://{self.bucket}/set", "--clips", str(self.out)]
        command += ["--state-dir", str(self.folder / "state"), *options]
        return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)

    def sync(self, *options: str) -> ClipDataset:
        process = self.start(*options)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        return ClipDataset.load(self.out)

    def fetched(self) -> Counter[str]:
        """How many files of each folder were requested since the last start."""
        prefix = f"GET /{self.bucket}/set/videos/"
        lines = (line for line in self.proxy.requests if prefix in line)
        return Counter(os.path.dirname(line.removeprefix(prefix)) for line in lines)

    def staged(self) -> list[Path]:
        return list(self.folder.glob("state/dataset_sync/*/work/staging/*"))

    def mirrored(self) -> int:
        return len(list(self.folder.glob("state/dataset_sync/*/work/objects/*/*")))

    def wait_for(self, files: int) -> None:
        deadline = time.monotonic() + 30
        while self.mirrored() < files:
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)


@pytest.fixture
def project(
    minio: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    with running_proxy(minio.endpoint.removeprefix("http://")) as proxy:
        monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", f"http://{proxy.address}")
        yield Project(minio.client(), bucket, proxy, tmp_path)


def test_a_bucket_gives_the_same_clips_as_a_folder(project: Project) -> None:
    from_bucket = project.sync()
    assert project.fetched() == {
        "test/s0/0_frames": 40, "train/s1/1_frames": 41, "train/s0/2_frames": 42,
        "train/s1/3_frames": 43, "train/s0/4_frames": 44, "train/s1/5_frames": 45, "train/s1": 1,
    }  # fmt: skip
    from_folder = project.sync("--source", str(project.local))
    assert from_bucket.fingerprint == from_folder.fingerprint
    assert from_bucket.source == f"s3://{project.bucket}/set"
    assert [clip.frames for clip in from_bucket.clips] == [40, 42, 44, 41, 43, 45, 12]


def test_only_the_clip_whose_picture_changed_is_fetched_again(project: Project) -> None:
    before = project.sync()
    assert project.sync() == before
    assert project.fetched() == {}
    frames = project.local / "videos/train/s1/3_frames"
    (frames / "frame_4.jpg").write_bytes((frames / "frame_9.jpg").read_bytes())
    project.upload("videos/train/s1/3_frames/frame_4.jpg")
    after = project.sync()
    assert project.fetched() == {"train/s1/3_frames": 43}
    changed = [new.id for old, new in zip(before.clips, after.clips, strict=True) if old != new]
    assert changed == ["train/s1/3"]


def test_pictures_are_fetched_at_the_same_time_also_those_of_one_clip(project: Project) -> None:
    """255 pictures at 0.1 s each: 25 s one after the other, over 4 s clip by clip."""
    project.proxy.delay = 0.1
    process = project.start("--connections", "40")
    while not project.fetched():
        assert process.poll() is None
        time.sleep(0.01)
    began = time.monotonic()
    while sum(project.fetched().values()) < 256:
        assert process.poll() is None
        time.sleep(0.01)
    assert time.monotonic() - began < 3
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_interrupted_it_keeps_whole_clips_and_continues(
    project: Project, how: signal.Signals
) -> None:
    project.proxy.delay = 0.02
    process = project.start("--connections", "2")
    project.wait_for(3)
    process.send_signal(how)
    process.communicate()
    assert process.returncode == (-9 if how == signal.SIGKILL else StoppedError.exit_code)
    if how == signal.SIGTERM:
        assert project.staged() == []
    assert not project.out.exists()
    project.proxy.delay = 0.0
    data = project.sync()
    assert sum(project.fetched().values()) <= 4 * 45 + 1
    assert project.staged() == []
    assert data.fingerprint == project.sync("--source", str(project.local)).fingerprint


def test_damage_on_the_way_is_repaired(project: Project) -> None:
    project.proxy.delay = 0.01
    process = project.start("--connections", "3")
    while not project.fetched():  # the listing is behind us
        assert process.poll() is None
        time.sleep(0.01)
    project.proxy.flips = [500] * 3
    project.proxy.cuts = [450] * 3
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert (project.proxy.flips, project.proxy.cuts) == ([], [])
    data = ClipDataset.load(project.out)
    assert data.fingerprint == project.sync("--source", str(project.local)).fingerprint


def test_missing_annotations_are_told_together(project: Project) -> None:
    for name in ("classes.txt", "tiny_test.json"):
        project.client.remove_object(project.bucket, f"set/{name}")
    process = project.start()
    said = process.communicate()[1]
    assert process.returncode == InputError.exit_code
    assert "set/classes.txt does not exist" in said
    assert "set/tiny_test.json does not exist" in said
    assert project.fetched() == {}
