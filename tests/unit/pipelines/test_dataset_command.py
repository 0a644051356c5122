"""`trainyard dataset`, as a person and a program see it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from image_sets import film
from kitti_folders import CAR, VAN, content, labelled
from PIL import Image

from components.core.kitti import resizing
from components.core.kitti.check import check
from components.core.kitti.conversion import read
from components.core.kitti.layout import tao_layout
from pipelines.cli import main


def dataset(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["dataset", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def refusal(*words: object, code: int = 3) -> str:
    result = dataset(*words, code=code)
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """KITTI: five films of four frames with the class a, two with b, one of images without."""
    folder = tmp_path / "films"
    images = [
        image
        for number, labels in enumerate(("a", "a", "a", "ab", "ab", ""))
        for image in film(tmp_path / "frames", f"film{number}", 4, labels)
    ]
    for image in images:
        image.name = image.name.replace("/", "_")
    tao_layout(images, folder)
    return folder


def parts(folder: Path) -> dict[str, str]:
    """Image → part."""
    return {path.name: path.parents[1].name for path in folder.glob("*/image_2/*")}


def test_check_tells_and_ends_with_3(tmp_path: Path) -> None:
    labelled(tmp_path, "a.png", CAR, "Car 0 0")
    result = dataset("check", tmp_path, code=3)
    assert "a.txt: line 2: 3 columns instead of 15" in result.stdout
    found = json.loads(dataset("check", tmp_path, "--json", code=3).stdout)
    assert (found["classes"], len(found["errors"])) == ({"Car": 1}, 1)
    labelled(tmp_path, "a.png", CAR)
    assert "0 errors" in dataset("check", tmp_path).stdout
    assert "expected are Van" in dataset("check", tmp_path, "--class", "Van", code=3).stdout


def test_convert_and_back(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "raccoon_voc"
    made, back = tmp_path / "deep/kitti", tmp_path / "voc"
    said = dataset("convert", source, made, "--to", "kitti", "--map", "raccoon=animal").stdout
    assert said == f"{made} (kitti): 160 images, 173 objects\n"
    assert check(made).classes == {"animal": 173}
    dataset("convert", made, back, "--to", "voc")
    assert read(back)[1].counts() == {"animal": 173}
    assert all(path.stat().st_nlink == 1 for path in (back / "JPEGImages").iterdir())
    dataset("convert", made, tmp_path / "linked", "--to", "voc", "--link")
    assert all(path.stat().st_nlink == 2 for path in (tmp_path / "linked/JPEGImages").iterdir())
    before = content(back)
    said = refusal("convert", made, tmp_path / "x", "--to", "voc", "--suffix", ".jpg", code=2)
    assert "--suffix: images of voc stay as they are" in said
    assert "nothing was overwritten" in refusal("convert", made, back, "--to", "voc")
    assert content(back) == before


def test_nothing_is_written_into_the_source(films: Path, tmp_path: Path) -> None:
    (films / "empty").mkdir()
    before, names = content(films), sorted(films.iterdir())
    (tmp_path / "link").symlink_to(films)
    for words in (
        ("convert", films, films / "x", "--to", "coco"),
        ("convert", films, films / "empty", "--to", "coco"),
        ("convert", films, tmp_path / "link/deep/x", "--to", "coco"),
        ("resize", films, films / "x", "--size", "48x32"),
        ("split", films, films / "image_2/../x"),
        ("statistics", films, "--output", films / "page.html"),
    ):
        assert "which is never changed; name a place outside it" in refusal(*words)
    assert content(films) == before
    assert sorted(films.iterdir()) == names
    dataset("convert", films, tmp_path / "films_coco", "--to", "coco")


def test_outlines_of_weeds_are_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "cwfid_weeds"
    counts = read(source, "cwfid")[1].counts()
    dataset("convert", source, tmp_path / "kitti", "--to", "kitti")
    assert read(tmp_path / "kitti")[1].counts() == counts
    assert sum(counts.values()) > 20
    said = dataset("resize", source, tmp_path / "s", "--size", "64x48", "--from", "cwfid").stdout
    assert "(coco)" in said


def test_what_is_lost_is_told_or_refused(tmp_path: Path) -> None:
    labelled(tmp_path / "s", "a.png", CAR, "Car 0 0")
    said = refusal("convert", tmp_path / "s", tmp_path / "t", "--to", "coco", "--strict")
    assert "line 2: 3 columns" in said
    assert not (tmp_path / "t").exists()
    result = dataset("convert", tmp_path / "s", tmp_path / "t", "--to", "coco")
    assert "note: " in result.stderr
    assert "line 2: 3 columns" in result.stderr
    assert read(tmp_path / "t")[1].counts() == {"Car": 1}
    said = refusal(
        "convert", tmp_path / "s", tmp_path / "u", "--to", "coco", "--map", "Car", "--map", "=x",
        code=2,
    )  # fmt: skip
    assert "2 problems" in said
    assert "got '=x', accepted is OLD=NEW" in said


def test_recordings_stay_whole_and_the_seed_decides(films: Path, tmp_path: Path) -> None:
    before = content(films)

    def split(name: str, *more: object) -> dict[str, str]:
        made = tmp_path / name
        words = ("--val-size", 0.3, "--group-pattern", r"(film\d)_", *more)
        result = dataset("split", films, made, *words)
        assert f"{made} (kitti): 24 images" in result.stdout
        return parts(made)

    first, again = split("one"), split("two")
    assert first == again
    others = [split(f"seed{seed}", "--seed", seed) for seed in range(1, 6)]
    assert any(other != first for other in others)
    for found in (first, *others):
        assert len(found) == 24
        assert len({(name[:5], part) for name, part in found.items()}) == 6
        with_b = {part for name, part in found.items() if name[:5] in ("film3", "film4")}
        assert with_b == {"train", "val"}, "the class b is in both"
    assert content(films) == before
    assert (tmp_path / "one/report.html").is_file()
    image = next(iter(first))
    copy = tmp_path / "one" / first[image] / "image_2" / image
    assert not copy.samefile(films / "image_2" / image)
    assert copy.read_bytes() == (films / "image_2" / image).read_bytes()
    labels = {path.name: path.read_bytes() for path in (tmp_path / "one").glob("*/label_2/*")}
    assert labels == {path.name: path.read_bytes() for path in films.glob("label_2/*")}


def test_a_split_that_cannot_be_leaves_nothing(films: Path, tmp_path: Path) -> None:
    there = sorted(path.name for path in tmp_path.iterdir())
    said = refusal("split", films, tmp_path / "out", "--val", 2, "--test-size", 0.5, "--val", 1.5,
                   code=2)  # fmt: skip
    assert "val_size: got 1.5" in said
    assert "group_pattern" in refusal("split", films, tmp_path / "out", "--group-pattern", "zebra")
    said = refusal(
        "split", films, tmp_path / "out", "--group-pattern", r"(film\d)_", "--test-size", 0.2
    )
    assert "class 'b' is missing from" in said
    assert "it needs images of at least 3 groups, 1 more" in said
    assert "already exists" in refusal("split", films, films)
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_parts_of_the_source_can_be_kept(films: Path, tmp_path: Path) -> None:
    pattern = ("--group-pattern", r"(film\d)_")
    dataset("split", films, tmp_path / "first", *pattern, "--val-size", 0.3)
    dataset("split", tmp_path / "first", tmp_path / "kept", "--keep-parts")
    assert parts(tmp_path / "kept") == parts(tmp_path / "first")
    dataset(
        "split", tmp_path / "first", tmp_path / "new", *pattern, "--val-size", 0.5, "--to", "coco"
    )
    _, found = read(tmp_path / "new")
    assert sorted(image.part for image in found.images) == ["train"] * 12 + ["val"] * 12
    assert found.counts() == {"a": 20, "b": 8}


def test_a_stopped_resize_continues(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    fill = resizing.fill

    def interrupted(*given: object) -> object:
        if len(made) == 10:
            raise KeyboardInterrupt
        made.append("")
        return fill(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(resizing, "usable_cpus", lambda: 1)
    monkeypatch.setattr(resizing, "fill", interrupted)
    words = ("resize", films, tmp_path / "small", "--size", "48x32")
    dataset(*words, code=1)
    assert not (tmp_path / "small").exists()
    kept = [path for path in tmp_path.rglob("*.png") if ".small.resizing" in str(path)]
    assert len(kept) == 10
    times = {path.name: path.stat().st_mtime_ns for path in kept}
    monkeypatch.setattr(resizing, "fill", fill)
    assert "24 images, 28 objects" in dataset(*words).stdout
    images = sorted((tmp_path / "small/image_2").iterdir())
    assert len(images) == 24
    assert {path.name: path.stat().st_mtime_ns for path in images if path.name in times} == times
    for path in images:
        with Image.open(path) as image:
            assert image.size == (48, 32)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert check(tmp_path / "small").errors == []


def test_a_wrong_size_is_refused(films: Path, tmp_path: Path) -> None:
    said = refusal("resize", films, tmp_path / "out", "--size", "1000x544")
    assert "width 1000 is no multiple of 16; the next ones are 992 and 1008" in said
    said = refusal("resize", films, tmp_path / "out", "--size", "64x1600000")
    assert "height 1600000 is above 16384" in said
    assert "width" not in said
    assert not (tmp_path / "out").exists()


def test_statistics(films: Path, tmp_path: Path) -> None:
    dataset("split", films, tmp_path / "s", "--group-pattern", r"(film\d)_", "--val-size", 0.3)
    page = tmp_path / "page.html"
    result = dataset("statistics", tmp_path / "s", "--output", page)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:4] == ["class", "train", "val", "all"]
    counts = {line[0]: [int(n) for n in line[1:4]] for line in lines[1:4]}
    assert counts["a"][2] == counts["a"][0] + counts["a"][1] == 20
    assert counts["b"] == [4, 4, 8]
    assert "<svg" in page.read_text(encoding="utf-8")
    assert "already exists" in refusal("statistics", films, "--output", page)
    found = json.loads(dataset("statistics", films, "--json").stdout)
    assert (found["full"]["images"], found["full"]["empty"]) == (24, 4)


def test_van_only(tmp_path: Path) -> None:
    labelled(tmp_path / "s", "a.png", CAR, VAN)
    dataset("convert", tmp_path / "s", tmp_path / "t", "--to", "yolo", "--class", "Van")
    assert read(tmp_path / "t")[1].counts() == {"Van": 1}
