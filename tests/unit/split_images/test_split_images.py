"""Whole recordings, classes and negatives in proportion, and what is refused."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from image_sets import film, frame, written

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.errors import InputError, SettingsError
from components.core.formats.shapes import AnnotatedImage
from components.core.settings import build
from components.split_images.stage import STAGE, SplitSettings


def run(dataset: Path, **settings: object) -> Split:
    out = dataset.parent / f"split-{len(list(dataset.parent.iterdir()))}"
    STAGE.execute(
        build(SplitSettings, settings),
        {"dataset": dataset},
        {"split": out, "report": out.with_suffix(".html")},
        state_root=dataset.parent / "state",
    )
    return Split.load(out)


def films_of(split: Split, part: str) -> set[str]:
    return {name.partition("/")[0] for name in split.ids(part)}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Twenty films of ten frames: a everywhere, b and c in a quarter each, some empty frames."""
    images: list[AnnotatedImage] = []
    for number in range(20):
        labels = "aa" + ("b" if number % 4 == 1 else "") + ("ccc" if number % 4 == 2 else "")
        images += film(tmp_path / "files", f"f{number:02}", 8, labels)
        images += [
            frame(tmp_path / "files", f"f{number:02}/{n:04}.png", group=f"f{number:02}", frame=n)
            for n in (8, 9)
        ]
    return written(tmp_path / "dataset", images, "abc")


def test_recordings_stay_whole_and_classes_are_shared_out(films: Path) -> None:
    split = run(films, val_size=0.2, test_size=0.2)
    found = {part: films_of(split, part) for part in ("train", "val", "test")}
    assert {part: len(own) for part, own in found.items()} == {"train": 12, "val": 4, "test": 4}
    assert not found["train"] & found["val"] | found["train"] & found["test"]
    assert not found["val"] & found["test"]
    assert len(split.parts) == 200
    assert split.counts == {
        "a": {"train": 192, "val": 64, "test": 64},
        "b": {"train": 24, "val": 8, "test": 8},
        "c": {"train": 72, "val": 24, "test": 24},
    }
    assert split.parent == DetectionDataset.load(films).fingerprint


