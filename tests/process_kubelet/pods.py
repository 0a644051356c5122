"""Runs one pod: its volumes, its init containers, its containers, and its status throughout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from process_kubelet.api import Api, ApiError, Object
from process_kubelet.inputs import Inputs, NotReadyError, expand
from process_kubelet.logs import HOST, Log
from process_kubelet.root import isolated

Result = TypeVar("Result")

RESTART_SECONDS = 0.5
"""The pause before a restart; each further one is twice as long. A real kubelet begins with 10."""
LONGEST_RESTART_SECONDS = 10.0
PEERS = 8
"""Pods of one Service that are known by name."""
RETRY_SECONDS = 0.5
"""How often it is looked whether what a container waits for has appeared."""


@dataclass
class Container:
    """A container's specification, what its status says, and the logs of its starts."""

    spec: Object
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    logs: list[Log] = field(default_factory=list)

    @property
    def exit_code(self) -> int | None:
        """None while it has not ended for good."""
        code: int | None = self.state.get("terminated", {}).get("exitCode")
        return code

    def status(self) -> Object:
        running = "running" in self.state
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "",
            "ready": running,
            "started": running,
            "restartCount": max(0, len(self.logs) - 1),
            "state": self.state,
            "lastState": self.last_state,
        }


class Run(threading.Thread):
    """The life of one pod, from its binding to its terminal phase.

    Attributes:
        finished: set once the terminal phase is published.
    """

    def __init__(self, api: Api, pod: Object, folder: Path, images: dict[str, str]) -> None:
        """`folder` is the kubelet's; `images` the variables that every image sets."""
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self.api, self.pod, self.images, self.hidden = api, pod, images, folder
        self.folder = folder / "pods" / pod["metadata"]["uid"]
        claims = folder / "claims" / pod["metadata"]["namespace"]
        self.inputs = Inputs(api, pod, self.folder / "volumes", claims)
        self.init = [Container(spec) for spec in pod["spec"].get("initContainers", [])]
        self.main = [Container(spec) for spec in pod["spec"]["containers"]]
        self.all = self.init + self.main
        self.started, self.phase = now(), "Pending"
        self.finished = threading.Event()
        self._kill_at: float | None = None
        self._reason: Object = {}

    def stop(self, grace: float) -> None:
        """Asks for the end: SIGTERM now, SIGKILL after `grace` seconds."""
        deadline = time.monotonic() + grace
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)

    @property
    def stopping(self) -> bool:
        return self._kill_at is not None

    def run(self) -> None:
        timer = None
        if seconds := self.pod["spec"].get("activeDeadlineSeconds"):
            timer = threading.Timer(seconds, self._exceed)
            timer.start()
        try:
            self._run()
        except Exception:
            # A defect of this stand-in: the pod says so, and the node's other pods live on.
            traceback.print_exc()
            self._reason = {"reason": "KubeletDefect", "message": traceback.format_exc()}
            self.publish("Failed")
        finally:
            if timer:
                timer.cancel()
            self.finished.set()

    def _exceed(self) -> None:
        message = "Pod was active on the node longer than the specified deadline"
        self._reason = {"reason": "DeadlineExceeded", "message": message}
        self.stop(self.pod["spec"]["terminationGracePeriodSeconds"])

    def _run(self) -> None:
        self.publish("Pending")
        volumes = self._as_soon_as_ready(self.inputs.volumes, self.all) or {}
        for container in self.init:
            if all(c.exit_code == 0 for c in self.init[: self.init.index(container)]):
                self._keep_running(container, volumes)
        if all(c.exit_code == 0 for c in self.init):
            with ThreadPoolExecutor(len(self.main)) as pool:
                list(pool.map(lambda c: self._keep_running(c, volumes), self.main))
        for container in self.all:
            if container.exit_code is None:  # it could not start in time
                ended = {"exitCode": 137, "reason": "ContainerStatusUnknown"}
                container.state = {"terminated": ended}
        failed = self._reason or any(c.exit_code for c in self.all)
        self.publish("Failed" if failed else "Succeeded")

    def _as_soon_as_ready(
        self, prepare: Callable[[], Result], waiting: list[Container]
    ) -> Result | None:
        """What `prepare` returns once all it needs exists; None where the pod ends before."""
        said = ""
        while not self.stopping:
            try:
                return prepare()
            except NotReadyError as error:
                if said != str(error):
                    said = str(error)
                    reason = {"ContainerCreating": "FailedMount"}.get(error.reason, "Failed")
                    record_event(self.api, self.pod, "Warning", reason, said)
                    for container in waiting:
                        container.state = {"waiting": {"reason": error.reason, "message": said}}
                    self.publish()
                self._pause(RETRY_SECONDS)
        return None

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.02)

    def _keep_running(self, container: Container, volumes: dict[str, Path]) -> None:
        """Starts a container until its pod's restartPolicy is content."""
        policy, pause = self.pod["spec"]["restartPolicy"], RESTART_SECONDS
        while request := self._as_soon_as_ready(
            lambda: self._request(container, volumes), [container]
        ):
            self._execute(container, request)
            again = policy == "Always" and container in self.main
            if policy == "Never" or (container.exit_code == 0 and not again) or self.stopping:
                self.publish()
                return
            ended, container.last_state = container.state, container.state
            waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {pause:g}s"}
            container.state = {"waiting": waiting}
            self.publish()
            self._pause(pause)
            pause = min(2 * pause, LONGEST_RESTART_SECONDS)
            if self.stopping:
                container.state = ended

    def _request(self, container: Container, volumes: dict[str, Path]) -> Object:
        """What root.py needs to become the container."""
        spec, pod = container.spec, self.pod["spec"]
        if spec["image"].partition("/")[0].endswith(".invalid"):
            message = f'Back-off pulling image "{spec["image"]}": no such registry'
            raise NotReadyError("ImagePullBackOff", message)
        security = pod.get("securityContext", {}) | spec.get("securityContext", {})
        user = security.get("runAsUser", 0)
        if security.get("runAsNonRoot") and not user:
            message = "container has runAsNonRoot and image will run as root"
            raise NotReadyError("CreateContainerConfigError", message)
        environment = self.images | {"HOSTNAME": pod.get("hostname", self.name)}
        environment |= self.inputs.environment(spec)
        command = [*spec.get("command", []), *spec.get("args", [])]
        if not command:
            raise NotReadyError("CreateContainerError", "no command specified")
        groups = [*security.get("supplementalGroups", []), security.get("fsGroup")]
        return {
            "command": [expand(word, environment) for word in command],
            "environment": environment,
            "folder": spec.get("workingDir", "/"),
            "group": security.get("runAsGroup", 0),
            "groups": [group for group in groups if group is not None],
            "hidden": str(self.hidden),
            "hostname": environment["HOSTNAME"],
            "mounts": [mount(m, volumes, environment) for m in spec.get("volumeMounts", [])],
            "read_only": bool(security.get("readOnlyRootFilesystem")),
            "user": user,
        }

    def _execute(self, container: Container, request: Object) -> None:
        """Runs a container once; afterwards its state says how it ended."""
        folder = self.folder / container.spec["name"] / str(len(container.logs))
        scratch, message, file = (folder / name for name in ("root", "message", "request.json"))
        scratch.mkdir(parents=True)
        message.touch()
        message.chmod(0o666)
        told = {"source": str(message), "read_only": False}
        told["target"] = container.spec["terminationMessagePath"]
        mounts = [*request["mounts"], told, *self._hosts(folder)]
        request |= {"scratch": str(scratch), "mounts": mounts}
        file.touch(mode=0o600)
        file.write_text(json.dumps(request))
        log = Log(folder / "log")
        log.path.touch()
        report, reporter = os.pipe()
        started = now()
        process = subprocess.Popen(
            isolated(file, reporter),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[reporter],
            start_new_session=True,
        )
        os.close(reporter)
        container.logs.append(log)
        assert process.stdout
        writer = threading.Thread(target=log.copy, args=[process.stdout])
        writer.start()
        said = os.read(report, 4096).decode(errors="replace")
        os.close(report)
        if said == "started":
            container.state = {"running": {"startedAt": started}}
            text = f"Started container {container.spec['name']}"
            record_event(self.api, self.pod, "Normal", "Started", text)
            self.publish("Running" if container in self.main else "Pending")
        code = self._wait(process)
        writer.join()
        log.ended.set()
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        ended |= {"startedAt": started, "finishedAt": now()}
        if said != "started":
            ended |= {"exitCode": 128, "reason": "StartError", "message": said}
        elif text := message.read_text(errors="replace")[:4096]:
            ended["message"] = text
        elif code and container.spec["terminationMessagePolicy"] == "FallbackToLogsOnError":
            ended["message"] = log.tail()
        container.state = {"terminated": ended}

    def _hosts(self, folder: Path) -> list[Object]:
        """An /etc/hosts with the names that DNS gives the pods of a headless Service."""
        spec = self.pod["spec"]
        if "subdomain" not in spec:
            return []
        own = spec.get("hostname", self.name)
        peers = [own, *(f"{own.rpartition('-')[0]}-{index}" for index in range(PEERS))]
        names = [name for peer in peers for name in (peer, f"{peer}.{spec['subdomain']}")]
        hosts = folder / "hosts"
        hosts.write_text(f"{HOST} localhost {' '.join(dict.fromkeys(names))}\n")
        hosts.chmod(0o644)
        return [{"source": str(hosts), "target": "/etc/hosts", "read_only": True}]

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code as a container runtime counts it (128 + signal)."""
        asked = False
        while True:
            try:
                code = process.wait(0.05)
                return code if code >= 0 else 128 - code
            except subprocess.TimeoutExpired:
                pass
            if self._kill_at is not None and not asked:
                asked = True
                signal_first_process(process.pid, signal.SIGTERM)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                process.kill()  # unshare takes its child along, and that all of its own

    def publish(self, phase: str = "") -> None:
        """Sends the pod's status; keeps the phase where none is given."""
        self.phase = phase or self.phase
        ready = self.phase == "Running" and all("running" in c.state for c in self.main)
        initialized = all(c.exit_code == 0 for c in self.init)
        conditions = {"Initialized": initialized, "ContainersReady": ready, "Ready": ready}
        status: Object = {
            "phase": self.phase,
            "conditions": [{"type": t, "status": str(v)} for t, v in conditions.items()],
            "startTime": self.started,
            "hostIP": HOST,
            "podIP": HOST,
            "podIPs": [{"ip": HOST}],
            "initContainerStatuses": [c.status() | _done(c) for c in self.init],
            "containerStatuses": [c.status() for c in self.main],
            **self._reason,
        }
        try:
            path = f"{pod_path(self.pod)}/status"
            self.api("PATCH", path, {"status": status}, patch="strategic-merge")
        except ApiError as error:
            if error.status != 404:  # it has been deleted by force
                raise


