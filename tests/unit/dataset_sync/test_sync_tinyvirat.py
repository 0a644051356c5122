"""TinyVIRAT as it is published: annotations, videos, folders of pictures, and what is wrong."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import simplejpeg
from tinyvirat import CLASSES, TinyVirat, numbers, write_pictures

from components.core.artifacts.clips import ClipDataset
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.settings import build
from components.dataset_sync.stage import STAGE, SyncSettings


class Project(TinyVirat):
    """A source that is synchronised again and again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "source")
        self.home, self.runs = folder, 0

    def sync(self, **settings: Any) -> ClipDataset:
        """Runs the stage; returns the index of the new snapshot, which lies in `self.out`."""
        self.runs += 1
        values = {"source": str(self.folder), "layout": "tinyvirat", "workers": 1, **settings}
        built = build(SyncSettings, values)
        STAGE.execute(built, {}, {"clips": self.out}, self.home / "state")
        return ClipDataset.load(self.out)

    @property
    def out(self) -> Path:
        return self.home / f"out{self.runs}"

    def frames(self, data: ClipDataset, clip: str) -> np.ndarray:
        """All frames of a clip, RGB."""
        (entry,) = (c for c in data.clips if c.id == clip)
        with av.open(str(data.file(self.out, entry))) as video:
            return np.stack([f.to_ndarray(format="rgb24") for f in video.decode(video=0)])

    def objects(self) -> dict[str, int]:
        """Checksum → inode of every mirrored file."""
        paths = self.home.glob("state/dataset_sync/*/work/objects/*/*")
        return {path.name: path.stat().st_ino for path in paths}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.video("train/s1/10", "walking", "carrying")
    project.video("train/s1/9", "Pull")
    project.pictures("train/s2/0", "carrying", "walking", "Pull")
    project.video("test/s1/10", "walking")
    project.save()
    return project


def test_everything_that_is_published_is_in_the_data_set(project: Project) -> None:
    data = project.sync()
    assert data.classes == CLASSES
    assert [(c.id, c.labels, c.group, c.part) for c in data.clips] == [
        ("test/s1/10", ["walking"], "s1", "test"),
        ("train/s1/10", ["walking", "carrying"], "s1", "train"),
        ("train/s1/9", ["Pull"], "s1", "train"),
        ("train/s2/0", CLASSES, "s2", "train"),
    ]
    for clip in data.clips:
        assert (clip.frames, clip.fps, clip.width, clip.height) == (12, 30.0, 32, 32)
        copy = data.file(project.out, clip)
        assert clip.checksum == hashlib.sha256(copy.read_bytes()).hexdigest()
        assert clip.size == copy.stat().st_size
    original = project.folder / "videos/train/s1/9.mp4"
    assert data.file(project.out, data.clips[2]).read_bytes() == original.read_bytes()


def test_pictures_are_in_numeric_order_untouched_and_in_rgb(project: Project) -> None:
    red = np.zeros((11, 30, 26, 3), np.uint8)
    red[..., 0] = 180 + 5 * np.arange(11)[:, None, None]
    project.name("train/s2/red", ["Pull"], 11)
    originals = write_pictures(project.folder / "videos/train/s2/red_frames", red)
    project.save()
    data = project.sync(frame_rate=12.5)
    frames = project.frames(data, "train/s2/red")
    assert np.abs(frames.astype(int) - red).max() <= 2  # frame_10 comes last, red comes first
    (clip,) = (c for c in data.clips if c.id == "train/s2/red")
    assert (clip.fps, clip.width, clip.height) == (12.5, 26, 30)
    assert clip.duration == pytest.approx(11 / 12.5, abs=1e-6)
    content = data.file(project.out, clip).read_bytes()
    assert all(path.read_bytes() in content for path in originals)


@pytest.mark.parametrize(
    "text",
    [
        "walking\nPull\ncarrying",
        "walking\r\nPull\r\n\r\ncarrying\r\n",
        "\ufeffwalking\nPull\ncarrying\n",
    ],
)
def test_the_last_class_is_whole_however_the_file_ends(project: Project, text: str) -> None:
    project.save(text)
    data = project.sync()
    assert data.classes == CLASSES
    assert data.clips[1].labels == ["walking", "carrying"]


