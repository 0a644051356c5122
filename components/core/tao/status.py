"""`status.json`, which TAO's programs write while they work: progress, figures, success.

One JSON object a line, appended: `status` (STARTED, RUNNING, SUCCESS, FAILURE, SKIPPED), `message`,
`epoch` and `max_epoch` of an epoch that ended, and figures in `graphical` and `kpi` (numbers, or
texts that hold one) and `categorical` (by class). Source: `StatusLogger` in the vendor's back ends.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "status.json"

NAMES = {
    "mean average precision": "map",
    "map": "map",
    "val_map": "map",
    "val_map50": "map50",
    "map50": "map50",
    "map@0.5": "map50",
    "test_map": "map",
    "test_map50": "map50",
    "ap": "map",
    "ap50": "map50",
    "ap75": "map75",
    "validation_loss": "val_loss",
    "validation cost": "val_loss",
    "val_loss": "val_loss",
    "loss": "train_loss",
    "train_loss": "train_loss",
    "training_loss": "train_loss",
    "lr": "learning_rate",
}
"""What the programs call a figure → what we call it."""

SHARE = ("map", "map50", "map75")
"""Figures from 0 to 1, which some programs give in percent."""


@dataclass(frozen=True)
class Line:
    """One entry of a status.json."""

    status: str = ""
    message: str = ""
    epoch: int = 0
    """That ended with it; 0 where none did."""
    last_epoch: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, float] = field(default_factory=dict)
    """Class → average precision, 0 to 1."""

    @classmethod
    def read(cls, text: str) -> Line | None:
        """The entry in a line; None for what is none, such as half a line."""
        try:
            content = json.loads(text)
        except ValueError:
            return None
        if not isinstance(content, dict):
            return None
        found: dict[str, float] = {}
        classes: dict[str, float] = {}
        for key in ("graphical", "kpi"):
            if isinstance(content.get(key), dict):
                found |= dict(_figures(content[key]))
        categorical = content.get("categorical")
        if isinstance(categorical, dict):
            for name, values in categorical.items():
                if "precision" in name.lower() and isinstance(values, dict):
                    pairs = ((str(label), _number(value)) for label, value in values.items())
                    classes = {label: value for label, value in pairs if value is not None}
        return cls(
            status=str(content.get("status", "")),
            message=str(content.get("message", "")),
            epoch=_whole(content.get("epoch")),
            last_epoch=_whole(content.get("max_epoch")),
            figures=_shares(found),
            classes=_as_shares(classes),
        )


def file_in(folder: Path) -> Path | None:
    """The newest status.json in a folder of results; PyTorch's heads have it one level deeper."""
    found = [path for path in folder.rglob(NAME) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def lines_of(path: Path | None) -> list[Line]:
    """The entries of a file, without what is damaged; none where there is no file."""
    if path is None or not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for part in text.splitlines() if (line := Line.read(part))]


class Follower:
    """Gives what was added to the status.json of a folder since the last time."""

    def __init__(self, folder: Path) -> None:
        """What is there already is passed over."""
        self._folder = folder
        self._places = {path: path.stat().st_size for path in folder.rglob(NAME)}

    def news(self) -> Iterator[Line]:
        """New entries; a line that is not finished is left for the next time."""
        for path in sorted(self._folder.rglob(NAME)):
            start = self._places.get(path, 0)
            if path.stat().st_size < start:  # written anew
                start = 0
            with open(path, "rb") as file:
                file.seek(start)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._places[path] = start + len(whole)
            for part in whole.decode("utf-8", "replace").splitlines():
                if line := Line.read(part):
                    yield line


def curves(lines: Iterable[Line]) -> list[dict[str, float]]:
    """Per-epoch figures in order; of an epoch that was trained again the later ones.

    Figures of a line without an epoch belong to the epoch that ended last: validations come so.
    """
    epochs: dict[int, dict[str, float]] = {}
    current = 0
    for line in lines:
        current = line.epoch or current
        if not current or not (line.figures or line.epoch):
            continue
        epochs.setdefault(current, {}).update(line.figures)
    drop = ("size", "param_count", "pruning_ratio")
    return [
        {"epoch": float(epoch)} | {k: v for k, v in found.items() if k not in drop}
        for epoch, found in sorted(epochs.items())
    ]


def figures(lines: Iterable[Line]) -> dict[str, float]:
    """The last value of every figure."""
    found: dict[str, float] = {}
    for line in lines:
        found |= line.figures
    return found


def class_figures(lines: Iterable[Line]) -> dict[str, float]:
    """Class → average precision, as told last."""
    found: dict[str, float] = {}
    for line in lines:
        found = dict(line.classes) or found
    return found


def failure(lines: Iterable[Line]) -> str:
    """What the program says went wrong; '' where it does not.

    A program that was interrupted ends with 0 and says FAILURE here.
    """
    told = ""
    for line in lines:
        if line.status == "FAILURE":
            told = line.message or "it failed"
        elif line.status in ("SUCCESS", "STARTED"):
            told = ""
    return told


CLASS_LINE = re.compile(r"^(?P<name>\S.*?)\s+AP\s+(?P<value>[\d.]+)$")
TABLE_LINE = re.compile(r"^(?P<name>\S+(?: \S+)*)\s{2,}(?P<value>\d+(?:\.\d+)?)$")
TABLE_HEAD = "class name"
MEAN_LINE = re.compile(
    r"^(?:mAP@?[\d.]*\s*=?|Mean average_precision \(in %\):)\s*(?P<value>[\d.]+)$"
)


def printed(text: str) -> tuple[dict[str, float], dict[str, float]]:
    """Figures, and average precision by class, that an evaluation prints and tells nowhere else.

    Lines such as `car   AP    0.71`, or DetectNet_v2's table below `class name`, in percent.
    """
    found: dict[str, float] = {}
    classes: dict[str, float] = {}
    table: dict[str, float] = {}
    in_table = False
    for raw in text.splitlines():
        line = raw.strip()
        in_table = (in_table or line.startswith(TABLE_HEAD)) and bool(line)
        if match := CLASS_LINE.match(line):
            classes[match["name"]] = float(match["value"])
        elif in_table and (match := TABLE_LINE.match(line)):
            table[match["name"]] = float(match["value"]) / 100
        elif match := MEAN_LINE.match(line):
            percent = "%" in line
            found["map"] = float(match["value"]) / (100 if percent else 1)
    return _shares(found), {**classes, **table}


def _figures(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        number = _number(value)
        if number is not None:
            known = NAMES.get(name.lower().strip())
            yield known or re.sub(r"\W+", "_", name.strip().lower()).strip("_"), number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int:
    number = _number(value)
    return int(number) if number and number > 0 else 0


def _shares(found: Mapping[str, float]) -> dict[str, float]:
    percent = any(found.get(name, 0) > 1 for name in SHARE)
    return {
        name: value / 100 if percent and name in SHARE else value for name, value in found.items()
    }


def _as_shares(classes: Mapping[str, float]) -> dict[str, float]:
    percent = any(value > 1 for value in classes.values())
    return {name: value / 100 if percent else value for name, value in classes.items()}
