"""Atomic writes, publishing, and the state directory."""

import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from components.core import files, state
from components.core.errors import InputError, LockedError, OutOfSpaceError


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "index.json"
    files.write_text(target, "old")
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(target, {"loss": float("nan")})
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["index.json"]


def test_publishing_shares_bytes_and_never_overwrites(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "out" / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    files.publish(source, target)
    files.publish(source, target)  # the same again is fine
    assert (target / "deep" / "file").stat().st_ino == (source / "deep" / "file").stat().st_ino
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("different")
    with pytest.raises(InputError, match="already exists"):
        files.publish(other, target)
    assert (target / "deep" / "file").read_text() == "content"


def test_publishing_into_an_empty_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("x")
    files.publish(tmp_path / "source", tmp_path / "empty")
    assert (tmp_path / "empty" / "file").read_text() == "x"


def test_full_disk_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/data/shard-3")
    with pytest.raises(OutOfSpaceError, match=r"/data/shard-3.*to resume"):
        with files.full_disk_named(tmp_path):
            raise error


def test_the_key_depends_on_everything_that_determines_the_result(tmp_path: Path) -> None:
    base = {"stage": "s", "settings": {"a": 1}, "inputs": {"clips": "f"}}
    same = {"inputs": {"clips": "f"}, "settings": {"a": 1}, "stage": "s"}
    other = {**base, "settings": {"a": 2}}
    keys = [state.StateDir(tmp_path, "s", identity).key for identity in (base, same, other)]
    assert keys[0] == keys[1] != keys[2]


def test_results_appear_whole_and_litter_of_the_killed_is_cleared(tmp_path: Path) -> None:
    directory = state.StateDir(tmp_path, "s", {"a": 1})
    with pytest.raises(RuntimeError), directory.locked(), directory.new_result("result") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert directory.result("result") is None
    litter = directory.path / "results" / f".result{files.PARTIAL}dead"
    litter.mkdir(parents=True)
    with directory.locked(), directory.new_result("result") as folder:
        (folder / "whole").write_text("x")
    assert (directory.path / "results" / "result" / "whole").exists()
    assert not litter.exists()


def test_a_second_process_is_refused_and_told_who_works_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from components.core.state import StateDir
        with StateDir(Path(sys.argv[1]), "s", {}).locked():
            print("locked", flush=True)
            time.sleep(60)
        """
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        monkeypatch.setattr(state, "LOCK_SECONDS", 0.3)
        told: list[str] = []
        directory = state.StateDir(tmp_path, "s", {})
        with pytest.raises(LockedError, match=f"pid {holder.pid}"), directory.locked(told.append):
            pass
        assert len(told) == 1
    finally:
        holder.kill()
        holder.wait()
    began = time.monotonic()
    with directory.locked():
        assert time.monotonic() - began < 1


def test_a_place_that_cannot_be_written_is_known_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert files.place_problem(tmp_path / "new" / "deep") == ""
    assert "is a file" in files.place_problem(tmp_path / "file" / "deep")
    assert not (tmp_path / "new").exists()


def test_a_full_volume_while_publishing_is_named_and_leaves_nothing(
    tmp_path: Path, small_volume: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "big").write_bytes(bytes(30_000_000))
    with pytest.raises(OutOfSpaceError, match="no space left"):
        with files.full_disk_named(tmp_path):
            files.publish(tmp_path / "source", small_volume / "target")
    assert os.listdir(small_volume) == []


def test_a_clone_or_copy_is_a_file_of_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"before")
    os.utime(source, (1, 1))
    source.chmod(0o640)
    files.clone_or_copy(source, target)
    assert (target.read_bytes(), target.stat().st_mtime) == (b"before", 1)
    assert target.stat().st_mode == source.stat().st_mode
    with pytest.raises(FileExistsError):
        files.clone_or_copy(source, target)
    source.write_bytes(b"after")
    assert target.read_bytes() == b"before"