def test_all_classes_are_kept_also_those_without_clips(project: Project) -> None:
    project.save("\n".join([*CLASSES, "zebra", "aardvark"]))
    assert project.sync().classes == [*CLASSES, "zebra", "aardvark"]


def test_every_problem_is_told_at_once_by_name(project: Project) -> None:
    project.video("train/s3/1", "walkin")
    project.video("train/s3/2", "walkin", "running")
    project.name("train/s3/lost", ["Pull"], 9)
    project.video("train/s1/9", "Pull")
    project.tubes["test"] += [
        {"path": "../../s1/1.mp4", "dim": [1, 2, 3], "label": []},
        {"path": "/etc/1.mp4", "dim": [1, 2, 3], "label": []},
        {"path": "s1/1.mp4", "dim": [1, 2], "label": []},
        {"path": "s1/2.mp4", "dim": [1, 2, 3], "label": "Pull"},
        {"path": "s1/3.mp4", "dim": [1, 2, 3]},
        "s1/4.mp4",
    ]
    project.save("walking\nPull\ncarrying\nPull\n")
    with pytest.raises(InputError) as raised:
        project.sync()
    told = str(raised.value)
    for text in (
        "classes.txt: 'Pull' is there 2 times",
        "label 'walkin' of 2 clips is no class; did you mean 'walking'?",
        "label 'running' of 1 clips is no class",
        "1 clips are named but have neither a video nor pictures: train/s3/lost; expected, for "
        "example, videos/train/s3/lost.mp4 or videos/train/s3/lost_frames/frame_0.jpg",
        "tiny_train.json: train/s1/9 is named 2 times",
        "tiny_test.json: tubes[1]: path '../../s1/1.mp4' is not like <scene>/<name>.mp4",
        "tiny_test.json: tubes[2]: path '/etc/1.mp4' is not like",
        "tubes[3]: dim [1, 2] is not [frames, height, width]",
        "tubes[4]: label 'Pull' is no list of class names",
        "tubes[5]: label None is no list",
        "tubes[6]: expected an object with path, dim and label",
    ):
        assert text in told
    assert project.objects() == {}
    assert not project.out.exists()


def test_missing_and_damaged_annotations_are_told_together(project: Project) -> None:
    (project.folder / "classes.txt").unlink()
    (project.folder / "tiny_train.json").write_text('{"tubes": [')
    (project.folder / "tiny_test.json").write_text("[]")
    with pytest.raises(InputError) as raised:
        project.sync()
    told = str(raised.value)
    assert "3 problems" in told
    assert f"{project.folder}/classes.txt does not exist" in told
    assert "tiny_train.json is damaged: Expecting value: line 1 column 12" in told
    assert 'tiny_test.json: expected an object like {"tubes": [...]}' in told


def test_clips_without_labels_and_files_without_clips_are_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.video("test/s4/1")
    project.video("test/s4/2")
    project.tubes["test"].pop()
    (project.folder / "videos/train/s2/0_frames/Thumbs.db").touch()
    project.save()
    data = project.sync()
    assert [c.labels for c in data.clips if c.id == "test/s4/1"] == [[]]
    told = capfd.readouterr().err
    assert "1 clips have no label: test/s4/1" in told
    assert "ignored 2 files that no clip names: 1 .db, 1 .mp4" in told


