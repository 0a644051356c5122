"""Follows a run on Kubeflow: each step as its state changes, and what its pods write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from components.core.errors import TrainyardError
from pipelines.backends._kubeflow_api import Document, Kubeflow
from pipelines.backends._kubeflow_logs import PodLogs
from pipelines.backends._kubeflow_status import Step, is_over, steps

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two looks, right after something happened and after a long silence."""


@dataclass
class Follower:
    """Shows one run; `show` gets every line of a log, `say` what is to be known about the run."""

    api: Kubeflow
    run: str
    namespace: str
    show: Callable[[str], None]
    say: Callable[[str], None]
    _states: dict[str, tuple[str, str]] = field(default_factory=dict)

    def follow(self) -> Document:
        """Returns the run when it is over and all is shown."""
        logs = PodLogs(self.api, self.run, self.namespace, self.say)
        pause, over = SHORTEST_PAUSE, set[str]()
        while True:
            run = self.api.call("look at the run", self.api.runs.run_service_get_run, self.run)
            found, news = steps(run), False
            for step in found:
                news |= self._tell(step)
                if step.status.task not in over:
                    news |= self._show_new(logs, step)
                if step.is_over:
                    over.add(step.status.task)
            if is_over(run):
                return run
            pause = SHORTEST_PAUSE if news else min(1.5 * pause, LONGEST_PAUSE)
            time.sleep(pause)

    def _tell(self, step: Step) -> bool:
        status = step.status
        now = (status.state, status.detail)
        if self._states.get(status.task) == now or status.state == "pending":
            return False
        self._states[status.task] = now
        took = f" after {_duration(step.seconds)}" if step.is_over and step.seconds else ""
        why = f": {status.detail}" if status.detail else ""
        self.say(f"{status.task}: {status.state}{took}{why}")
        return True

    def _show_new(self, logs: PodLogs, step: Step) -> bool:
        """A step that is over is shown to its end; its state was looked at before its log."""
        news = False
        for pod in step.pods:
            for line in logs.new_lines(pod, whole=step.is_over):
                self.show(f"{step.status.task} | {line}")
                news = True
        return news


def namespace_of(api: Kubeflow, run: Document) -> str:
    """The namespace that a run's pods are in."""
    try:
        experiment = api.call(
            "look at the experiment",
            api.experiments.experiment_service_get_experiment,
            str(run.get("experiment_id", "")),
        )
    except TrainyardError:
        return "kubeflow"
    return str(experiment.get("namespace") or "kubeflow")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
