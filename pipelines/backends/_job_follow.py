"""Follows a Job to its end: the logs of its pods one after the other, and why nothing happens."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.backends import State
from pipelines.backends._cluster import Cluster, Document

POLL_SECONDS = 1.0

_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?\S* ?(.*)", re.DOTALL)


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended."""

    exit_code: int
    """0, or that of the last pod; 1 where none is known."""
    reason: str
    """Of the failure, for people; '' after success."""


DELETED = JobEnd(1, "it was deleted")


def job_end(cluster: Cluster, job: Document) -> JobEnd | None:
    """How a Job ended, or None while it has not."""
    conditions = job.get("status", {}).get("conditions") or []
    held = {c["type"]: c for c in conditions if c.get("status") == "True"}
    if "Complete" in held:
        return JobEnd(0, "")
    if "Failed" not in held:
        return None
    failed = held["Failed"]
    ends = [end for pod in cluster.pods(job["metadata"]["name"]) if (end := _pod_end(pod))]
    codes = [end["exitCode"] for end in ends if end.get("exitCode")]
    reason = str(failed.get("reason", ""))
    text = {
        "DeadlineExceeded": "it took longer than its deadline (activeDeadlineSeconds); "
        "run it again with a later --deadline: it goes on where it stopped",
        "BackoffLimitExceeded": "it failed as often as it may (backoffLimit)",
        "PodFailurePolicy": "trying again would not help",
    }.get(reason, f"{reason}: {failed.get('message', '')}")
    if ends and ends[-1].get("reason") == "OOMKilled":
        text += "; its last pod needed more memory than its limit: raise --memory"
    return JobEnd(int(codes[-1]) if codes else 1, text)


def job_state(cluster: Cluster, job: Document) -> tuple[State, str]:
    """How far a Job is, and why it waits or failed ('' where there is nothing to say)."""
    if end := job_end(cluster, job):
        failed = f"exit code {end.exit_code}: {end.reason}"
        return ("failed", failed) if end.exit_code else ("succeeded", "")
    name = job["metadata"]["name"]
    pods = cluster.pods(name)
    if not pods:
        return "pending", _no_pod(cluster, name)
    if pods[-1].get("status", {}).get("phase") == "Pending":
        return "pending", pod_pending(pods[-1])
    return "running", ""


_QUOTA_ADVICE = "wait for other Jobs to end, or ask for less: --cpu, --memory, --gpus"

_NODE_ADVICE = (
    "if that stays so, ask for less (--cpu, --memory, --gpus) or for another --gpu-product; "
    "what there is: kubectl get nodes -L nvidia.com/gpu.product"
)


def _no_pod(cluster: Cluster, job: str) -> str:
    """Why a Job has no pod, as its own events say: a quota, or a refused pod; '' without any."""
    return "".join(_refused_pod(job, warning) for warning in cluster.warnings("Job", job)[-1:])


def _refused_pod(job: str, warning: str) -> str:
    """The same for each attempt, whose pods all have names of their own."""
    same = re.sub(rf'"{re.escape(job)}-[a-z0-9-]+"', f'"{job}-…"', warning)
    return f"no pod yet: {same}" + (f"; {_QUOTA_ADVICE}" if "exceeded quota" in warning else "")


def _pod_end(pod: Document) -> Document | None:
    """The `terminated` state of a pod's container that says most: the failed one, or the last."""
    status = pod.get("status", {})
    listed = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    ended = [state["terminated"] for s in listed if "terminated" in (state := s.get("state", {}))]
    failed = [end for end in ended if end.get("exitCode")]
    found: Document | None = (failed or ended or [None])[-1]
    return found


@dataclass
class _Shown:
    """Which lines of a log that is read anew, with timestamps, have been shown already."""

    _last: str = ""
    _at_last: int = 0
    """Lines shown that bear the last timestamp."""
    _again: int = 0
    """Lines of this reading that bear it."""

    def begin(self) -> None:
        """The log is read from its start."""
        self._again = 0

    def new(self, line: str) -> str | None:
        """The text of a line without its timestamp, or None for one that was shown before."""
        match = _STAMPED.match(line)
        if match is None:
            return line
        stamp, text = f"{match[1]}.{match[2] or '':0<9}", match[3]  # nodes drop trailing zeros
        if stamp == self._last:
            self._again += 1
            if self._again <= self._at_last:
                return None
            self._at_last += 1
        elif stamp > self._last:
            self._last, self._at_last, self._again = stamp, 1, 1
        else:
            return None
        return str(text)


def stream(cluster: Cluster, pod: str, container: str, show: Callable[[str], None]) -> None:
    """Shows a container's log to its end; goes on after a broken connection."""
    shown = _Shown()
    while True:
        # Looked at before reading: what is read from a container that has ended is all of it.
        found = cluster.get("Pod", pod)
        going_on = found is not None and _runs(found, container)
        shown.begin()
        for line in cluster.log(pod, container):
            if (text := shown.new(line)) is not None:
                show(text)
        if not going_on:
            return
        time.sleep(POLL_SECONDS)


