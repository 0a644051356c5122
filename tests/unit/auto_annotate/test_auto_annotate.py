"""The stage on folders: a real detector's boxes as files, with a list of what to look at first."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_detector import CLASSES, paint, write_detector, write_evaluation
from PIL import Image

from components.auto_annotate.stage import STAGE, AnnotateSettings
from components.core.artifacts.auto_annotation import AutoAnnotation
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.events import Reporter
from components.core.formats import coco, cvat_xml
from components.core.settings import build, problems

THRESHOLDS = {"red": 0.5, "green": 0.8, "blue": 0.3}


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    bundle = write_detector(tmp_path / "model")
    write_evaluation(tmp_path / "evaluation", bundle, THRESHOLDS)
    return {"model": tmp_path / "model", "evaluation": tmp_path / "evaluation"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven images, so that the last batch of most sizes is not full."""
    folder = tmp_path / "photos"
    paint(folder / "a/sure.png", ("red", 1.0, (2, 2, 20, 20)))
    paint(folder / "a/nothing.png")
    paint(folder / "a/below.png", ("green", 0.7, (2, 2, 20, 20)))
    paint(folder / "b/two.png", ("red", 0.6, (2, 2, 20, 20)), ("blue", 0.4, (30, 30, 50, 60)))
    paint(folder / "b/edge.png", ("red", 0.52, (2, 2, 20, 20)), ("blue", 0.32, (30, 30, 50, 60)))
    paint(folder / "b/blue.png", ("blue", 0.98, (0, 0, 64, 64)))
    paint(folder / "z.png", ("green", 0.9, (5, 6, 7, 8)))
    return folder


def annotate(
    inputs: dict[str, Path], output: Path, **settings: Any
) -> tuple[AutoAnnotation, dict[str, dict[str, Any]]]:
    shown = STAGE.execute(
        AnnotateSettings(**settings),
        inputs,
        {"annotated": output},
        output.parent / "state",
        Reporter(STAGE.name, "silent"),
    )
    return AutoAnnotation.load(output), shown


def drawn(folder: Path) -> dict[str, set[tuple[str, tuple[float, ...]]]]:
    """Image → labels and points in the XML; the COCO file must say the same."""
    found = {}
    for read in (cvat_xml.read(folder / "annotations.xml"), coco.read(folder / "annotations.json")):
        say = {i.name: {(s.label, s.points) for s in i.shapes} for i in read.images}
        found = found or say
        assert say == found
    return found


