"""The optional CSV that says what happens when within the clips."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from components.core.artifacts.clips import Clip, Segment
from components.core.errors import InputError, ProblemsError
from components.core.events import Reporter
from components.core.settings import closest
from components.core.storage import read_file
from components.dataset_sync.catalogue import SHOWN, shown

COLUMNS = ("clip", "start", "end", "label")

_LATE = 0.1
"""Seconds that a segment may reach beyond the end of its clip without remark."""


@dataclass(frozen=True)
class SegmentTable:
    """Segments by clip, and what is wrong with the lines of the table."""

    uri: str = ""
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    """Clip id → its segments by start; only of lines without a problem."""
    problems: list[str] = field(default_factory=list)

    def without(self, left_out: Callable[[str], bool], report: Reporter) -> SegmentTable:
        """The table without the clips that are left out of the data set."""
        unused = {clip for clip in self.segments if left_out(clip)}
        if unused:
            report.message(f"segments of {len(unused)} clips that are left out are not used")
        kept = {clip: own for clip, own in self.segments.items() if clip not in unused}
        return SegmentTable(self.uri, kept, self.problems)

    def refuse_problems(
        self,
        clips: Collection[str],
        classes: Collection[str] = (),
        place: str = "classes.txt",
    ) -> None:
        """Makes sure that the table fits the data set.

        Args:
            clips: ids of all clips.
            classes: accepted labels; empty where any is.
            place: what lists them.

        Raises:
            InputError: with every bad line, unknown clip and unknown label.
        """
        known = set(clips)
        found = list(self.problems)
        if unknown := set(self.segments) - known:
            found.append(
                f"{len(unknown)} clips are not in the data set: {shown(unknown)}; it has "
                f"{shown(known)}"
            )
        labels = Counter(s.label for own in self.segments.values() for s in own)
        found += unknown_labels(labels, classes, "segments", place) if classes else []
        if found:
            raise InputError(f"{ProblemsError(found, self.uri or 'segments')}")

    def applied(self, clips: list[Clip], classes: Collection[str], report: Reporter) -> list[Clip]:
        """The clips with their segments; clips named there have the labels of their segments.

        Labels are in the order of `classes`, or sorted where that is empty.
        """
        late = []
        result = []
        for clip in clips:
            if own := self.segments.get(clip.id):
                names = {segment.label for segment in own}
                labels = [name for name in (classes or sorted(names)) if name in names]
                clip = clip.model_copy(update={"labels": labels, "segments": own})
                if not clip.error and max(s.end for s in own) > clip.duration + _LATE:
                    late.append(clip.id)
            result.append(clip)
        if late:
            report.warn(f"segments of {len(late)} clips end after their clip: {shown(late)}")
        return result


def unknown_labels(
    labels: Counter[str],
    classes: Collection[str],
    what: str = "clips",
    place: str = "classes.txt",
) -> list[str]:
    """One problem for each label that is no class, with the class that it may stand for."""
    return [
        f"label {label!r} of {count} {what} is no class{closest(label, classes)}; correct it, or "
        f"add it to {place}"
        for label, count in sorted(labels.items())
        if label not in classes
    ]


def read_segments(uri: str) -> SegmentTable:
    """Reads a CSV with a header line and the columns clip, start, end (seconds) and label.

    Problems of single lines are kept for `refuse_problems`.

    Args:
        uri: path or `s3://bucket/key.csv`; '' gives no segments.

    Raises:
        InputError: the file is missing or no such table.
        ServiceError: the object store cannot be reached or refuses.
    """
    if not uri:
        return SegmentTable()
    try:
        text = read_file(uri).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{uri} is not UTF-8 text; expected a CSV file") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if absent := [name for name in COLUMNS if name not in (rows.fieldnames or [])]:
        raise InputError(
            f"{uri} lacks the columns {', '.join(absent)}; it has "
            f"{', '.join(rows.fieldnames or []) or '(none)'}, needed are {', '.join(COLUMNS)}"
        )
    segments: dict[str, list[Segment]] = {}
    problems = []
    for row in rows:
        values = {name: (row[name] or "").strip() for name in COLUMNS}
        if problem := _problem(values):
            problems.append(f"line {rows.line_num}: {problem}")
        else:
            start, end = float(values["start"]), float(values["end"])
            segment = Segment(start=start, end=end, label=values["label"])
            segments.setdefault(values["clip"], []).append(segment)
    if not segments and not problems:
        problems.append("it has no lines below its header")
    if len(problems) > 2 * SHOWN:
        problems = [*problems[: 2 * SHOWN], f"… and {len(problems) - 2 * SHOWN} more lines"]
    ordered = {
        clip: sorted(own, key=lambda s: (s.start, s.end, s.label)) for clip, own in segments.items()
    }
    return SegmentTable(uri, ordered, problems)


def _problem(values: dict[str, str]) -> str:
    if empty := [name for name in COLUMNS if not values[name]]:
        return f"{', '.join(empty)} is empty"
    if values["label"].splitlines() != [values["label"]]:
        return f"label {values['label']!r} has a line break, with which no model can be served"
    times = {name: _seconds(values[name]) for name in ("start", "end")}
    wrong = [f"{name} {values[name]!r}" for name, time in times.items() if not math.isfinite(time)]
    if wrong:
        return f"{' and '.join(wrong)} is no number of seconds, such as 2.5"
    if times["start"] < 0:
        return f"start {values['start']} is negative; times count from the clip's first frame"
    if times["end"] <= times["start"]:
        return f"end {values['end']} is not after start {values['start']}"
    return ""


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
