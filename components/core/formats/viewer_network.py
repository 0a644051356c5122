"""How the Inovis viewer is told of a network: `networks/<name>.txt` beside `networks/<name>.pt`.

The viewer reads five pairs of words in a fixed order, passes over the first word of each, and then
loads the trace that the first value names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.core import files
from components.core.errors import InputError

LABELS = (
    "name:",
    "feature_extraction_depth:",
    "movec_channels:",
    "groundtruth_amount:",
    "prevInitMV:",
)

MOVEC_CHANNELS = (2, 3)
LONGEST_NAME = 150
"""Bytes of a name: a run's 100, its date and its epoch; file names end at 255."""

MOST_AUX = 6
"""Photographs that the viewer has at most."""


@dataclass(frozen=True)
class ViewerNetwork:
    """What the viewer knows of a network."""

    name: str
    """Stem of the trace's and of this file's name."""
    feature_extraction_depth: int = 0
    movec_channels: int = 3
    """Channels of the lookups that the network is given."""
    groundtruth_amount: int = 4
    """Photographs that the network is given."""
    pre_init_lookups: bool = False
    """Whether lookups without a surface are those of the far plane (`Pre Init MV`)."""

    def problems(self) -> list[str]:
        """What the viewer could not use; each names the value, what is accepted and the fix."""
        problems = name_problems(self.name)
        if self.feature_extraction_depth:
            problems.append(
                f"feature_extraction_depth: {self.feature_extraction_depth} is not supported by "
                "the viewer; train with 0"
            )
        if self.movec_channels not in MOVEC_CHANNELS:
            problems.append(f"movec_channels: {self.movec_channels} is neither 2 nor 3")
        if not 1 <= self.groundtruth_amount <= MOST_AUX:
            problems.append(
                f"groundtruth_amount: {self.groundtruth_amount} is not between 1 and {MOST_AUX}, "
                "which is what the viewer has"
            )
        return problems

    def text(self) -> str:
        """The five lines of the file."""
        values = (
            self.name,
            self.feature_extraction_depth,
            self.movec_channels,
            self.groundtruth_amount,
            int(self.pre_init_lookups),
        )
        return "".join(f"{label} {value}\n" for label, value in zip(LABELS, values, strict=True))


def name_problems(name: str) -> list[str]:
    """Why a network cannot have this name; empty where it can."""
    if len(name.encode()) > LONGEST_NAME:
        return [
            f"name: {name[:20]!r}… cannot name a network of the viewer: it has {len(name)} "
            f"characters, {len(name.encode())} bytes; expected at most {LONGEST_NAME} bytes"
        ]
    if name[:1].isalnum() and not any(c.isspace() or c in "/\\" for c in name):
        return []
    better = "_".join(name.replace("/", " ").replace("\\", " ").split())
    while better and not better[0].isalnum():
        better = better[1:]
    return [
        f"name: {name!r} cannot name a network of the viewer; expected a file name without spaces "
        f"that begins with a letter or digit, such as {better or 'office_epoch419'!r}"
    ]


def write_viewer_network(folder: Path, network: ViewerNetwork) -> Path:
    """Writes `<name>.txt`, whole or not at all; returns its path.

    Raises:
        InputError: the viewer could not use it, or `<name>.pt` is not in the folder.
    """
    problems = network.problems()
    if not problems and not (folder / f"{network.name}.pt").is_file():
        problems.append(f"name: {folder / network.name}.pt is not there; write the trace first")
    if problems:
        raise InputError(f"the viewer cannot use this network: {'; '.join(problems)}")
    path = folder / f"{network.name}.txt"
    files.write_text(path, network.text())
    return path


def read_viewer_network(path: Path) -> ViewerNetwork:
    """Reads a file as the viewer does: five pairs of words, whatever the labels are.

    Raises:
        InputError: absent, not five pairs, or values of other types.
    """
    if not path.is_file():
        raise InputError(f"{path} is not there; expected the text file of a network")
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if len(words) != 2 * len(LABELS):
        raise InputError(
            f"{path} has {len(words)} words; expected {len(LABELS)} labels, each with a value: "
            f"{' … '.join(LABELS)} …"
        )
    name, *numbers = words[1::2]
    try:
        depth, channels, amount, pre_init = (int(word) for word in numbers)
    except ValueError as error:
        raise InputError(f"{path}: values after the name must be whole numbers: {error}") from None
    return ViewerNetwork(name, depth, channels, amount, bool(pre_init))
