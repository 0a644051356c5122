"""The Kubernetes API as far as we need it: plain documents, errors that say what to do."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config

from components.core.errors import ServiceError
from pipelines.backends._refusals import (
    AbsentError,
    ConflictError,
    ExistsError,
    ForbiddenError,
    NotServedError,
    UnreachableError,
    is_hopeless,
    is_passing,
    refusal,
    unreachable,
)

__all__ = [
    "Cluster",
    "ConflictError",
    "Document",
    "ExistsError",
    "ForbiddenError",
    "NotServedError",
    "UnreachableError",
]

Document = dict[str, Any]

PATIENCE_SECONDS = 60.0
"""How long a cluster may not answer before we give up."""

QUIET_SECONDS = 5.0
"""After so long without an answer it is said that we wait."""

SILENCE_SECONDS = 30.0
"""After so long without a line, a log is asked for anew; connections die unnoticed."""

FIELD_MANAGER = "trainyard"
"""Who the fields belong to that we apply."""

_TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and to wait for an answer."""

_UNUSABLE = (
    config.ConfigException, OSError, KeyError, TypeError, AttributeError, ValueError,
    yaml.YAMLError,
)  # fmt: skip
"""What the client raises for configurations that are none."""

_POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class _Resource:
    """Where the objects of a kind lie."""

    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        parts = ["apis" if "/" in self.api_version else "api", self.api_version]
        parts += ["namespaces", namespace] if self.namespaced else []
        return "/" + "/".join([*parts, self.plural, *([name] if name else [])])


