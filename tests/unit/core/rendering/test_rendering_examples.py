"""Batches for training: shapes, aligned random crops, augmentation that keeps what belongs
together."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_scene import scene, synced

from components.core.errors import InputError
from components.core.models.warp import backward_warp
from components.core.rendering.reader import RenderingReader
from components.core.training.loader import make_loader
from components.core.training.rendering_augmentation import RenderingAugmentation
from components.core.training.renderings import RenderingBatch, RenderingExamples

PLAIN = RenderingAugmentation(flip=False)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> RenderingReader:
    folder = tmp_path_factory.mktemp("examples")
    return RenderingReader(synced(scene(folder / "sets", aux=3), folder / "a"))


def seen(batch: RenderingBatch, view: int) -> torch.Tensor:
    return backward_warp(batch["aux"][view], batch["coordinates"][view])


def test_a_batch(reader: RenderingReader) -> None:
    examples = RenderingExamples(reader, [4, 1, 7], (32, 48), augmentation=PLAIN)
    batch = examples.batch(0, [2, 0])
    assert batch["frames"] == [7, 4]
    assert [tuple(x.shape) for x in batch["levels"]] == [
        (2, 4, 32, 48), (2, 4, 16, 24), (2, 4, 8, 12), (2, 4, 4, 6),
    ]  # fmt: skip
    assert tuple(batch["target"].shape) == (2, 3, 32, 48)
    assert tuple(batch["valid"].shape) == (2, 1, 32, 48)
    for photo, places in zip(batch["aux"], batch["coordinates"], strict=True):
        assert tuple(places.shape) == (2, 3, 32, 48)
        assert photo.shape[:2] == (2, 4)
        assert all(side in (32, 64, 76, 96, 104) for side in photo.shape[2:])
    assert {x.dtype for x in (*batch["levels"], *batch["aux"], batch["target"])} == {torch.float32}


def test_random_crops_are_at_one_place_in_all_sizes(reader: RenderingReader) -> None:
    examples = RenderingExamples(reader, [3], (32, 32), augmentation=PLAIN)
    whole = RenderingExamples(reader, [3]).batch(0, [0])
    places = set()
    for epoch in range(60):
        batch = examples.batch(epoch, [0])
        matches = []
        for level, crop in enumerate(batch["levels"]):
            side, step = 32 >> level, 16 >> level
            tiles = whole["levels"][level].unfold(2, side, step).unfold(3, side, step)
            same = (tiles[0] == crop[0][:, None, None]).all(0).flatten(2).all(2)
            matches.append({tuple(place) for place in same.nonzero().tolist()})
        common = set.intersection(*matches)
        assert len(common) == 1
        row, column = common.pop()
        target = whole["target"][..., 16 * row : 16 * row + 32, 16 * column : 16 * column + 32]
        assert torch.equal(target, batch["target"])
        places.add((row, column))
    assert places == {(row, column) for row in range(3) for column in range(5)}


def test_what_an_aux_photo_shows_is_the_same_in_a_batch_of_others(reader: RenderingReader) -> None:
    examples = RenderingExamples(reader, range(8), (32, 32), augmentation=PLAIN)
    together, alone = examples.batch(3, [0, 5, 6]), examples.batch(3, [5])
    whole = RenderingExamples(reader, range(8), (32, 32), 0, PLAIN, whole_aux=True).batch(3, [5])
    for view in range(3):
        assert tuple(whole["aux"][view].shape) == (1, 4, 76, 104)
        assert seen(alone, view).abs().sum() > 0
        for other in (seen(together, view)[1:2], seen(whole, view)):
            # float32: one place in thousands lies between two pixels and goes the other way
            assert (other == seen(alone, view)).float().mean() > 0.998


def test_mirrored_crops_are_mirrored_in_everything(reader: RenderingReader) -> None:
    changes = RenderingAugmentation(seed=1)
    flipped = RenderingExamples(reader, range(8), (32, 32), augmentation=changes)
    plain = RenderingExamples(reader, range(8), (32, 32), augmentation=replace(changes, flip=False))
    mirrored = 0
    for epoch in range(6):
        ours, theirs = flipped.batch(epoch, [2]), plain.batch(epoch, [2])
        if torch.equal(ours["target"], theirs["target"]):
            continue
        mirrored += 1
        assert torch.equal(ours["target"], theirs["target"].flip(3))
        for one, other in zip(ours["levels"], theirs["levels"], strict=True):
            assert torch.equal(one, other.flip(3))
        for view in range(3):
            same = seen(ours, view) == seen(theirs, view).flip(3)
            assert same.float().mean() > 0.98  # between two pixels it goes the other way
            assert torch.equal(
                ours["coordinates"][view][:, 2], theirs["coordinates"][view][:, 2].flip(2)
            )
    assert 0 < mirrored < 6


def test_exposure_changes_all_colours_alike_and_nothing_else(reader: RenderingReader) -> None:
    plain = RenderingExamples(reader, range(8), (32, 32), augmentation=PLAIN).batch(0, [2])
    bright = replace(PLAIN, exposure=0.7)
    batch = RenderingExamples(reader, range(8), (32, 32), augmentation=bright).batch(0, [2])
    factor = float(batch["target"].sum() / plain["target"].sum())
    assert not 0.95 < factor < 1.05
    pairs = [(batch["target"], plain["target"])]
    for name in ("levels", "aux"):
        for one, other in zip(batch[name], plain[name], strict=True):
            pairs.append((one[:, :3], other[:, :3]))
            assert torch.equal(one[:, 3], other[:, 3])
    dark = batch["target"] < 1
    exact = float((batch["target"] / plain["target"])[dark].median())
    for one, other in pairs:
        torch.testing.assert_close(one, (other * exact).clamp(max=1), atol=1e-5, rtol=1e-4)


def test_aux_views_are_dropped_and_shuffled_but_never_all_dropped(reader: RenderingReader) -> None:
    changes = RenderingAugmentation(flip=False, aux_dropout=0.8, shuffle_aux=True)
    examples = RenderingExamples(reader, range(8), (32, 32), aux=2, augmentation=changes)
    blank, photos = [], set()
    for epoch in range(40):
        batch = examples.batch(epoch, [4])
        assert len(batch["aux"]) == 2
        gone = [not places[:, 2].any() for places in batch["coordinates"]]
        assert all(not photo.any() for photo, out in zip(batch["aux"], gone, strict=True) if out)
        blank.append(sum(gone))
        photos.update(round(float(p.sum()), 3) for p in batch["aux"] if p.any())
    assert set(blank) == {0, 1}
    order = {tuple(changes.views(epoch, 4, 3, 2)) for epoch in range(40)}
    assert len(order) == 6


def test_examples_depend_on_seed_epoch_and_position_only(reader: RenderingReader) -> None:
    changes = RenderingAugmentation(3, True, 0.3, 0.3, True)
    examples = RenderingExamples(reader, range(8), (32, 32), augmentation=changes)
    items = [(2, [1, 6]), (3, [1, 6])]
    other = pickle.loads(pickle.dumps(examples))
    loaded = list(make_loader(other, lambda: items, 1, torch.device("cpu")))
    for (epoch, indices), batch in zip(items, loaded, strict=True):
        for name, value in examples.batch(epoch, indices).items():
            for one, two in zip(value, batch[name], strict=True):
                assert torch.equal(torch.as_tensor(one), torch.as_tensor(two)), name
    assert not torch.equal(loaded[0]["target"], loaded[1]["target"])


def test_validation_sees_the_middle_whatever_the_epoch(reader: RenderingReader) -> None:
    examples = RenderingExamples(reader, range(8), (32, 64))
    first, later = examples.batch(0, [1]), examples.batch(9, [1])
    assert torch.equal(first["target"], later["target"])
    whole = RenderingExamples(reader, range(8)).batch(0, [1])["target"]
    assert torch.equal(first["target"], whole[..., 16:48, 16:80])


@pytest.mark.parametrize(
    ("size", "aux", "said"),
    [
        ((40, 32), 0, "multiples of 16"),
        ((32, 0), 0, "multiples of 16"),
        ((96, 32), 0, "use at most 64 x 96"),
        ((32, 32), 4, "has 3 for each frame"),
    ],
)
def test_crops_that_do_not_fit_are_refused_not_enlarged(
    reader: RenderingReader, size: tuple[int, int], aux: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        RenderingExamples(reader, range(8), size, aux)


def test_sets_of_other_sizes_train_together(tmp_path: Path) -> None:
    scene(tmp_path / "sets", frames=4, aux=1, sets=["large"])
    scene(tmp_path / "small", frames=4, aux=1, sets=["small"], native=(70, 70))
    (tmp_path / "small" / "small").rename(tmp_path / "sets" / "small")
    reader = RenderingReader(synced(tmp_path / "sets", tmp_path / "a", val_size=1, test_size=1))
    examples = RenderingExamples(reader, range(8), (32, 48), augmentation=PLAIN)
    batch = examples.batch(0, [0, 7])
    assert seen(batch, 0)[1].any()
    lone = examples.batch(0, [7])
    assert (seen(lone, 0)[0] == seen(batch, 0)[1]).float().mean() > 0.998
    with pytest.raises(InputError, match="different sizes"):
        RenderingExamples(reader, range(8)).batch(0, [0, 7])
    assert np.isfinite(batch["aux"][0].numpy()).all()
