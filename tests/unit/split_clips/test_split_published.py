"""Splitting what a source has split already, and classes too rare for every part."""

from pathlib import Path

import numpy as np
import pytest

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.split import Split
from components.core.errors import InputError, SettingsError
from components.core.settings import build
from components.split_clips.stage import STAGE, SplitSettings


def clip(part: str, scene: str, number: int, *labels: str) -> Clip:
    name = f"{part}/{scene}/{number}"
    return Clip(
        id=name, path=f"clips/{name}.mp4", labels=list(labels), group=scene, part=part,
        size=1, checksum=name,
    )  # fmt: skip


def run(tmp_path: Path, classes: list[str], clips: list[Clip], **settings: object) -> Split:
    dataset = ClipDataset.create(classes, clips)
    folder = tmp_path / f"clips-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    dataset.save(folder)
    out = folder / "split"
    built = build(SplitSettings, settings)
    STAGE.execute(built, {"clips": folder}, {"split": out}, state_root=tmp_path / "state")
    return Split.load(out)


@pytest.fixture
def published() -> list[Clip]:
    """Ten training scenes and three test scenes of ten clips, labels a and b."""
    train = [clip("train", f"s{n // 10}", n, "ab"[n % 2]) for n in range(100)]
    return train + [clip("test", f"t{n // 10}", n, "ab"[n % 2]) for n in range(30)]


def test_the_published_test_part_is_kept_and_val_comes_from_the_rest(
    tmp_path: Path, published: list[Clip], capfd: pytest.CaptureFixture[str]
) -> None:
    split = run(tmp_path, ["a", "b"], published, val_size=0.2, test_size=0.5)
    assert split.ids("test") == sorted(c.id for c in published if c.part == "test")
    scenes = {part: {i.split("/")[1] for i in split.ids(part)} for part in ("train", "val")}
    assert (len(scenes["train"]), len(scenes["val"])) == (8, 2)
    assert not scenes["train"] & scenes["val"]
    assert split.counts["a"] == {"train": 40, "val": 10, "test": 15}
    told = capfd.readouterr().err
    assert "the test part is the one that the data set names: 30 clips of 3 groups" in told
    assert "warning" not in told


def test_scenes_in_test_and_train_are_told_and_the_parts_kept(
    tmp_path: Path, published: list[Clip], capfd: pytest.CaptureFixture[str]
) -> None:
    leaking = [c.model_copy(update={"group": "s0"}) if c.group == "t0" else c for c in published]
    split = run(tmp_path, ["a", "b"], leaking, val_size=0.2)
    assert len(split.ids("test")) == 30
    told = capfd.readouterr().err
    assert "1 group with clips in the test part and outside of it (s0)" in told
    assert "flatters the figures of 10 test clips" in told


def test_copies_of_published_test_clips_are_not_trained_on(
    tmp_path: Path, published: list[Clip], capfd: pytest.CaptureFixture[str]
) -> None:
    copied = [c.model_copy(update={"checksum": f"c{int(c.id[-1]) % 2}"}) for c in published[98:101]]
    clips = [*published[:98], *copied, *published[101:]]
    split = run(tmp_path, ["a", "b"], clips, val_size=0.2)
    assert len(split.ids("test")) == 30
    assert copied[0].id not in split.parts
    assert copied[1].id in split.parts
    told = capfd.readouterr().err
    assert "1 clip outside of the test part that the data set names left out, having" in told
    assert copied[0].id in told
    with pytest.raises(InputError, match="missing from train and val"):
        alike = [c.model_copy(update={"checksum": "one"}) for c in published]
        run(tmp_path, ["a", "b"], alike)


def test_the_published_parts_may_be_ignored(tmp_path: Path, published: list[Clip]) -> None:
    split = run(tmp_path, ["a", "b"], published, published_test=False, test_size=0.2)
    assert {i.partition("/")[0] for i in split.ids("test")} == {"train", "test"}
    folds = run(tmp_path, ["a", "b"], published, published_test=False, folds=3)
    assert len(folds.ids("test")) in range(30, 61)


def test_folds_of_a_published_split_are_refused_by_name(
    tmp_path: Path, published: list[Clip]
) -> None:
    with pytest.raises(SettingsError, match=r"folds: got 3, .*test part of 30 clips; set publish"):
        run(tmp_path, ["a", "b"], published, folds=3)
    only = [c for c in published if c.part == "test"]
    with pytest.raises(InputError, match="all usable clips are in the test part"):
        run(tmp_path, ["a", "b"], only)


