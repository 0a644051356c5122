"""Logs of a run's pods, by whichever way the server offers.

The API in its documented form has none: the user interface serves them to its pages
(`/k8s/pod/logs`), and the API server at an older path. Both give all there is at once, so that what
was shown already is left out here. Where neither works, `kubectl logs` is what remains.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from components.core.errors import TrainyardError
from pipelines.backends._kubeflow_api import Kubeflow

WAIT_SECONDS = 30.0
"""After so long without a log, a pod is asked why it does not run."""


@dataclass
class PodLogs:
    """What the pods of one run have written, each line once."""

    api: Kubeflow
    run: str
    namespace: str
    say: Callable[[str], None]
    _shown: dict[str, int] = field(default_factory=dict)
    _first: dict[str, float] = field(default_factory=dict)
    """When a pod was first asked for its log."""
    _way: int = 0
    """The one that worked last; those before it do not exist."""
    _notes: set[str] = field(default_factory=set)
    """What was said about logs, and about each pod; nothing is said twice."""

    def new_lines(self, pod: str, whole: bool) -> list[str]:
        """Lines since the last call; with `whole` the pod has ended, and its last line counts."""
        text = self._text(pod, whole)
        if text is None:
            if not whole:
                self._explain(pod)
            return []
        lines = text.split("\n")
        if not whole or not lines[-1]:
            lines.pop()
        new = lines[self._shown.get(pod, 0) :]
        self._shown[pod] = max(len(lines), self._shown.get(pod, 0))
        return new

    def _text(self, pod: str, whole: bool) -> str | None:
        """All of a pod's log, or None where there is none yet."""
        query = {"podname": pod, "podnamespace": self.namespace, "runid": self.run}
        ways: tuple[tuple[str, dict[str, str]], ...] = (
            ("/k8s/pod/logs", query),
            (f"/apis/v1alpha1/runs/{self.run}/nodes/{pod}/log", {}),
        )
        last: Exception | None = None
        for way, (path, asked) in list(enumerate(ways))[self._way :]:
            try:
                found = self.api.text("read the log", path, asked)
            except TrainyardError as error:
                last = error
            else:
                self._way = way
                return found
        if whole or self._waited(pod):
            self._note(
                f"logs cannot be shown here ({last}); see them on the run's page, or with: "
                f"kubectl -n {self.namespace} logs POD -c main"
            )
        return None

    def _explain(self, pod: str) -> None:
        """Says why a pod does not run, as soon as its cluster does."""
        from pipelines.backends._job_follow import pod_pending  # slow to import

        try:
            found = json.loads(
                self.api.text(
                    "look at the pod",
                    "/k8s/pod",
                    {"podname": pod, "podnamespace": self.namespace},
                )
            )
        except (TrainyardError, ValueError):
            return
        if found.get("status", {}).get("phase") == "Pending":
            self._note(pod_pending(found))

    def _waited(self, pod: str) -> bool:
        return time.monotonic() - self._first.setdefault(pod, time.monotonic()) > WAIT_SECONDS

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.add(text)
            self.say(text)
