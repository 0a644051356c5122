"""Progress, metrics and messages of a running stage, for terminals, logs and parent processes.

Three renderings of the same calls: a progress bar where stderr is a terminal, periodic log lines
elsewhere, and JSON lines on stdout where `TRAINYARD_EVENTS=json` says that a parent renders them.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

MARK = "@trainyard "
"""Prefix of an event line; what follows is one JSON object."""

LOG_SECONDS = 10.0
BAR_SECONDS = 0.1


class Reporter:
    """Reports for one stage; every method is cheap enough to call in an inner loop."""

    def __init__(self, stage: str, mode: str = "") -> None:
        """`mode` is bar, log, json or silent; '' chooses what suits the process's surroundings."""
        self.stage = stage
        if not mode:
            as_json = os.environ.get("TRAINYARD_EVENTS") == "json"
            mode = "json" if as_json else "bar" if sys.stderr.isatty() else "log"
        self._mode = mode
        self._last = 0.0
        self._started = 0.0
        self._first = 0.0
        self._open_bar = False

    def progress(self, done: float, total: float, unit: str = "items", note: str = "") -> None:
        """Says how far the current piece of work is; rate-limited except for first and last."""
        if self._mode == "silent":
            return
        now = time.monotonic()
        if done <= self._first or not self._started:  # resumed work does not start at 0
            self._started, self._first = now, done
        pause = BAR_SECONDS if self._mode == "bar" else 1.0 if self._mode == "json" else LOG_SECONDS
        if now - self._last < pause and done < total:
            return
        self._last = now
        if self._mode == "json":
            self._emit("progress", done=done, total=total, unit=unit, note=note)
            return
        line = progress_line(self.stage, done, total, unit, note, now - self._started, self._first)
        if self._mode == "bar":
            end = "\n" if done >= total else ""
            print(f"\r\x1b[2K{line}", end=end, file=sys.stderr, flush=True)
            self._open_bar = not end
        else:
            print(line, file=sys.stderr, flush=True)

    def track(self, items: Iterable[T], total: int, unit: str = "items") -> Iterator[T]:
        """Yields `items` and reports progress after each."""
        self.progress(0, total, unit)
        for done, item in enumerate(items, 1):
            yield item
            self.progress(done, total, unit)

    def message(self, text: str) -> None:
        """A line of information."""
        self._say("message", text)

    def warn(self, text: str) -> None:
        """A line the user should act on, though the stage goes on."""
        self._say("warning", text)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Finite figures, for example of one epoch; non-finite ones are left out."""
        finite = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        if self._mode == "json":
            self._emit("metrics", values=finite, step=step)
        elif finite:
            self._say("message", metrics_text(finite, step))

    def artifact(self, name: str, path: Path) -> None:
        """An output that is now complete under its final name."""
        if self._mode == "json":
            self._emit("artifact", name=name, path=str(path))
        else:
            self._say("message", f"{name}: {path}")

    def state(self, status: str, **details: Any) -> None:
        """A change of state (`started`, `reused`, `finished`, `failed`), for parents only."""
        if self._mode == "json":
            self._emit("state", status=status, **details)

    def _say(self, kind: str, text: str) -> None:
        if self._mode == "json":
            self._emit(kind, text=text)
            return
        if self._mode == "silent":
            return
        if self._open_bar:
            print(file=sys.stderr)
            self._open_bar = False
        print(said(self.stage, kind, text), file=sys.stderr, flush=True)

    def _emit(self, event: str, **fields: Any) -> None:
        record = {"event": event, "stage": self.stage, "time": round(time.time(), 3), **fields}
        try:
            print(MARK + json.dumps(record), flush=True)
        except BrokenPipeError:  # the parent is gone; saving the work matters more than telling
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(line: str) -> dict[str, Any] | None:
    """The event in a line of a stage's output, or None for an ordinary line."""
    _, mark, payload = line.partition(MARK)
    if not mark:
        return None
    try:
        event = json.loads(payload)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def log_line(event: Mapping[str, Any]) -> str:
    """The line of a log that an event stands for; '' for those that are no news to a reader."""
    match event["event"]:
        case "metrics":
            return said(event["stage"], "message", metrics_text(event["values"], event["step"]))
        case "message" | "warning" as kind:
            return said(event["stage"], kind, event["text"])
        case _:
            return ""


def metrics_text(values: Mapping[str, float], step: int | None) -> str:
    """Figures in one line, with the step they belong to in front."""
    shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
    return shown if step is None else f"[{step}] {shown}"


def said(stage: str, kind: str, text: str) -> str:
    """A message or warning of a stage in one line."""
    return f"{stage}: {'warning: ' if kind == 'warning' else ''}{text}"


def progress_line(
    stage: str,
    done: float,
    total: float,
    unit: str,
    note: str,
    seconds: float,
    first: float = 0.0,
) -> str:
    """One line: stage, share, counts, rate, time left; `first` was done before `seconds` began."""
    share = min(done / total, 1.0) if total else 1.0
    line = f"{stage}: {share:4.0%} {done:g}/{total:g} {unit}"
    if seconds > 0 and done > first:
        rate = (done - first) / seconds
        line += f", {rate:.3g} {unit}/s"
        if done < total:
            left = (total - done) / rate
            line += f", {int(left // 60)}:{int(left % 60):02d} left"
    return f"{line}  {note}" if note else line
