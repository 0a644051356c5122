"""Nodes without containers: schedules the pods of a real API server and runs them as processes.

Stands in for kube-scheduler, kubelet and container runtime, and does what they do as far as a Job
can tell: fitting, volumes, environment, restarts, signals, grace, exit codes, statuses, events and
the log endpoint. Images are not pulled: every container sees this machine's programs (pod_root.py),
and one whose registry ends in `.invalid` cannot be pulled.

Run as `unshare --mount python process_kubelet.py <settings.json>`; all it starts ends with it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3
from pod_scheduler import Placement, choose_node, quantity

Object = dict[str, Any]
FINISHED = ("Succeeded", "Failed")
RESTART_SECONDS = 0.5
"""The first pause before a restart; each further one is twice as long, up to 20 times this."""
TICK_SECONDS = 0.5


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class NotReadyError(Exception):
    """A container cannot start yet; `reason` is what its status and its event say."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Api:
    """The API server in plain JSON."""

    def __init__(self, url: str, token: str, authority: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.PoolManager(ca_certs=authority, maxsize=16)

    def __call__(
        self, method: str, path: str, body: Object | None = None, kind: str = ""
    ) -> Object:
        """One request; `kind` is the patch's ("strategic-merge", "merge").

        Raises:
            ApiError: the answer is not a success.
        """
        headers = {"Content-Type": f"application/{kind and kind + '-patch+'}json", **self._headers}
        data = None if body is None else json.dumps(body)
        answer = self._pool.request(method, self.url + path, body=data, headers=headers)
        if answer.status >= 300:
            raise ApiError(answer.status, answer.data.decode(errors="replace"))
        result: Object = answer.json()
        return result

    def find(self, path: str) -> Object | None:
        """An object, or None where there is none."""
        try:
            return self("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def get_text(self, path: str) -> str:
        """The answer to a path that speaks no JSON, whatever its status."""
        answer = self._pool.request("GET", self.url + path, headers=self._headers, retries=False)
        return answer.data.decode()

    def watch(self, path: str) -> Iterator[Object]:
        """All objects of a list, then each change, until the server ends the answer."""
        url = f"{self.url}{path}?watch=1"
        with self._pool.request(
            "GET", url, headers=self._headers, preload_content=False, timeout=None
        ) as answer:
            for line in _lines(answer.stream()):
                yield json.loads(line)


@dataclass
class Execution:
    """One start of a container."""

    log: Path
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass
class Container:
    """A container's specification, what its status says, and its starts."""

    spec: Object
    state: Object = field(
        default_factory=lambda: {"waiting": {"reason": "ContainerCreating", "message": ""}}
    )
    last_state: Object = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def exit_code(self) -> int | None:
        code = self.state.get("terminated", {}).get("exitCode")
        return None if code is None else int(code)

    def status(self) -> Object:
        running = "running" in self.state
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "",
            "ready": running or self.exit_code == 0,
            "started": running,
            "restartCount": max(0, len(self.executions) - 1),
            "state": self.state,
            "lastState": self.last_state,
        }


class PodRun(threading.Thread):
    """Runs one pod from its binding to its terminal phase."""

    def __init__(self, kubelet: Kubelet, pod: Object) -> None:
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self.kubelet, self.api, self.pod = kubelet, kubelet.api, pod
        self.path = pod_path(pod)
        self.folder = kubelet.folder / "pods" / pod["metadata"]["uid"]
        self.init = [Container(spec) for spec in pod["spec"].get("initContainers", [])]
        self.main = [Container(spec) for spec in pod["spec"]["containers"]]
        self.started = now()
        self.kill_at: float | None = None
        self.finished = threading.Event()

    def stop(self, grace: float) -> None:
        """Asks for the end: SIGTERM now, SIGKILL after `grace` seconds."""
        deadline = time.monotonic() + grace
        self.kill_at = deadline if self.kill_at is None else min(self.kill_at, deadline)

    def run(self) -> None:
        try:
            self._run()
        except Exception:  # shown in the pod's status, and the kubelet's other pods live on
            traceback.print_exc()
            self.publish("Failed", message=traceback.format_exc())
        self.finished.set()
        self.kubelet.changed.set()

    def _run(self) -> None:
        self.folder.mkdir(parents=True)
        self.publish("Pending")
        volumes: dict[str, Path] = {}
        self._retry(lambda: volumes.update(make_volumes(self.kubelet, self)), self.main)
        for container in self.init:
            self._keep_running(container, volumes)
        if all(c.exit_code == 0 for c in self.init):
            with ThreadPoolExecutor(len(self.main)) as pool:
                list(pool.map(lambda c: self._keep_running(c, volumes), self.main))
        for container in self.init + self.main:
            if container.exit_code is None:  # stopped before it could start
                ended = {"exitCode": 137, "reason": "ContainerStatusUnknown"}
                container.state = {"terminated": ended}
        self.publish("Failed" if any(c.exit_code for c in self.init + self.main) else "Succeeded")

    def _retry(self, prepare: Callable[[], None], containers: list[Container]) -> None:
        """Calls `prepare` until what it needs exists or the pod is to end."""
        said = ""
        while self.kill_at is None:
            try:
                return prepare()
            except NotReadyError as error:
                if said != str(error):
                    said = str(error)
                    reason = error.reason
                    self.kubelet.event(self.pod, "Warning", EVENTS.get(reason, "Failed"), said)
                    for container in containers:
                        container.state = {"waiting": {"reason": reason, "message": said}}
                    self.publish("Pending")
                self._pause(TICK_SECONDS)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.kill_at is None and time.monotonic() < end:
            time.sleep(0.02)

    def _keep_running(self, container: Container, volumes: dict[str, Path]) -> None:
        """Starts a container until its pod's restartPolicy is content."""
        policy, pause = self.pod["spec"]["restartPolicy"], RESTART_SECONDS
        while self.kill_at is None:
            request: Object = {}
            self._retry(lambda: request.update(self._request(container, volumes)), [container])  # noqa: B023
            if not request:
                return
            self._execute(container, request)
            if policy == "Never" or (policy == "OnFailure" and container.exit_code == 0):
                return
            if container in self.init and container.exit_code == 0:
                return
            ended = container.state
            if self.kill_at is None:
                container.last_state = ended
                waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {pause:g} s"}
                container.state = {"waiting": waiting}
                self.publish()
                self._pause(pause)
                pause = min(2 * pause, 20 * RESTART_SECONDS)
                if self.kill_at is not None:
                    container.state = ended

    def _request(self, container: Container, volumes: dict[str, Path]) -> Object:
        """What pod_root.py needs to become the container."""
        spec = container.spec
        if ".invalid/" in spec["image"]:
            message = f'Back-off pulling image "{spec["image"]}": no such registry'
            raise NotReadyError("ImagePullBackOff", message)
        environment = self.kubelet.image_environment | {"HOSTNAME": self.name}
        environment |= make_environment(self.kubelet, self, spec)
        command = [*spec.get("command", []), *spec.get("args", [])]
        if not command:
            raise NotReadyError("CreateContainerError", "the container names no command")
        security = {
            **self.pod["spec"].get("securityContext", {}),
            **spec.get("securityContext", {}),
        }
        mounts = []
        for mounted in spec.get("volumeMounts", []):
            if (source := volumes.get(mounted["name"])) is None:
                continue  # an optional secret or config map that does not exist
            part = expand(mounted.get("subPathExpr") or mounted.get("subPath", ""), environment)
            if not (source / part).exists():
                (source / part).mkdir(parents=True)
            read_only = bool(mounted.get("readOnly"))
            target = mounted["mountPath"]
            mounts.append({"source": str(source / part), "target": target, "read_only": read_only})
        return {
            "command": [expand(word, environment) for word in command],
            "environment": environment,
            "folder": spec.get("workingDir", "/"),
            "group": security.get("runAsGroup", security.get("runAsUser")),
            "hidden": str(self.kubelet.folder),
            "hostname": self.name,
            "mounts": mounts,
            "user": security.get("runAsUser"),
        }

    def _execute(self, container: Container, request: Object) -> None:
        """Runs a container once; afterwards its state says how it ended."""
        folder = self.folder / "containers" / container.name / str(len(container.executions))
        scratch = folder / "root"
        scratch.mkdir(parents=True)
        execution = Execution(folder / "log")
        execution.log.touch()
        request_file = folder / "request.json"
        request_file.touch(mode=0o600)
        request_file.write_text(json.dumps(request | {"scratch": str(scratch)}))
        report, reporter = os.pipe()
        started = now()
        process = subprocess.Popen(
            [*ISOLATED, sys.executable, "-I", POD_ROOT, str(request_file), str(reporter)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[reporter],
            start_new_session=True,
        )
        os.close(reporter)
        container.executions.append(execution)
        writer = threading.Thread(target=write_log, args=(process.stdout, execution.log))
        writer.start()
        said = os.read(report, 4096).decode(errors="replace")
        os.close(report)
        if said == "started":
            container.state = {"running": {"startedAt": started}}
            if container in self.main:
                self.kubelet.event(self.pod, "Normal", "Started", f"container {container.name}")
            self.publish("Running" if container in self.main else "Pending")
        code = self._wait(process)
        writer.join()
        execution.ended.set()
        ended = {"exitCode": code, "startedAt": started, "finishedAt": now()}
        ended["reason"] = "Completed" if code == 0 else "Error"
        if said != "started":
            ended |= {"exitCode": 128, "reason": "StartError", "message": said}
        elif code and container.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            lines = [line for _, line in log_lines(execution.log)][-80:]
            ended["message"] = b"".join(lines)[-2048:].decode(errors="replace")
        container.state = {"terminated": ended}

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code, as a container runtime counts it (128 + signal)."""
        asked = False
        while True:
            try:
                code = process.wait(0.05)
                return code if code >= 0 else 128 - code
            except subprocess.TimeoutExpired:
                pass
            if self.kill_at is not None and not asked:
                asked = True
                signal_first_process(process.pid, signal.SIGTERM)
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                process.kill()  # unshare takes its child along, and that all of its children

    def publish(self, phase: str = "", message: str = "") -> None:
        """Sends the pod's status; keeps the phase where none is given."""
        self.phase = phase or self.phase
        initialized = all(c.exit_code == 0 for c in self.init)
        ready = self.phase == "Running" and all(c.status()["ready"] for c in self.main)
        conditions = {"Initialized": initialized, "ContainersReady": ready, "Ready": ready}
        status: Object = {
            "phase": self.phase,
            "conditions": [{"type": t, "status": str(v)} for t, v in conditions.items()],
            "startTime": self.started,
            "hostIP": HOST,
            "podIP": HOST,
            "podIPs": [{"ip": HOST}],
            "containerStatuses": [c.status() for c in self.main],
            "initContainerStatuses": [c.status() for c in self.init],
        }
        if message:
            status["message"] = message
        try:
            self.api("PATCH", f"{self.path}/status", {"status": status}, "strategic-merge")
        except ApiError as error:
            if error.status != 404:
                raise


class Kubelet:
    """Schedules and runs the pods of its nodes, and serves their logs.

    `settings` holds `url`, `token`, `certificate`, `key` (files), `folder`, `nodes` (name, labels,
    capacity, taints) and `image_environment`, the variables that every image sets.
    """

    def __init__(self, settings: Object) -> None:
        self.api = Api(settings["url"], settings["token"], settings["certificate"])
        self.folder = Path(settings["folder"])
        self.image_environment: dict[str, str] = settings["image_environment"]
        self.nodes = {node["name"] for node in settings["nodes"]}
        self.pods: dict[str, Object] = {}
        self.runs: dict[str, PodRun] = {}
        self.bound: dict[str, str] = {}
        self.changed = threading.Event()
        self.said: dict[str, str] = {}
        self.server = serve_logs(self, settings["certificate"], settings["key"])
        for node in settings["nodes"]:
            self.register(node)

    def register(self, node: Object) -> None:
        """Creates a ready Node."""
        port = self.server.server_address[1]
        labels = {"kubernetes.io/hostname": node["name"], "kubernetes.io/os": "linux"}
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
        status = {
            "capacity": node["capacity"],
            "allocatable": node["capacity"],
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": HOST}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        metadata = {"name": node["name"], "labels": labels | node["labels"]}
        self.api("POST", "/api/v1/nodes", {"metadata": metadata, "status": status})
        # The API server taints each new node as not ready; a controller would take that away.
        taints = {"spec": {"taints": node.get("taints", [])}}
        self.api("PATCH", f"/api/v1/nodes/{node['name']}", taints, "merge")

    def run(self) -> None:
        """Never returns."""
        threading.Thread(target=self._watch, daemon=True).start()
        while True:
            self.changed.wait(TICK_SECONDS)
            self.changed.clear()
            for pod in list(self.pods.values()):
                try:
                    self._look_at(pod)
                except ApiError as error:
                    if error.status not in (404, 409):  # it has changed: its next state decides
                        traceback.print_exc()

    def _watch(self) -> None:
        while True:
            for event in self.api.watch("/api/v1/pods"):
                pod = event["object"]
                if event["type"] == "DELETED":
                    self.pods.pop(pod["metadata"]["uid"], None)
                    if run := self.runs.get(pod["metadata"]["uid"]):
                        run.stop(0)
                elif event["type"] in ("ADDED", "MODIFIED"):
                    self.pods[pod["metadata"]["uid"]] = pod
                self.changed.set()

    def _look_at(self, pod: Object) -> None:
        uid, phase = pod["metadata"]["uid"], pod["status"]["phase"]
        node = pod["spec"].get("nodeName")
        if node is None:
            if uid not in self.bound and "deletionTimestamp" not in pod["metadata"]:
                self._schedule(pod)
            return
        if node not in self.nodes:
            return
        run = self.runs.get(uid)
        if run is None and phase not in FINISHED:
            run = self.runs[uid] = PodRun(self, pod)
            run.start()
        if "deletionTimestamp" in pod["metadata"]:
            if run:
                run.stop(float(pod["metadata"].get("deletionGracePeriodSeconds", 0)))
            if (run is None or run.finished.is_set()) and uid in self.pods:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                self.api("DELETE", pod_path(pod), options)
                self.pods.pop(uid, None)  # its finalizers are its controller's affair

    def _schedule(self, pod: Object) -> None:
        """Binds a pod to a node that fits, or says why none does."""
        space = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
        claims = {}
        for name in claim_names(pod):
            claims[name] = self.api.find(f"{space}/persistentvolumeclaims/{name}")
        if missing := [name for name, claim in claims.items() if claim is None]:
            placement = Placement(None, f'persistentvolumeclaim "{missing[0]}" not found')
        else:
            nodes = [n for n in self.api("GET", "/api/v1/nodes")["items"] if self._owns(n)]
            placement = choose_node(pod, nodes, self._placed())
        if placement.node is None:
            self._refuse(pod, placement.reason)
            return
        for claim in claims.values():
            if claim and claim["status"].get("phase") != "Bound":
                status = {"phase": "Bound", "capacity": claim["spec"]["resources"]["requests"]}
                status["accessModes"] = claim["spec"]["accessModes"]
                path = f"{space}/persistentvolumeclaims/{claim['metadata']['name']}/status"
                self.api("PATCH", path, {"status": status}, "merge")
        target = {"kind": "Node", "name": placement.node}
        name = pod["metadata"]["name"]
        self.api("POST", f"{pod_path(pod)}/binding", {"metadata": {"name": name}, "target": target})
        self.bound[pod["metadata"]["uid"]] = placement.node
        self.event(pod, "Normal", "Scheduled", f"assigned to {placement.node}")

    def _owns(self, node: Object) -> bool:
        return node["metadata"]["name"] in self.nodes

    def _placed(self) -> list[tuple[str, Object]]:
        """(node, pod) of each pod that occupies its node's resources."""
        placed = []
        for uid, pod in list(self.pods.items()):
            node = pod["spec"].get("nodeName") or self.bound.get(uid)
            if node and pod["status"]["phase"] not in FINISHED:
                placed.append((node, pod))
        return placed

    def _refuse(self, pod: Object, reason: str) -> None:
        uid = pod["metadata"]["uid"]
        if self.said.get(uid) == reason:
            return
        self.said[uid] = reason
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": reason,
            "lastTransitionTime": now(),
        }
        status = {"status": {"conditions": [condition]}}
        self.api("PATCH", f"{pod_path(pod)}/status", status, "strategic-merge")
        self.event(pod, "Warning", "FailedScheduling", reason)

    def event(self, pod: Object, kind: str, reason: str, message: str) -> None:
        """Records an Event about a pod."""
        meta, moment = pod["metadata"], now()
        keys = ("namespace", "name", "uid")
        event = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {"kind": "Pod", "apiVersion": "v1", **{k: meta[k] for k in keys}},
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": "process-kubelet"},
        }
        try:
            self.api("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)
        except ApiError as error:
            if error.status not in (403, 404):  # its namespace ends
                raise

    def container(self, namespace: str, pod: str, name: str) -> Container | None:
        """The container of the newest pod of that name."""
        for run in reversed(list(self.runs.values())):
            meta = run.pod["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, pod):
                return next((c for c in run.init + run.main if c.name == name), None)
        return None


HOST = "127.0.0.1"
POD_ROOT = str(Path(__file__).with_name("pod_root.py"))
ISOLATED = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--uts"]
ISOLATED += ["--kill-child"]
EVENTS = {"ContainerCreating": "FailedMount"}


def make_volumes(kubelet: Kubelet, run: PodRun) -> dict[str, Path]:
    """The folder of each volume of a pod, filled; optional ones that do not exist are left out.

    Raises:
        NotReadyError: a claim, secret or config map does not exist.
    """
    volumes = {}
    namespace = run.pod["metadata"]["namespace"]
    for volume in run.pod["spec"].get("volumes", []):
        name = volume["name"]
        folder = run.folder / "volumes" / name
        if claim := volume.get("persistentVolumeClaim"):
            folder = kubelet.folder / "claims" / namespace / claim["claimName"]
        new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        if new:
            folder.chmod(0o777)
        if volume.get("emptyDir", {}).get("medium") == "Memory" and new:
            size = volume["emptyDir"].get("sizeLimit")
            limit = f",size={int(quantity(size))}" if size else ""
            options = ["-o", f"mode=1777{limit}"]
            subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=True)
        sources = volume.get("projected", {}).get("sources", [])
        sources += [{kind: volume[kind]} for kind in ("secret", "configMap") if kind in volume]
        sources += [{"downwardAPI": volume["downwardAPI"]}] if "downwardAPI" in volume else []
        for source in sources:
            for path, data in projected_files(kubelet, run, source).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
        volumes[name] = folder
    return volumes


def projected_files(kubelet: Kubelet, run: PodRun, source: Object) -> dict[str, bytes]:
    """Relative path → content of one source of a projected volume."""
    [(kind, what)] = source.items()
    if kind == "serviceAccountToken":
        return {what["path"]: make_token(run, what).encode()}
    if kind == "downwardAPI":
        items = what.get("items", [])
        return {
            i["path"]: str(pod_field(run.pod, i["fieldRef"]["fieldPath"])).encode() for i in items
        }
    name = what.get("name") or what["secretName"]
    data = read_keys(kubelet, run, "configmaps" if kind == "configMap" else "secrets", name)
    if data is None:
        if what.get("optional"):
            return {}
        raise NotReadyError("ContainerCreating", f'{kind.lower()} "{name}" not found')
    names = {item["key"]: item["path"] for item in what.get("items", [])} or {k: k for k in data}
    return {path: data[key] for key, path in names.items()}


def make_token(run: PodRun, what: Object) -> str:
    """A token of the pod's ServiceAccount, bound to the pod."""
    meta, account = run.pod["metadata"], run.pod["spec"]["serviceAccountName"]
    owner = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    spec = {
        "audiences": [what["audience"]] if "audience" in what else [],
        "expirationSeconds": what.get("expirationSeconds", 3600),
        "boundObjectRef": owner,
    }
    path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
    return str(run.api("POST", path, {"spec": spec})["status"]["token"])


def make_environment(kubelet: Kubelet, run: PodRun, spec: Object) -> dict[str, str]:
    """The variables that a container's specification gives it.

    Raises:
        NotReadyError: a secret, config map or key does not exist and is not optional.
    """
    result: dict[str, str] = {}
    kinds = {"secretRef": "secrets", "configMapRef": "configmaps"}
    for source in spec.get("envFrom", []):
        for kind in kinds.keys() & source.keys():
            data = read_keys(kubelet, run, kinds[kind], source[kind]["name"])
            if data is None and not source[kind].get("optional"):
                missing(kinds[kind], source[kind]["name"])
            prefix = source.get("prefix", "")
            result |= {prefix + key: value.decode() for key, value in (data or {}).items()}
    kinds = {"secretKeyRef": "secrets", "configMapKeyRef": "configmaps"}
    for variable in spec.get("env", []):
        origin = variable.get("valueFrom", {})
        if "fieldRef" in origin:
            result[variable["name"]] = str(pod_field(run.pod, origin["fieldRef"]["fieldPath"]))
        elif "resourceFieldRef" in origin:
            group, _, resource = origin["resourceFieldRef"]["resource"].partition(".")
            amount = quantity(spec["resources"][group][resource])
            divisor = quantity(origin["resourceFieldRef"].get("divisor", "1"))
            result[variable["name"]] = str(-int(-amount // (divisor or 1)))
        elif kind := next(iter(kinds.keys() & origin.keys()), None):
            reference = origin[kind]
            data = read_keys(kubelet, run, kinds[kind], reference["name"]) or {}
            if reference["key"] in data:
                result[variable["name"]] = data[reference["key"]].decode()
            elif not reference.get("optional"):
                missing(kinds[kind], f"{reference['name']}, key {reference['key']}")
        else:
            result[variable["name"]] = expand(variable.get("value", ""), result)
    return result


def missing(kind: str, name: str) -> None:
    raise NotReadyError("CreateContainerConfigError", f"{kind.removesuffix('s')} not found: {name}")


def read_keys(kubelet: Kubelet, run: PodRun, kind: str, name: str) -> dict[str, bytes] | None:
    """Key → value of a secret or config map, or None where there is none."""
    path = f"/api/v1/namespaces/{run.pod['metadata']['namespace']}/{kind}/{name}"
    if (found := kubelet.api.find(path)) is None:
        return None
    if kind == "secrets":
        return {k: base64.b64decode(v) for k, v in found.get("data", {}).items()}
    binary = {k: base64.b64decode(v) for k, v in found.get("binaryData", {}).items()}
    return {k: v.encode() for k, v in found.get("data", {}).items()} | binary


def pod_field(pod: Object, path: str) -> Any:
    """The value at a downward API path such as `metadata.labels['app']`."""
    if path in ("status.podIP", "status.hostIP"):
        return HOST
    value: Any = pod
    for key in re.findall(r"[^.\[\]']+(?=[.\[]|$)|(?<=\[')[^']+", path):
        value = value.get(key, "")
    return value


def expand(text: str, environment: dict[str, str]) -> str:
    """`text` with its $(NAME) replaced where they are set; $$ is a plain $."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)", value, text)


def claim_names(pod: Object) -> list[str]:
    volumes = pod["spec"].get("volumes", [])
    return [
        v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
    ]


def pod_path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signal_first_process(unshare: int, number: int) -> None:
    """Signals a container's process 1, which ignores what it has no handler for."""
    try:
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        os.kill(int(children[0]), number)
    except (OSError, IndexError):  # it has just ended
        pass


def write_log(source: Any, log: Path) -> None:
    """Copies a container's output, each line behind the moment it came."""
    with open(log, "ab", buffering=0) as file:
        for line in source:
            file.write(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + line)


def log_lines(log: Path) -> list[tuple[bytes, bytes]]:
    """(time, line) of what a log holds."""
    lines = log.read_bytes().splitlines(keepends=True)
    return [(line.partition(b" ")[0], line.partition(b" ")[2]) for line in lines]


def serve_logs(kubelet: Kubelet, certificate: str, key: str) -> ThreadingHTTPServer:
    """Serves the kubelet's log endpoint over HTTPS on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            options = dict(parse_qsl(url.query))
            match url.path.split("/")[1:]:
                case ["containerLogs", namespace, pod, name]:
                    container = kubelet.container(namespace, pod, name)
                    back = 2 if options.get("previous") == "true" else 1
                    if container is None:
                        self.send_error(404, f"no container {name} in pod {pod}")
                    elif len(container.executions) < back:
                        text = f'container "{name}" in pod "{pod}" is waiting to start'
                        self._refuse(f"{text}: ContainerCreating")
                    else:
                        self._send(container.executions[-back], options)
                case _:
                    self.send_error(404)

        def _refuse(self, message: str) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(message.encode())

        def _send(self, execution: Execution, options: dict[str, str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            stamps = options.get("timestamps") == "true"
            follow = options.get("follow") == "true"
            with open(execution.log, "rb") as file:
                skip = len(file.readlines()) - int(options.get("tailLines", 1 << 60))
                file.seek(0)
                for line in file_lines(file, execution.ended if follow else None):
                    if (skip := skip - 1) < 0:
                        self.wfile.write(line if stamps else line.partition(b" ")[2])
                        self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def file_lines(file: Any, ended: threading.Event | None) -> Iterator[bytes]:
    """The lines of a log; where `ended` is given, as they come until it is set."""
    while True:
        last = ended is None or ended.is_set()
        yield from file
        if last:
            return
        time.sleep(0.05)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


if __name__ == "__main__":
    Kubelet(json.loads(Path(sys.argv[1]).read_bytes())).run()
