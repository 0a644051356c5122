"""Splits by the look of boxes: clusters, coverage, coordinates, and resuming."""

import csv
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from image_sets import frame, written
from PIL import Image

from components.core.artifacts.split import Split
from components.core.errors import InputError, ProblemsError
from components.core.formats.shapes import AnnotatedImage
from components.core.settings import build
from components.split_images import clustering, embedding, features
from components.split_images.stage import STAGE, SplitSettings

if TYPE_CHECKING:
    import torch

QUICK = {"strategy": "embedding", "embedding_size": 32, "clusters": 3, "device": "cpu"}


def run(dataset: Path, name: str = "out", **settings: object) -> tuple[Split, list[dict[str, str]]]:
    out = dataset.parent / name
    STAGE.execute(
        build(SplitSettings, {**QUICK, **settings}),
        {"dataset": dataset},
        {"split": out, "report": out.with_suffix(".html")},
        state_root=dataset.parent / "state",
    )
    with open(out / "coordinates.csv", encoding="utf-8") as file:
        return Split.load(out), list(csv.DictReader(file))


@pytest.fixture
def looks(tmp_path: Path) -> Path:
    """Forty recordings of two images; the boxes of a class look in three ways, one of them rare."""
    images = []
    for number in range(40):
        look = 2 if number % 10 == 0 else number % 2
        for n in range(2):
            images.append(
                frame(
                    tmp_path / "files", f"g{number:02}/{n}.png", "ab", looks=look,
                    group=f"g{number:02}", task="field", frame=n,
                )
            )  # fmt: skip
    images += [frame(tmp_path / "files", f"empty{n}.png") for n in range(6)]
    return written(tmp_path / "dataset", images, "ab")


def look_of(row: dict[str, str]) -> int:
    number = int(row["group"][1:])
    return 2 if number % 10 == 0 else number % 2


