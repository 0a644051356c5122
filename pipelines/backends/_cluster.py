"""The Kubernetes API as far as Jobs need it: plain documents, errors that say what to do.

With `_prp_driver`, `_job_follow` and `prp` the only part of the project that talks to a cluster.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from components.core.errors import ServiceError, SettingsError

Document = dict[str, Any]

PATIENCE_SECONDS = 60.0
"""How long a cluster may not answer before we give up."""

SILENCE_SECONDS = 30.0
"""After so long without a line, a log is asked for anew; connections die unnoticed."""

_POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_METHODS = {
    "Job": ("batch", "namespaced_job"),
    "ConfigMap": ("core", "namespaced_config_map"),
    "Pod": ("core", "namespaced_pod"),
    "ServiceAccount": ("core", "namespaced_service_account"),
    "PersistentVolumeClaim": ("core", "namespaced_persistent_volume_claim"),
}


class ExistsError(ServiceError):
    """An object of this name is there already."""


class ForbiddenError(ServiceError):
    """The cluster knows us and does not let us."""


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, api: client.ApiClient, namespace: str, server: str) -> None:
        self.namespace = namespace
        self._server = server
        self._apis = {"batch": client.BatchV1Api(api), "core": client.CoreV1Api(api)}

    @classmethod
    def connect(cls, namespace: str = "") -> Cluster:
        """The cluster of the pod this runs in, or of the kubeconfig's current context.

        Raises:
            ServiceError: there is neither, or it cannot be used.
        """
        settings = client.Configuration()
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and (_POD_FOLDER / "token").exists():
                config.load_incluster_config(client_configuration=settings)
                own = (_POD_FOLDER / "namespace").read_text(encoding="utf-8").strip()
            else:
                config.load_kube_config(client_configuration=settings)
                _, context = config.list_kube_config_contexts()
                own = (context or {}).get("context", {}).get("namespace", "default")
        except (config.ConfigException, OSError, KeyError, TypeError) as error:
            place = os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise ServiceError(
                f"no usable cluster configuration ({error}); looked at {place}: get one from your "
                "cluster's portal, or set KUBECONFIG to it"
            ) from None
        return cls(client.ApiClient(settings), namespace or own, str(settings.host))

    def get(self, kind: str, name: str) -> Document | None:
        """An object, or None where there is none."""
        return self._find(lambda: self._call(f"read {kind}/{name}", kind, "read", name))

    def create(self, document: Document, dry_run: bool = False) -> Document:
        """Creates an object; with `dry_run` the server only says whether it would.

        Raises:
            ExistsError, ForbiddenError, SettingsError (refused content), ServiceError.
        """
        kind, name = document["kind"], document["metadata"]["name"]
        options = {"dry_run": "All"} if dry_run else {}
        made: Document = self._call(
            f"create {kind}/{name}", kind, "create", document, field_validation="Strict", **options
        )
        return made

    def patch(self, kind: str, name: str, body: Document) -> None:
        """Merges `body` into an object."""
        self._call(f"change {kind}/{name}", kind, "patch", name, body)

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object, if it is there, and then all that it owns."""
        self._find(
            lambda: self._call(
                f"delete {kind}/{name}", kind, "delete", name, propagation_policy="Background"
            )
        )

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
        listed = self._list(
            "list pods", "Pod", label_selector=f"batch.kubernetes.io/job-name={job}"
        )
        return sorted(listed, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def jobs(self, run: str) -> list[Document]:
        """The Jobs of a run."""
        return self._list("list jobs", "Job", label_selector=f"trainyard/run={run}")

    def warnings(self, kind: str, name: str) -> list[str]:
        """What the cluster warns about an object, newest last; empty where we may not look."""
        fields = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        try:
            answer = self._patiently(
                "list events",
                lambda: self._apis["core"].list_namespaced_event(
                    self.namespace, field_selector=fields, _preload_content=False
                ),
            )
        except ForbiddenError:
            return []
        found = json.loads(answer.data)["items"]
        found.sort(
            key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")
        )
        return [f"{event.get('reason')}: {event.get('message')}" for event in found]

    def log(self, pod: str, container: str) -> Iterator[str]:
        """A container's log from its start, line by line with timestamps, until it ends.

        The iteration may end early, when the connection does or nothing is said for a while.
        """
        try:
            answer = self._apis["core"].read_namespaced_pod_log(
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

    def _call(self, what: str, kind: str, verb: str, *arguments: Any, **options: Any) -> Any:
        api, suffix = _METHODS[kind]
        method = getattr(self._apis[api], f"{verb}_{suffix}")
        # read, delete and patch begin with the name, create with the namespace
        first = arguments[:1] if verb != "create" else ()
        rest = arguments[len(first) :]

        def send() -> Any:
            return method(*first, self.namespace, *rest, _preload_content=False, **options)

        return json.loads(self._patiently(what, send).data)

    def _list(self, what: str, kind: str, **options: Any) -> list[Document]:
        api, suffix = _METHODS[kind]
        method = getattr(self._apis[api], f"list_{suffix}")
        answer = self._patiently(
            what, lambda: method(self.namespace, _preload_content=False, **options)
        )
        items: list[Document] = json.loads(answer.data)["items"]
        return items

    def _find(self, look: Callable[[], Any]) -> Document | None:
        try:
            found: Document = look()
        except _AbsentError:
            return None
        return found

    def _patiently(self, what: str, send: Callable[[], Any]) -> Any:
        """Sends a request; silence and overload are waited out.

        Raises:
            ServiceError: with what to do.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = 0.5
        while True:
            try:
                return send()
            except client.ApiException as error:
                if error.status not in (429, 500, 502, 503, 504) or time.monotonic() > deadline:
                    raise self._refusal(what, error) from None
            except urllib3.exceptions.HTTPError as error:
                if _is_hopeless(error) or time.monotonic() > deadline:
                    reason = getattr(error, "reason", None) or error
                    raise UnreachableError(
                        f"cannot {what}: {self._server} does not answer ({reason}); is the "
                        "kubeconfig's context the right one, and is a VPN needed?"
                    ) from None
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def _refusal(self, what: str, error: client.ApiException) -> Exception:
        try:
            message = str(json.loads(error.body)["message"])
        except (ValueError, KeyError, TypeError):
            message = str(error.reason)
        place = f"namespace {self.namespace} at {self._server}"
        if error.status == 401:
            return ServiceError(
                f"cannot {what}: {place} does not accept the credentials, which may have expired; "
                "fetch a new kubeconfig"
            )
        if error.status == 403 and "exceeded quota" in message:
            return ForbiddenError(
                f"cannot {what}: {message}; wait for other Jobs to end, or ask for less"
            )
        if error.status == 403:
            return ForbiddenError(
                f"cannot {what}: {message}; check --namespace, or ask its administrator"
            )
        if error.status == 404:
            absent = f'namespaces "{self.namespace}" not found' in message
            hint = f"there is no {place}; check --namespace" if absent else message
            return _AbsentError(f"cannot {what}: {hint}")
        if error.status == 409:
            return ExistsError(f"cannot {what}: {message}")
        if error.status in (400, 422):
            return SettingsError([message], f"what {place} refuses")
        return ServiceError(f"cannot {what}: {place} answers {error.status}: {message}")


class UnreachableError(ServiceError):
    """The cluster does not answer."""


class _AbsentError(ServiceError):
    """There is no such object, or no such namespace."""


def _is_hopeless(error: urllib3.exceptions.HTTPError) -> bool:
    """Whether trying again makes no sense: no such host, nobody listens, another's certificate."""
    reason = getattr(error, "reason", error)
    kinds = (urllib3.exceptions.NameResolutionError, urllib3.exceptions.SSLError)
    if isinstance(reason, kinds):
        return True
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)
    return refused and "refused" in str(reason) and "KUBERNETES_SERVICE_HOST" not in os.environ
