"""Clips before and after the resizer: the right frames, colours and names, in files and report."""

import html
import re

import numpy as np
import pytest
import torch
from checkpoint_bundles import Enlarging, registered, write_checkpoint
from clip_bundles import CLASSES, FRAMES, SIZE, TRAITS, write_bundle, write_clips, write_split
from PIL import Image

from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.frames import FrameReader, write_frames
from components.core.errors import InputError
from components.core.models import build
from components.core.models.bundle import load_network, save_bundle, save_weights
from components.core.report.images import GAP
from components.evaluate_clips.samples import file_names, grid, outside, picked
from components.evaluate_clips.stage import STAGE, EvaluateSettings

COUNT = 24


@pytest.fixture(scope="module", autouse=True)
def _networks():
    with registered():
        yield


def evaluate(folder, name="a", **settings):
    STAGE.execute(
        EvaluateSettings(
            **{"bootstrap": 0, "baseline": False, "threshold": "0.5", "workers": 1, **settings}
        ),
        {key: folder / key for key in ("model", "frames", "split")},
        {"evaluation": folder / name},
        folder / "state" / name,
    )
    return folder / name


def coloured(row):
    """Frames of three flat colours, so that exchanged channels or times would show."""
    frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for number in range(FRAMES):
        frames[number] = (200, 20 * number, 10 + row)
    return frames


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    clips = [
        (f"scene/{row}.mp4", ["down", "right"] if row % 2 else [], "", coloured(row), range(FRAMES))
        for row in range(COUNT)
    ]
    frames = write_frames(folder / "frames", clips, TRAITS, "clips", "raw", frame_size=SIZE)
    write_split(folder / "split", frames, [("train", "val", "test")[r % 3] for r in range(COUNT)])
    write_checkpoint(folder / "model", 0.1, 1, multi_label=True, network=Enlarging)
    return folder


def pictures(out):
    return sorted(path.name for path in (out / "samples").iterdir())


def test_frames_before_and_after_in_their_colours_scaled_once(case):
    out = evaluate(case, "chosen", sample_clips=["scene/3.mp4"])
    assert pictures(out) == ["scene_3.mp4.png"]
    image = np.asarray(Image.open(out / "samples" / "scene_3.mp4.png"))
    side = 2 * SIZE
    assert image.shape == (3 * side + 2 * GAP, FRAMES * (side + GAP) - GAP, 3)
    for number in range(FRAMES):
        left = number * (side + GAP)
        before = image[:side, left : left + side]
        after = image[side + GAP : 2 * side + GAP, left : left + side]
        whole = image[2 * (side + GAP) :, left : left + side]
        colour = np.array([200, 20 * number, 13])
        assert (before == colour).all()
        # The stand-in multiplies by 1.5 around grey; what leaves the range is cut off.
        expected = np.clip((1.5 * (colour / 127.5 - 1) + 1) / 2, 0, 1) * 255
        assert np.abs(after - expected).max() <= 0.51
        # Much is cut off, so a third row spans all values, from 0 to 200 before the stand-in.
        assert np.abs(whole - colour / 200 * 255).max() <= 0.51
    section = (out / "report.html").read_text().partition("<h2>What the resizer does</h2>")[2]
    numbers = ", ".join(map(str, range(FRAMES)))
    assert f"frames {numbers} ·" in section
    assert "scaled from −1.50 (black) to 0.85 (white)" in section


def test_only_what_leaves_black_and_white_gets_a_third_row():
    within = np.linspace(-1, 1, 3 * 10 * 4 * 4, dtype=np.float32).reshape(3, 10, 4, 4)
    beyond, few = within.copy(), within.copy()
    beyond[0] *= 2
    few[0, 0, 0] = 3
    assert 0 < outside(few) < 0.03
    for after, rows in ((within, 2), (few, 2), (beyond, 3)):
        assert len(grid(within, after)) == rows * (4 + GAP) - GAP
    # Evenly spread, from the first frame to the last.
    assert picked(10) == [0, 2, 4, 5, 7, 9]
    assert picked(1) == [0] * 6


def test_the_small_input_is_enlarged_in_whole_pixels(tmp_path):
    frames = write_clips(tmp_path / "frames", ["up", "down", "left"], CLASSES)
    write_split(tmp_path / "split", frames, ["train", "val", "test"])
    write_checkpoint(tmp_path / "model", 0.1, 1, network=Enlarging)
    out = evaluate(tmp_path)
    image = np.asarray(Image.open(out / "samples" / "clip 001.mp4.png"))
    stored = FrameReader(tmp_path / "frames").read(1, [0], (2, 2, SIZE, SIZE))[0]
    np.testing.assert_array_equal(
        image[: 2 * SIZE, : 2 * SIZE], stored.repeat(2, axis=0).repeat(2, axis=1)
    )