def test_every_look_is_in_every_part_and_recordings_stay_whole(
    looks: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    split, rows = run(looks, val_size=0.25, test_size=0.25)
    boxes = [row for row in rows if row["kind"] == "box"]
    assert len(boxes) == 160
    assert len(rows) == 160 + 86
    assert sorted(int(row["annotation"]) for row in boxes) == list(range(1, 161))
    clusters: dict[int, set[str]] = defaultdict(set)
    for row in boxes:
        clusters[look_of(row)].add(row["cluster"])
        assert row["part"] == split.parts[row["image"]]
        assert (row["task"], row["class"] in "ab") == ("field", True)
        assert 0 <= float(row["x"]) <= 1
        assert 0 <= float(row["y"]) <= 1
    assert [len(own) for own in clusters.values()] == [1, 1, 1]
    assert len(set.union(*clusters.values())) == 3
    # the rare look has four recordings, each other one eighteen
    rare = Counter(row["part"] for row in boxes if look_of(row) == 2)
    assert rare == {"train": 8, "val": 4, "test": 4}
    for group in {row["group"] for row in boxes}:
        assert len({row["part"] for row in boxes if row["group"] == group}) == 1
    told = capfd.readouterr().err
    assert "described by an untrained resnet18, as embedding_weights is not set" in told
    report = (looks.parent / "out.html").read_text(encoding="utf-8")
    assert "untrained resnet18" in report
    assert "data:image/jpeg;base64," in report
    told = "class and cluster that train, 0 are not in val and 0 are not in test; of the clusters"
    assert told in report


def test_clusters_of_whole_images_are_counted_for_themselves() -> None:
    trains, validates = AnnotatedImage("a.png"), AnnotatedImage("b.png")
    boxes = [embedding.Thing(image, 1, "a") for image in (trains, validates)]
    images = [embedding.Thing(trains, cluster=0), embedding.Thing(validates, cluster=1)]
    found = embedding.Embedding(boxes, images, "a network")
    parts = {"a.png": "train", "b.png": "val"}
    assert embedding.uncovered(found, parts) == {"val": 0, "test": 1}
    assert embedding.uncovered(found, parts, whole=True) == {"val": 1, "test": 1}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_groups_alone_may_miss_a_rare_look(looks: Path, seed: int) -> None:
    """What the strategy is for: with these seeds, recordings alone leave it out of a part."""
    sizes = {"seed": seed, "val_size": 0.25, "test_size": 0.25, "tsne_boxes": 0}
    found = []
    for strategy in ("groups", "embedding"):
        out = looks.parent / strategy
        STAGE.execute(
            build(SplitSettings, {**QUICK, **sizes, "strategy": strategy}),
            {"dataset": looks}, {"split": out, "report": out.with_suffix(".html")},
            state_root=looks.parent / "state",
        )  # fmt: skip
        parts = Split.load(out).parts
        rare = Counter(parts[f"g{number:02}/0.png"] for number in range(0, 40, 10))
        found.append(rare == {"train": 2, "val": 1, "test": 1})
    assert found == [False, True]


def test_a_restart_describes_only_what_is_new(looks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[int] = []

    def stopping(subject: features.Subject, size: int) -> "np.ndarray":
        described.append(1)
        if len(described) == 30:
            raise RuntimeError("killed")
        return crops(subject, size)

    crops = features.crops_of
    monkeypatch.setattr(features, "crops_of", stopping)
    with pytest.raises(RuntimeError, match="killed"):
        run(looks, embedding_batch=4, workers=1, tsne_boxes=0)
    stored = list((looks.parent / "state").rglob("*.npz"))
    assert 20 <= len(stored) < 30
    before = {path: path.stat().st_mtime_ns for path in stored}
    described.clear()
    described += [0] * 100
    split, rows = run(looks, embedding_batch=4, workers=1, tsne_boxes=0)
    assert sum(described) == 86 - len(stored)
    assert {path: path.stat().st_mtime_ns for path in stored} == before
    monkeypatch.undo()
    os.rename(looks.parent / "state", looks.parent / "other")
    fresh, again = run(looks, "fresh", embedding_batch=64, tsne_boxes=0)
    assert fresh.fingerprint == split.fingerprint
    assert [row["cluster"] for row in again] == [row["cluster"] for row in rows]


def test_a_sample_is_shown_and_all_are_clustered(
    looks: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, rows = run(looks, tsne_boxes=20)
    assert Counter((row["kind"], bool(row["x"])) for row in rows) == {
        ("box", True): 20, ("box", False): 140, ("image", True): 20, ("image", False): 66,
    }  # fmt: skip
    assert all(row["cluster"] for row in rows)
    assert "shows a random sample of 20 of 160 boxes" in capfd.readouterr().err
    _, rows = run(looks, "none", tsne_boxes=0)
    assert {row["x"] for row in rows} == {""}


def test_own_weights_are_used(looks: Path, tmp_path: Path) -> None:
    import torch
    from torchvision.models import resnet18

    from components.split_images.encoder import open_encoder

    torch.manual_seed(5)
    network = resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "own.pt")
    encoder, _ = open_encoder("resnet18", str(tmp_path / "own.pt"), 0, "cpu")
    picture = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    network.fc = torch.nn.Identity()  # the features before the classifier are what is wanted
    expected = network(given_of(picture)).detach().numpy()
    np.testing.assert_allclose(encoder(picture), expected, rtol=1e-4, atol=1e-5)
    assert encoder.trained
    with pytest.raises(InputError, match="do not fit"):
        open_encoder("resnet34", str(tmp_path / "own.pt"), 0, "cpu")


def test_what_is_wrong_is_told_before_any_image_is_read(looks: Path) -> None:
    with pytest.raises(ProblemsError) as raised:
        run(looks, embedding_backbone="resnet19", embedding_weights="/nowhere.pt")
    assert "embedding_backbone: got 'resnet19'" in str(raised.value)
    assert "embedding_weights: /nowhere.pt does not exist" in str(raised.value)
    with pytest.raises(InputError, match="device: got cuda:7"):
        run(looks, device="cuda:7")
    with pytest.raises(InputError, match="ask for more than the 86 images"):
        run(looks, val_size=80, test_size=20)
    assert not list((looks.parent / "state").rglob("*.npz"))


def test_a_damaged_image_is_named(looks: Path) -> None:
    target = looks / "images/g03/1.png"
    target.unlink()
    target.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"g03/1.png is no readable image"):
        run(looks)


def test_clusters_are_those_of_the_points() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    centres = rng.normal(size=(3, 40)) * 3
    points = (centres[truth] + rng.normal(size=(100, 40)) * 0.3).astype(np.float32)
    found = clustering.clustered(clustering.reduced(points, 0), 3, 0)
    assert found.tolist() == truth.tolist()  # the largest is number 0
    assert clustering.clustered(np.zeros((4, 2), np.float32), 3, 0).tolist() == [0] * 4
    assert clustering.reduced(np.ones((4, 3), np.float32), 0).tolist() == [[0.0]] * 4


def test_weights_of_torchvision_and_of_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torchvision.models import ResNet18_Weights, resnet18

    from components.core.models import build as network_of
    from components.core.models.bundle import save_bundle, save_weights
    from components.split_images.encoder import open_encoder

    picture = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    torch.manual_seed(6)
    cached = tmp_path / "hub/checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    torch.save(resnet18(weights=None).state_dict(), cached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    downloaded, _ = open_encoder("resnet18", "imagenet", 0, "cpu")
    own, _ = open_encoder("resnet18", str(cached), 0, "cpu")
    np.testing.assert_array_equal(downloaded(picture), own(picture))

    arguments = {"classes": 2, "backbone": "resnet18", "norm": "group", "channels": 32}
    network = network_of("fcos", **arguments).eval()
    save_weights(tmp_path / "w.safetensors", network)
    for task in ("object_detection", "clip_classification"):
        save_bundle(
            tmp_path / task, tmp_path / "w.safetensors", name="weeds", task=task,
            architecture={"name": "fcos", "arguments": arguments},
        )  # fmt: skip
    found, _ = open_encoder("resnet50", str(tmp_path / "object_detection"), 0, "cpu")
    assert found.about == "the backbone of the detector weeds"
    last = list(network.backbone.body(given_of(picture)).values())[-1]
    expected = last.mean((2, 3)).detach().numpy()
    np.testing.assert_allclose(found(picture), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="is a bundle for 'clip_classification'; give that of a"):
        open_encoder("resnet18", str(tmp_path / "clip_classification"), 0, "cpu")


def given_of(picture: np.ndarray) -> "torch.Tensor":
    """Pictures (B, H, W, 3) as networks of torchvision take them."""
    import torch

    given = torch.from_numpy(picture).permute(0, 3, 1, 2) / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (given - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)


def test_pictures_of_sixteen_bits_are_not_white(tmp_path):
    Image.fromarray(np.full((40, 60), 64 * 256, np.uint16)).save(tmp_path / "a.png")
    subject = features.Subject(tmp_path / "a.png", "", ((5.0, 5.0, 20.0, 20.0),))
    crops = features.crops_of(subject, 16)
    assert crops.shape == (2, 16, 16, 3)
    assert abs(float(crops.mean()) - 64) < 2