def test_every_image_is_annotated_at_the_thresholds_of_its_classes(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    index, shown = annotate(inputs, tmp_path / "out", new_images=str(photos), batch_size=4)
    small = (2.0, 2.0, 20.0, 20.0)
    assert drawn(tmp_path / "out") == {
        "a/below.png": set(),
        "a/nothing.png": set(),
        "a/sure.png": {("red", small)},
        "b/blue.png": {("blue", (0.0, 0.0, 64.0, 64.0))},
        "b/edge.png": {("red", small), ("blue", (30.0, 30.0, 50.0, 60.0))},
        "b/two.png": {("red", small), ("blue", (30.0, 30.0, 50.0, 60.0))},
        "z.png": {("green", (5.0, 6.0, 7.0, 8.0))},
    }
    assert (index.images, index.empty, index.overlapping, index.existing) == (7, 2, 0, 0)
    assert index.boxes == {"red": 3, "green": 1, "blue": 3}
    assert index.thresholds == THRESHOLDS
    assert index.classes == CLASSES
    assert shown["annotated"] == {"images": 7, "boxes": 7, "task": ""}
    assert all((tmp_path / "out" / name).is_file() for name in index.files.values())


def test_a_network_in_tiles_of_large_images(tmp_path: Path) -> None:
    from detector_bundles import CLASSES as NAMES
    from detector_bundles import write_detector as write_network

    from components.core.detection.bundles import Preprocessing
    from components.core.detection.predictor import Predictor

    tiled = Preprocessing(tile_size=64, tile_overlap=16)
    bundle = write_network(tmp_path / "net", preprocessing=tiled)
    write_evaluation(tmp_path / "evaluation", bundle, dict.fromkeys(NAMES, 0.3))
    noise = np.random.default_rng(1).integers(0, 255, (3, 96, 128, 3), dtype=np.uint8)
    paths = [tmp_path / f"noise/{number}.png" for number in range(3)]
    paths[0].parent.mkdir()
    for path, pixels in zip(paths, noise, strict=True):
        Image.fromarray(pixels).save(path)
    inputs = {"model": tmp_path / "net", "evaluation": tmp_path / "evaluation"}
    index, _ = annotate(inputs, tmp_path / "out", new_images=str(paths[0].parent), batch_size=2)
    found = list(Predictor.load(tmp_path / "net").predict(paths))
    expected = [
        {
            (NAMES[number], tuple(sides))
            for sides, score, number in zip(
                one.boxes.astype(float).round(2).tolist(), one.scores, one.classes, strict=True
            )
            if score >= 0.3 and sides[0] < sides[2] and sides[1] < sides[3]
        }
        for one in found
    ]
    assert list(drawn(tmp_path / "out").values()) == expected
    assert 0 < sum(index.boxes.values()) == sum(map(len, expected)) < sum(map(len, found))


def test_boxes_are_automatic_and_have_their_scores(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    annotate(inputs, tmp_path / "out", new_images=str(photos))
    images = {i.name: i for i in cvat_xml.read(tmp_path / "out/annotations.xml").images}
    (shape,) = images["z.png"].shapes
    assert (shape.source, shape.attributes) == ("automatic", {"score": f"{230 / 255:.4f}"})
    document = json.loads((tmp_path / "out/annotations.json").read_text())
    assert {one["source"] for one in document["annotations"]} == {"automatic"}
    assert min(one["score"] for one in document["annotations"]) == pytest.approx(0.32, abs=0.01)


def test_images_to_look_at_first(inputs: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    annotate(inputs, tmp_path / "out", new_images=str(photos))
    with open(tmp_path / "out/review.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [
        "b/edge.png", "b/two.png", "a/below.png", "z.png", "b/blue.png", "a/nothing.png",
        "a/sure.png",
    ]  # fmt: skip
    # Doubts of 0.52 at 0.5 and 0.32 at 0.3, each a little below 0.5.
    assert float(rows[0]["doubt"]) == pytest.approx(0.5 * (0.48 / 0.5 + 0.68 / 0.7), abs=0.01)
    assert [row["doubtful_boxes"] for row in rows] == ["2", "2", "1", "0", "0", "0", "0"]
    assert Path(rows[0]["path"]) == photos / "b/edge.png"
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.index("edge.png") < page.index("two.png") < page.index("below.png")
    assert page.count("data:image/jpeg") == 7


def test_one_threshold_for_all_and_others_for_single_classes(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    index, _ = annotate(
        inputs,
        tmp_path / "out",
        new_images=str(photos),
        score_threshold=0.55,
        score_thresholds="green=0.65, blue=off",
        pictures=2,
    )
    assert index.boxes == {"red": 2, "green": 2, "blue": 0}
    assert index.thresholds == {"red": 0.55, "green": 0.65}
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2
    assert "left out" in page


def test_the_first_images_only(inputs: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    index, _ = annotate(inputs, tmp_path / "out", new_images=str(photos), max_images=3)
    assert set(drawn(tmp_path / "out")) == {"a/below.png", "a/nothing.png", "a/sure.png"}
    assert index.images == 3


def test_without_images_there_is_nothing_to_do(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = AnnotateSettings(upload=True)
    assert STAGE.idle(settings)
    assert STAGE.check(settings) == []
    STAGE.execute(
        settings, inputs, {"annotated": tmp_path / "told"}, tmp_path / "state", Reporter(STAGE.name)
    )
    assert "warning: nothing to annotate and to upload: set new_images" in capsys.readouterr().err
    index, shown = annotate(inputs, tmp_path / "out", upload=True)
    assert (index.images, index.source, index.files) == (0, "", {})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.json"]
    assert shown["annotated"]["images"] == 0


def test_unreadable_images_are_told_and_left_out(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    (photos / "b" / "broken.png").write_bytes(b"no image")
    index, _ = annotate(inputs, tmp_path / "out", new_images=str(photos))
    assert (index.images, index.unreadable) == (7, ["b/broken.png"])
    only = tmp_path / "only"
    only.mkdir()
    (only / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"no image of .* is readable.*x\.png"):
        annotate(inputs, tmp_path / "other", new_images=str(only))


def test_a_folder_without_images_or_none_at_all(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"new_images: the folder .* does not exist"):
        annotate(inputs, tmp_path / "out", new_images=str(tmp_path / "nowhere"))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("a")
    with pytest.raises(InputError, match=r"holds no images; looked for are files \.bmp"):
        annotate(inputs, tmp_path / "out", new_images=str(tmp_path / "texts"))


def test_a_killed_run_goes_on_where_it_was(
    inputs: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from components.core.detection.predictor import Predictor

    asked: list[list[Path]] = []
    whole = Predictor.predict

    def stopped(self: Predictor, images: Any) -> Any:
        images = list(images)
        asked.append(images)
        for number, found in enumerate(whole(self, images)):
            if len(asked) == 1 and number == 3:
                raise RuntimeError("killed")
            yield found

    monkeypatch.setattr(Predictor, "predict", stopped)
    with pytest.raises(RuntimeError, match="killed"):
        annotate(inputs, tmp_path / "out", new_images=str(photos))
    (kept,) = (tmp_path / "state").rglob("predictions.jsonl")
    with open(kept, "a", encoding="utf-8") as file:
        file.write('["half a li')
    annotate(inputs, tmp_path / "out", new_images=str(photos))
    assert [len(images) for images in asked] == [7, 4]
    monkeypatch.setattr(Predictor, "predict", whole)
    state = {"annotated": tmp_path / "fresh"}
    STAGE.execute(
        AnnotateSettings(new_images=str(photos)), inputs, state, tmp_path / "another state"
    )
    for name in ("annotations.xml", "annotations.json", "review.csv", "index.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


def test_an_image_that_was_replaced_is_looked_at_again(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    annotate(inputs, tmp_path / "out", new_images=str(photos))
    paint(photos / "a/nothing.png", ("green", 0.95, (2, 2, 20, 20)))
    annotate(inputs, tmp_path / "again", new_images=str(photos))
    assert drawn(tmp_path / "again")["a/nothing.png"] == {("green", (2.0, 2.0, 20.0, 20.0))}


def test_the_evaluation_must_be_of_the_model(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    other = write_detector(tmp_path / "other model", "others")
    write_evaluation(tmp_path / "other evaluation", other, THRESHOLDS)
    wrong = {**inputs, "evaluation": tmp_path / "other evaluation"}
    with pytest.raises(InputError, match=r"of another model \(others\), not of 'colours'"):
        annotate(wrong, tmp_path / "out", new_images=str(photos))


def test_thresholds_of_classes_that_are_not_there(
    inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="no class 'bleu'; did you mean 'blue'"):
        annotate(
            inputs, tmp_path / "out", new_images=str(photos), score_thresholds="bleu=0.2, x=off"
        )


def test_a_class_without_a_threshold_gets_one_half(
    inputs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.core.artifacts.model_bundle import ModelBundle

    bundle = ModelBundle.load(inputs["model"])
    write_evaluation(tmp_path / "partial", bundle, {"red": 0.5, "green": 0.8})
    STAGE.execute(
        AnnotateSettings(new_images=str(photos)),
        {**inputs, "evaluation": tmp_path / "partial"},
        {"annotated": tmp_path / "out"},
        tmp_path / "state",
        Reporter(STAGE.name, "log"),
    )
    assert "no threshold for blue; taken is 0.5" in capsys.readouterr().err
    assert AutoAnnotation.load(tmp_path / "out").boxes["blue"] == 1


def test_false_is_false_as_a_text_too() -> None:
    assert build(AnnotateSettings, {"upload": "False"}).upload is False


def test_all_wrong_settings_at_once() -> None:
    lines = " ".join(
        problems(
            AnnotateSettings,
            {
                "score_thresholds": "weed",
                "device": "gpu",
                "upload_to": "same",
                "upload_name": "x",
                "replace_automatic": True,
                "share_prefix": "../up",
            },
        )
    )
    for word in (
        "'weed'", "'gpu'", "same needs cvat_task", "makes no new task", "replace_automatic",
        "share_prefix: got '../up'",
    ):  # fmt: skip
        assert word in lines
