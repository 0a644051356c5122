"""Runs inside the driver Job: creates the Jobs of a pipeline in order and waits for them.

It keeps nothing but what the cluster knows, so a driver that takes the place of another one adopts
the Jobs that are there and goes on. Every Job it creates belongs to the driver's own Job: deleting
that ends the whole run.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from components.core.errors import InputError, ServiceError, TrainyardError
from pipelines.backends._cluster import Cluster, Document, ExistsError, UnreachableError
from pipelines.backends._job_follow import JobEnd, job_end
from pipelines.backends._job_submit import content_of, create_with_config, owner_reference
from pipelines.job_pipelines import TRY_AGAIN, StepJob

POLL_SECONDS = 2.0


class StepFailedError(TrainyardError):
    """A step's Job failed; carries its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Driver:
    """One run: steps that wait, run and are done."""

    def __init__(self, cluster: Cluster, run: str, steps: list[StepJob]) -> None:
        self._cluster = cluster
        self._run = run
        self._waiting = {step.task: step for step in steps}
        self._running: dict[str, StepJob] = {}
        self._done: set[str] = set()
        self._total = len(steps)

    def drive(self) -> None:
        """Returns when every step is done.

        Raises:
            StepFailedError: a step failed; the others that ran were stopped.
            TrainyardError: the cluster refuses a Job.
        """
        owner = self._cluster.get("Job", self._run)
        if owner is None:
            raise ServiceError(f"there is no Job/{self._run}, which this driver belongs to")
        while self._waiting or self._running:
            self._start_ready(owner)
            self._look()
            if self._running:
                time.sleep(POLL_SECONDS)

    def _start_ready(self, owner: Document) -> None:
        for task, step in list(self._waiting.items()):
            if self._done.issuperset(step.after):
                self._start(step, owner)
                self._running[task] = self._waiting.pop(task)

    def _start(self, step: StepJob, owner: Document) -> None:
        config, wanted = step.documents
        references = {"ownerReferences": [owner_reference(owner)]}
        while True:
            existing = self._cluster.get("Job", step.name)
            if existing is None:
                owned = {**wanted, "metadata": {**wanted["metadata"], **references}}
                try:
                    create_with_config(self._cluster, config, owned)
                except ExistsError:
                    continue
                _say(f"[{len(self._done) + 1}/{self._total}] {step.task}: created Job/{step.name}")
                return
            if existing["metadata"].get("deletionTimestamp"):
                time.sleep(POLL_SECONDS)
                continue
            if content_of(existing) != content_of(wanted):
                raise InputError(
                    f"Job/{step.name} exists and does something else; give the run another name"
                )
            self._cluster.patch("Job", step.name, {"metadata": references})
            _say(f"[{len(self._done) + 1}/{self._total}] {step.task}: found Job/{step.name}")
            return

    def _look(self) -> None:
        for task, step in list(self._running.items()):
            job = self._cluster.get("Job", step.name)
            end = job_end(self._cluster, job) if job else JobEnd(1, "its Job was deleted")
            if end is None:
                continue
            del self._running[task]
            if end.exit_code:
                self._stop_others(task)
                raise StepFailedError(
                    f"{task} failed with exit code {end.exit_code}: {end.reason}", end.exit_code
                )
            self._done.add(task)
            _say(f"{task}: done")

    def _stop_others(self, failed: str) -> None:
        for task, step in self._running.items():
            _say(f"{task}: stopped, because {failed} failed")
            self._cluster.delete("Job", step.name)


def main(path: str) -> int:
    """Drives the run that the file describes; returns the exit code of the step that failed."""
    signal.signal(signal.SIGTERM, _stop)  # the first process of a container ignores it otherwise
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    steps = [StepJob(s["task"], s["documents"], tuple(s["after"])) for s in content["steps"]]
    try:
        Driver(Cluster.connect(), content["run"], steps).drive()
    except UnreachableError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return TRY_AGAIN
    except TrainyardError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    _say(f"{content['run']}: all {len(steps)} steps are done")
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
