"""VoTT: exports and projects of version 2, files of version 1, every defect."""

import json
from pathlib import Path

import pytest
from labelled_images import picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import vott
from components.core.formats.shapes import Kind, Shape


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def asset(name: str, *regions: object, state: int = 2, **more: object) -> dict[str, object]:
    size = {"width": 100, "height": 80}
    head = {"id": f"id-{name}", "name": name, "path": f"file:/x/{name}", "size": size}
    return {"asset": {**head, "state": state, **more}, "regions": list(regions)}


def region(*tags: str, left: float = 1, width: float = 10, **more: object) -> dict[str, object]:
    box = {"left": left, "top": 2, "width": width, "height": 20}
    return {"id": "r", "type": "RECTANGLE", "tags": list(tags), "boundingBox": box, **more}


POINTS = [{"x": 1, "y": 2}, {"x": 30, "y": 2}, {"x": 30, "y": 40}]
TAGS = [{"name": "dog", "color": "#fff"}, {"name": "cat"}]


def test_an_export(tmp_path: Path) -> None:
    for name in ("a b.png", "empty.png", "new.png"):
        picture(tmp_path / name)
    assets = [
        asset("a%20b.png", region("cat", "dog"), region("dog", type="POLYGON", points=POINTS)),
        asset("empty.png", state=1),
        asset("new.png", state=0),
        asset("film.mp4#t=3.2", region("cat"), parent={"name": "film.mp4"}, timestamp=3.2),
    ]
    path = save(
        tmp_path / "export.json", {"tags": TAGS, "assets": {a["asset"]["id"]: a for a in assets}}
    )  # type: ignore[index]
    found = vott.read(path)
    assert found.labels == ["dog", "cat"]
    first, empty, film = found.images
    assert (first.name, first.source_id) == ("a b.png", {"image": "id-a%20b.png"})
    assert first.shapes == [
        rectangle("cat", 1, 2, 11, 22, source_id="r"),
        rectangle("dog", 1, 2, 11, 22, source_id="r"),
        Shape("dog", Kind.POLYGON, (1, 2, 30, 2, 30, 40), source_id="r"),
    ]
    assert (empty.name, empty.shapes) == ("empty.png", [])
    assert (film.name, film.group) == ("film.mp4#t=3.2", "film.mp4")
    assert [each[:3] for each in problems(found)] == [
        ("no_entry", "export.json", "asset 'new.png'"),
        ("missing_image", "export.json", "asset 'film.mp4#t=3.2'"),
    ]


def test_a_project_with_a_file_per_asset(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    only_listed = {"id": "1", "name": "a.png"}
    save(tmp_path / "pets.vott", {"tags": TAGS, "assets": {"1": only_listed}})
    save(tmp_path / "1-asset.json", asset("a.png", region("cat")))
    found = vott.read(tmp_path)
    assert found.problems == []
    assert (found.labels, found.counts()) == (["dog", "cat"], {"cat": 1})


def test_version_1(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    corner = {"x1": 1, "y1": 2, "x2": 11, "y2": 22, "width": 100, "height": 80, "UID": "u"}
    content = {
        "frames": {"a.png": [{**corner, "tags": ["cat"]}], "b.png": []},
        "inputTags": "dog,cat",
        "visitedFrames": ["a.png"],
    }
    found = vott.read(save(tmp_path / "all.json", content))
    assert found.labels == ["dog", "cat"]
    assert [i.shapes for i in found.images] == [[rectangle("cat", 1, 2, 11, 22, source_id="u")]]
    assert [fault for fault, *_ in problems(found)] == ["no_entry"]


def test_version_1_of_a_video(tmp_path: Path) -> None:
    corner = {"x1": 1, "y1": 2, "x2": 11, "y2": 22, "width": 100, "height": 80}
    content = {"frames": {"7": [{**corner, "tags": ["cat"]}]}, "inputTags": "cat"}
    (image,) = vott.read(save(tmp_path / "film.mp4.json", content)).images
    assert (image.name, image.frame, image.group) == ("film.mp4/frame_000007.png", 7, "film.mp4")
    assert (image.width, image.height, len(image.shapes)) == (100, 80, 1)


def test_defects_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 50, 80)
    picture(tmp_path / "forgotten.png")
    regions = [
        region("cat", width=0),
        region("cat", left=45),
        region("cow"),
        region(),
        region("cat", type="POLYGON", points=POINTS[:2]),
        {"id": "r", "type": "RECTANGLE", "tags": ["cat"]},
        region("cat"),
    ]
    broken = {"asset": {"id": "7"}}
    assets = [asset("a.png", *regions), asset("a.png"), broken, 7]
    save(tmp_path / "a.json", {"tags": TAGS, "assets": assets})
    save(tmp_path / "b.json", {"some": "thing"})
    (tmp_path / "c.json").write_text("{", encoding="utf-8")
    found = vott.read(tmp_path)
    assert [(fault, file, where) for fault, file, where, _ in problems(found)] == [
        ("unreadable", "b.json", ""),
        ("unreadable", "c.json", ""),
        ("unknown_class", "a.json", "asset 'a.png', regions[3]"),
        ("unreadable", "a.json", "asset 'a.png', regions[5]"),
        ("size", "a.json", "asset 'a.png'"),
        ("zero_area", "a.json", "asset 'a.png', regions[0]"),
        ("outside", "a.json", "asset 'a.png', regions[1]"),
        ("unknown_class", "a.json", "asset 'a.png', regions[2]"),
        ("too_few_coordinates", "a.json", "asset 'a.png', regions[4]"),
        ("duplicate", "a.json", "asset 'a.png'"),
        ("unreadable", "a.json", "asset"),
        ("unreadable", "a.json", "assets"),
        ("no_entry", "forgotten.png", ""),
    ]
    assert [shape.points for shape in found.images[0].shapes] == [(45, 2, 50, 22), (1, 2, 11, 22)]
    with pytest.raises(InputError, match="no VoTT file"):
        vott.read(tmp_path / "nothing")
