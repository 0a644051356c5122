"""frame_extraction under attack: kills, stops, dying and hanging workers, a full disk."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_datasets import write_dataset

from components.core.artifacts.frames import FrameReader
from components.core.files import same_tree
from components.core.lifetime import is_alive
from components.core.video.encode import write_clip

CLIPS = 24


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 noisy clips that take some time to extract."""
    folder = tmp_path_factory.mktemp("noisy")
    rng = np.random.default_rng(0)
    files = {}
    for number in range(CLIPS):
        picture = np.kron(rng.integers(0, 255, (30, 40, 3)), np.ones((8, 8, 1)))
        frames = np.stack([np.roll(picture, 3 * t, 1) for t in range(25)])
        noise = rng.integers(-10, 10, (25, 240, 320, 1))
        path = folder / f"{number:02d}.mp4"
        fast = {"crf": "18", "preset": "ultrafast"}
        write_clip(path, np.clip(frames + noise, 0, 255).astype(np.uint8), 25, options=fast)
        files[f"walk/{number:02d}.mp4"] = path
    write_dataset(folder / "clips", files)
    return folder / "clips"


class Run:
    """`python -m components.frame_extraction` in a folder of its own."""

    def __init__(self, clips: Path, folder: Path) -> None:
        self.clips, self.folder, self.out = clips, folder, folder / "out"

    def command(self, **values: object) -> list[str]:
        settings = {"storage": "raw", "sampling": "all", "frame_size": 112, "crop_margin": 16}
        settings |= {"shard_mb": 1, "workers": 2} | values
        options = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        places = ["--clips", self.clips, "--frames", self.out, "--state-dir", self.folder / "state"]
        return [sys.executable, "-m", "components.frame_extraction", *map(str, places), *options]

    def start(self, **values: object) -> subprocess.Popen[str]:
        log = open(self.folder / "log.txt", "a")  # noqa: SIM115
        return subprocess.Popen(self.command(**values), stdout=log, stderr=log, text=True)

    def finish(self, **values: object) -> FrameReader:
        done = subprocess.run(self.command(**values), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (self.folder / "log.txt").write_text(done.stderr)
        return FrameReader(self.out)

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def shards(self) -> dict[str, tuple[int, int]]:
        """Finished shards in the state directory: name → inode and time of last change."""
        records = (self.folder / "state").glob("frame_extraction/*/work/shards/0*.json")
        stats = {path.stem: path.with_suffix(".bin").stat() for path in records}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def leftovers(self) -> list[str]:
        """What no run may leave behind."""
        partial = [str(path) for path in self.folder.rglob("*partial*")]
        return partial + [str(path) for path in self.folder.glob("state/*/*/work/parts")]


@pytest.fixture
def run(clips: Path, tmp_path: Path) -> Run:
    return Run(clips, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(clips, tmp_path_factory.mktemp("undisturbed"))
    run.finish()
    return run.out


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == process.pid:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_finished_shards_survive_a_kill(
    run: Run, undisturbed: Path, number: signal.Signals
) -> None:
    process = run.start()
    wait_until(lambda: len(run.shards()) >= 3, process)
    workers = workers_of(process)
    process.send_signal(number)
    assert process.wait(30) == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number]
    assert not run.out.exists()
    finished = run.shards()
    assert 3 <= len(finished) < CLIPS
    run.finish()
    assert f"of {CLIPS} clips were extracted before" in run.log()
    assert finished.items() <= run.shards().items()
    assert same_tree(run.out, undisturbed)
    assert not run.leftovers()
    assert len(workers) == 2
    assert [worker for worker in workers if is_alive(worker)] == []


def test_killed_again_and_again_it_ends_like_an_undisturbed_run(
    run: Run, undisturbed: Path
) -> None:
    for delay in (0.1, 0.4, 0.7, 1.0):
        process = run.start()
        time.sleep(delay)
        process.kill()
        process.wait()
    run.finish()
    assert same_tree(run.out, undisturbed)
    assert not run.leftovers()


def test_killed_workers_cost_nothing(run: Run, undisturbed: Path) -> None:
    process = run.start()
    killed: set[int] = set()
    for count in (1, 4):
        wait_until(lambda count=count: len(run.shards()) >= count, process)
        wait_until(lambda: set(workers_of(process)) - killed, process)  # dead ones may be listed
        victim = (set(workers_of(process)) - killed).pop()
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
    assert process.wait(60) == 0, run.log()
    assert len(killed) == 2
    assert same_tree(run.out, undisturbed)


def test_a_hanging_decoder_costs_one_clip(run: Run) -> None:
    process = run.start(clip_timeout=3, max_bad_fraction=0.1)
    wait_until(lambda: len(run.shards()) >= 1, process)
    os.kill(workers_of(process)[0], signal.SIGSTOP)
    assert process.wait(60) == 0, run.log()
    reader = FrameReader(run.out)
    assert [skipped.reason for skipped in reader.index.skipped] == ["no progress for 3 s"]
    assert len(reader) == CLIPS - 1
    assert f"{reader.index.skipped[0].id}: no progress for 3 s; left out" in run.log()


def test_a_full_disk_ends_clearly_and_can_be_resumed(clips: Path, small_volume: Path) -> None:
    run = Run(clips, small_volume)
    values = {"storage": "jpeg", "jpeg_quality": 100, "frame_size": 448}  # more than JPEGs take
    process = run.start(**values, workers=1)  # clips end in order, so that shards do too
    assert process.wait(60) == 5, run.log()
    text = run.log()
    assert re.search(r"warning: extracting the frames needs about \d+ MB, but only", text)
    assert "no space left while writing" in text
    assert "Traceback" not in text
    assert not run.out.exists()
    assert not run.leftovers()
    finished = run.shards()
    assert finished
    subprocess.run(["mount", "-o", "remount,size=600m", str(small_volume)], check=True)
    reader = run.finish(**values)
    assert len(reader) == CLIPS
    assert finished.items() <= run.shards().items()
    assert reader.read(CLIPS - 1, [24]).shape == (1, 464, 464, 3)


def test_what_certainly_does_not_fit_is_refused_at_once(clips: Path, small_volume: Path) -> None:
    run = Run(clips, small_volume)
    done = subprocess.run(run.command(), capture_output=True, text=True, check=False)
    assert done.returncode == 5
    # 24 clips of 25 frames of 128 x 128 x 3 bytes
    assert "needs at least 29 MB, but only 25 MB are free" in done.stderr
    assert "nothing was started" in done.stderr
    assert not run.out.exists()
    assert not run.shards()
