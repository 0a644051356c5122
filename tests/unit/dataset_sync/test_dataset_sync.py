"""Mirroring a folder of clips and publishing snapshots of it."""

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from clips import make_clips

from components.core.artifacts.clips import ClipDataset
from components.core.errors import InputError, OutOfSpaceError, ProblemsError, SettingsError
from components.core.settings import build
from components.dataset_sync.stage import STAGE, SyncSettings

REPOSITORY = Path(__file__).parents[3]


class Project:
    """A source folder, a state directory, and one output per run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.state = folder, folder / "source", folder / "state"
        self.runs = 0

    def sync(self, **settings: Any) -> ClipDataset:
        """Runs the stage; returns the index of the new snapshot, which lies in `self.out`."""
        self.runs += 1
        values = {"source": str(self.source), "workers": 1, **settings}
        STAGE.execute(build(SyncSettings, values), {}, {"clips": self.out}, self.state)
        return ClipDataset.load(self.out)

    @property
    def out(self) -> Path:
        return self.folder / f"out{self.runs}"

    def objects(self) -> dict[str, int]:
        """Checksum → inode of every mirrored file, over all mirrors."""
        paths = self.state.glob("dataset_sync/*/work/objects/*/*")
        return {path.name: path.stat().st_ino for path in paths}

    def journals(self) -> list[bytes]:
        paths = self.state.glob("dataset_sync/*/work/journal.jsonl")
        return [path.read_bytes() for path in sorted(paths)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_clips(project.source, "run/a.mp4", "run/b.mp4", "walk/a.mp4")
    return project


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_snapshot_describes_and_holds_every_clip(project: Project) -> None:
    make_clips(project.source, "walk/indoors/deep.mkv")
    data = project.sync()
    assert data.classes == ["run", "walk"]
    assert data.source == str(project.source)
    assert {clip.id: clip.labels for clip in data.clips} == {
        "run/a.mp4": ["run"],
        "run/b.mp4": ["run"],
        "walk/a.mp4": ["walk"],
        "walk/indoors/deep.mkv": ["walk"],
    }
    for clip in data.clips:
        original, copy = project.source / clip.id, data.file(project.out, clip)
        assert copy.read_bytes() == original.read_bytes()
        assert copy.stat().st_ino != original.stat().st_ino
        assert (clip.size, clip.checksum) == (original.stat().st_size, sha256(original))
        assert (clip.frames, clip.fps, clip.width, clip.height) == (8, 8.0, 32, 24)
        assert clip.duration == pytest.approx(1.0)
        assert not clip.error


def test_a_second_run_transfers_and_probes_nothing(project: Project) -> None:
    first = project.sync()
    objects, journals = project.objects(), project.journals()
    second = project.sync()
    assert second == first
    assert project.objects() == objects
    assert project.journals() == journals


def test_only_what_changed_is_transferred_and_old_snapshots_stay(project: Project) -> None:
    first, old_out = project.sync(), project.out
    before = project.objects()
    make_clips(project.source, "run/c.mp4")
    shutil.copy(project.source / "walk/a.mp4", project.source / "run/a.mp4")
    second = project.sync()
    assert second.fingerprint != first.fingerprint
    checksums = {clip.id: clip.checksum for clip in second.clips}
    assert checksums["run/a.mp4"] == checksums["walk/a.mp4"]
    assert set(checksums) == {"run/a.mp4", "run/b.mp4", "run/c.mp4", "walk/a.mp4"}
    after = project.objects()
    untouched = sha256(project.source / "run/b.mp4")
    assert after[untouched] == before[untouched]
    assert set(after) == set(checksums.values())  # the replaced content is gone
    for clip in first.clips:
        assert sha256(first.file(old_out, clip)) == clip.checksum


def test_deleted_clips_stay_until_mirror_says_otherwise(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.sync()
    (project.source / "run/b.mp4").unlink()
    assert len(project.sync().clips) == 3
    assert "1 clips are no more in the source but stay in the data set" in capfd.readouterr().err
    project.sync(mirror=True)
    make_clips(project.source, "run/x.mp4")
    project.sync(mirror=True)
    (project.source / "run/x.mp4").unlink()
    assert [clip.id for clip in project.sync(mirror=True).clips] == ["run/a.mp4", "walk/a.mp4"]
    assert "removed 1 clips the source has no more: run/x.mp4" in capfd.readouterr().err


@pytest.mark.parametrize("mirror", [False, True])
def test_a_clip_that_was_renamed_or_relabelled_has_moved(
    mirror: bool, project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    before = project.sync(mirror=mirror)
    (project.source / "walk/a.mp4").rename(project.source / "run/w.mp4")
    (project.source / "run/a.mp4").rename(project.source / "run/z.mp4")
    make_clips(project.source, "walk/c.mp4")
    after = project.sync(mirror=mirror)
    assert [clip.id for clip in after.clips] == [
        "run/b.mp4",
        "run/w.mp4",
        "run/z.mp4",
        "walk/c.mp4",
    ]
    assert [clip.labels for clip in after.clips] == [["run"]] * 3 + [["walk"]]
    assert {c.checksum for c in before.clips} < {c.checksum for c in after.clips}
    told = capfd.readouterr().err
    assert "2 clips moved: run/a.mp4 → run/z.mp4, walk/a.mp4 → run/w.mp4\n" in told
    assert "no more" not in told
    assert project.sync(mirror=mirror) == after


def test_every_problem_of_the_source_is_told_at_once_and_nothing_moves(project: Project) -> None:
    (project.source / "jump").mkdir()
    (project.source / "sit").mkdir()
    (project.source / "sit" / "notes.txt").touch()
    make_clips(project.source, "Walk/z.mp4")
    with pytest.raises(InputError) as raised:
        project.sync()
    message = str(raised.value)
    assert "class folder 'jump' is empty" in message
    assert "class folder 'sit' holds only 1 .txt" in message
    assert "classes 'Walk' and 'walk' only differ by case" in message
    assert project.objects() == {}
    assert not project.out.exists()


def test_what_is_no_clip_is_left_out_and_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    make_clips(project.source, "loose.mp4", ".hidden/a.mp4", "run/.trash.mp4", "extras/e.mp4")
    (project.source / "sources.csv").touch()
    (project.source / "run" / "notes.txt").touch()
    (project.source / "annotations").mkdir()
    data = project.sync(ignore_folders=["annotations", "extras"])
    assert {clip.id for clip in data.clips} == {"run/a.mp4", "run/b.mp4", "walk/a.mp4"}
    told = capfd.readouterr().err
    assert "ignored 2 files that are no videos: 1 .csv, 1 .txt" in told
    assert "1 videos lie directly in the source and have no class" in told
    assert "loose.mp4" in told


def test_extensions_are_a_setting(project: Project) -> None:
    shutil.copy(project.source / "run/a.mp4", project.source / "run/odd.VIDEO")
    assert len(project.sync().clips) == 3
    assert len(project.sync(extensions=[".Video", "mp4"]).clips) == 4
    with pytest.raises(InputError, match=r"'walk' holds only 1 \.mp4: .* in extensions"):
        project.sync(extensions=["avi"])


def test_a_source_without_classes_is_refused(project: Project) -> None:
    make_clips(project.folder / "flat", "a.mp4", "b.mp4")
    with pytest.raises(InputError, match="all 2 videos lie directly in it, in no class"):
        project.sync(source=str(project.folder / "flat"))
    (project.folder / "texts").mkdir()
    (project.folder / "texts" / "a.txt").touch()
    with pytest.raises(InputError, match=r"it holds no clips: expected .*; found 1 \.txt"):
        project.sync(source=str(project.folder / "texts"))


def test_subclasses_merge_by_the_first_underscore(project: Project) -> None:
    make_clips(project.source, "walk_slow_indoors/a.mp4", "walk_fast/a.mp4")
    assert project.sync().classes == ["run", "walk", "walk_fast", "walk_slow_indoors"]
    data = project.sync(class_rule="first_underscore")
    assert data.classes == ["run", "walk"]
    assert {clip.id for clip in data.clips if clip.labels == ["walk"]} == {
        "walk/a.mp4", "walk_slow_indoors/a.mp4", "walk_fast/a.mp4",
    }  # fmt: skip
    make_clips(project.source, "_odd/a.mp4")
    with pytest.raises(InputError, match="leaves no class name of '_odd'"):
        project.sync(class_rule="first_underscore")


def test_unreadable_clips_are_listed_up_to_the_allowed_share(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    (project.source / "walk" / "broken.mp4").write_bytes(b"this is no video")
    data = project.sync(max_bad_fraction=0.25)
    broken = next(clip for clip in data.clips if clip.id == "walk/broken.mp4")
    assert "InvalidDataError" in broken.error
    assert [clip.id for clip in data.usable()] == ["run/a.mp4", "run/b.mp4", "walk/a.mp4"]
    assert "1 of 4 clips are unreadable" in capfd.readouterr().err
    with pytest.raises(InputError, match=r"walk/broken\.mp4 .*InvalidDataError") as raised:
        project.sync(max_bad_fraction=0.24)
    assert "max_bad_fraction=0.24" in str(raised.value)
    assert not project.out.exists()


def test_other_settings_take_over_what_is_mirrored_already(project: Project) -> None:
    project.sync()
    before = project.objects()
    project.sync(class_rule="first_underscore")
    assert len(project.journals()) == 2
    assert project.objects() == before  # the same inodes: hard links


def test_the_same_relative_path_elsewhere_is_another_source(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    project.sync(source="source")
    make_clips(project.folder / "there" / "source", "sit/a.mp4")
    monkeypatch.chdir(project.folder / "there")
    assert [clip.id for clip in project.sync(source="source").clips] == ["sit/a.mp4"]


def test_a_damaged_mirror_is_mended(project: Project) -> None:
    data = project.sync()
    victim = data.clips[0]
    (path,) = project.state.glob(f"dataset_sync/*/work/objects/*/{victim.checksum}")
    path.unlink()
    path.write_bytes(b"cut")
    (journal,) = project.state.glob("dataset_sync/*/work/journal.jsonl")
    with open(journal, "ab") as file:
        file.write(b'{"clip": "run/b.mp4", "si')
    assert project.sync() == data
    assert sha256(data.file(project.out, victim)) == victim.checksum


def test_check_finds_what_is_missing_outside(project: Project) -> None:
    with pytest.raises(ProblemsError) as raised:
        project.sync(source=str(project.folder / "none"), groups=str(project.folder / "no.csv"))
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["source", "groups"]
    with pytest.raises(SettingsError, match="extensions: expected file extensions"):
        project.sync(extensions=["mp4", "."])


def test_names_that_cannot_be_told_or_stored_are_refused(project: Project) -> None:
    os.rename(project.source / "run/a.mp4", os.fsencode(project.source / "run") + b"/bad\xff.mp4")
    os.rename(project.source / "run/b.mp4", project.source / "run/two\nlines.mp4")
    with pytest.raises(InputError) as raised:
        project.sync()
    assert r"'run/bad\udcff.mp4' has characters that are no text" in str(raised.value)
    assert r"'run/two\nlines.mp4' has characters that are no text" in str(raised.value)


def test_a_full_disk_leaves_a_mirror_to_continue_with(project: Project) -> None:
    """On a real file system of 1 MB, in a mount namespace of its own."""
    big = project.source / "run" / "big.mp4"
    big.write_bytes((project.source / "run/a.mp4").read_bytes() + bytes(2_000_000))
    state = project.folder / "small"
    state.mkdir()
    sync = f"{sys.executable} -m components.dataset_sync --source {project.source} --workers 1"
    script = textwrap.dedent(f"""
        mount -t tmpfs -o size=1m tmpfs {state} || exit 99
        {sync} --connections 1 --clips {project.out} --state-dir {state}
        echo $?
        find {state} -path '*objects/*' -type f | wc -l
        find {state} -path '*staging/*' | wc -l
        ls {project.out} | wc -l
        mount -o remount,size=9m {state} || exit 99
        {sync} --clips {project.out} --state-dir {state}
        echo $?
    """)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr}")
    assert "no space left" in done.stderr
    assert "2 new, 0 changed, 2 here already" in done.stderr
    # Exit code; two clips complete, none half, nothing published; exit code of the second run.
    assert [int(line) for line in done.stdout.split()] == [OutOfSpaceError.exit_code, 2, 0, 0, 0]
    assert len(list(ClipDataset.load(project.out).usable())) == 4