def test_missing_and_damaged_pictures_repeat_the_one_before(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = project.pictures("train/s5/holes", "Pull", frames=20)
    for number in (0, 7, 8):
        pictures[number].unlink()
    pictures[3].write_bytes(b"")
    pictures[12].write_bytes(pictures[12].read_bytes()[:-40])
    project.tubes["train"][-1]["dim"][0] = 23
    project.save()
    before = {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")}
    data = project.sync()
    expected = [1, 1, 2, 2, 4, 5, 6, 6, 6, 9, 10, 11, 11, 13, 14, 15, 16, 17, 18, 19, 19, 19, 19]
    assert numbers(project.frames(data, "train/s5/holes")) == expected
    warning = "missing or damaged: 8 pictures of 1 clip (2 damaged)"
    assert warning in (told := capfd.readouterr().err)
    assert "train/s5/holes (8)" in told
    assert "another number of frames" not in told
    assert {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")} == before
    project.sync()
    assert warning in capfd.readouterr().err  # also where nothing is transferred


def test_pictures_that_make_no_clip_are_unreadable_clips(project: Project) -> None:
    for name in ("empty", "mixed", "double", "far"):
        pictures = project.pictures(f"train/odd/{name}", "Pull")
        if name == "empty":
            for path in pictures:
                path.write_bytes(b"no picture")
        elif name == "mixed":
            other = np.zeros((20, 32, 3), np.uint8)
            pictures[5].write_bytes(simplejpeg.encode_jpeg(other, 90, "RGB"))
        elif name == "double":
            shutil.copy(pictures[4], pictures[4].with_name("frame_04.JPG"))
        else:
            shutil.copy(pictures[4], pictures[4].with_name("frame_99999999.jpg"))
    project.save()
    with pytest.raises(InputError, match="4 of 8 clips are unreadable"):
        project.sync()
    data = project.sync(max_bad_fraction=0.5)
    errors = {clip.id.rpartition("/")[2]: clip.error for clip in data.clips if clip.error}
    assert errors == {
        "empty": "pictures: none of 12 is a JPEG picture that decodes",
        "mixed": "pictures: they differ in size (32x32 from frame 0, 32x20 from frame 5)",
        "double": "pictures: videos/train/odd/double_frames/frame_04.JPG and videos/train/odd/"
        "double_frames/frame_4.jpg are both frame 4",
        "far": "pictures: 99999987 frames in a row have none, from 12 on; at most 1000 are filled",
    }
    assert project.sync(max_bad_fraction=0.5) == data


def test_an_unreadable_video_gives_way_to_its_pictures(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    both = project.video("train/s1/both", "Pull", frames=9)
    write_pictures(both.with_name("both_frames"), np.full((9, 32, 32, 3), 200, np.uint8))
    project.save()
    assert project.frames(project.sync(), "train/s1/both").mean() < 100  # the video
    objects = len(project.objects())
    whole = both.read_bytes()
    both.write_bytes(whole[:100])
    first = project.sync()
    assert project.frames(first, "train/s1/both").mean() > 150
    assert "1 videos are unreadable; the pictures beside them are used: train/s1/both" in (
        capfd.readouterr().err
    )
    held = project.objects()
    assert project.sync() == first
    assert project.objects() == held  # neither of them was transferred again
    both.write_bytes(whole)
    assert project.frames(project.sync(), "train/s1/both").mean() < 100
    assert len(project.objects()) == objects


def test_only_what_changed_is_renewed(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    first = project.sync()
    before = project.objects()
    assert project.sync() == first
    assert "0 new, 0 changed, 4 here already" in capfd.readouterr().err
    assert project.objects() == before
    picture = project.folder / "videos/train/s2/0_frames/frame_3.jpg"
    picture.write_bytes((picture.parent / "frame_9.jpg").read_bytes())
    os.utime(picture, ns=(1, 1))
    second = project.sync()
    assert "0 new, 1 changed, 3 here already" in capfd.readouterr().err
    assert numbers(project.frames(second, "train/s2/0"))[2:5] == [2, 9, 4]
    after = project.objects()
    kept = {clip.checksum for clip in first.clips[:3]}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_labels_follow_the_annotations_without_a_transfer(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    first = project.sync()
    project.tubes["train"][1]["label"] = ["carrying"]
    project.save()
    second = project.sync()
    assert second.clips[2].labels == ["carrying"]
    assert second.fingerprint != first.fingerprint
    assert "0 new, 0 changed, 4 here already" in capfd.readouterr().err


def test_clips_that_are_no_more_named_stay_until_mirror_says_otherwise(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = project.sync()
    project.sync(mirror=True)
    project.tubes["train"].pop()  # the pictures
    project.tubes["train"].pop()
    project.save()
    (project.folder / "videos/test/s1/10.mp4").unlink()
    assert project.sync() == whole  # labels, part and group too
    assert (
        "3 clips are no more in the source but stay in the data set (mirror: true removes them): "
        "test/s1/10, train/s1/9, train/s2/0"
    ) in capfd.readouterr().err
    with pytest.raises(InputError, match="neither a video nor pictures: test/s1/10"):
        project.sync(mirror=True)
    project.tubes["test"].clear()
    project.save()
    assert [clip.id for clip in project.sync(mirror=True).clips] == ["train/s1/10"]
    assert "removed 3 clips the source has no more" in capfd.readouterr().err
    project.save("walking\ncarrying")
    with pytest.raises(InputError, match="2 clips that are no more in the source have labels"):
        project.sync()


def test_clips_that_got_another_name_or_part_have_moved(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    before = project.sync()
    videos = project.folder / "videos"
    (videos / "train/s1/9.mp4").rename(videos / "test/s1/9.mp4")
    (videos / "train/s2/0_frames").rename(videos / "train/s2/1_frames")
    moved = project.tubes["train"].pop()
    project.tubes["train"].append({**moved, "path": "s2/1.mp4"})
    project.tubes["test"].append(project.tubes["train"].pop(1))
    project.save()
    after = project.sync()
    assert [c.id for c in after.clips] == ["test/s1/10", "test/s1/9", "train/s1/10", "train/s2/1"]
    assert {c.checksum for c in after.clips} == {c.checksum for c in before.clips}
    told = capfd.readouterr().err
    assert "2 clips moved: train/s1/9 → test/s1/9, train/s2/0 → train/s2/1\n" in told
    assert project.sync() == after


def test_frame_counts_that_differ_from_the_annotations_are_summed_up(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    for tube in project.tubes["train"][:2]:
        tube["dim"][0] += 3
    del project.tubes["test"][0]["dim"]
    project.save()
    project.sync()
    assert (
        "2 clips have another number of frames than dim says: train/s1/10 (12, not 15), "
        "train/s1/9 (12, not 15)"
    ) in capfd.readouterr().err


def test_the_other_layout_is_refused_with_a_hint(project: Project) -> None:
    with pytest.raises(ProblemsError, match=r"holds tiny_train\.json, .*: set layout: tinyvirat"):
        project.sync(layout="folders")
    for file in project.folder.glob("*.*"):
        file.unlink()
    with pytest.raises(InputError, match=r"(?s)classes\.txt .*tiny_train\.json .*tiny_test\.json"):
        project.sync()


def test_settings_of_the_other_layout_are_refused() -> None:
    with pytest.raises(SettingsError, match="extensions, class_rule: no effect with layout tiny"):
        build(
            SyncSettings,
            {"source": "x", "layout": "tinyvirat", "extensions": ["mp4"],
             "class_rule": "first_underscore"},
        )  # fmt: skip


def test_groups_may_replace_the_scenes(project: Project) -> None:
    table = project.home / "groups.csv"
    table.write_text("clip,group\ntrain/s1/9,camera 7\n")
    groups = {clip.id: clip.group for clip in project.sync(groups=str(table)).clips}
    assert groups == {
        "test/s1/10": "s1", "train/s1/10": "s1", "train/s1/9": "camera 7", "train/s2/0": "s2",
    }  # fmt: skip


def test_the_annotations_of_a_large_set_are_quick(project: Project) -> None:
    """13,000 tubes, as many as are published; only those without files are told, and counted."""
    project.tubes["train"] += [
        {"path": f"scene_{n % 300}/{n}.mp4", "dim": [70, 80, 80], "label": [CLASSES[n % 3]]}
        for n in range(13_000)
    ]
    project.save()
    with pytest.raises(InputError) as raised:
        project.sync()
    assert "13000 clips are named but have neither a video nor pictures" in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert json.loads((project.folder / "tiny_train.json").read_text())["tubes"]
