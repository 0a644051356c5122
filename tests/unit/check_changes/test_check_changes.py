"""Whether to train: compared with versions that triton_publish really published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clip_bundles import CLASSES, write_bundle, write_clips, write_split
from labelled_images import picture, rectangle

from components.check_changes.stage import NO, STAGE, YES, CheckSettings
from components.core.artifacts.clips import Clip, ClipDataset
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.formats.shapes import AnnotatedImage
from components.core.registry import RegisteredTask, Registry
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.evaluate_clips.stage import EvaluateSettings
from components.triton_publish.stage import STAGE as PUBLISH
from components.triton_publish.stage import PublishSettings


def write_dataset(folder: Path, label: str = "up", **fields: Any) -> ClipDataset:
    """A ClipDataset of one clip; the index alone, which is all that is read."""
    clip = Clip(id="up/1.mp4", path="x", labels=[label], size=1, checksum="c", **fields)
    dataset = ClipDataset.create(CLASSES, [clip])
    folder.mkdir()
    dataset.save(folder)
    return dataset


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, two models trained on them, and their evaluations."""
    folder = tmp_path_factory.mktemp("models")
    clips = write_dataset(folder / "clips")
    labels = [CLASSES[row % 4] for row in range(8)]
    frames = write_clips(folder / "frames", labels, parent=clips.fingerprint)
    write_split(folder / "split", frames, ["train", "test"] * 4)
    for name, scale, dataset in (("a", 3.0, frames.fingerprint), ("b", 1.0, "other frames")):
        write_bundle(folder / name, scale=scale, dataset=dataset)
        EVALUATE.execute(
            EvaluateSettings(bootstrap=10, baseline=False),
            {"model": folder / name, "frames": folder / "frames", "split": folder / "split"},
            {"evaluation": folder / f"{name} evaluation"},
            folder / "state",
        )
    return folder


def publish(case: Path, tmp_path: Path, repository: str, model: str = "a") -> None:
    PUBLISH.execute(
        PublishSettings(repository=repository, model_name="fall"),
        {"model": case / model, "evaluation": case / f"{model} evaluation"},
        {"published": tmp_path / f"published {model}"},
        tmp_path / "state",
    )


def decided(clips: Path, tmp_path: Path, repository: str, **settings: Any) -> tuple[str, str]:
    out = tmp_path / f"decision {len(list(tmp_path.glob('decision*')))}"
    values = {"only_if_changed": True, "repository": repository, "model_name": "fall"} | settings
    told = STAGE.execute(
        CheckSettings(**values),
        {"dataset": clips},
        {"decision": out},
        tmp_path / "state",
    )["decision"]
    assert json.loads(out.read_text()) == told
    return told["answer"], told["reason"]


def other_clips(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "other", label="down")
    return tmp_path / "other"


def check_against(case: Path, tmp_path: Path, repository: str) -> None:
    clips = case / "clips"
    answer, reason = decided(clips, tmp_path, repository)
    assert (answer, reason) == (YES, f"training: {repository}, fall has no published version yet")
    publish(case, tmp_path, repository)
    assert decided(clips, tmp_path, repository) == (NO, "nothing changed since version 1 of fall")
    answer, reason = decided(other_clips(tmp_path), tmp_path, repository)
    assert (answer, reason) == (
        YES,
        "training: the data is other than that of version 1 of fall",
    )
    assert decided(clips, tmp_path, repository, model_name="walk")[0] == YES
    assert decided(clips, tmp_path, repository, only_if_changed=False)[0] == YES
    publish(case, tmp_path, repository, "b")  # of frames that nobody can trace to clips
    answer, reason = decided(clips, tmp_path, repository)
    assert answer == YES
    assert "version 2 of fall does not tell which data" in reason


def test_a_repository_in_a_folder(case: Path, tmp_path: Path) -> None:
    check_against(case, tmp_path, str(tmp_path / "repository"))


def test_a_repository_in_a_bucket(case: Path, tmp_path: Path, bucket: str) -> None:
    check_against(case, tmp_path, f"s3://{bucket}/models")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"fingerprint": "x"}', b'{"data": []}', b'{"data": {}}'],
)
def test_a_card_that_does_not_tell_is_a_reason_to_train(
    case: Path, tmp_path: Path, content: bytes
) -> None:
    version = tmp_path / "repository" / "fall" / "7"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"graph")
    (version / "model_card.json").write_bytes(content)
    answer, reason = decided(case / "clips", tmp_path, str(tmp_path / "repository"))
    assert answer == YES
    assert "version 7 of fall does not tell" in reason


