"""Registers nodes, binds pending pods to them, and runs, stops and removes what is bound."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path

import urllib3

from process_kubelet.api import Api, ApiError, Object
from process_kubelet.logs import HOST, Log, serve_logs
from process_kubelet.pods import Run, now, pod_path, record_event
from process_kubelet.scheduler import Placement, choose_node

FINISHED = ("Succeeded", "Failed")
TICK_SECONDS = 0.2


class Kubelet:
    """The scheduler, and the kubelet of all nodes.

    `settings` holds `url`, `token`, `certificate`, `key` (files), `folder`, `nodes` (each with
    name, labels, capacity and perhaps taints) and `image_environment`, what every image sets.
    """

    def __init__(self, settings: Object) -> None:
        self.api = Api(settings["url"], settings["token"], settings["certificate"])
        self.folder = Path(settings["folder"])
        self.images: dict[str, str] = settings["image_environment"]
        self.nodes = {node["name"] for node in settings["nodes"]}
        self.pods: dict[str, Object] = {}
        self.runs: dict[str, Run] = {}
        self._bound: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._changed = threading.Event()
        server = serve_logs(self.logs, settings["certificate"], settings["key"])
        for node in settings["nodes"]:
            self._register(node, server.server_address[1])

    def run(self) -> None:
        """Never returns."""
        threading.Thread(target=self._watch, daemon=True).start()
        while True:
            self._changed.wait(TICK_SECONDS)
            self._changed.clear()
            for pod in list(self.pods.values()):
                try:
                    self._look_at(pod)
                except ApiError as error:
                    if error.status not in (404, 409):  # it has changed: its next state decides
                        traceback.print_exc()
                except urllib3.exceptions.HTTPError:
                    traceback.print_exc()

    def logs(self, namespace: str, pod: str, container: str) -> list[Log] | None:
        """The logs of a container of the newest pod of that name."""
        for run in reversed(list(self.runs.values())):
            meta = run.pod["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, pod):
                return next((c.logs for c in run.all if c.spec["name"] == container), None)
        return None

    def _register(self, node: Object, port: int) -> None:
        """Creates a ready Node whose logs are served on `port`."""
        labels = {"kubernetes.io/hostname": node["name"], "kubernetes.io/os": "linux"}
        status = {
            "capacity": node["capacity"],
            "allocatable": node["capacity"],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": HOST}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        metadata = {"name": node["name"], "labels": labels | node["labels"]}
        self.api("POST", "/api/v1/nodes", {"metadata": metadata, "status": status})
        # The API server taints each new node as not ready; a controller would take that away.
        taints = {"spec": {"taints": node.get("taints", [])}}
        self.api("PATCH", f"/api/v1/nodes/{node['name']}", taints)

    def _watch(self) -> None:
        while True:
            self.pods = {}
            try:
                for event in self.api.watch("/api/v1/pods"):
                    self._note(event["type"], event["object"])
            except (ApiError, urllib3.exceptions.HTTPError):
                traceback.print_exc()

    def _note(self, change: str, pod: Object) -> None:
        uid = pod["metadata"].get("uid", "")
        if change in ("ADDED", "MODIFIED"):
            self.pods[uid] = pod
        elif change == "DELETED":
            self.pods.pop(uid, None)
            if run := self.runs.get(uid):
                run.stop(0)
        self._changed.set()

    def _look_at(self, pod: Object) -> None:
        meta, node = pod["metadata"], pod["spec"].get("nodeName")
        if node is None:
            if meta["uid"] not in self._bound and "deletionTimestamp" not in meta:
                self._schedule(pod)
            return
        if node not in self.nodes:
            return
        run = self.runs.get(meta["uid"])
        if run is None and pod["status"]["phase"] not in FINISHED:
            run = self.runs[meta["uid"]] = Run(self.api, pod, self.folder, self.images)
            run.start()
        if "deletionTimestamp" in meta:
            if run:
                run.stop(float(meta.get("deletionGracePeriodSeconds", 0)))
            if run is None or run.finished.is_set():
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
                self.api("DELETE", pod_path(pod), options)
                self.pods.pop(meta["uid"], None)  # its finalizers are its controller's affair

    def _schedule(self, pod: Object) -> None:
        """Binds a pod to a node that fits, or says why none does."""
        space = f"/api/v1/namespaces/{pod['metadata']['namespace']}/persistentvolumeclaims"
        names = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes", [])
            if "persistentVolumeClaim" in volume
        ]
        claims = {name: self.api.find(f"{space}/{name}") for name in names}
        if missing := [name for name, claim in claims.items() if claim is None]:
            placement = Placement(None, f'persistentvolumeclaim "{missing[0]}" not found')
        else:
            nodes = self.api("GET", "/api/v1/nodes")["items"]
            nodes = [node for node in nodes if node["metadata"]["name"] in self.nodes]
            placement = choose_node(pod, nodes, self._placed())
        if placement.node is None:
            self._refuse(pod, placement.reason)
            return
        for name, claim in claims.items():
            if claim and claim["status"].get("phase") != "Bound":
                capacity = claim["spec"]["resources"]["requests"]
                status = {"phase": "Bound", "capacity": capacity}
                status["accessModes"] = claim["spec"]["accessModes"]
                self.api("PATCH", f"{space}/{name}/status", {"status": status})
        target = {"kind": "Node", "name": placement.node}
        binding = {"metadata": {"name": pod["metadata"]["name"]}, "target": target}
        self.api("POST", f"{pod_path(pod)}/binding", binding)
        self._bound[pod["metadata"]["uid"]] = placement.node
        record_event(self.api, pod, "Normal", "Scheduled", f"assigned to {placement.node}")

    def _placed(self) -> list[tuple[str, Object]]:
        """(node, pod) of each pod that occupies its node's resources."""
        pods = [p for p in list(self.pods.values()) if p["status"]["phase"] not in FINISHED]
        nodes = [p["spec"].get("nodeName") or self._bound.get(p["metadata"]["uid"]) for p in pods]
        return [(node, pod) for node, pod in zip(nodes, pods, strict=True) if node]

    def _refuse(self, pod: Object, reason: str) -> None:
        uid = pod["metadata"]["uid"]
        if self._refused.get(uid) == reason:
            return
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        condition |= {"message": reason, "lastTransitionTime": now()}
        status = {"status": {"conditions": [condition]}}
        self.api("PATCH", f"{pod_path(pod)}/status", status, patch="strategic-merge")
        record_event(self.api, pod, "Warning", "FailedScheduling", reason)
        self._refused[uid] = reason
