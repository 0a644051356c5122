"""What cannot work is refused clearly, within seconds, and nothing that existed is changed."""

import shutil
import time
from pathlib import Path

import pytest
from trainyard_process import SMALL, assignments, record, run

from pipelines.demo import write_clips


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", clips_per_class=6)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def refused(folder: Path, *arguments: str, code: int, **environment: str) -> str:
    """Runs, asserts the exit code and that nothing changed; returns what was printed."""
    before = snapshot(folder)
    began = time.monotonic()
    done = run(folder, "run", "action_recognition", *arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert time.monotonic() - began < 20
    assert "Traceback" not in done.stdout + done.stderr
    assert snapshot(folder) == before
    return done.stdout + done.stderr


def test_several_mistakes_in_a_parameter_file_at_once(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        f"source: {clips}\nepoch: 3\nepochs: many\nval_size: -1\nstorage: png\n"
    )
    text = refused(tmp_path, "-f", "params.yaml", "learning_rat=1", code=2)
    assert "did you mean 'epochs'?" in text
    assert "did you mean 'learning_rate'?" in text
    for key in ("epochs: ", "val_size: ", "storage: "):
        assert key in text
    assert "5 problems" in text or "6 problems" in text


def test_missing_source(tmp_path: Path) -> None:
    assert "source: required" in refused(tmp_path, code=2)
    text = refused(tmp_path, f"source={tmp_path / 'absent'}", code=3)
    assert "absent" in text


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    text = refused(tmp_path, f"source={clips}", "--output", "out", code=3)
    assert "not an empty folder" in text


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert "no run of action_recognition" in refused(tmp_path, "--resume", code=3)


def test_unreachable_endpoint(tmp_path: Path) -> None:
    text = refused(
        tmp_path,
        "source=s3://bucket/clips",
        code=4,
        TRAINYARD_S3_ENDPOINT="http://127.0.0.1:9",
        TRAINYARD_S3_ACCESS_KEY="someone",
        TRAINYARD_S3_SECRET_KEY="very-secret-key",
    )
    assert "127.0.0.1:9" in text
    assert "very-secret-key" not in text


def test_dry_run_starts_nothing(tmp_path: Path, clips: Path) -> None:
    before = snapshot(tmp_path)
    done = run(tmp_path, "run", "action_recognition", f"source={clips}", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "learning_rate:" in done.stdout
    assert snapshot(tmp_path) == before


def test_empty_class_folder(tmp_path: Path, clips: Path) -> None:
    (clips / "nothing").mkdir()
    done = run(tmp_path, "run", "action_recognition", f"source={clips}", "--output", "out")
    assert done.returncode in (2, 3), done.stdout + done.stderr
    assert "nothing" in done.stderr
    assert "--resume" in done.stderr or not (tmp_path / "out").exists()


def test_corrupt_clips_are_fatal_only_above_the_fraction(tmp_path: Path, clips: Path) -> None:
    for name in ("up/000.mp4", "up/001.mp4"):
        (clips / name).write_bytes((clips / name).read_bytes()[:700])
    parameters = [f"source={clips}", *assignments({**SMALL, "epochs": 1, "val_size": 1})]
    call = ["run", "action_recognition", *parameters]
    done = run(tmp_path, *call, "--output", "strict")
    assert done.returncode == 3
    assert "up/000.mp4" in done.stderr
    assert "up/001.mp4" in done.stderr
    assert "max_bad_fraction" in done.stderr
    assert "trainyard run action_recognition --resume --output" in done.stderr
    done = run(tmp_path, *call, "test_size=1", "max_bad_fraction=0.2", "--output", "lenient")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "up/000.mp4" in done.stderr
    assert record(tmp_path / "lenient")["status"] == "finished"


def test_full_disk_during_extraction(tmp_path: Path, clips: Path, small_volume: Path) -> None:
    shutil.copytree(clips, small_volume / "clips")
    before = snapshot(small_volume / "clips")
    parameters = [f"source={small_volume / 'clips'}", *assignments(SMALL)]
    done = run(
        small_volume,
        "run",
        "action_recognition",
        *parameters,
        "storage=raw",
        "frame_size=256",
        "sample_frames=16",
    )
    assert done.returncode == 5, done.stdout + done.stderr
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(small_volume / "clips") == before


def test_places_that_cannot_be_written(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "file").write_text("x")
    arguments = [f"source={clips}", "--output", "file/out", "--state-dir", "file/state"]
    text = refused(tmp_path, *arguments, code=3)
    assert "--output: " in text
    assert "--state-dir: " in text
    assert "is a file" in text