def test_random_clips_are_of_the_validation_part_and_the_seed_fixes_them(case):
    first, again = evaluate(case, "first"), evaluate(case, "again", batch_size=3)
    other = evaluate(case, "other", seed=1)
    assert pictures(first) == pictures(again) != pictures(other)
    assert len(pictures(first)) == 4
    rows = [int(re.search(r"scene_(\d+)", name)[1]) for name in pictures(first)]
    assert all(row % 3 == 1 for row in rows)
    assert not (evaluate(case, "none", resizer_samples=0) / "samples").exists()


def test_the_report_shows_them_with_all_labels(case):
    out = evaluate(case, "captions", sample_clips=["scene/1.mp4", "scene/2.mp4"])
    section = (out / "report.html").read_text().partition("<h2>What the resizer does</h2>")[2]
    section = section.partition("</section>")[0]
    assert section.count("data:image/jpeg;base64,") == 2
    text = html.unescape(re.sub("<[^>]*>", "", section))
    assert "down, right" in text
    assert "no label" in text
    assert f"{FRAMES} x {SIZE} x {SIZE} → {FRAMES} x {2 * SIZE} x {2 * SIZE}" in text
    assert set(Evaluation.load(out).files) >= {"samples/scene_1.mp4.png"}


def test_unknown_clips_are_refused_by_name(case):
    with pytest.raises(InputError, match=r"no clip is called 'scene/99.mp4' and 'nothing'"):
        evaluate(case, "unknown", sample_clips=["scene/1.mp4", "scene/99.mp4", "nothing"])


def test_names_stay_apart_where_replacing_makes_ids_alike():
    ids = ["a/b.mp4", "a_b.mp4", "a/b.mp4 (2)", "../b.mp4"]
    names = file_names(ids)
    assert names[0] == "a_b.mp4.png"
    assert len(set(names)) == len(ids)
    assert not any("/" in name or name.startswith(".") for name in names)


def test_a_model_without_resizer_shows_none_and_says_so_when_asked(case, tmp_path):
    for name in ("frames", "split"):
        (tmp_path / name).symlink_to(case / name)
    write_bundle(tmp_path / "model", multi_label=True)
    out = evaluate(tmp_path)
    assert not (out / "samples").exists()
    assert "What the resizer does" not in (out / "report.html").read_text()
    out = evaluate(tmp_path, "asked", sample_clips=["scene/1.mp4"])
    assert any("no resizer network" in note for note in ClipMetrics.read(out).notes)


def test_the_resizer_networks_of_this_project(case, tmp_path):
    """I3D behind a resizer: what is shown is what I3D gets."""
    rng = np.random.default_rng(0)
    clips = [
        (f"{row}", ["up"], "", rng.integers(0, 255, (8, 28, 28, 3), np.uint8), range(8))
        for row in range(3)
    ]
    frames = write_frames(tmp_path / "frames", clips, ["up", "down"], "clips", "raw")
    write_split(tmp_path / "split", frames, ["train", "val", "test"])
    architecture = {
        "name": "resized_i3d",
        "arguments": {
            "network": "resizer_2d",
            "classes": 2,
            "input_size": 28,
            "target_size": 56,
            "frames": 8,
            "width": 0.125,
        },
    }
    torch.manual_seed(0)
    weights = tmp_path / "weights"
    save_weights(weights, build("resized_i3d", **architecture["arguments"]))
    save_bundle(
        tmp_path / "model",
        weights,
        name="small",
        task="clip_classification",
        classes=["up", "down"],
        architecture=architecture,
        preprocessing={"frames": 8, "stride": 1, "size": 28},
        training={"epoch": 1},
    )
    out = evaluate(tmp_path)
    image = np.asarray(Image.open(out / "samples" / "1.png"))
    given = torch.from_numpy(clips[1][3]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        seen = load_network(tmp_path / "model").resize(given)[0]
    wanted = ((seen[:, 0] + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy() * 255
    shown = image[56 + GAP : 2 * 56 + GAP, :56].astype(float)
    assert np.abs(shown - wanted).max() <= 0.51
