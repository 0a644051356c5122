"""A bundle's fingerprint tells which checkpoints were kept beside its network."""

from pathlib import Path

from checkpoint_bundles import write_checkpoint

from components.core.artifacts.model_bundle import ModelBundle, kept


def written(folder: Path, epochs: list[int]) -> ModelBundle:
    for epoch in epochs:
        write_checkpoint(folder / "checkpoints" / f"{epoch:04d}", 0.1 * epoch, epoch)
    return write_checkpoint(folder, 0.3, 3)


def test_other_checkpoints_make_another_fingerprint(tmp_path: Path) -> None:
    few, many = written(tmp_path / "few", [3]), written(tmp_path / "many", [1, 2, 3])
    assert few.fingerprint != many.fingerprint
    assert written(tmp_path / "again", [1, 2, 3]).fingerprint == many.fingerprint
    assert list(kept(tmp_path / "many")) == [
        "best", "checkpoints/0001", "checkpoints/0002", "checkpoints/0003",
    ]  # fmt: skip


def test_without_checkpoints_the_network_alone_counts(tmp_path: Path) -> None:
    alone = write_checkpoint(tmp_path / "alone", 0.3, 3)
    inside = written(tmp_path / "with", [3])
    assert kept(tmp_path / "alone") == {"best": tmp_path / "alone"}
    checkpoint = ModelBundle.load(tmp_path / "with" / "checkpoints" / "0003")
    assert checkpoint.fingerprint == alone.fingerprint != inside.fingerprint
