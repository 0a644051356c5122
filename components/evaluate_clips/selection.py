"""Which kept checkpoints to compare: the text of the `checkpoints` setting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ALL = "all"
ACCEPTED = (
    "'' for none, 'all', epochs such as 5-30:5,40 (every fifth from 5 to 30, and 40), or "
    "optimizer steps such as step 1000-3000"
)

_FORM = re.compile(r"(?:(epochs?|steps?)\s+)?(\S.*)", re.IGNORECASE)
_ITEM = re.compile(r"(\d+)(?:\s*-\s*(\d+)(?:\s*:\s*(\d+))?)?")


@dataclass(frozen=True)
class Span:
    """Numbers from `first` to `last`, both included, every `every`-th from `first` on."""

    first: int
    last: int
    every: int = 1

    def __contains__(self, number: int) -> bool:
        """Whether a number is meant."""
        return self.first <= number <= self.last and (number - self.first) % self.every == 0

    def __str__(self) -> str:
        """As a user writes it."""
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f":{self.every}" if self.every > 1 else "")


@dataclass(frozen=True)
class Selection:
    """Checkpoints by epoch or by optimizer step."""

    unit: Literal["epoch", "step"]
    spans: tuple[Span, ...]
    """What is wanted; without any, every checkpoint."""

    def __contains__(self, number: int) -> bool:
        """Whether the checkpoint with this epoch (or step) is wanted."""
        return not self.spans or any(number in span for span in self.spans)


def parse(text: str) -> Selection:
    """Reads a selection such as `all`, `5-30:5,40`, `epoch 3` or `step 1000-3000`.

    Raises:
        ValueError: it is not of this form; the message names what is wrong and what is accepted.
    """
    if text.strip().lower() == ALL:
        return Selection("epoch", ())
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise ValueError(f"checkpoints: got {text!r}, accepted are {ACCEPTED}")
    spans, problems = [], []
    for item in form[2].split(","):
        found = _ITEM.fullmatch(item.strip())
        if found is None:
            problems.append(f"{item.strip()!r} is neither a number nor a range")
            continue
        first, last = int(found[1]), int(found[2] or found[1])
        every = int(found[3] or 1)
        if last < first:
            problems.append(f"{item.strip()!r} ends before it begins")
        elif every < 1:
            problems.append(f"{item.strip()!r} has a step of 0")
        else:
            spans.append(Span(first, last, every))
    if problems:
        raise ValueError(
            f"checkpoints: got {text!r}, where {'; '.join(problems)}; accepted are {ACCEPTED}"
        )
    unit: Literal["epoch", "step"] = (
        "step" if (form[1] or "").lower().startswith("step") else "epoch"
    )
    return Selection(unit, tuple(spans))
