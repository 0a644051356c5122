"""What a person sees of a local run: one line per step, live progress, messages, the end."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from components.core.events import LOG_SECONDS, progress_line


class Console:
    """Renders events on a terminal (colours, a live line) or as plain log lines elsewhere."""

    def __init__(self, steps: int, stream: TextIO = sys.stderr) -> None:
        self._total = steps
        self._started = 0
        self._stream = stream
        self._live = stream.isatty()
        self._line_open = False
        self._last_progress = 0.0
        self._began = 0.0

    def say(self, text: str) -> None:
        """A line of its own."""
        self._close_line()
        print(text, file=self._stream, flush=True)

    def step_started(self, step: str) -> None:
        """A step has been handed to a process."""
        self._began, self._last_progress = time.monotonic(), 0.0
        self._started += 1
        self.say(self._bold(f"[{self._started}/{self._total}] {step}"))

    def step_ended(self, step: str, status: str) -> float:
        """A step is done (`finished` or `reused`) or has failed; returns its seconds."""
        seconds = time.monotonic() - self._began
        mark = {"failed": "✗", "stopped": "■"}.get(status, "✓")
        self.say(f"  {mark} {status} in {seconds:.1f} s")
        return seconds

    def event(self, event: dict[str, Any]) -> None:
        """Shows a progress, metrics, message or warning event."""
        kind = event["event"]
        if kind == "progress":
            self._progress(event)
        elif kind == "message":
            self.say(_indent(event["text"]))
        elif kind == "warning":
            self.say(_indent(f"warning: {event['text']}"))
        elif kind == "metrics" and event["values"]:
            figures = "  ".join(f"{key} {value:.4g}" for key, value in event["values"].items())
            step = event.get("step")
            self.say(_indent(figures if step is None else f"[{step}] {figures}"))

    def _progress(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        pause = 0.1 if self._live else LOG_SECONDS
        if now - self._last_progress < pause:
            return
        self._last_progress = now
        done, total = event["done"], event["total"]
        line = progress_line(
            event["stage"], done, total, event["unit"], event["note"], now - self._began
        )
        if self._live:
            print(f"\r\x1b[2K  {line}", end="", file=self._stream, flush=True)
            self._line_open = True
        elif done < total:
            self.say(_indent(line))

    def _close_line(self) -> None:
        if self._line_open:
            print("\r\x1b[2K", end="", file=self._stream)
            self._line_open = False

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._live else text


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
