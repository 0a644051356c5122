"""Splitting: stratified, grouped, reproducible, honest about what cannot be split."""

from collections import Counter
from pathlib import Path

import pytest

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.split import Split
from components.core.errors import InputError, SettingsError
from components.core.settings import build
from components.split_clips.stage import STAGE, SplitSettings


def make_clips(counts: dict[str, int], group_size: int = 0) -> ClipDataset:
    clips = []
    for label, count in counts.items():
        for number in range(count):
            group = f"{label}{number // group_size}" if group_size else ""
            name = f"{label}/{number:03d}.mp4"
            clips.append(
                Clip(
                    id=name,
                    path=f"clips/{name}",
                    labels=[label],
                    group=group,
                    size=1,
                    checksum=name,
                )
            )
    return ClipDataset.create(sorted(counts), clips)


def run(tmp_path: Path, dataset: ClipDataset, **settings: object) -> Split:
    folder = tmp_path / dataset.fingerprint
    folder.mkdir(exist_ok=True)
    dataset.save(folder)
    built = build(SplitSettings, settings)
    out = tmp_path / f"split-{len(list(tmp_path.iterdir()))}"
    STAGE.execute(built, {"clips": folder}, {"split": out}, state_root=tmp_path / "state")
    return Split.load(out)


def test_fractions_are_kept_in_every_class(tmp_path: Path) -> None:
    split = run(tmp_path, make_clips({"a": 100, "b": 40}))
    assert split.counts["a"] == {"train": 70, "val": 15, "test": 15}
    assert split.counts["b"] == {"train": 28, "val": 6, "test": 6}


def test_counts_per_class_leave_the_surplus_unused(tmp_path: Path) -> None:
    split = run(tmp_path, make_clips({"a": 50, "b": 20}), train_size=8, val_size=3, test_size=4)
    for row in split.counts.values():
        assert row == {"train": 8, "val": 3, "test": 4}
    assert len(split.parts) == 30


def test_groups_never_straddle(tmp_path: Path) -> None:
    dataset = make_clips({"a": 90, "b": 60}, group_size=5)
    split = run(tmp_path, dataset)
    sides: dict[str, set[str]] = {}
    for clip in dataset.clips:
        sides.setdefault(clip.group, set()).add(split.parts[clip.id])
    assert all(len(parts) == 1 for parts in sides.values())
    assert Counter(split.parts.values())["train"] in range(95, 116)


@pytest.mark.parametrize("settings", [{}, {"folds": 3}])
def test_copies_of_one_file_stay_together_and_join_their_groups(
    settings: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = make_clips({"a": 60, "b": 60}, group_size=2)
    ids = [clip.id for clip in dataset.clips]
    contents = {ids[n]: "one" for n in (0, 20, 40, 70)} | {ids[n]: "two" for n in (21, 90)}
    clips = [
        clip.model_copy(
            update={"checksum": contents.get(clip.id, clip.id), "group": clip.group * (n < 100)}
        )
        for n, clip in enumerate(dataset.clips)
    ]
    split = run(tmp_path, ClipDataset.create(dataset.classes, clips), **settings)
    joined = (0, 1, 20, 21, 40, 41, 70, 71, 90, 91)
    assert len({split.parts[ids[n]] for n in joined}) == 1
    told = " ".join(capfd.readouterr().err.split())
    assert "2 clips have the content of another clip but other labels: " in told
    assert "a/000.mp4 (a) and b/010.mp4 (b); a/021.mp4 (a) and b/030.mp4 (b)" in told


def test_copies_with_the_same_labels_are_no_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = make_clips({"a": 40, "b": 40})
    clips = [
        clip.model_copy(update={"checksum": f"{clip.labels[0]}{n // 2}"})
        for n, clip in enumerate(dataset.clips)
    ]
    split = run(tmp_path, ClipDataset.create(dataset.classes, clips))
    parts = [split.parts[clip.id] for clip in clips]
    assert parts[::2] == parts[1::2]
    assert "warning" not in capfd.readouterr().err


def test_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    dataset = make_clips({"a": 30, "b": 30})
    first, again = run(tmp_path, dataset, seed=1), run(tmp_path, dataset, seed=1)
    other = run(tmp_path, dataset, seed=2)
    assert first.parts == again.parts
    assert first.parts != other.parts


def test_folds_cover_every_clip_once_as_test(tmp_path: Path) -> None:
    dataset = make_clips({"a": 40, "b": 35}, group_size=2)
    tested: Counter[str] = Counter()
    for fold in range(5):
        split = run(tmp_path, dataset, folds=5, fold=fold)
        tested.update(split.ids("test"))
        assert all(row[part] > 0 for row in split.counts.values() for part in row)
    assert tested == Counter({clip.id: 1 for clip in dataset.clips})


def test_rare_class_reaches_every_part(tmp_path: Path) -> None:
    split = run(tmp_path, make_clips({"common": 200, "rare": 3}))
    assert split.counts["rare"] == {"train": 1, "val": 1, "test": 1}


def test_class_missing_from_a_part_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'rare' is missing from .*2 usable.*at least 3 groups, 1 more"
    ):
        run(tmp_path, make_clips({"common": 50, "rare": 2, "single": 1}))
    with pytest.raises(InputError, match="'single'"):
        run(tmp_path, make_clips({"common": 50, "rare": 2, "single": 1}))


def test_as_many_mixed_groups_as_parts_are_enough(tmp_path: Path) -> None:
    mixed = make_clips({"a": 6, "b": 6})
    clips = [clip.model_copy(update={"group": f"g{int(clip.id[-5]) % 3}"}) for clip in mixed.clips]
    split = run(tmp_path, ClipDataset.create(mixed.classes, clips))
    for row in split.counts.values():
        assert row == {"train": 2, "val": 2, "test": 2}


def test_unusable_clips_are_left_out(tmp_path: Path) -> None:
    dataset = make_clips({"a": 20, "b": 20})
    bad = dataset.clips[0].model_copy(update={"error": "no video stream"})
    split = run(tmp_path, ClipDataset.create(dataset.classes, [bad, *dataset.clips[1:]]))
    assert bad.id not in split.parts
    assert len(split.parts) == 39


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_size": 0.6, "test_size": 0.5}, "add up to 1.1"),
        ({"folds": 5, "fold": 5}, "accepted is 0 to 4"),
        ({"folds": 1}, "at least 2"),
        ({"fold": 2}, "folds is not set"),
    ],
)
def test_contradictory_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(SplitSettings, settings)


def test_real_recordings_split_by_source(tmp_path: Path, shared_data: Path) -> None:
    import csv

    with open(shared_data / "surv_fight" / "sources.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = [
        Clip(
            id=row["clip"],
            path=f"clips/{row['clip']}",
            labels=[row["label"]],
            group=row["source_group"],
            size=1,
            checksum=row["clip"],
        )
        for row in rows
    ]
    dataset = ClipDataset.create(sorted({row["label"] for row in rows}), clips)
    tested = []
    for fold in range(5):
        split = run(tmp_path, dataset, folds=5, fold=fold)
        tested += split.ids("test")
        part_of = {clip.group: split.parts[clip.id] for clip in clips}
        assert all(split.parts[clip.id] == part_of[clip.group] for clip in clips)
    assert sorted(tested) == sorted(row["clip"] for row in rows)
