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
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType

from components.core.errors import InputError, ServiceError, TrainyardError
from components.core.notify import Ending, notify
from pipelines.backends._cluster import Cluster, Document, ExistsError, UnreachableError
from pipelines.backends._job_follow import JobEnd, job_end
from pipelines.backends._job_submit import content_of, create_with_config, owner_reference
from pipelines.job_pipelines import TRY_AGAIN, StepJob

POLL_SECONDS = 2.0

ANSWER_ANNOTATION = "trainyard/answer"
"""Holds what the step of a Job decided, once a driver has read it."""


class StepFailedError(TrainyardError):
    """A step's Job failed; carries its name and exit code."""

    def __init__(self, message: str, task: str, exit_code: int) -> None:
        super().__init__(message)
        self.task = task
        self.exit_code = exit_code


class Driver:
    """One run: steps that wait, run, are done, or are skipped."""

    def __init__(self, cluster: Cluster, run: str, steps: list[StepJob]) -> None:
        """Finds the Job that this driver is a pod of.

        Raises:
            ServiceError: there is none.
        """
        owner = cluster.get("Job", run)
        if owner is None:
            raise ServiceError(f"there is no Job/{run}, which this driver belongs to")
        self._cluster = cluster
        self._owner = owner
        self._waiting = {step.task: step for step in steps}
        self._running: dict[str, StepJob] = {}
        self._done: set[str] = set()
        self._answers: dict[str, str] = {}
        """Of the steps that others depend on, those that are done."""
        self._deciding = {c.task for step in steps for c in step.conditions}
        self._total = len(steps)
        self.skipped: list[str] = []
        self.began = datetime.fromisoformat(owner["metadata"]["creationTimestamp"]).timestamp()
        """When the run was submitted, in seconds since 1970; drivers before this one count."""

    def drive(self) -> None:
        """Returns when every step is done or skipped.

        Raises:
            StepFailedError: a step failed; the others that ran were stopped.
            TrainyardError: the cluster refuses a Job.
        """
        while self._waiting or self._running:
            self._start_ready()
            self._look()
            if self._running:
                time.sleep(POLL_SECONDS)

    def _start_ready(self) -> None:
        for task, step in list(self._waiting.items()):
            if not self._done.union(self.skipped).issuperset(step.after):
                continue
            del self._waiting[task]
            if reason := self._reason_to_skip(step):
                self.skipped.append(task)
                _say(f"{task}: skipped, because {reason}")
            else:
                self._start(step)
                self._running[task] = step

    def _reason_to_skip(self, step: StepJob) -> str:
        for condition in step.conditions:
            if condition.task in self.skipped:
                return f"{condition.task} was"
            if (answer := self._answers[condition.task]) != condition.value:
                return f"{condition.task} said {answer}"
        return ""

    def _start(self, step: StepJob) -> None:
        config, wanted = step.documents
        references = {"ownerReferences": [owner_reference(self._owner)]}
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
                message = f"{task} failed with exit code {end.exit_code}: {end.reason}"
                raise StepFailedError(message, task, end.exit_code)
            if job and task in self._deciding:
                self._answers[task] = self._answer(job)
            self._done.add(task)
            _say(f"{task}: done")

    def _answer(self, job: Document) -> str:
        """What a step that others depend on has decided; kept at its Job, which outlives the pod.

        Raises:
            ServiceError: its pod is gone, and nobody has read the answer before.
        """
        name = job["metadata"]["name"]
        text = (job["metadata"].get("annotations") or {}).get(ANSWER_ANNOTATION)
        text = text or _last_words(self._cluster, name)
        try:
            told = json.loads(text)
            answer, reason = str(told["answer"]), str(told["reason"])
        except (ValueError, KeyError, TypeError):
            raise ServiceError(
                f"what Job/{name} decided is lost with its pod; delete it (kubectl delete job "
                f"{name}) and run the same command again: it decides anew"
            ) from None
        self._cluster.patch("Job", name, {"metadata": {"annotations": {ANSWER_ANNOTATION: text}}})
        _say(f"{name}: {reason}")
        return answer

    def _stop_others(self, failed: str) -> None:
        for task, step in self._running.items():
            _say(f"{task}: stopped, because {failed} failed")
            self._cluster.delete("Job", step.name)


def main(path: str) -> int:
    """Drives the run that the file describes; returns the exit code of the step that failed."""
    signal.signal(signal.SIGTERM, _stop)  # the first process of a container ignores it otherwise
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    steps = [StepJob.read(step) for step in content["steps"]]
    ending, code = Ending(content["pipeline"], content["run"], "succeeded"), 0
    began = time.time()
    try:
        driver = Driver(Cluster.connect(), content["run"], steps)
        began = driver.began
        driver.drive()
        _say(_summary(content["run"], len(steps), len(driver.skipped)))
        ending = replace(ending, ended_early=bool(driver.skipped))
    except UnreachableError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return TRY_AGAIN
    except TrainyardError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        step = error.task if isinstance(error, StepFailedError) else ""
        ending = replace(ending, state="failed", failed_step=step, error=str(error))
        code = error.exit_code
    if problem := notify(replace(ending, seconds=time.time() - began)):
        _say(f"warning: {problem}")
    return code


def _last_words(cluster: Cluster, job: str) -> str:
    """What the container of a Job that succeeded left as its message; '' where that is gone."""
    for pod in cluster.pods(job):
        for container in pod.get("status", {}).get("containerStatuses") or []:
            end = container.get("state", {}).get("terminated") or {}
            if end.get("exitCode") == 0 and end.get("message"):
                return str(end["message"])
    return ""


def _summary(run: str, steps: int, skipped: int) -> str:
    if not skipped:
        return f"{run}: all {steps} steps are done"
    return f"{run}: ended early, {steps - skipped} of {steps} steps are done and {skipped} skipped"


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
