"""rendering_sync: from exported sets to a data set, again and again."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from rendered_scene import scene, synced

from components.core.artifacts.renderings import RenderingDataset
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.events import Reporter
from components.core.formats.inovis_blobs import read_blob, write_blob
from components.core.rendering.reader import RenderingReader
from components.core.settings import build
from components.rendering_sync.parts import divided
from components.rendering_sync.stage import STAGE, RenderingSyncSettings


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("exported") / "sets", frames=6, sets=["yard", "attic"])


@pytest.fixture
def source(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "sets"))


def index(folder: Path) -> RenderingDataset:
    return RenderingDataset.load(folder)


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_sets_become_a_data_set(source: Path, tmp_path: Path) -> None:
    before = contents(source)
    frames = synced(source, tmp_path / "a")
    dataset = index(frames)
    assert contents(source) == before
    assert dataset.sets == ["attic", "yard"]
    assert [f.id for f in dataset.frames[:2]] == ["attic/Image0000", "attic/Image0001"]
    assert dataset.counts() == {s: {"train": 4, "val": 1, "test": 1} for s in ("attic", "yard")}
    assert (dataset.aux, dataset.precision, dataset.pre_init_motion) == (2, 16, False)
    one = dataset.frames[0]
    assert (one.width, one.height, one.photo_width, one.photo_height) == (96, 64, 104, 76)
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "96 x 64" in page
    assert page.count("<img") == 6
    seen = dataset.seen_tests()
    assert (f"The photos of {len(seen)} of 2 test frames" in page) == bool(seen)


def test_each_photo_is_stored_once_and_the_whole_takes_a_third(
    source: Path, tmp_path: Path
) -> None:
    frames = synced(source, tmp_path / "a")
    photos = {cv2.imread(str(path)).tobytes() for path in source.rglob("groundtruth/*.png")}
    assert len(list((frames / "photos").iterdir())) == len(photos) == 12  # 36 files in the export
    # the original's cache, all float32: RGB and three equal depths of each aux photo; in full size
    # six of the rendering, three of the target and three of each lookup; six of each smaller level
    native, target = 104 * 76, 96 * 64
    theirs = 4 * (native * 6 * 2 + target * (6 + 3 + 3 * 2) + target * 6 * 21 // 64)
    ours = sum(path.stat().st_size for path in frames.rglob("*.bin"))
    assert ours < 12 * theirs / 3


def test_only_what_is_new_or_changed_is_converted_again(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, **settings) -> str:
        chosen = RenderingSyncSettings(source=str(source), **settings)
        outputs = {"frames": tmp_path / name, "report": tmp_path / f"{name}.html"}
        STAGE.execute(chosen, {}, outputs, tmp_path / "state", Reporter("test", "log"))
        return capsys.readouterr().err

    assert "12 to convert, 0 here already" in run("a")
    assert "0 to convert, 12 here already" in run("b")
    assert index(tmp_path / "a").fingerprint == index(tmp_path / "b").fingerprint
    path = source / "yard" / "nearest1_motion_0_lod0" / "Image0003.bin"
    write_blob(path, read_blob(path) * np.float32([-1, 1, 1]))
    os.utime(path, (1, 1))
    assert "1 to convert, 11 here already" in run("c")
    assert index(tmp_path / "c").fingerprint != index(tmp_path / "b").fingerprint
    changed = [
        one.id
        for one, two in zip(index(tmp_path / "b").frames, index(tmp_path / "c").frames, strict=True)
        if one.checksum != two.checksum
    ]
    assert changed == ["yard/Image0003"]
    # other parts: what was converted is taken from the run with other settings
    assert "0 to convert, 12 here already" in run("d", seed=1, val_size=2)
    assert "12 to convert" in run("e", full_precision=True)


def test_a_run_that_was_ended_half_way_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.rendering_sync.store import Store

    whole = index(synced(source, tmp_path / "whole"))
    real, added = Store.add, []

    def add(self, key, frame):  # the fifth frame meets the end of the process
        if len(added) == 4:
            raise KeyboardInterrupt
        added.append(key)
        return real(self, key, frame)

    place = tmp_path / "other"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "add", add)
        with pytest.raises(KeyboardInterrupt):
            synced(source, place / "a")
    assert not (place / "a" / "frames").exists()
    done = list((place / "state" / "rendering_sync").glob("*/work/store/frames/*.json"))
    assert len(done) == 4
    stamps = {path: path.stat().st_mtime_ns for path in done}
    assert index(synced(source, place / "a")).fingerprint == whole.fingerprint
    assert stamps == {path: path.stat().st_mtime_ns for path in done}


def test_all_that_is_wrong_with_frames_is_told_at_once(source: Path, tmp_path: Path) -> None:
    yard = source / "yard"
    (source / "attic" / "depth_1_lod0" / "Image0004.png").unlink()
    (yard / "depth_1_lod0" / "Image0000.png").write_bytes(
        (yard / "depth_0_lod0" / "Image0001.png").read_bytes()
    )
    blob = yard / "nearest2_motion_0_lod0" / "Image0002.bin"
    blob.write_bytes(blob.read_bytes()[:-4])
    small = cv2.imread(str(yard / "groundtruth" / "Image0003.png"))[:60, :90]
    cv2.imwrite(str(yard / "groundtruth" / "Image0003.png"), small)
    with pytest.raises(InputError) as caught:
        synced(source, tmp_path / "a")
    text = str(caught.value)
    assert "4 of 12 frames cannot be used, more than max_bad_fraction 0 allows" in text
    assert "attic/Image0004: no file in depth_1_lod0" in text
    assert "depth of level 1 has 96 x 64 pixels, not 48 x 32" in text
    assert "Image0002.bin is damaged" in text
    assert "photo has 90 x 60 pixels, less than the renderings' 96 x 64" in text
    dataset = index(synced(source, tmp_path / "a", max_bad_fraction=0.34))
    assert len(dataset.frames) == 8
    assert [entry.id[-4:] for entry in dataset.skipped] == ["0004", "0000", "0002", "0003"]


def test_frames_of_which_none_can_be_used_are_told_with_the_reasons(tmp_path: Path) -> None:
    source = scene(tmp_path / "sets", frames=3, aux=1, sets=["yard"])
    (source / "yard" / "input_0_lod0" / "Image0000.png").unlink()
    for number in (1, 2):
        (source / "yard" / "groundtruth" / f"Image{number:04d}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of 3 frames can be used") as caught:
        synced(source, tmp_path / "a", max_bad_fraction=1)
    assert "yard/Image0000: no file in input_0_lod0" in str(caught.value)
    assert str(caught.value).count("is no readable picture") == 2


def test_sets_levels_of_detail_and_aux_views_are_chosen(source: Path, tmp_path: Path) -> None:
    dataset = index(synced(source, tmp_path / "a", sets=["yard"], aux_views=1, max_frames=4))
    assert (dataset.sets, dataset.aux, len(dataset.frames)) == (["yard"], 1, 4)
    alone = index(synced(source / "yard", tmp_path / "b"))
    assert alone.sets == ["yard"]
    with pytest.raises(InputError, match="'yrad'; did you mean 'yard'"):
        synced(source, tmp_path / "c", sets=["yrad"])
    with pytest.raises(InputError, match="it has lod lod0"):
        synced(source, tmp_path / "c", lod="lod1")
    for kind in ("groundtruth_0", "depth_0_lod0", "motion_0_lod0"):
        shutil.rmtree(source / "yard" / f"nearest2_{kind}")
    with pytest.raises(InputError, match=r"attic 2, yard 1\); set aux_views: 1"):
        synced(source, tmp_path / "c")


def test_test_frames_by_position_in_every_set_whatever_the_names(tmp_path: Path) -> None:
    scene(tmp_path / "sets", frames=6, aux=1, sets=["b"])
    scene(tmp_path / "more", frames=3, aux=1, sets=["a"])
    (tmp_path / "more" / "a").rename(tmp_path / "sets" / "z")
    for settings in ({}, {"sets": ["z", "b"]}, {"max_frames": 5}):
        dataset = index(
            synced(tmp_path / "sets", tmp_path / f"{settings}", test_indices=[0, 4], **settings)
        )
        tested = [frame.id for frame in dataset.frames if frame.part == "test"]
        assert tested == ["b/Image0000", "b/Image0004", "z/Image0000"]
        assert all(dataset.counts()[name]["val"] == 1 for name in "bz")
    with pytest.raises(InputError, match="no set has a usable frame at 6"):
        synced(tmp_path / "sets", tmp_path / "c", test_indices=[0, 6])


def test_parts_hardly_change_with_more_frames_and_not_with_other_sets() -> None:
    few = {f"s/{n:03d}": n for n in range(100)}
    more = {f"s/{n:03d}": n for n in range(104)}
    first, second = (divided(places, 0.1, 0.1, [], 0) for places in (few, more))
    assert sum(first[name] != second[name] for name in first) <= 3
    assert [list(first.values()).count(part) for part in ("train", "val", "test")] == [80, 10, 10]
    assert divided({**few, "t/0": 0, "t/1": 1, "t/2": 2}, 0.1, 0.1, [], 0).items() >= first.items()
    assert divided(few, 0.1, 0.1, [], 1) != first
    with pytest.raises(InputError, match="set s: 2 frames are too few for 1 to test"):
        divided({"s/a": 0, "s/b": 1}, 0.1, 0.1, [], 0)


def test_masks_weigh_the_pixels(source: Path, tmp_path: Path) -> None:
    for number, size in ((0, (64, 96)), (1, (76, 104))):
        mask = np.zeros(size, np.uint8)
        mask[:32] = 255
        folder = source / "yard" / "mask"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"Image{number:04d}.png"), mask)
    reader = RenderingReader(synced(source, tmp_path / "a", sets=["yard"]))
    own, photo, none = (reader.crop(number).valid[0] for number in range(3))
    assert own[:32].min() == 1
    assert own[32:].max() == 0
    assert (photo[:26].min(), photo[26:].max()) == (1, 0)  # the middle of the photo
    assert none.min() == 1
    cv2.imwrite(str(folder / "Image0002.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match="mask: it has neither the 96 x 64"):
        synced(source, tmp_path / "b", sets=["yard"])


def told(source: Path, place: Path, capsys: pytest.CaptureFixture[str], **settings) -> str:
    outputs = {"frames": place / "frames", "report": place / "report.html"}
    chosen = RenderingSyncSettings(source=str(source), **settings)
    STAGE.execute(chosen, {}, outputs, place / "state", Reporter("test", "log"))
    return capsys.readouterr().err


def test_masks_that_cover_nothing_leave_their_frames_out(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "yard" / "mask").mkdir()
    for number in (1, 2, 3):  # the last one covers what the renderings do not show
        mask = np.zeros((76, 104), np.uint8)
        mask[: 6 if number == 3 else 10 * (number == 2)] = 255
        cv2.imwrite(str(source / "yard" / "mask" / f"Image{number:04d}.png"), mask)
    with pytest.raises(InputError, match="2 of 6 frames cannot be used"):
        synced(source, tmp_path / "a", sets=["yard"])
    text = told(source, tmp_path / "b", capsys, sets=["yard"], max_bad_fraction=0.5)
    assert "2 masks of 6 frames cover nothing" in text
    assert "yard/Image0001: mask: none of its pixels counts" in text
    dataset = index(tmp_path / "b" / "frames")
    assert [frame.id[-1] for frame in dataset.frames] == ["0", "2", "4", "5"]
    assert [entry.id[-1] for entry in dataset.skipped] == ["1", "3"]


def test_masks_without_frames_and_frames_without_masks_are_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "yard" / "mask").mkdir()
    for stem in ("Image0000", "Image0005", "image0001", "mask_2"):
        cv2.imwrite(str(source / "yard" / "mask" / f"{stem}.png"), np.full((64, 96), 255, np.uint8))
    text = told(source, tmp_path / "a", capsys)
    assert "set yard: 2 masks named like no frame, so not used: image0001, mask_2; " in text
    assert "4 of 6 frames without a mask, so that all their pixels count" in text
    assert "that of 'Image0001' would be mask/Image0001.png" in text
    assert "set attic: " not in text
    text = told(source, tmp_path / "b", capsys, sets=["yard"], max_frames=4)
    assert "3 of 4 frames without a mask" in text
    assert "2 masks named like no frame" in text  # the sixth frame's is not lost


def test_aux_views_without_a_lookup_are_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no lookup is a place" not in told(source, tmp_path / "a", capsys)
    for number in (1, 4):
        path = source / "yard" / "nearest2_motion_0_lod0" / f"Image{number:04d}.bin"
        write_blob(path, np.full_like(read_blob(path), np.nan))
    text = told(source, tmp_path / "b", capsys)
    assert "set yard: no lookup is a place in the photo in aux view 2 of 2 frames; " in text
    assert "set attic" not in text


def test_linear_depths(source: Path, tmp_path: Path) -> None:
    from pipelines.demo_scene import FAR, NEAR

    plain, linear = (
        RenderingReader(synced(source, tmp_path / name, sets=["yard"], **settings))
        for name, settings in (("a", {}), ("b", {"near": NEAR, "far": FAR}))
    )
    window, distance = (reader.crop(0).levels[0][3] for reader in (plain, linear))
    there = window > 0
    np.testing.assert_allclose(
        (FAR / (FAR - NEAR) * (1 - NEAR / (distance[there].astype(float) * FAR))),
        window[there],
        atol=1e-3,
    )
    assert not distance[~there].any()
    assert 3 < np.median(distance[there]) * FAR < 8  # where the walls are
    assert (linear.index.near, plain.index.near) == (NEAR, 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"near": 2.0, "far": 1.0}, "near below far"),
        ({"near": 1.0}, "set both"),
        ({"val_size": 0.6, "test_size": 0.5}, "together below 1"),
        ({"val_size": 2.5}, "whole number of frames"),
        ({"test_indices": [-1]}, "positions start at 0"),
        ({"test_indices": [1, 1]}, "more than once"),
        ({"aux_views": 7}, "aux_views"),
        ({"lod": "lod 0"}, "lod"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build(RenderingSyncSettings, {"source": "/data", **values})


def test_a_source_that_is_not_there_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"source: the folder .* does not exist"):
        synced(tmp_path / "nowhere", tmp_path / "a")


def test_the_data_set_says_what_it_is(source: Path, tmp_path: Path) -> None:
    frames = synced(source, tmp_path / "a", pre_init_motion=True)
    content = json.loads((frames / "index.json").read_text(encoding="utf-8"))
    assert content["schema"] == "trainyard/rendering-dataset"
    assert content["pre_init_motion"] is True
    assert set(index(frames).split().values()) == {"train", "val", "test"}
