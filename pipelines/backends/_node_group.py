"""Runs beside the leader of a distributed training: creates the pods that train, and waits.

`python -m pipelines.backends._node_group MODULE FOLDER PROCESSES` is what `core.training.launch`
starts where TRAINYARD_NODE_GROUP says so. It shows the pods' logs, ends the group at the first
error that no further attempt would mend, and never leaves a group behind: SIGTERM makes the pods
save their work, and one that another leader left is removed first, because two groups must not
write to one folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

from components.core import files
from components.core.errors import InputError, ServiceError, StoppedError, TrainyardError
from components.core.lifetime import StopSignal, die_with_parent, stop_on_sigterm
from components.core.state import digest
from components.core.training.torchrun import GROUP_VARIABLE
from pipelines import node_groups
from pipelines.backends._cluster import Cluster, Document, ForbiddenError
from pipelines.backends._job_follow import JobEnd, job_end, pod_ending, pod_pending, stream
from pipelines.jobs import GRACE_SECONDS

POLL_SECONDS = 1.0
ERROR_FILE = "error-group.json"


class Group:
    """The pods of one training, from before they are there until they are gone."""

    def __init__(self, cluster: Cluster, job: Document, folder: Path) -> None:
        self._cluster = cluster
        self._job = job
        self._folder = folder
        spec = job["spec"]["template"]["spec"]
        identity = [spec["volumes"], spec["containers"][0]["volumeMounts"], str(folder)]
        self.name = f"{job['metadata']['name']}-{digest(identity, 8)}"
        self._kind, self._api = "Job", "batch/v1"
        self._threads: dict[str, threading.Thread] = {}
        self._notes: dict[str, str] = {}

    def check(self) -> None:
        """Makes sure that every pod will see what the leader sees.

        Raises:
            InputError: with everything that they would not.
        """
        spec = self._job["spec"]["template"]["spec"]
        claims = {
            v["name"]: v["persistentVolumeClaim"]["claimName"]
            for v in spec["volumes"]
            if "persistentVolumeClaim" in v
        }
        mounts = {
            m["mountPath"]: claims[m["name"]]
            for m in spec["containers"][0]["volumeMounts"]
            if m["name"] in claims
        }
        request = json.loads((self._folder / "request.json").read_text(encoding="utf-8"))
        found = []
        for path in dict.fromkeys([str(self._folder), *_paths(request)]):
            if not any(PurePosixPath(path).is_relative_to(place) for place in mounts):
                found.append(
                    f"{path} is on no volume, and other nodes would not find it; keep state and "
                    f"inputs below {', '.join(mounts) or 'a volume'}"
                )
        for claim in dict.fromkeys(mounts.values()):
            if problem := self._claim_problem(claim):
                found.append(problem)
        if found:
            raise InputError("\n".join(found))

    def _claim_problem(self, claim: str) -> str:
        try:
            modes = (self._cluster.get("PersistentVolumeClaim", claim) or {}).get("spec", {})
        except ForbiddenError:
            return ""
        modes = modes.get("accessModes", ["ReadWriteMany"])
        if {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
            return ""
        return (
            f"PersistentVolumeClaim/{claim} is {', '.join(modes)}: pods on other nodes cannot "
            "mount it; training on several nodes needs one that is ReadWriteMany"
        )

    def start(self, arguments: list[str], processes: int) -> None:
        """Creates the pods, after those that another leader may have left are gone."""
        self.remove()
        for path in self._folder.glob("*.json"):
            if path.name != "request.json":
                files.remove(path)
        owner = self._owner()
        service, job = node_groups.started(self._job, self.name, arguments, processes, owner)
        field = self._override_field()
        if field and self._create_train_job(node_groups.train_job(job, field)):
            return
        self._cluster.create(service)
        self._cluster.create(job)
        self._say(f"created Job/{self.name} with {job['spec']['completions']} pods")

    def _override_field(self) -> node_groups.OverrideField | None:
        """How this cluster's Kubeflow Trainer calls what changes pods; None to do without it."""
        api = node_groups.TRAINER_API
        whole = self._job["spec"]["template"]["spec"]["containers"][0].get("envFrom")
        if whole or not self._cluster.serves(api, "TrainJob"):
            return None
        served = self._cluster.spec_fields(api, "TrainJob")
        return next((name for name in node_groups.OVERRIDE_FIELDS if name in served), None)

    def _create_train_job(self, document: Document) -> bool:
        try:
            self._cluster.create(document)
        except ForbiddenError as error:
            self._say(f"{error}; an indexed Job takes its place")
            return False
        self._kind, self._api = "TrainJob", node_groups.TRAINER_API
        self._say(f"created TrainJob/{self.name}")
        return True

    def _owner(self) -> Document | None:
        """A reference to the pod of this process; None where it cannot be found."""
        name = os.environ.get("KFP_POD_NAME") or socket.gethostname()
        pod = self._cluster.get("Pod", name)
        if pod is None:
            return None
        return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}

    def wait(self, stop: StopSignal) -> JobEnd | None:
        """Shows what the pods say until all is done, or nothing more can be; None if stopped."""
        while not stop:
            self._show()
            if end := self._end():
                time.sleep(POLL_SECONDS)
                self._show()
                return end
            if self._hopeless():
                return JobEnd(1, "")
            time.sleep(POLL_SECONDS)
        return None

    def _end(self) -> JobEnd | None:
        found = self._cluster.get(self._kind, self.name, self._api)
        if found is None:
            return JobEnd(1, "it was deleted")
        if self._kind == "Job":
            return job_end(self._cluster, found)
        conditions = found.get("status", {}).get("conditions") or []
        held = {c["type"]: c for c in conditions if c.get("status") == "True"}
        if "Complete" in held:
            return JobEnd(0, "")
        if failed := held.get("Failed"):
            return JobEnd(1, f"{failed.get('reason')}: {failed.get('message')}")
        return None

    def _hopeless(self) -> bool:
        """Whether a process left an error for people, which trying again would only repeat."""
        for path in self._folder.glob("error-*.json"):
            try:
                kind = json.loads(path.read_text(encoding="utf-8"))["kind"]
            except (OSError, ValueError):  # being replaced
                continue
            if kind and kind != StoppedError.__name__:
                return True
        return False

    def pods(self) -> list[Document]:
        """Those of the group that are there."""
        labels = {
            "Job": f"batch.kubernetes.io/job-name={self.name}",
            "TrainJob": f"jobset.sigs.k8s.io/jobset-name={self.name}",
        }
        return self._cluster.find_all("Pod", labelSelector=labels[self._kind])

    def _show(self) -> None:
        pods = self.pods()
        for name in self._notes.keys() - {str(pod["metadata"]["name"]) for pod in pods}:
            self._note(name, f"pod {name} is gone; where another takes its place, training goes on")
        for pod in pods:
            about, phase = pod["metadata"], pod.get("status", {}).get("phase")
            if phase == "Pending":
                self._note(about["name"], pod_pending(pod))
            elif about["uid"] not in self._threads:
                name = str(about["name"])
                container = pod["spec"]["containers"][0]["name"]
                stated = (self._cluster, name, container, _print)
                thread = threading.Thread(target=stream, args=stated, daemon=True)
                self._threads[about["uid"]] = thread
                thread.start()
                self._note(name, f"pod {name} runs on {pod['spec'].get('nodeName', 'a node')}")
            elif phase in ("Succeeded", "Failed"):
                self._note(about["name"], pod_ending(pod))

    def _note(self, pod: str, text: str) -> None:
        if text and self._notes.get(pod) != text:
            self._notes[pod] = text
            self._say(text)

    def remove(self) -> None:
        """Ends the group in order and returns when nothing of it runs any more.

        Raises:
            ServiceError: a pod does not end.
        """
        kinds = [("Job", "batch/v1"), ("Service", "v1")]
        if self._cluster.serves(node_groups.TRAINER_API, "TrainJob"):
            kinds.append(("TrainJob", node_groups.TRAINER_API))
        for kind, api in kinds:
            try:
                self._cluster.delete(kind, self.name, api)
            except ForbiddenError:
                if kind == "Job":
                    raise
        deadline = time.monotonic() + GRACE_SECONDS
        while left := self.pods():
            if time.monotonic() > deadline:
                name = left[0]["metadata"]["name"]
                raise ServiceError(
                    f"Pod/{name} does not end; look at it with: kubectl -n "
                    f"{self._cluster.namespace} get pod {name} -o yaml"
                )
            time.sleep(POLL_SECONDS / 2)
        for thread in self._threads.values():
            thread.join(timeout=5)

    def _say(self, text: str) -> None:
        _print(f"nodes: {text}")


