"""Pods that start a Kubeflow run and stay until it ends: one Job, or a CronJob for retraining.

A Job ends as its run does, so whoever watches Jobs needs to know nothing of Kubeflow. The pod talks
to the Kubeflow API only; address and token come from the Secret `trainyard-kubeflow`, and where it
holds no token, the pod's ServiceAccount has one that Kubeflow accepts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from components.core.images import image
from components.core.state import digest
from pipelines.jobs import (
    CONFIG_FOLDER,
    CONTENT_ANNOTATION,
    Document,
    config_map,
    job_document,
    metadata,
    pod_spec,
    run_labels,
    uncounted_ends,
)
from pipelines.placement import HOUR, KUBEFLOW_SECRET, Placement, SecretVariables

SERVICE_ACCOUNT = "trainyard-scheduler"
"""What starters act as; it has rights in Kubeflow and none in Kubernetes."""

MODULE = "pipelines.backends._start_run"
REQUEST_FILE = "request.json"
JOB_VARIABLE, JOB_UID_VARIABLE = "TRAINYARD_JOB", "TRAINYARD_JOB_UID"
NAMESPACE_VARIABLE = "TRAINYARD_NAMESPACE"

URL_VARIABLE = "TRAINYARD_KUBEFLOW_URL"
_OPTIONAL_VARIABLES = (
    "TRAINYARD_KUBEFLOW_TOKEN",
    "TRAINYARD_KUBEFLOW_CA",
    "TRAINYARD_KUBEFLOW_ROOT",
)
_TOKEN_FOLDER = "/var/run/secrets/kubeflow/pipelines"
_AUDIENCE = "pipelines.kubeflow.org"

LONGEST_SCHEDULE_NAME = 52
"""Of a CronJob: the names of its Jobs are longer."""

FINAL = (1, 2, 3)
"""Exit codes that no further attempt can change: the run failed, or asks for what is not there."""

PLACEMENT = Placement(
    cpu="500m",
    memory="1Gi",
    ephemeral_storage="1Gi",
    retries=6,
    deadline=14 * 24 * HOUR,
    secrets=(
        SecretVariables(KUBEFLOW_SECRET, {URL_VARIABLE: URL_VARIABLE}),
        SecretVariables(KUBEFLOW_SECRET, {v: v for v in _OPTIONAL_VARIABLES}, optional=True),
    ),
)


@dataclass(frozen=True)
class RunOrder:
    """A run to start; goes into a ConfigMap as it is."""

    pipeline: str
    """By the name that Kubeflow knows it by."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those that were given, typed; the others have the defaults of the version that runs."""
    version: str = ""
    """Name of the version; '' for the newest when the run starts."""
    experiment: str = ""
    """'' for the pipeline's name."""
    namespace: str = ""
    service_account: str = ""
    """What the run's pods act as; '' for Kubeflow's default."""


def starter_documents(order: RunOrder, name: str, registry: str = "") -> list[Document]:
    """The ConfigMap with the order, and the Job that starts the run and waits for its end."""
    about = metadata(name, run_labels(name, "starter"), order.namespace)
    job = job_document(about, _pod(name, registry), PLACEMENT, _failure_policy())
    content = digest([asdict(replace(order, namespace="")), name, job["spec"]])
    job["metadata"]["annotations"] = {CONTENT_ANNOTATION: content}
    return [config_map(about, {REQUEST_FILE: _text(order)}), job]


def schedule_documents(
    order: RunOrder, name: str, cron: str, time_zone: str = "Etc/UTC", registry: str = ""
) -> list[Document]:
    """The ConfigMap with the order, and the CronJob that starts a run of the newest version.

    While a run lasts no other one is started. Applied again with other parameters, the next run
    has them: this ConfigMap may change.
    """
    about = metadata(name, run_labels(name, "schedule"), order.namespace)
    config = config_map(about, {REQUEST_FILE: _text(order)})
    del config["immutable"]
    job = job_document(about, _pod(name, registry), PLACEMENT, _failure_policy())
    spec = {
        "schedule": cron,
        "timeZone": time_zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": HOUR,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": dict(about["labels"])}, "spec": job["spec"]},
    }
    schedule = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": dict(about), "spec": spec}
    return [config, schedule]


def canceller(job: Document) -> Document:
    """The Job that ends the Kubeflow run which `job`, as the cluster has it, has started.

    Only a pod has what Kubeflow asks for. It belongs to `job` and goes with it.
    """
    about, spec = job["metadata"], json.loads(json.dumps(job["spec"]["template"]["spec"]))
    [container] = spec["containers"]
    container["args"] = [container["args"][0], "--cancel"]
    names = {JOB_VARIABLE: about["name"], JOB_UID_VARIABLE: about["uid"]}
    container["env"] = [v for v in container["env"] if v["name"] not in names]
    container["env"] += [{"name": key, "value": value} for key, value in names.items()]
    labels = run_labels(about["name"], "canceller")
    own = metadata(f"{about['name'][:56].rstrip('-')}-cancel", labels)
    made = job_document(own, spec, replace(PLACEMENT, deadline=600, retries=2), _failure_policy())
    made["metadata"]["ownerReferences"] = [
        {"apiVersion": "batch/v1", "kind": "Job", "name": about["name"], "uid": about["uid"]}
    ]
    return made


def _text(order: RunOrder) -> str:
    return json.dumps(asdict(order), indent=1, ensure_ascii=False)


def _pod(config: str, registry: str) -> Document:
    container = {
        "name": "starter",
        "image": image("data", registry),
        "command": ["python", "-m", MODULE],
        "args": [f"{CONFIG_FOLDER}/{REQUEST_FILE}", "--wait"],
    }
    environment = {"TRAINYARD_KUBEFLOW_TOKEN_FILE": f"{_TOKEN_FOLDER}/token"}
    pod = pod_spec(container, PLACEMENT, environment, config)
    pod["serviceAccountName"] = SERVICE_ACCOUNT
    [made] = pod["containers"]
    fields = {
        JOB_VARIABLE: "metadata.labels['batch.kubernetes.io/job-name']",
        JOB_UID_VARIABLE: "metadata.labels['batch.kubernetes.io/controller-uid']",
        NAMESPACE_VARIABLE: "metadata.namespace",
    }
    made["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in fields.items()
    ]
    made["volumeMounts"].append({"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True})
    token = {"path": "token", "audience": _AUDIENCE, "expirationSeconds": 2 * HOUR}
    sources = [{"serviceAccountToken": token}]
    pod["volumes"].append({"name": "token", "projected": {"sources": sources}})
    return pod


def _failure_policy() -> Document:
    final = {"operator": "In", "values": list(FINAL)}
    return {"rules": [*uncounted_ends(), {"action": "FailJob", "onExitCodes": final}]}
