"""Checkpoints that TAO's trainings leave: found by pattern, whole or not, and chosen by figure."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import InputError
from components.core.tao.heads import SUFFIXES, Head

HDF5 = b"\x89HDF\r\n\x1a\n"

BETTER = (("map", 1), ("map50", 1), ("val_loss", -1))
"""Figures that tell which epoch is best, the first one that is known; 1 where more is better."""

SHOWN = 6
"""Names that an error lists."""


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights."""

    path: Path
    epoch: int
    """Counted from 1; 0 where the name does not tell: the last one of its training."""
    step: int = 0


def find(folder: Path, head: Head) -> list[Checkpoint]:
    """The whole checkpoints in a folder of results, the oldest epoch first."""
    return [found for found in every(folder, head) if is_whole(found.path)]


def every(folder: Path, head: Head) -> list[Checkpoint]:
    """Likewise, with those that a kill left unfinished."""
    pattern = head.pattern()
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lstrip(".") not in SUFFIXES or path.is_symlink() or not path.is_file():
            continue
        match = pattern.fullmatch(path.name)
        if match:
            groups = match.groupdict()
            # Lightning counts from 0.
            first = 1 if head.framework == "pyt" else 0
            found.append(
                Checkpoint(path, int(groups["epoch"]) + first, int(groups.get("step") or 0))
            )
        elif path.parent.name == "weights" and head.name == "detectnet_v2":
            found.append(Checkpoint(path, 0))
    return sorted(found, key=lambda one: (one.epoch or 10**9, one.step, one.path.name))


def choose(
    found: Sequence[Checkpoint], curves: Sequence[Mapping[str, float]], name: str = ""
) -> tuple[Checkpoint, str]:
    """The checkpoint to go on with, and why it.

    Args:
        found: not empty, as `find` gives them.
        curves: per-epoch figures.
        name: file name that is wanted, with or without suffix; '' to go by the figures.

    Raises:
        InputError: there is none of this name.
    """
    if name:
        fitting = [one for one in found if name in (one.path.name, one.path.stem)]
        if not fitting:
            have = [one.path.stem for one in found]
            shown = ", ".join(have if len(have) <= SHOWN else [*have[: SHOWN - 1], "…", have[-1]])
            raise InputError(f"there is no checkpoint {name!r}; there are {shown}")
        return fitting[-1], f"it is called {name}"
    epochs = {one.epoch: one for one in found if one.epoch}
    for figure, sign in BETTER:
        known = {
            int(values["epoch"]): values[figure]
            for values in curves
            if figure in values and int(values["epoch"]) in epochs
        }
        if known:
            # Of equally good ones the first, which is trained least.
            best = max(known, key=lambda epoch: (sign * known[epoch], -epoch))
            return epochs[best], f"epoch {best} has the best {figure}, {known[best]:.4g}"
    return found[-1], "it is the last one; no figures tell which is best"


def is_whole(path: Path) -> bool:
    """Whether a checkpoint was written to its end, as far as its format can tell."""
    size = path.stat().st_size
    if not size:
        return False
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(HDF5):
        return _end_of_hdf5(start) <= size
    if start.startswith(b"PK\x03\x04"):  # PyTorch's files are ZIP archives
        return zipfile.is_zipfile(path)
    return path.suffix not in (".hdf5", ".pth") or not HDF5.startswith(start)


def _end_of_hdf5(start: bytes) -> int:
    """Size in bytes that an HDF5 file says it has (superblock, versions 0 to 3)."""
    version = start[8]
    place = {0: 40, 1: 44}.get(version, 28)
    return int(struct.unpack_from("<Q", start, place)[0]) if len(start) >= place + 8 else 1 << 63
