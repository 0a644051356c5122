"""Clips per class: taken evenly from folders, and what happens where there are too few."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.split import Split
from components.core.artifacts.task import Task
from components.core.errors import InputError
from components.core.settings import build
from components.core.splitting.sizes import shared
from components.split_clips.folders import mixed, shared_evenly
from components.split_clips.stage import STAGE, SplitSettings

MEALS = {"A/eating_soup": 3, "A/eating_bread": 50, "B/eating_rice": 50, "B/walking": 30}
COUNTS = {"train_size": 10, "val_size": 5, "test_size": 5}


def dataset(folders: Mapping[str, int], group_size: int = 0) -> ClipDataset:
    """Clips of folders `<source>/<class>_<subclass>`, all of them with the same file names."""
    clips = []
    for folder, count in folders.items():
        for number in range(count):
            name = f"{folder}/{number:03d}.mp4"
            clips.append(
                Clip(
                    id=name,
                    path=f"clips/{name}",
                    labels=[folder.partition("/")[2].partition("_")[0]],
                    group=f"{folder} {number // group_size}" if group_size else "",
                    size=1,
                    checksum=name,
                )
            )
    return ClipDataset.create(sorted({clip.labels[0] for clip in clips}), clips)


def run(tmp_path: Path, data: ClipDataset, task: Path | None = None, **settings: object) -> Split:
    folder = tmp_path / data.fingerprint
    folder.mkdir(exist_ok=True)
    data.save(folder)
    built = build(SplitSettings, settings)
    out = tmp_path / f"split-{len(list(tmp_path.iterdir()))}"
    inputs = {"clips": folder, **({"task": task} if task else {})}
    STAGE.execute(built, inputs, {"split": out}, state_root=tmp_path / "state")
    return Split.load(out)


def taken(split: Split, part: str = "") -> Counter[str]:
    """Folder → clips in the part, or in any."""
    return Counter(
        clip.rpartition("/")[0] for clip, where in split.parts.items() if part in ("", where)
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_clips_of_a_class_come_evenly_from_its_folders(tmp_path: Path, seed: int) -> None:
    split = run(tmp_path, dataset(MEALS), spread=True, seed=seed, **COUNTS)
    found = taken(split)
    assert found["A/eating_soup"] == 3
    assert sorted([found["A/eating_bread"], found["B/eating_rice"]]) == [8, 9]
    assert found["B/walking"] == 20
    for row in split.counts.values():
        assert row == {"train": 10, "val": 5, "test": 5}
    for part, share in (("train", 0.5), ("val", 0.25), ("test", 0.25)):
        for folder, count in taken(split, part).items():
            assert abs(count - share * found[folder]) <= 1, (part, folder)


def test_the_seed_decides_which_clips(tmp_path: Path) -> None:
    data = dataset({f"S/eat_{n:02d}": 5 for n in range(20)} | {"S/walk": 60})
    settings = {"spread": True, "train_size": 4, "val_size": 3, "test_size": 3}
    first, again = (run(tmp_path, data, seed=1, **settings) for _ in range(2))
    other = run(tmp_path, data, seed=2, **settings)
    assert first.parts == again.parts
    assert first.parts != other.parts
    # ten clips of twenty folders: from one each, and not always from the same ones
    eating = [{f for f in taken(split) if "eat" in f} for split in (first, other)]
    assert [len(folders) for folders in eating] == [10, 10]
    assert eating[0] != eating[1]
    without = run(tmp_path, data, seed=1, **{**settings, "spread": False})
    assert max(count for folder, count in taken(without).items() if "eat" in folder) > 1


def test_fractions_hold_in_every_folder(tmp_path: Path) -> None:
    folders = {"A/eat_a": 20, "A/eat_b": 60, "B/eat": 5, "B/walk_x": 40, "C/walk": 20}
    split = run(tmp_path, dataset(folders), spread=True, val_size=0.2, test_size=0.2)
    for part, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert taken(split, part) == {name: share * count for name, count in folders.items()}
    partly = run(tmp_path, dataset(folders), spread=True, train_size=0.4, val_size=0.2)
    assert taken(partly, "train")["A/eat_b"] == 24
    assert taken(partly, "test")["B/walk_x"] == 6


def test_counts_beside_a_training_part_that_takes_the_rest_are_as_mixed_as_the_class(
    tmp_path: Path,
) -> None:
    folders = {"A/eat_a": 10, "A/eat_b": 70, "B/eat": 20}
    split = run(tmp_path, dataset(folders), spread=True, val_size=10, test_size=20)
    assert taken(split, "val") == {"A/eat_a": 1, "A/eat_b": 7, "B/eat": 2}
    assert taken(split, "test") == {"A/eat_a": 2, "A/eat_b": 14, "B/eat": 4}
    assert len(split.parts) == 100


def test_folds_mix_every_folder(tmp_path: Path) -> None:
    data = dataset({f"S/eat_{n:02d}": 1 for n in range(20)} | {"A/walk_a": 15, "B/walk_b": 10})
    tested: Counter[str] = Counter()
    for fold in range(5):
        split = run(tmp_path, data, spread=True, folds=5, fold=fold, val_size=0.2)
        test = taken(split, "test")
        assert (test["A/walk_a"], test["B/walk_b"], test.total()) == (3, 2, 9)
        tested.update(split.ids("test"))
    assert tested == Counter(clip.id for clip in data.clips)


def test_recordings_stay_whole(tmp_path: Path) -> None:
    folders = {"A/eat_a": 40, "A/eat_b": 60, "B/walk": 60}
    data = dataset(folders, group_size=4)
    split = run(tmp_path, data, spread=True, train_size=24, val_size=8, test_size=8)
    sides: dict[str, set[str]] = {}
    for clip in data.clips:
        sides.setdefault(clip.group, set()).add(split.parts.get(clip.id, "unused"))
    assert all(len(parts) == 1 for parts in sides.values())
    assert {row["train"] for row in split.counts.values()} == {24}
    assert taken(split, "train") == {"A/eat_a": 12, "A/eat_b": 12, "B/walk": 24}
    assert taken(split, "val") == {"A/eat_a": 4, "A/eat_b": 4, "B/walk": 8}


def test_copies_of_one_file_within_a_class_are_taken_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = dataset({"A/eat_a": 10, "B/eat_a": 10, "B/walk": 20})
    clips = [
        clip.model_copy(update={"checksum": clip.id.rpartition("/")[2]})
        if clip.labels == ["eat"]
        else clip
        for clip in data.clips
    ]
    copied = ClipDataset.create(data.classes, clips)
    split = run(tmp_path, copied, spread=True, val_size=2, test_size=2)
    assert taken(split) == {"A/eat_a": 10, "B/walk": 20}
    told = capfd.readouterr().err
    assert "10 clips left out, being copies: B/eat_a/000.mp4 = A/eat_a/000.mp4, " in told
    with pytest.raises(InputError, match=r"eat +12 +10 +2"):
        run(tmp_path, copied, spread=True, train_size=8, val_size=2, test_size=2)


def test_the_report_has_a_line_for_every_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, dataset({**MEALS, "B/walking_far": 0}), spread=True, **COUNTS)
    lines = [line.split() for line in capfd.readouterr().err.splitlines()]
    assert ["class", "train", "val", "test"] in lines
    assert ["eating", "10", "5", "5"] in lines
    rows = {line[0]: [int(cell) for cell in line[1:]] for line in lines if line[0] in MEALS}
    assert sum(rows["A/eating_soup"]) == 3
    assert np.sum([rows[f] for f in MEALS if "eating" in f], axis=0).tolist() == [10, 5, 5]


def test_all_short_classes_are_refused_in_one_table(tmp_path: Path) -> None:
    """No part of a short class is left empty or quietly smaller than it was asked for."""
    data = dataset({"A/many": 30, "A/few": 7, "B/rare": 1, "B/exact": 20})
    with pytest.raises(InputError) as raised:
        run(tmp_path, data, **COUNTS)
    told = str(raised.value)
    assert "2 classes have fewer clips than are asked for" in told
    rows = [line.split() for line in told.splitlines()]
    assert rows[1:4] == [
        ["class", "asked", "there", "short", "by"],
        ["few", "20", "7", "13"],
        ["rare", "20", "1", "19"],
    ]
    assert "set allow_short: true" in told
    assert not list(tmp_path.glob("split-*"))


def test_unusable_clips_do_not_count(tmp_path: Path) -> None:
    data = dataset({"A/eat": 20, "A/walk": 20})
    bad = data.clips[0].model_copy(update={"error": "no video stream"})
    with pytest.raises(InputError, match=r"eat +20 +19 +1"):
        run(tmp_path, ClipDataset.create(data.classes, [bad, *data.clips[1:]]), **COUNTS)


@pytest.mark.parametrize("spread", [False, True])
def test_short_classes_may_be_shared_out(
    spread: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = dataset({"A/many": 30, "A/few_a": 4, "B/few_b": 4, "B/three": 3})
    split = run(tmp_path, data, spread=spread, allow_short=True, **COUNTS)
    assert split.counts == {
        "few": {"train": 4, "val": 2, "test": 2},
        "many": {"train": 10, "val": 5, "test": 5},
        "three": {"train": 1, "val": 1, "test": 1},
    }
    if spread:
        assert taken(split, "train")["A/few_a"] == 2
    told = capfd.readouterr().err
    assert "warning: 2 classes have fewer clips than are asked for" in told
    lines = [line.split() for line in told.splitlines()]
    assert ["class", "train", "val", "test", "short"] in lines
    assert ["few", "4", "2", "2", "12"] in lines
    assert ["many", "10", "5", "5"] in lines


def test_the_rest_and_fractions_ask_for_one_clip(tmp_path: Path) -> None:
    data = dataset({"A/many": 30, "A/few": 8})
    run(tmp_path, dataset({"A/many": 30, "A/few": 9}), val_size=4, test_size=4)
    with pytest.raises(InputError, match=r"few +9 +8 +1"):
        run(tmp_path, data, val_size=4, test_size=4)
    split = run(tmp_path, data, val_size=4, test_size=4, allow_short=True)
    assert split.counts["few"] == {"train": 4, "val": 2, "test": 2}
    assert run(tmp_path, data, val_size=0.45, test_size=0.45).counts["few"]["train"] > 0


def test_a_class_too_small_for_every_part_needs_both_permissions(tmp_path: Path) -> None:
    data = dataset({"A/many": 30, "A/two": 2})
    with pytest.raises(InputError, match=r"two +20 +2 +18"):
        run(tmp_path, data, allow_missing=True, **COUNTS)
    with pytest.raises(InputError, match="class 'two' is missing from test: it has 2 usable"):
        run(tmp_path, data, allow_short=True, **COUNTS)
    split = run(tmp_path, data, allow_missing=True, allow_short=True, **COUNTS)
    assert split.counts["two"] == {"train": 1, "val": 1, "test": 0}


def test_with_folds_and_a_published_test_part_only_the_rest_is_asked(tmp_path: Path) -> None:
    data = dataset({"A/eat": 20, "A/walk": 20})
    with pytest.raises(InputError, match=r"eat +18 +16 +2"):
        run(tmp_path, data, folds=5, train_size=13, val_size=5)
    split = run(tmp_path, data, folds=5, train_size=11, val_size=5)
    assert split.counts["eat"] == {"train": 11, "val": 5, "test": 4}
    clips = [c.model_copy(update={"part": "test" * (n % 2)}) for n, c in enumerate(data.clips)]
    named = ClipDataset.create(data.classes, clips)
    split = run(tmp_path, named, train_size=7, val_size=3, test_size=50)
    assert split.counts["walk"] == {"train": 7, "val": 3, "test": 10}


def test_a_task_gives_the_counts(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    Task.create("meals", {**COUNTS, "classes": ["eating"]}).save(task)
    split = run(tmp_path, dataset(MEALS), task, spread=True, train_size=1)
    assert split.parts == run(tmp_path, dataset(MEALS), spread=True, **COUNTS).parts


def test_sharing_is_exact_for_any_numbers() -> None:
    """Against what defines each of the three, over many random cases."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        there = rng.integers(0, 30, rng.integers(1, 9)).astype(float)
        total = int(rng.integers(0, there.sum() + 1))
        even = shared_evenly(total, there)
        assert even.sum() == total
        assert (even <= there).all()
        level = even.max(initial=0)
        assert (even >= np.minimum(there, level - 1)).all()
        rows = shared(total, list(rng.integers(1, 50, 3)))
        assert rows.sum() == total
        assert (rows >= (1 if total >= 3 else 0)).all()
        table = mixed(rows, even)
        assert (table.sum(axis=1) == rows).all()
        assert (table.sum(axis=0) == even).all()
        assert (table >= 0).all()
        assert np.abs(table - np.outer(rows, even) / max(total, 1)).max() < 2
