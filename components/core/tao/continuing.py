"""How a training starts, goes on after an interruption, or retrains a pruned network.

Each head has its own way, see `heads.Resume`. Where it is a field of the specification, a copy of
the user's gets it; the user's file stays as it is.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from components.core.tao.checkpoints import every, find, is_whole
from components.core.tao.heads import Head
from components.core.tao.specs import SpecTree

STATE = ".ckzip"
"""Suffix of DetectNet_v2's state, an archive, beside each of its checkpoints."""

BROKEN = ".unfinished"
"""Suffix of what a kill left half-written, so that no program takes it for a checkpoint."""


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    model: Path | None = None
    """For `-m`."""
    epoch: int = 0
    """For `--initial_epoch`, counted from 1; 0 for the first."""
    values: dict[str, str | bool] = field(default_factory=dict)
    """Fields of the specification."""
    overrides: tuple[str, ...] = ()
    done: int = 0
    """Epochs that lie behind."""

    def changed(self, tree: SpecTree, head: Head) -> SpecTree:
        """The specification with the fields, and without those that must not stand beside them."""
        if not self.values:
            return tree
        made = tree.changed(self.values)
        for place in self.values:
            section = place.rpartition(".")[0]
            node = made.root.get(section)
            for one in node if isinstance(node, list) else [node]:
                for name in head.resume.instead if isinstance(one, dict) else ():
                    if f"{section}.{name}" not in self.values:
                        one.pop(name, None)
        return made


def start(head: Head, results: Path, pretrained: Path | None, pruned: Path | None = None) -> Start:
    """How to start in a folder of results: afresh, or with the newest whole checkpoint in it.

    Args:
        head: that is trained.
        results: may hold an interrupted training.
        pretrained: weights for heads that take them as an argument.
        pruned: network to retrain.
    """
    _set_aside(head, results)
    numbered = [one for one in find(results, head) if one.epoch]
    if not numbered:
        return _fresh(head, pretrained, pruned)
    last = numbered[-1]
    match head.resume.how:
        case "argument":
            return Start(model=last.path, epoch=last.epoch + 1, done=last.epoch)
        case "spec":
            return Start(values={head.resume.field: str(last.path)}, done=last.epoch)
        case "override":
            return Start(overrides=(f"{head.resume.field}={last.path}",), done=last.epoch)
    begun = _fresh(head, pretrained, pruned)  # the program itself finds what is there
    return Start(begun.model, 0, begun.values, begun.overrides, last.epoch)


def _fresh(head: Head, pretrained: Path | None, pruned: Path | None) -> Start:
    if pruned is None:
        return Start(model=pretrained)
    if not head.resume.pruned:
        return Start(model=pruned)
    if head.framework != "tf1":
        return Start(overrides=(f"{head.resume.pruned}={pruned}",))
    values: dict[str, str | bool] = {head.resume.pruned: str(pruned)}
    if head.name == "detectnet_v2":
        values["model_config.load_graph"] = True
    return Start(values=values)


def _set_aside(head: Head, results: Path) -> None:
    """Renames unfinished files: programs that look for the newest one would fail on them."""
    if not results.is_dir():
        return
    for one in every(results, head):
        if not is_whole(one.path):
            one.path.rename(one.path.with_name(one.path.name + BROKEN))
    for path in results.rglob(f"*{STATE}"):
        with open(path, "rb") as file:
            start = file.read(4)
        # Before 5.0 it is encrypted, and only an empty one is known to be broken.
        if not start or (start[:2] == b"PK" and not zipfile.is_zipfile(path)):
            path.rename(path.with_name(path.name + BROKEN))
