"""Losses in console logs of trainings: of the TinyVIRAT study's form, and of this project's.

The study's scripts (and the I3D port they come from) print, on lines of their own::

    Epoch 3/9                  or  Step 1200/64000   before the losses of a pass over the data
    train Loss: 0.1234         every step, or the mean of ten
    val  Loss: 0.0410          once per pass
    train Loc Loss: 0.1 Cls Loss: 0.2 Tot Loss: 0.3   in the port, instead of the single loss

`train_video` prints one line per epoch: `train_video: [3] train_loss 0.1234  val_loss 0.041 …`.
Everything else is passed over, and so is what `kubectl logs` puts before a line: timestamps, and
`[pod/…]` with --prefix (each such source is a run of its own).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from components.core import events

PARTS = ("train", "val")
SINGLE = "loss"
"""The loss that every form has; with parts `loc` and `cls` it is their total."""

EXPECTED = (
    "lines such as 'train Loss: 0.1234', 'val  Loss: 0.1234' after 'Epoch 3/9' or 'Step 120/6400', "
    "'train Loc Loss: 0.1 Cls Loss: 0.2 Tot Loss: 0.3', or '[3] train_loss 0.1234  val_loss 0.12'"
)

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SOURCE = re.compile(r"\[(pod/[^\]\s]+)\]\s?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s")
_MARK = re.compile(r"(Epoch|Step)\s+(\d+)\s*/\s*(\d+)\s*")
_NUMBER = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf))"
_LOSS = re.compile(rf"(train|val)\s+Loss:\s*{_NUMBER}\s*", re.IGNORECASE)
_THREE = re.compile(
    rf"(train|val)\s+Loc Loss:\s*{_NUMBER}\s+Cls Loss:\s*{_NUMBER}\s+Tot Loss:\s*{_NUMBER}\s*",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?:\S+:\s+)?\[(\d+)\]\s+(.*\S)\s*")
_FIGURE = re.compile(rf"(\w+)_loss\s+{_NUMBER}(?:\s|$)", re.IGNORECASE)


@dataclass
class Pass:
    """Losses of one pass over the data."""

    number: int
    """Epoch, or the optimizer step at which the pass began."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """`train_loss`, `val_loss`, `train_loc` … → every value printed, in order."""

    def mean(self, name: str) -> float | None:
        """Mean of the finite values of a loss; None without any."""
        known = [value for value in self.values.get(name, []) if math.isfinite(value)]
        return math.fsum(known) / len(known) if known else None


@dataclass
class Run:
    """The losses of one training."""

    source: str
    """`pod/…` where the log names it, else ''."""
    unit: str = "epoch"
    """What the numbers of the passes count: `epoch` or `step`."""
    passes: list[Pass] = field(default_factory=list)
    restarts: int = 0
    """How often training went back; what it repeated counts as it was the last time."""
    unplaced: int = 0
    """Losses before the first `Epoch` or `Step` line that belong to no known pass; left out."""

    @property
    def broken(self) -> int:
        """How many losses are not finite; means leave them out."""
        values = (value for each in self.passes for line in each.values.values() for value in line)
        return sum(not math.isfinite(value) for value in values)

    def names(self) -> list[str]:
        """The losses that occur, total losses first."""
        found = {name for each in self.passes for name in each.values}
        return sorted(found, key=lambda name: (not name.endswith(SINGLE), name))

    def best(self, name: str) -> Pass | None:
        """The pass with the lowest mean of a loss; of equal ones the first."""
        known = [each for each in self.passes if each.mean(name) is not None]
        return min(known, key=lambda each: each.mean(name) or 0.0, default=None)


def parse(lines: Iterable[str]) -> list[Run]:
    """The trainings in the lines of a log, in order of appearance; [] where there is no loss."""
    readers: dict[str, _Reader] = {}
    for line in lines:
        # A progress bar ends in \\r, and what is printed next stands on the same line.
        for piece in line.replace("\r", "\n").split("\n"):
            source, text = _without_prefixes(piece)
            if text:
                readers.setdefault(source, _Reader(Run(source))).read(text)
    runs = [reader.finished() for reader in readers.values()]
    return [run for run in runs if run.passes]


class _Reader:
    """Reads the lines of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._open: Pass | None = None
        self._marked = False

    def read(self, text: str) -> None:
        event = events.parse(text)
        if event is not None:
            if event["event"] == "metrics" and event.get("step") is not None:
                self._epoch(int(event["step"]), _losses_of(event.get("values", {})))
        elif mark := _MARK.fullmatch(text):
            self._begin(mark[1].lower(), int(mark[2]))
        elif three := _THREE.fullmatch(text):
            part = three[1].lower()
            for name, value in zip(("loc", "cls", SINGLE), three.groups()[1:], strict=True):
                self._add(f"{part}_{name}", float(value))
        elif loss := _LOSS.fullmatch(text):
            self._add(f"{loss[1].lower()}_{SINGLE}", float(loss[2]))
        elif epoch := _EPOCH.fullmatch(text):
            found = {name.lower(): float(value) for name, value in _FIGURE.findall(epoch[2])}
            self._epoch(int(epoch[1]), {f"{part}_{SINGLE}": found[part] for part in found})

    def finished(self) -> Run:
        self._run.passes = [each for each in self._run.passes if each.values]
        return self._run

    def _epoch(self, number: int, losses: dict[str, float]) -> None:
        known = {name: value for name, value in losses.items() if name.split("_")[0] in PARTS}
        if known:
            self._begin("epoch", number)
            for name, value in known.items():
                self._add(name, value)
            self._open = None

    def _begin(self, unit: str, number: int) -> None:
        run = self._run
        if self._marked and unit != run.unit:
            if unit == "step":
                return  # steps within epochs
            run.passes = []
        if not self._marked:  # the log lacks its beginning
            for place, each in enumerate(reversed(run.passes), 1):
                each.number = number - place if unit == "epoch" else -1
            lost = [each for each in run.passes if each.number < 0]
            run.unplaced += sum(len(values) for each in lost for values in each.values.values())
            run.passes = [each for each in run.passes if each.number >= 0]
        run.restarts += any(each.values and each.number >= number for each in run.passes)
        run.passes = [each for each in run.passes if each.number < number]
        self._marked, run.unit = True, unit
        self._open = Pass(number)
        run.passes.append(self._open)

    def _add(self, name: str, value: float) -> None:
        # Without any mark, training losses after a validation belong to the next epoch.
        validated = self._open is not None and f"val_{SINGLE}" in self._open.values
        if self._open is None or (not self._marked and validated and name.startswith("train")):
            self._open = Pass(len(self._run.passes) + 1)
            self._run.passes.append(self._open)
        self._open.values.setdefault(name, []).append(value)


def _losses_of(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name.endswith(f"_{SINGLE}")}


def _without_prefixes(line: str) -> tuple[str, str]:
    """Source and text of a line."""
    text, source = _ESCAPES.sub("", line).lstrip(), ""
    while True:
        if found := _SOURCE.match(text):
            source = found[1]
        else:
            found = _TIME.match(text)
        if found is None:
            return source, text.strip()
        text = text[found.end() :].lstrip()