_KNOWN = {
    "Job": _Resource("batch/v1", "jobs"),
    "CronJob": _Resource("batch/v1", "cronjobs"),
    "ConfigMap": _Resource("v1", "configmaps"),
    "Event": _Resource("v1", "events"),
    "PersistentVolumeClaim": _Resource("v1", "persistentvolumeclaims"),
    "Pod": _Resource("v1", "pods"),
    "Secret": _Resource("v1", "secrets"),
    "Service": _Resource("v1", "services"),
    "ServiceAccount": _Resource("v1", "serviceaccounts"),
}
"""Kinds that every cluster has; others are looked up in its discovery."""


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, api: client.ApiClient, namespace: str, server: str) -> None:
        self.namespace = namespace
        self._server = server
        self._api = api
        self._served: dict[str, dict[str, _Resource]] = {}

    @classmethod
    def connect(cls, namespace: str = "") -> Cluster:
        """The cluster of the pod this runs in, or of the kubeconfig's current context.

        Raises:
            ServiceError: there is neither, or it cannot be used.
        """
        settings = client.Configuration()
        settings.retries = urllib3.Retry(
            total=None, connect=0, read=0, redirect=3, other=0
        )  # ours: _patiently
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and (_POD_FOLDER / "token").exists():
                config.load_incluster_config(client_configuration=settings)
                own = (_POD_FOLDER / "namespace").read_text(encoding="utf-8").strip()
            else:
                place = os.environ.get("KUBECONFIG")
                config.load_kube_config(place, client_configuration=settings)
                _, context = config.list_kube_config_contexts(place)
                own = (context or {}).get("context", {}).get("namespace", "default")
        except _UNUSABLE as error:
            place = os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise ServiceError(
                f"no usable cluster configuration ({error}); looked at {place}: get one from your "
                "cluster's portal, or set KUBECONFIG to it"
            ) from None
        return cls(client.ApiClient(settings), namespace or own, str(settings.host))

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster has this kind of object; custom ones come with their operators."""
        return kind in self._discovered(api_version)

    def spec_fields(self, api_version: str, kind: str) -> set[str]:
        """Names of the fields that the `spec` of a kind has here, where releases differ."""
        path = f"/openapi/v3/apis/{api_version}"
        found = self._find(lambda: self._send(f"read {path}", "GET", path)) or {}
        for schema in found.get("components", {}).get("schemas", {}).values():
            kinds = [k["kind"] for k in schema.get("x-kubernetes-group-version-kind", [])]
            if kind in kinds and "spec" in schema.get("properties", {}):
                return set(schema["properties"]["spec"].get("properties", {}))
        return set()

    def within(self, namespace: str) -> Cluster:
        """The same cluster, another namespace; '' for this one."""
        if namespace in ("", self.namespace):
            return self
        return Cluster(self._api, namespace, self._server)

    def get(self, kind: str, name: str, api_version: str = "") -> Document | None:
        """An object, or None where there is none.

        `api_version` is needed for kinds that not every cluster has.
        """
        path = self._path(kind, api_version, name)
        return self._find(lambda: self._send(f"read {kind}/{name}", "GET", path))

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object; its content, which may be secret, is not fetched."""
        accepted = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        path = self._path(kind, "", name)
        what = f"look for {kind}/{name}"
        return self._find(lambda: self._send(what, "GET", path, accept=accepted)) is not None

    def find_all(self, kind: str, api_version: str = "", **selectors: str) -> list[Document]:
        """The objects of a kind; `labelSelector` and `fieldSelector` choose among them."""
        path = self._path(kind, api_version)
        found = self._send(f"list {kind}s", "GET", path, query=selectors)
        return list(found["items"])

    def create(self, document: Document, dry_run: bool = False) -> Document:
        """Creates an object; with `dry_run` the server only says whether it would.

        Raises:
            ExistsError, ForbiddenError, SettingsError (refused content), ServiceError.
        """
        kind, name = document["kind"], document["metadata"]["name"]
        path = self._path(kind, document["apiVersion"])
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        return self._send(f"create {kind}/{name}", "POST", path, document, query)

    def apply(self, document: Document, dry_run: bool = False, force: bool = False) -> Document:
        """Creates an object or changes it to what `document` says (server-side apply).

        Nothing is stored in annotations, so documents of any size pass; applying the same again
        changes nothing. Fields that others manage are changed with `force` only.

        Raises:
            ConflictError, NotServedError, ForbiddenError, SettingsError (refused content),
            ServiceError.
        """
        kind, name = document["kind"], document["metadata"]["name"]
        path = self._path(kind, document["apiVersion"], name)
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        if force:
            query["force"] = "true"
        what, content = f"apply {kind}/{name}", "application/apply-patch+yaml"
        return self._send(what, "PATCH", path, document, query, content)

    def patch(self, kind: str, name: str, body: Document) -> None:
        """Merges `body` into an object."""
        path = self._path(kind, "", name)
        content = "application/merge-patch+json"
        self._send(f"change {kind}/{name}", "PATCH", path, body, content=content)

    def delete(self, kind: str, name: str, api_version: str = "") -> None:
        """Deletes an object, if it is there, and then all that it owns."""
        path = self._path(kind, api_version, name)
        body = {"propagationPolicy": "Background"}
        self._find(lambda: self._send(f"delete {kind}/{name}", "DELETE", path, body))

    def wait_gone(self, kind: str, name: str, uid: str, seconds: float = 300.0) -> None:
        """Waits until the object with this uid is no more.

        Raises:
            ServiceError: it stays.
        """
        deadline = time.monotonic() + seconds
        while (found := self.get(kind, name)) and found["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{kind}/{name} is still being deleted after {seconds:.0f} s; look at it with: "
                    f"kubectl -n {self.namespace} get {kind.lower()} {name} -o yaml"
                )
            time.sleep(0.5)

    def pods(self, job: str) -> list[Document]:
        """The pods of a Job, oldest first."""
        listed = self.find_all("Pod", labelSelector=f"batch.kubernetes.io/job-name={job}")
        return sorted(listed, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def jobs(self, run: str) -> list[Document]:
        """The Jobs of a run."""
        return self.find_all("Job", labelSelector=f"trainyard/run={run}")

    def warnings(self, kind: str, name: str) -> list[str]:
        """What the cluster warns about an object, newest last; empty where we may not look."""
        fields = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        try:
            found = self.find_all("Event", fieldSelector=fields)
        except ForbiddenError:
            return []
        found.sort(
            key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")
        )
        return [f"{event.get('reason')}: {event.get('message')}" for event in found]

    def log(self, pod: str, container: str) -> Iterator[str]:
        """A container's log from its start, line by line with timestamps, until it ends.

        The iteration may end early, when the connection does or nothing is said for a while.
        """
        try:
            answer = client.CoreV1Api(self._api).read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container,
                follow=True,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(10, SILENCE_SECONDS),
            )
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return
        left = b""
        try:
            for chunk in answer.stream(8192):
                *lines, left = (left + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except urllib3.exceptions.HTTPError:
            return
        finally:
            answer.close()
        if left:
            yield left.decode(errors="replace")

    def last_lines(self, pod: str, container: str, count: int) -> list[str]:
        """The last lines of a container's log so far; empty where it has none."""
        try:
            answer = client.CoreV1Api(self._api).read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container,
                tail_lines=count,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return []
        return str(answer.data.decode(errors="replace")).splitlines()

    def _path(self, kind: str, api_version: str, name: str = "") -> str:
        resource = _KNOWN.get(kind)
        if resource is None or api_version not in ("", resource.api_version):
            resource = self._discovered(api_version).get(kind)
        if resource is None:
            self._require_kubernetes()
            raise NotServedError(
                f"{self._server} has no objects of the kind {kind} ({api_version})"
            )
        return resource.path(self.namespace, name)

    def _discovered(self, api_version: str) -> dict[str, _Resource]:
        """The kinds of one API, empty where the cluster does not have it."""
        if api_version not in self._served:
            path = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
            found = self._find(lambda: self._send(f"read {path}", "GET", path)) or {}
            self._served[api_version] = {
                listed["kind"]: _Resource(api_version, listed["name"], listed["namespaced"])
                for listed in found.get("resources", [])
                if "/" not in listed["name"]
            }
        return self._served[api_version]

    def _send(
        self,
        what: str,
        method: str,
        path: str,
        body: Document | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> Document:
        def send() -> Any:
            return self._api.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": accept, "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )

        data = self._patiently(what, send).data
        try:
            answer: Document = json.loads(data)
        except ValueError:
            raise ServiceError(f"cannot {what}: {self._no_kubernetes()}") from None
        return answer

    def _require_kubernetes(self) -> None:
        try:
            found = self._send("read /apis", "GET", "/apis")
        except ForbiddenError:
            return
        except AbsentError:
            found = {}
        if found.get("kind") != "APIGroupList":
            raise ServiceError(self._no_kubernetes())

    def _no_kubernetes(self) -> str:
        return (
            f"{self._server} is no Kubernetes API: `server` in the kubeconfig has to be the "
            "cluster's API server, not Kubeflow's address; get one from your cluster's portal"
        )

    def _find(self, look: Callable[[], Any]) -> Document | None:
        try:
            found: Document = look()
        except AbsentError:
            return None
        return found

    def _patiently(self, what: str, send: Callable[[], Any]) -> Any:
        """Sends a request; silence and overload are waited out.

        Raises:
            ServiceError: with what to do.
        """
        note = threading.Timer(QUIET_SECONDS, self._tell_of_waiting, [what])
        note.daemon = True
        note.start()
        try:
            return self._insist(what, send)
        finally:
            note.cancel()

    def _tell_of_waiting(self, what: str) -> None:
        text = f"{self._server} does not answer ({what}); waiting up to {PATIENCE_SECONDS:.0f} s"
        print(text, file=sys.stderr, flush=True)

    def _insist(self, what: str, send: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = 0.5
        while True:
            try:
                return send()
            except client.ApiException as error:
                if not is_passing(error) or time.monotonic() > deadline:
                    raise refusal(what, error, self.namespace, self._server) from None
            except urllib3.exceptions.HTTPError as error:
                if is_hopeless(error, self._server) or time.monotonic() > deadline:
                    raise unreachable(what, error, self._server) from None
            time.sleep(pause)
            pause = min(2 * pause, 10.0)


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
