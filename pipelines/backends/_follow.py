"""Reads the output of a local run line by line: events, step boundaries, and the log files."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

from components.core import events
from pipelines.backends._console import Console
from pipelines.backends._run_folder import RunFolder

_TASK_STARTED = re.compile(r"Executing task '([\w-]+)'")
_TASK_ENDED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TAIL_LINES = 15


class Follower:
    """Keeps what is needed to tell a person how each step went."""

    def __init__(self, folder: RunFolder, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._step = ""
        self._status = ""
        self._failure: dict[str, Any] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.stopping = False
        """Set once somebody asked the run to stop, so that a step that ends did not fail."""
        self.decision = ""
        """Why those after the last deciding step run, or do not; '' without such a step."""
        (folder.path / "logs").mkdir(parents=True, exist_ok=True)

    @property
    def exit_code(self) -> int:
        """Exit code of the failed step; 1 when it could not say."""
        return int(self._failure.get("exit_code", 1))

    @property
    def failed_step(self) -> str:
        """The step that failed, or ran when the runner did; '' before the first one."""
        return self._step

    @property
    def error(self) -> str:
        """What the failed step said; '' when it could not."""
        return str(self._failure.get("message", ""))

    def line(self, raw: str) -> None:
        """Takes one line of output."""
        text = _COLOUR.sub("", raw)
        event = events.parse(text)
        if event:
            self._event(event)
            return
        if started := _TASK_STARTED.search(text):
            self._begin(started.group(1).replace("-", "_"))
        elif ended := _TASK_ENDED.search(text):
            self._end(ended.group(2))
        if text.strip():
            self._tail.append(text.removeprefix("    "))
        with open(self._folder.log(self._step or "run"), "a", encoding="utf-8") as log:
            log.write(text + "\n")

    def explain(self, code: int) -> None:
        """Names the step that failed, why, and where to read more."""
        step = self._step or "the runner"
        if code in (130, 143):
            if self._status != "ended":
                self._console.step_ended(step, "stopped")
                self._folder.note_step(step, {"status": "stopped"})
            self._console.say(f"\nstopped during {step}")
            return
        self._console.say(f"\n{step} failed (exit code {code})")
        if self._failure:
            self._console.say(str(self._failure["message"]))
        else:
            self._console.say(
                "it did not say why; if the log ends abruptly, its process was killed from outside "
                "or for lack of memory. Last lines of the log:"
            )
            self._console.say("\n".join(f"  | {line}" for line in self._tail))
        self._console.say(f"whole log: {self._folder.log(self._step or 'run')}")

    def _begin(self, step: str) -> None:
        self._step, self._status = step, ""
        self._tail.clear()
        self._console.step_started(step)
        self._folder.note_step(step, {"status": "running"})

    def _end(self, kfp_status: str) -> None:
        failed = "stopped" if self.stopping else "failed"
        status = (self._status or "finished") if kfp_status == "SUCCESS" else failed
        seconds = self._console.step_ended(self._step, status)
        self._folder.note_step(self._step, {"status": status, "seconds": round(seconds, 2)})
        self._status = "ended"

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "state":
            if event["status"] == "failed":
                self._failure = event
            elif event["status"] == "started":
                self._tail.clear()  # up to here it was kfp's
            elif event["status"] in ("reused", "finished"):
                self._status = event["status"]
            elif event["status"] == "decided":
                told = {"answer": event["answer"], "reason": event["reason"]}
                self._folder.note_step(self._step, told)
                self.decision = event["reason"]
            if "key" in event:
                self._folder.note_step(self._step, {"key": event["key"]})
        elif kind == "artifact":
            self._folder.link_output(self._step, event["name"], Path(event["path"]))
        else:
            self._console.event(event)
        if line := events.log_line(event):
            with open(self._folder.log(self._step or "run"), "a", encoding="utf-8") as log:
                log.write(f"{line}\n")
