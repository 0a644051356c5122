"""Follows a run on Kubeflow: each step as its state changes, and what its pods write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from components.core.errors import TrainyardError
from pipelines.backends._kubeflow_api import PATIENCE_SECONDS, Document, Kubeflow
from pipelines.backends._kubeflow_logs import PodLogs
from pipelines.backends._kubeflow_status import Step, is_over, steps

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two looks, right after something happened and after a long silence."""


SILENCE_SECONDS = 600.0
"""After so long without news, that the run goes on is said."""


@dataclass
class Follower:
    """Shows one run; `show` gets every line of a log, `say` what is to be known about the run."""

    api: Kubeflow
    run: str
    namespace: str
    show: Callable[[str], None]
    say: Callable[[str], None]
    _states: dict[str, tuple[str, str]] = field(default_factory=dict)
    _waits: bool = False
    """Whether it was said that the server does not answer."""

    def follow(self) -> Document:
        """Returns the run when it is over and all is shown."""
        logs = PodLogs(self.api, self.run, self.namespace, self.say)
        pause, over, last_news, told = SHORTEST_PAUSE, set[str](), time.monotonic(), 0.0
        while True:
            run = self._look()
            found, news = steps(run), False
            for step in found:
                news |= self._tell(step)
                if step.status.task not in over:
                    news |= self._show_new(logs, step)
                if step.is_over:
                    over.add(step.status.task)
            if is_over(run):
                return run
            now = time.monotonic()
            if news:
                last_news = told = now
            elif now - max(last_news, told) >= SILENCE_SECONDS:
                told = now
                state = run.get("state") or "PENDING"
                self.say(f"no news for {_duration(now - last_news)}; the run is still {state}")
            pause = SHORTEST_PAUSE if news else min(1.5 * pause, LONGEST_PAUSE)
            time.sleep(pause)

    def _look(self) -> Document:
        """The run now; a server that fails for a while is waited for, and that is said once."""

        def told(error: TrainyardError) -> None:
            if not self._waits:
                self.say(f"{error}\nlooking again, for up to {_duration(PATIENCE_SECONDS)}")
            self._waits = True

        run = self.api.call(
            "look at the run", self.api.runs.run_service_get_run, self.run, told=told
        )
        if self._waits:
            self.say("the server answers again")
        self._waits = False
        return run

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