@dataclass
class Follower:
    """Shows one Job; `show` gets every line of its log, `say` what is to be known about it."""

    cluster: Cluster
    name: str
    show: Callable[[str], None]
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when it makes no sense to wait longer for the Job to appear."""
    _ended: set[str] = field(default_factory=set)
    _note: str = ""

    def follow(self) -> JobEnd:
        """Returns when the Job has ended and all is shown."""
        job = self._appeared()
        while job is not None:
            for pod in self.cluster.pods(self.name):
                if pod["metadata"]["uid"] not in self._ended:
                    self._pod(pod)
            # The order matters: pods are looked at once more after the end was seen.
            if (end := job_end(self.cluster, job)) and not self._open_pods():
                return end
            self._explain_absence(job)
            time.sleep(POLL_SECONDS)
            job = self.cluster.get("Job", self.name)
        return DELETED

    def _appeared(self) -> Document | None:
        while (job := self.cluster.get("Job", self.name)) is None and not self.stop.is_set():
            self.stop.wait(POLL_SECONDS)
        return job

    def _open_pods(self) -> bool:
        return any(p["metadata"]["uid"] not in self._ended for p in self.cluster.pods(self.name))

    def _pod(self, pod: Document) -> None:
        name = pod["metadata"]["name"]
        phase = pod.get("status", {}).get("phase")
        if phase == "Pending":
            self._tell(pod_pending(pod))
            return
        if phase == "Running":
            self._tell(f"pod {name} runs on {pod['spec'].get('nodeName', 'a node')}")
        for container in _containers(pod):
            stream(self.cluster, name, container, self.show)
        latest = self.cluster.get("Pod", name)
        if latest is None or latest["metadata"]["uid"] != pod["metadata"]["uid"]:
            self._ended.add(pod["metadata"]["uid"])
            self._tell(f"pod {name} is gone; the next one goes on where it stopped")
        elif latest.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            self._ended.add(pod["metadata"]["uid"])
            self._tell(pod_ending(latest))

    def _explain_absence(self, job: Document) -> None:
        """Says why there is no pod."""
        status = job.get("status", {})
        if not any(status.get(key) for key in ("active", "succeeded", "failed", "conditions")):
            self._tell(_no_pod(self.cluster, self.name))

    def _tell(self, note: str) -> None:
        if note and note != self._note:
            self._note = note
            self.say(note)


def _containers(pod: Document) -> list[str]:
    spec = pod["spec"]
    listed = [*(spec.get("initContainers") or []), *spec["containers"]]
    return [str(container["name"]) for container in listed]


def _runs(pod: Document, container: str) -> bool:
    status = pod.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed"):
        return False
    listed = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    return not any(s["name"] == container and "terminated" in s.get("state", {}) for s in listed)


def pod_pending(pod: Document) -> str:
    """Why a pod does not run yet."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pod {name} waits for a node: {condition.get('message', '')}; {_NODE_ADVICE}"
    for container in status.get("containerStatuses") or []:
        waiting: dict[str, Any] = container.get("state", {}).get("waiting") or {}
        reason = str(waiting.get("reason", ""))
        if "ImagePull" in reason or reason == "InvalidImageName":
            return (
                f"pod {name} cannot pull {container.get('image')} ({reason}: "
                f"{waiting.get('message', '')}); check --image, and imagePullSecrets"
            )
        if waiting.get("message"):
            why = f"pod {name} cannot start ({reason}: {waiting['message']})"
            return "; ".join([why, *_absent_secrets(pod, str(waiting["message"]))])
    return f"pod {name} is starting"


def _absent_secrets(pod: Document, message: str) -> list[str]:
    """How to create the Secrets that the pod needs and `message` speaks of."""
    namespace = pod["metadata"]["namespace"]
    return [
        f"create it with: {secret_command(namespace, name, keys)}"
        for name, keys in needed_secrets(pod["spec"]).items()
        if name in message
    ]


def needed_secrets(pod: Document) -> dict[str, list[str]]:
    """Secret → its keys, of those without which the containers of a pod spec do not start."""
    needed: dict[str, list[str]] = {}
    for container in pod["containers"]:
        for variable in container.get("env") or []:
            key = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if key and not key.get("optional"):
                needed.setdefault(key["name"], []).append(key["key"])
        for source in container.get("envFrom") or []:
            whole = source.get("secretRef") or {}
            if whole and not whole.get("optional"):
                needed.setdefault(whole["name"], [])
    return needed


def secret_command(namespace: str, name: str, keys: Sequence[str]) -> str:
    """The command that creates a Secret; the values are for the reader to fill in."""
    names = list(dict.fromkeys(keys)) or ["VARIABLE"]
    values = " ".join(f"--from-literal={key}=…" for key in names)
    return f"kubectl -n {namespace} create secret generic {name} {values}"


def pod_ending(pod: Document) -> str:
    """How a pod ended; '' when all is well."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return ""
    end = _pod_end(pod) or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            why = condition.get("message") or condition.get("reason")
            return f"pod {name} was evicted ({why}); the next one goes on where it stopped"
    if end.get("reason") == "OOMKilled":
        return f"pod {name} was killed: it needed more memory than its limit"
    why = f" ({status['reason']}: {status.get('message', '')})" if status.get("reason") else ""
    return f"pod {name} ended with exit code {end.get('exitCode', 'unknown')}{why}"
