"""Trainings begin, go on and retrain as each head wants it; the user's specification stays."""

import struct
from pathlib import Path

import pytest

from components.core.tao.continuing import BROKEN, start
from components.core.tao.heads import HEADS
from components.core.tao.specs import lookup, parse

SPEC = """\
random_seed: 42
training_config {
  num_epochs: 80  # many
  pretrain_model_path: "/weights/resnet18.hdf5"
  learning_rate { soft_start_annealing_schedule { min_learning_rate: 5e-5 } }
}
model_config { arch: "resnet" pretrained_model_file: "/weights/resnet18.hdf5" }
"""
TREE = parse(SPEC, Path("train.txt"))
PRETRAINED, PRUNED = Path("/weights/resnet18.hdf5"), Path("/work/pruned.hdf5")


def checkpoint(path, whole=True):
    """A file that says it has 96 bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\x89HDF\r\n\x1a\n" + bytes(16) + bytes(16) + struct.pack("<Q", 96)
    path.write_bytes(head.ljust(96 if whole else 60, b"\0"))
    return path


@pytest.mark.parametrize("head", ["ssd", "dssd"])
def test_ssd_is_given_weights_and_the_next_epoch_as_arguments(tmp_path, head):
    first = start(HEADS[head], tmp_path, PRETRAINED)
    assert (first.model, first.epoch, first.done) == (PRETRAINED, 0, 0)
    last = checkpoint(tmp_path / "weights" / f"{head}_resnet18_epoch_012.hdf5")
    again = start(HEADS[head], tmp_path, PRETRAINED)
    assert (again.model, again.epoch, again.done) == (last, 13, 12)
    assert again.changed(TREE, HEADS[head]) == TREE
    assert start(HEADS[head], tmp_path / "new", PRETRAINED, PRUNED).model == PRUNED


@pytest.mark.parametrize("head", ["retinanet", "yolo_v3", "yolo_v4"])
def test_one_of_three_weights_of_a_specification_is_left(tmp_path, head):
    fresh = start(HEADS[head], tmp_path, None)
    assert fresh.changed(TREE, HEADS[head]) == TREE
    last = checkpoint(tmp_path / "weights" / f"{head}_resnet18_epoch_003.hdf5")
    again = start(HEADS[head], tmp_path, None).changed(TREE, HEADS[head])
    text = again.text()
    assert f'resume_model_path: "{last}"' in text
    assert "pretrain_model_path" not in text
    assert lookup(parse(text, Path("train.txt")), "training_config.num_epochs") == 80
    pruned = start(HEADS[head], tmp_path / "new", None, PRUNED).changed(TREE, HEADS[head])
    assert f'pruned_model_path: "{PRUNED}"' in pruned.text()
    assert "pretrain_model_path" not in pruned.text()


def test_faster_rcnn_has_names_of_its_own(tmp_path):
    text = 'training_config { pretrained_weights: "/w.h5" num_epochs: 3 }\n'
    tree = parse(text, Path("train.txt"))
    last = checkpoint(tmp_path / "frcnn_kitti_resnet18.epoch_2.hdf5")
    again = start(HEADS["faster_rcnn"], tmp_path, None).changed(tree, HEADS["faster_rcnn"])
    assert f'resume_from_model: "{last}"' in again.text()
    assert "pretrained_weights" not in again.text()


def test_detectnet_goes_on_by_itself_and_retrains_a_pruned_graph(tmp_path):
    head = HEADS["detectnet_v2"]
    checkpoint(tmp_path / "model.epoch-20.hdf5")
    again = start(head, tmp_path, None)
    assert (again.model, again.values, again.overrides, again.done) == (None, {}, (), 20)
    retrained = start(head, tmp_path / "new", None, PRUNED).changed(TREE, head)
    assert lookup(retrained, "model_config.pretrained_model_file") == str(PRUNED)
    assert "load_graph: true" in retrained.text()


def test_pytorch_goes_on_by_an_override(tmp_path):
    last = tmp_path / "train" / "model_epoch_004.pth"
    last.parent.mkdir()
    last.write_bytes(b"weights")
    again = start(HEADS["dino"], tmp_path, None)
    assert again.overrides == (f"train.resume_training_checkpoint_path={last}",)
    assert again.done == 5


def test_what_a_kill_left_unfinished_is_set_aside_and_not_resumed(tmp_path):
    whole = checkpoint(tmp_path / "weights" / "dssd_resnet18_epoch_001.hdf5")
    half = checkpoint(tmp_path / "weights" / "dssd_resnet18_epoch_002.hdf5", whole=False)
    assert start(HEADS["dssd"], tmp_path, None).model == whole
    assert not half.exists()
    assert half.with_name(half.name + BROKEN).is_file()
    state = tmp_path / "model.epoch-1.ckzip"
    state.write_bytes(b"PK\x03\x04 half an archive")
    encrypted = tmp_path / "model.epoch-2.ckzip"
    encrypted.write_bytes(b"no archive, as before release 5")
    start(HEADS["detectnet_v2"], tmp_path, None)
    assert (state.exists(), encrypted.exists()) == (False, True)