def test_without_a_repository_there_is_nothing_to_compare_with(case: Path, tmp_path: Path) -> None:
    answer, reason = decided(case / "clips", tmp_path, "")
    assert answer == YES
    assert "no repository is set" in reason


@pytest.mark.parametrize(
    "fields", [{"label": "down"}, {"group": "1"}, {"part": "test"}, {"error": "cannot be read"}]
)
def test_labels_recordings_and_parts_are_data_too(
    case: Path, tmp_path: Path, fields: dict[str, str]
) -> None:
    publish(case, tmp_path, str(tmp_path / "repository"))
    write_dataset(tmp_path / "relabelled", **fields)
    answer, _ = decided(tmp_path / "relabelled", tmp_path, str(tmp_path / "repository"))
    assert answer == YES


def images(tmp_path: Path, name: str, right: float = 20.0) -> DetectionDataset:
    path = picture(tmp_path / "pictures" / "a.png")
    shapes = [rectangle("weed", 1, 2, right, 30)]
    image = AnnotatedImage("a.png", 100, 80, shapes, path)
    return DetectionDataset.write(tmp_path / name, [image], ["crop", "weed"])


def test_annotated_images_are_data_as_clips_are(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    dataset = images(tmp_path, "images")
    version = repository / "fall" / "3"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"graph")
    card = {"data": {"images": dataset.fingerprint, "dataset": "other"}}
    (version / "model_card.json").write_text(json.dumps(card))
    answer = decided(tmp_path / "images", tmp_path, str(repository))
    assert answer == (NO, "nothing changed since version 3 of fall")
    images(tmp_path, "corrected", right=21.0)
    answer = decided(tmp_path / "corrected", tmp_path, str(repository))
    assert answer == (YES, "training: the data is other than that of version 3 of fall")
    (repository / "fall" / "labels.txt").write_text("weed\ncrop")
    with pytest.raises(InputError, match="this model would tell crop, weed, so clients"):
        decided(tmp_path / "corrected", tmp_path, str(repository))


def test_what_has_no_classes_is_no_data(tmp_path: Path) -> None:
    split = Split.create("p", {}, {})
    (tmp_path / "split").mkdir()
    split.save(tmp_path / "split")
    with pytest.raises(InputError, match="holds 'trainyard/split', which has no classes"):
        decided(tmp_path / "split", tmp_path, "")


def test_a_run_that_is_resumed_decides_as_before(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_RUN_ID", "nightly")
    repository, told = str(tmp_path / "repository"), tmp_path / "message"
    assert decided(case / "clips", tmp_path, repository)[0] == YES
    publish(case, tmp_path, repository)  # by this very run, say, before it was killed
    told.touch()
    monkeypatch.setenv("TRAINYARD_DECISION_FILE", str(told))
    assert decided(case / "clips", tmp_path, repository)[0] == YES
    assert json.loads(told.read_text())["answer"] == YES
    monkeypatch.setenv("TRAINYARD_RUN_ID", "the next night")
    assert decided(case / "clips", tmp_path, repository)[0] == NO
    assert json.loads(told.read_text())["reason"] == "nothing changed since version 1 of fall"


def test_what_cannot_be_decided_is_refused(case: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="only_if_changed: set model_name too"):
        decided(case / "clips", tmp_path, str(tmp_path / "models"), model_name="")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProblemsError, match=r"repository: .*file"):
        decided(case / "clips", tmp_path, str(tmp_path / "file"))


def test_the_registry_is_told_that_there_was_nothing_to_train(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    repository = str(tmp_path / "repository")
    publish(case, tmp_path, repository)
    monkeypatch.setenv("TRAINYARD_POSTGRES_DSN", database)
    monkeypatch.setenv("TRAINYARD_RUN_ID", "nightly")
    task = RegisteredTask("falls", "fall", ["fall", "walk"], ["home"], 1, 1, 1)
    with Registry() as registry:
        registry.add_source("home")
        registry.add_task(task)
        registry.start_run("nightly", "falls")
        assert decided(case / "clips", tmp_path, repository)[0] == NO
        run = registry.run("nightly")
        assert run is not None
        assert (run.status, run.stage) == ("skipped", "check_changes")
        assert run.reason == "nothing changed since version 1 of fall"
        registry.start_run("nightly", "falls")
        assert registry.runs("falls")[0].status == "started"