def test_the_seed_decides_and_nothing_else(films: Path) -> None:
    splits = [run(films, seed=seed).fingerprint for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_sizes_may_be_images_and_what_no_part_asks_for_is_left_out(films: Path) -> None:
    split = run(films, train_size=80, val_size=40, test_size=0, allow_missing=True)
    assert Counter(split.parts.values()) == {"train": 80, "val": 40}
    with pytest.raises(InputError, match=r"val_size 150, test_size 50 ask for more than the 200"):
        run(films, val_size=150, test_size=50)


def test_folds_test_every_image_once(films: Path) -> None:
    splits = [run(films, folds=4, fold=fold, val_size=0.2) for fold in range(4)]
    tested = [name for split in splits for name in split.ids("test")]
    assert sorted(tested) == sorted(splits[0].parts)
    for split in splits:
        assert Counter(split.parts.values()) == {"train": 120, "val": 30, "test": 50}
        assert not films_of(split, "test") & (films_of(split, "train") | films_of(split, "val"))


def test_negatives_are_in_every_part(tmp_path: Path) -> None:
    images = [frame(tmp_path, f"{n:03}.png", "a" if n % 5 else "") for n in range(100)]
    split = run(written(tmp_path / "dataset", images, "a"), val_size=0.2, test_size=0.2)
    empty = Counter(part for name, part in split.parts.items() if int(name[:3]) % 5 == 0)
    assert empty == {"train": 12, "val": 4, "test": 4}
    assert split.counts["a"] == {"train": 48, "val": 16, "test": 16}


def test_a_single_video_is_refused_and_then_divided_into_windows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = written(tmp_path / "dataset", film(tmp_path / "files", "only", 100, "ab"), "ab")
    with pytest.raises(InputError, match=r"no image is left for .*100 in 1 group, .*frame_window"):
        run(dataset)
    split = run(dataset, frame_window=10, val_size=0.2, test_size=0.2)
    places = {name: int(name[5:9]) for name in split.parts}
    for window in range(10):
        assert len({split.parts[n] for n, place in places.items() if place // 10 == window}) == 1
    assert Counter(split.parts.values()) == {"train": 60, "val": 20, "test": 20}
    assert "20 of 20 images in the val part are of recordings that are trained on as well" in (
        capfd.readouterr().err
    )


def test_too_few_images_are_told_what_helps_them(tmp_path: Path) -> None:
    images = [frame(tmp_path / "files", f"{label}.png", label) for label in "abc"]
    dataset = written(tmp_path / "dataset", images, "abc")
    with pytest.raises(InputError) as caught:
        run(dataset, allow_missing=True)
    text = str(caught.value)
    assert "no image is left for val and test; the images to divide are 3; as allow_missing" in text
    assert text.endswith(
        "train first, and these are in all of them: add images or ask for fewer parts"
    )
    with pytest.raises(InputError, match="are 3: add images or ask for fewer parts"):
        run(dataset)


def test_frames_near_another_part_are_left_out(tmp_path: Path) -> None:
    dataset = written(tmp_path / "dataset", film(tmp_path / "files", "only", 100), "a")
    split = run(dataset, frame_window=10, frame_gap=3, val_size=0.2, test_size=0.2)
    places = {int(name[5:9]): part for name, part in split.parts.items()}
    assert sum(part == "test" for part in places.values()) == 20
    for place, part in places.items():
        near = {places.get(place + step, part) for step in range(-3, 4)}
        assert near == {part}
    assert len(places) < 100


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({"group_by": "folder"}, 10),
        ({"group_pattern": r"(.*)frame\d+"}, 20),
        ({"group_by": "task"}, 5),
        ({"group_by": "image"}, 200),
    ],
)
def test_what_stays_together_can_be_chosen(
    tmp_path: Path, settings: dict[str, object], groups: int
) -> None:
    from components.split_images.grouping import grouped

    images = [
        AnnotatedImage(f"d{n % 10}/film{n % 20}frame{n:04}.png", 9, 9, task=f"t{n % 5}")
        for n in range(200)
    ]
    found = grouped(images, build(SplitSettings, settings))
    assert len(found) == groups
    assert sum(len(own) for own in found.values()) == 200


def test_images_of_no_known_recording_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = [frame(tmp_path / "files", f"f{n // 5}_{n:03}.png", "a") for n in range(60)]
    dataset = written(tmp_path / "dataset", images, "a")
    run(dataset)
    assert "no recording is known of 60 images: each is taken for itself" in capfd.readouterr().err
    split = run(dataset, group_pattern="^(f[0-9]+)_", val_size=0.25)
    for number in range(12):
        assert len({p for name, p in split.parts.items() if name.startswith(f"f{number}_")}) == 1
    assert "no recording is known" not in capfd.readouterr().err
    with pytest.raises(InputError, match="group_pattern: 'film' is in no image's name; they are"):
        run(dataset, group_pattern="film")


def test_copies_of_one_file_stay_together(tmp_path: Path) -> None:
    images = [frame(tmp_path / "files", f"{n:03}.png", "a") for n in range(60)]
    for image in images[30:]:
        assert image.path is not None
        image.path.write_bytes(
            (tmp_path / "files" / f"{int(image.name[:3]) - 30:03}.png").read_bytes()
        )
    split = run(written(tmp_path / "dataset", images, "a"), val_size=0.2, test_size=0.2)
    for number in range(30):
        assert split.parts[f"{number:03}.png"] == split.parts[f"{number + 30:03}.png"]


def test_a_class_in_too_few_recordings_is_explained_or_trains(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = [
        i for n in range(9) for i in film(tmp_path / "files", f"f{n}", 3, "ab"[: 1 + (n < 2)])
    ]
    dataset = written(tmp_path / "dataset", images, "abz")
    with pytest.raises(InputError) as raised:
        run(dataset)
    told = str(raised.value)
    assert re.search(
        r"class 'b' is missing from (val|test): it has 6 annotations in 2 groups; it needs images "
        r"of at least 3 groups, 1 more",
        told,
    )
    assert "class 'z' is missing from train and val and test: it has 0 annotations" in told
    assert "allow_missing: true" in told
    split = run(dataset, allow_missing=True)
    assert split.counts["b"] == {"train": 3, "val": 3, "test": 0}
    assert "2 classes are not in every part" in capfd.readouterr().err


def test_every_tenth_is_as_the_older_tools_did_it_and_its_leak_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = film(tmp_path / "files", "b", 25) + film(tmp_path / "files", "a", 10)
    split = run(written(tmp_path / "dataset", images, "a"), strategy="every_tenth")
    rows = [image.name for image in images]
    assert split.ids("val") == sorted(rows[n] for n in (0, 10, 20, 30))
    assert len(split.ids("train")) == 31
    assert split.ids("test") == []
    told = capfd.readouterr().err
    assert "each 10th image validates, whatever it is next to" in told
    assert (
        "4 of 4 images in the val part are of recordings that are trained on as well, 4 of" in told
    )


def test_published_parts_are_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images = [
        frame(tmp_path / "files", f"{n:03}.png", "a", part=("train", "train", "test", "")[n % 4])
        for n in range(80)
    ]
    dataset = written(tmp_path / "dataset", images, "a")
    named = [image.name for image in images if image.part == "test"]
    split = run(dataset, val_size=0.25)
    assert split.ids("test") == named
    assert Counter(split.parts.values()) == {"train": 45, "val": 15, "test": 20}
    assert "test: as the data set names them, 20 images" in capfd.readouterr().err
    free = run(dataset, published_test=False, test_size=0.5)
    assert free.ids("test") != named
    assert len(free.ids("test")) == 40
    with pytest.raises(SettingsError, match="its own test part of 20 images; set published_test"):
        run(dataset, folds=3)


def test_all_published_parts_are_kept_where_asked_for(tmp_path: Path) -> None:
    images = [
        frame(tmp_path / "files", f"{n:03}.png", "a", part=("train", "val")[n % 4 == 0])
        for n in range(80)
    ]
    dataset = written(tmp_path / "dataset", images, "a")
    named = [image.name for image in images if image.part == "val"]
    split = run(dataset, strategy="published", test_size=0.1)
    assert split.ids("val") == named
    assert len(split.ids("test")) == 6  # of the 60 that train
    whole = run(dataset, strategy="published", test_size=0)
    assert whole.ids("train") == [image.name for image in images if image.part == "train"]
    for image in images:
        image.part = "train"
    unnamed = written(tmp_path / "other", images, "a")
    with pytest.raises(InputError, match="strategy: published, but the data set names train"):
        run(unnamed, strategy="published")


def test_copies_of_published_test_images_are_not_trained_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = [
        frame(tmp_path / "files", f"{n:03}.png", "a", part="test" if n < 10 else "")
        for n in range(60)
    ]
    (tmp_path / "files/020.png").write_bytes((tmp_path / "files/003.png").read_bytes())
    split = run(written(tmp_path / "dataset", images, "a"))
    assert "020.png" not in split.parts
    assert split.parts["003.png"] == "test"
    assert "1 image left out, having the content of images in a part that the data set names" in (
        capfd.readouterr().err
    )


def test_every_problem_of_the_settings_is_told() -> None:
    with pytest.raises(SettingsError) as raised:
        build(
            SplitSettings,
            {
                "strategy": "published", "published_test": False, "folds": 1, "fold": 2,
                "val_size": 1.5, "train_size": 0.9, "group_pattern": "(", "frame_window": 5,
                "group_by": "image", "device": "gpu", "test_size": 0.3,
            },
        )  # fmt: skip
    told = str(raised.value)
    for name in ("published_test:", "folds: 1 fold", "folds: strategy published", "fold: got 2",
                 "val_size: got 1.5", "group_pattern:", "device: got 'gpu'"):  # fmt: skip
        assert name in told, name
    with pytest.raises(SettingsError, match="fractions add up to 1; less than 1 is accepted"):
        build(SplitSettings, {"val_size": 0.5, "test_size": 0.5})


def test_the_report_tells_what_is_covered(films: Path) -> None:
    split = run(films, val_size=0.2, test_size=0.2)
    reports = list(films.parent.glob("split-*.html"))
    assert len(reports) == 1
    text = reports[0].read_text(encoding="utf-8")
    assert "Images: <b>120</b> train (60%), <b>40</b> val (20%), <b>40</b> test (20%)." in text
    row = ["b", "24", "24", "3", "8", "8", "1", "8", "8", "1"]
    cells = "".join(
        f'<td class="{"key" if n == 0 else "number"}">{c}</td>' for n, c in enumerate(row)
    )
    assert cells in text
    assert "(no object)" in text
    assert "group f07" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    kept = json.loads((films.parent / reports[0].stem / "index.json").read_text())
    assert kept["fingerprint"] == split.fingerprint
    assert [p.name for p in (films.parent / reports[0].stem).iterdir()] == ["index.json"]
