"""Checkpoints are found by pattern, left out when unfinished, and chosen by name or figure."""

import h5py
import pytest
import torch

from components.core.errors import InputError
from components.core.tao.checkpoints import choose, every, find, is_whole
from components.core.tao.heads import HEADS


def hdf5(path, libver="earliest"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", libver=libver) as file:
        file["weights"] = list(range(1000))
    return path


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_both_suffixes_are_found_with_their_epochs(tmp_path):
    hdf5(tmp_path / "weights" / "dssd_resnet18_epoch_010.hdf5")
    (tmp_path / "weights" / "dssd_resnet18_epoch_002.tlt").write_bytes(b"encrypted")
    (tmp_path / "weights" / "notes.txt").write_text("no checkpoint")
    hdf5(tmp_path / "weights" / "retinanet_resnet18_epoch_003.hdf5")
    found = find(tmp_path, HEADS["dssd"])
    assert [(one.epoch, one.path.suffix) for one in found] == [(2, ".tlt"), (10, ".hdf5")]


def test_detectnet_names_its_last_checkpoint_without_an_epoch(tmp_path):
    hdf5(tmp_path / "model.epoch-10.hdf5")
    hdf5(tmp_path / "weights" / "model.hdf5")
    (tmp_path / "model.epoch-10.ckzip").write_bytes(b"PK")
    found = find(tmp_path, HEADS["detectnet_v2"])
    assert [(one.path.name, one.epoch) for one in found] == [
        ("model.epoch-10.hdf5", 10),
        ("model.hdf5", 0),
    ]


def test_pytorch_counts_from_0_and_its_link_to_the_latest_is_no_other_one(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for name in ("model_epoch_000.pth", "model_epoch_003_step_00120.pth"):
        torch.save({"a": torch.zeros(3)}, folder / name)
    (folder / "dino_model_latest.pth").symlink_to(folder / "model_epoch_003_step_00120.pth")
    found = find(tmp_path, HEADS["dino"])
    assert [(one.epoch, one.step) for one in found] == [(1, 0), (4, 120)]


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_a_file_that_a_kill_left_unfinished_is_no_checkpoint(tmp_path, libver):
    whole = hdf5(tmp_path / "weights" / "ssd_resnet18_epoch_001.hdf5", libver)
    cut(hdf5(tmp_path / "weights" / "ssd_resnet18_epoch_002.hdf5", libver))
    (tmp_path / "weights" / "ssd_resnet18_epoch_003.hdf5").touch()
    assert [one.path for one in find(tmp_path, HEADS["ssd"])] == [whole]
    assert len(every(tmp_path, HEADS["ssd"])) == 3


def test_a_pth_file_without_its_end_is_not_whole(tmp_path):
    path = tmp_path / "model_epoch_000.pth"
    torch.save({"a": torch.zeros(300)}, path)
    assert is_whole(path)
    assert not is_whole(cut(path))


def test_the_best_epoch_with_a_checkpoint_is_chosen(tmp_path):
    for epoch in (1, 2, 3, 4):
        hdf5(tmp_path / "weights" / f"dssd_resnet18_epoch_{epoch:03d}.hdf5")
    found = find(tmp_path, HEADS["dssd"])
    curves = [
        {"epoch": 1.0, "map": 0.3, "val_loss": 0.1},
        {"epoch": 2.0, "map": 0.5, "val_loss": 0.2},
        {"epoch": 3.0, "map": 0.5},
        {"epoch": 5.0, "map": 0.9},
    ]
    chosen, why = choose(found, curves)
    assert (chosen.epoch, why) == (2, "epoch 2 has the best map, 0.5")
    losses = [{"epoch": 1.0, "val_loss": 0.1}, {"epoch": 2.0, "val_loss": 0.2}]
    assert choose(found, losses)[0].epoch == 1
    assert choose(found, [])[0].epoch == 4
    assert choose(found, curves, "dssd_resnet18_epoch_004")[0].epoch == 4
    with pytest.raises(InputError, match=r"no checkpoint 'dssd_epoch_9'.*dssd_resnet18_epoch_001"):
        choose(found, curves, "dssd_epoch_9")