def test_rare_classes_are_explained_or_accepted(
    tmp_path: Path, published: list[Clip], capfd: pytest.CaptureFixture[str]
) -> None:
    clips = [
        *published,
        clip("train", "s3", 900, "once", "a"),
        clip("train", "s4", 901, "twice"),
        clip("train", "s5", 902, "twice", "b"),
        clip("test", "t1", 903, "tested"),
    ]
    classes = ["twice", "a", "never", "once", "b", "tested"]
    with pytest.raises(InputError) as raised:
        run(tmp_path, classes, clips, val_size=0.2)
    told = str(raised.value)
    assert "allow_missing: true accepts that" in told
    asserted = (
        "class 'once' is missing from val and test: it has 1 usable clips in 1 groups besides 0 "
        "in the test part that the data set names; it needs clips of at least 2 groups, 1 more",
        "class 'never' is missing from train and val and test: it has 0 usable clips in 0 groups",
        "class 'twice' is missing from test: it has 2 usable clips in 2 groups",
        "class 'tested' is missing from train and val: it has 0 usable clips in 0 groups besides 1",
    )
    capfd.readouterr()
    split = run(tmp_path, classes, clips, val_size=0.2, allow_missing=True)
    warned = capfd.readouterr().err
    assert "warning: 4 classes are not in every part" in warned
    for text in asserted:
        assert text.partition(" is missing")[0] in told
        assert text in warned
    assert split.counts["once"] == {"train": 1, "val": 0, "test": 0}
    assert split.counts["twice"] == {"train": 1, "val": 1, "test": 0}
    assert split.counts["never"] == {"train": 0, "val": 0, "test": 0}
    assert split.counts["tested"] == {"train": 0, "val": 0, "test": 1}


def test_clips_with_several_labels_count_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clips = [clip("", f"s{n}", n, "a", "b") for n in range(20)]
    run(tmp_path, ["a", "b"], clips, val_size=0.25, test_size=0.25)
    lines = [line.split() for line in capfd.readouterr().err.splitlines()]
    assert ["a", "10", "5", "5"] in lines
    assert ["all", "10", "5", "5"] in lines


def test_without_a_published_part_rare_classes_train_then_validate(tmp_path: Path) -> None:
    clips = [clip("", f"s{n // 4}", n, "common") for n in range(80)]
    clips += [clip("", "s1", 100, "one"), clip("", "s2", 101, "two"), clip("", "s3", 102, "two")]
    clips += [clip("", f"s{n}", 200 + n, "three") for n in (5, 6, 7)]
    for seed in range(5):
        split = run(
            tmp_path, ["common", "one", "two", "three"], clips, allow_missing=True, seed=seed
        )
        assert split.counts["one"] == {"train": 1, "val": 0, "test": 0}
        assert split.counts["two"] == {"train": 1, "val": 1, "test": 0}
        assert split.counts["three"] == {"train": 1, "val": 1, "test": 1}


def test_a_part_without_any_clip_is_refused_even_then(tmp_path: Path) -> None:
    clips = [clip("train", "s0", n, "a") for n in range(9)] + [clip("test", "s1", 0, "a")]
    with pytest.raises(InputError, match=r"no clip is left for val; .*are 9 in 1 groups"):
        run(tmp_path, ["a"], clips, allow_missing=True)


PUBLISHED = {
    "Closing": 17, "Entering": 22, "Exiting": 32, "Interacts": 288, "Loading": 10, "Misc": 52,
    "Opening": 26, "Pull": 135, "Push": 13, "Riding": 70, "Talking": 93,
    "Transport_HeavyCarry": 61, "activity_carrying": 2561, "activity_gesturing": 29,
    "activity_running": 33, "activity_standing": 1831, "activity_walking": 4644,
    "specialized_miscellaneous": 14, "specialized_talking_phone": 60,
    "specialized_texting_phone": 42, "specialized_using_tool": 190, "vehicle_moving": 843,
    "vehicle_starting": 72, "vehicle_stopping": 118, "vehicle_turning_left": 38,
    "vehicle_turning_right": 33,
}  # fmt: skip
"""Training clips per class of TinyVIRAT."""


@pytest.mark.parametrize(("scenes", "size"), [(12, (0.05, 0.25)), (60, (0.08, 0.12))])
def test_skewed_classes_in_few_scenes_divide_well(
    tmp_path: Path, scenes: int, size: tuple[float, float]
) -> None:
    """As skewed as the real set, rare classes in few scenes, several labels per clip."""
    rng = np.random.default_rng(3)
    share = rng.dirichlet(np.ones(scenes))
    labels: list[list[str]] = [[] for _ in range(7663)]
    scene_of = rng.choice(scenes, len(labels), p=share)
    for name, count in PUBLISHED.items():
        liking = rng.gamma(0.3, 1, scenes)[scene_of] + 1e-9
        for number in rng.choice(len(labels), count, replace=False, p=liking / liking.sum()):
            labels[number].append(name)
    clips = [
        clip("train", f"s{scene}", number, *own)
        for number, (scene, own) in enumerate(zip(scene_of, labels, strict=True))
    ]
    clips += [clip("test", "t", n, name) for n, name in enumerate(PUBLISHED)]
    split = run(tmp_path, list(PUBLISHED), clips, val_size=0.1, allow_missing=True)
    absent = {
        part: sum(not row[part] for row in split.counts.values()) for part in split.counts["Pull"]
    }
    assert absent["train"] == 0
    assert absent["val"] <= (0 if scenes == 60 else 6)
    assert size[0] <= len(split.ids("val")) / 7663 <= size[1]
    scenes_of = {p: {i.split("/")[1] for i in split.ids(p)} for p in ("train", "val")}
    assert not scenes_of["train"] & scenes_of["val"]