def _done(init: Container) -> Object:
    """An init container is ready once it has succeeded."""
    return {"ready": init.exit_code == 0}


def mount(wanted: Object, volumes: dict[str, Path], environment: dict[str, str]) -> Object:
    """One volume mount for root.py; a `subPath` that does not exist is made."""
    volume = volumes[wanted["name"]]
    part = expand(wanted["subPathExpr"], environment) if "subPathExpr" in wanted else ""
    source = volume / (part or wanted.get("subPath", ""))
    if not source.exists():
        source.mkdir(parents=True)
        source.chmod(volume.stat().st_mode)
    read_only = bool(wanted.get("readOnly"))
    return {"source": str(source), "target": wanted["mountPath"], "read_only": read_only}


def signal_first_process(unshare: int, number: int) -> None:
    """Signals a container's process 1, which ignores what it has no handler for."""
    try:
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        os.kill(int(children[0]), number)
    except (OSError, IndexError):  # it has just ended
        pass


def record_event(api: Api, pod: Object, kind: str, reason: str, message: str) -> None:
    """Records an Event about a pod; `kind` is Normal or Warning."""
    meta, moment = pod["metadata"], now()
    subject = {"kind": "Pod", "apiVersion": "v1"}
    event = {
        "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
        "involvedObject": subject | {key: meta[key] for key in ("namespace", "name", "uid")},
        "type": kind,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": "process-kubelet"},
    }
    try:
        api("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)
    except ApiError as error:
        if error.status not in (403, 404):  # its namespace is being deleted
            raise


def pod_path(pod: Object) -> str:
    """Its path in the API."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def now() -> str:
    """The moment as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