def main(arguments: list[str]) -> int:
    """Returns 0 when the group has done its work, else leaves the reason in the folder."""
    module, place, processes = arguments
    die_with_parent()
    folder = Path(place)
    job = json.loads(os.environ[GROUP_VARIABLE])["job"]
    with stop_on_sigterm() as stop:
        try:
            group = Group(Cluster.connect(), job, folder)
            group.check()
            try:
                group.start([module, place], int(processes))
                end = group.wait(stop)
            finally:
                group.remove()
        except TrainyardError as error:
            _leave(folder, type(error).__name__, str(error), error.exit_code)
            return error.exit_code
    if end is None:
        return 128 + stop.number
    if end.exit_code and end.reason:
        _leave_reason(folder, group.name, end.reason)
    return end.exit_code


def _leave_reason(folder: Path, name: str, reason: str) -> None:
    """The cluster's reason counts where no process has left one that says more."""
    if "memory" in reason or not list(folder.glob("error-*.json")):
        _leave(folder, TrainyardError.__name__, f"the pods of {name} failed: {reason}", 1)


def _leave(folder: Path, kind: str, text: str, exit_code: int) -> None:
    content = {"kind": kind, "text": text, "exit_code": exit_code, "time": time.time()}
    files.write_json(folder / ERROR_FILE, content)


def _paths(value: Any) -> list[str]:
    """Every absolute path of something that exists, in whatever JSON holds."""
    if isinstance(value, dict):
        return [path for inner in value.values() for path in _paths(inner)]
    if isinstance(value, list):
        return [path for inner in value for path in _paths(inner)]
    is_place = isinstance(value, str) and value.startswith("/") and Path(value).exists()
    return [value] if is_place else []


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
