"""dataset_sync from a real MinIO: as a process, through a proxy, killed and run again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from clips import make_clips
from proxy import Proxy, running_proxy
from servers import S3Server

from components.core.artifacts.clips import ClipDataset
from components.core.errors import InputError, ServiceError, StoppedError
from components.core.settings import build
from components.core.storage import endpoint
from components.dataset_sync.stage import STAGE, SyncSettings

REPOSITORY = Path(__file__).parents[2]
CLIPS = [f"{name}/{number:02}.mp4" for name in ("run", "walk") for number in range(20)]


class Project:
    """Clips in a bucket, a proxy before it, and a state directory."""

    def __init__(self, client: Any, bucket: str, proxy: Proxy, folder: Path) -> None:
        self.client, self.bucket, self.proxy, self.folder = client, bucket, proxy, folder
        self.local = make_clips(folder / "local", *CLIPS)
        for name in CLIPS:
            self.upload(name)
        self.runs = 0

    def upload(self, name: str, target: str = "") -> None:
        self.client.fput_object(self.bucket, f"set/{target or name}", str(self.local / name))

    @property
    def out(self) -> Path:
        return self.folder / f"out{self.runs}"

    def start(self, *options: str, source: str = "") -> subprocess.Popen[str]:
        """Starts `python -m components.dataset_sync` with a new output."""
        self.runs += 1
        self.proxy.requests.clear()
        source = source or f"s3://{self.bucket}/set"
        command = [sys.executable, "-m", "components.dataset_sync", "--source", source]
        command += ["--clips", str(self.out), "--state-dir", str(self.folder / "state"), *options]
        return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)

    def sync(self, *options: str) -> ClipDataset:
        process = self.start(*options)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        return ClipDataset.load(self.out)

    def refused(self, *options: str, source: str = "") -> tuple[int, str]:
        """Exit code and message of a run that must fail."""
        process = self.start(*options, source=source)
        said = process.communicate()[1]
        assert not self.out.exists()
        return process.returncode, said

    def fetched(self) -> list[str]:
        """Names of the clips that were requested since the last start."""
        prefix = f"GET /{self.bucket}/set/"
        return [line.removeprefix(prefix) for line in self.proxy.requests if prefix in line]

    def staged(self) -> list[Path]:
        return list(self.folder.glob("state/dataset_sync/*/work/staging/*"))

    def mirrored(self) -> int:
        return len(list(self.folder.glob("state/dataset_sync/*/work/objects/*/*")))


@pytest.fixture
def project(
    minio: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    with running_proxy(minio.endpoint.removeprefix("http://")) as proxy:
        monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", f"http://{proxy.address}")
        yield Project(minio.client(), bucket, proxy, tmp_path)


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def children(process: subprocess.Popen[str]) -> list[int]:
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in listing.read_text().split()]


def test_a_bucket_gives_the_same_data_set_as_a_folder(project: Project) -> None:
    from_bucket = project.sync()
    from_folder = project.sync("--source", str(project.local))
    assert from_bucket.fingerprint == from_folder.fingerprint
    assert from_bucket.source == f"s3://{project.bucket}/set"
    assert len(from_bucket.clips) == len(CLIPS)


def test_only_new_and_changed_objects_are_fetched(project: Project) -> None:
    project.sync()
    assert sorted(project.fetched()) == CLIPS
    project.sync()
    assert project.fetched() == []
    project.upload("run/00.mp4", "run/new.mp4")
    project.upload("run/01.mp4", "walk/00.mp4")
    data = project.sync()
    assert sorted(project.fetched()) == ["run/new.mp4", "walk/00.mp4"]
    assert len(data.clips) == len(CLIPS) + 1
    project.client.remove_object(project.bucket, "set/run/00.mp4")
    assert len(project.sync().clips) == len(CLIPS) + 1
    assert len(project.sync("--mirror", "true").clips) == len(CLIPS)
    assert project.fetched() == []  # another setting, another mirror, but the same files


def test_an_empty_class_folder_is_named_before_anything_is_fetched(project: Project) -> None:
    project.client.put_object(project.bucket, "set/jump/", BytesIO(), 0)
    code, said = project.refused()
    assert code == InputError.exit_code
    assert "class folder 'jump' is empty" in said
    assert project.fetched() == []


@pytest.mark.parametrize("complete", [1, 10, 30])
def test_killed_while_fetching_it_continues(project: Project, complete: int) -> None:
    project.proxy.delay = 0.05
    process = project.start("--connections", "3")
    wait_for(lambda: project.mirrored() >= complete)
    process.kill()
    process.communicate()
    kept = project.mirrored()
    assert not project.out.exists()
    data = project.sync()
    # The files that were complete but not yet in the journal are fetched again.
    assert len(CLIPS) - kept <= len(project.fetched()) <= len(CLIPS) - kept + 3
    assert project.staged() == []
    assert data.fingerprint == project.sync("--source", str(project.local)).fingerprint


def test_killed_while_probing_it_leaves_no_process_and_continues(project: Project) -> None:
    process = project.start("--workers", "2")
    wait_for(lambda: len(children(process)) >= 2)
    workers = children(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{number}").exists() for number in workers))
    data = project.sync()
    assert project.fetched() == []
    assert [clip.error for clip in data.clips] == [""] * len(CLIPS)


def test_stopped_it_ends_soon_and_continues(project: Project) -> None:
    project.proxy.delay = 0.05
    process = project.start("--connections", "3")
    wait_for(lambda: project.mirrored() >= 5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    assert time.monotonic() - began < 5
    assert process.returncode == StoppedError.exit_code
    assert "stopped by SIGTERM; run the same command again to resume" in said
    assert project.staged() == []
    kept = project.mirrored()
    assert len(project.sync().clips) == len(CLIPS)
    assert len(project.fetched()) <= len(CLIPS) - kept + 3


def test_an_object_that_changes_meanwhile_is_named_and_the_rest_kept(project: Project) -> None:
    project.proxy.delay = 0.05
    process = project.start("--connections", "1")
    wait_for(project.fetched)
    project.upload("run/00.mp4", "walk/19.mp4")
    said = process.communicate()[1]
    assert process.returncode == InputError.exit_code
    assert "1 files changed or vanished while they were read" in said
    assert "set/walk/19.mp4" in said
    project.proxy.delay = 0.0
    assert len(project.sync().clips) == len(CLIPS)
    assert project.fetched() == ["walk/19.mp4"]


def test_damage_on_the_way_is_repaired(project: Project) -> None:
    project.proxy.flips = [4000] * 3
    project.proxy.cuts = [5000] * 3
    data = project.sync("--connections", "2")
    assert (project.proxy.flips, project.proxy.cuts) == ([], [])
    assert data.fingerprint == project.sync("--source", str(project.local)).fingerprint


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ENDPOINT", "http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
        ("ENDPOINT", "", "TRAINYARD_S3_ENDPOINT is not set"),
        ("SECRET_KEY", "not-the-one", "correct TRAINYARD_S3_SECRET_KEY"),
        ("ACCESS_KEY", "wrong", "correct TRAINYARD_S3_ACCESS_KEY"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_within_seconds(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"TRAINYARD_S3_{variable}", value)
    began = time.monotonic()
    code, said = project.refused()
    assert time.monotonic() - began < 6
    assert code == ServiceError.exit_code
    assert message in said
    assert os.environ["TRAINYARD_S3_SECRET_KEY"] not in said


def test_missing_places_are_all_told(project: Project) -> None:
    groups = f"s3://{project.bucket}/none.csv"
    code, said = project.refused("--groups", groups, source=f"s3://{project.bucket}/absent")
    assert code == InputError.exit_code
    assert f"source: s3://{project.bucket}/absent holds nothing" in said
    assert f"groups: s3://{project.bucket}/none.csv does not exist" in said


def test_a_store_that_goes_away_ends_the_run_with_its_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "RETRIES", 3)
    settings = build(
        SyncSettings, {"source": f"s3://{project.bucket}/set", "connections": 4, "workers": 1}
    )

    def sync() -> None:
        STAGE.execute(settings, {}, {"clips": project.out}, project.folder / "state")

    def fail_soon() -> None:
        wait_for(lambda: project.mirrored() >= 3)
        project.proxy.refusals = 10**6

    project.proxy.delay = 0.1
    breaker = threading.Thread(target=fail_soon)
    breaker.start()
    with pytest.raises(ServiceError, match="keeps failing"):
        sync()
    breaker.join()
    assert project.staged() == []
    kept = project.mirrored()
    project.proxy.refusals, project.proxy.delay = 0, 0.0
    project.proxy.requests.clear()
    sync()
    assert len(ClipDataset.load(project.out).clips) == len(CLIPS)
    assert len(CLIPS) - kept <= len(project.fetched()) <= len(CLIPS) - 3


def test_real_recordings_with_their_groups(
    project: Project, shared_data: Path, bucket: str
) -> None:
    source = shared_data / "surv_fight"
    for path in source.rglob("*"):
        if path.is_file():
            name = f"fights/{path.relative_to(source).as_posix()}"
            project.client.fput_object(bucket, name, str(path))
    groups = ("--groups", f"s3://{bucket}/fights/sources.csv")
    project.start(*groups, source=f"s3://{bucket}/fights").communicate()
    data = ClipDataset.load(project.out)
    assert len(list(data.usable())) == 243
    assert data.classes == ["fight", "noFight"]
    assert all(clip.group.startswith("src") for clip in data.clips)
