"""A stage as a Kubernetes Job, for clusters without Kubeflow: pure builders of plain documents.

A Job survives what shared clusters do to it. Work lies in TRAINYARD_STATE_DIR on a volume, so the
pod that replaces an evicted one goes on where that was; evictions use up no retries; wrong settings
and unusable data end the Job at once instead of booking its GPUs again and again.

Settings travel in a ConfigMap, mounted as the file that `python -m components.<stage> -f` reads:
typed YAML that people read, diff and replace, of any length, where arguments would have to be
quoted and are cut off in every listing. Only the places of inputs and outputs are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from components import __version__
from components.core.settings import Settings
from components.core.stage import DECISION_VARIABLE, Stage
from components.core.state import digest
from pipelines.placement import PREFERENCE, QUEUE_LABEL, Placement, Volume, expressions
from pipelines.quantities import dns_label

Document = dict[str, Any]

CONFIG_FOLDER = "/trainyard/config"
SETTINGS_FILE = "params.yaml"
SCRATCH = "/tmp"
"""Where a pod may write besides its volumes; the rest of its file system is read-only."""

TERMINATION_MESSAGE = "/dev/termination-log"
"""Kubernetes shows what a container writes there as the message of its end."""

USER = 1000
"""The user that images run as; files on volumes belong to it."""

GRACE_SECONDS = 120
"""Between SIGTERM and SIGKILL: a snapshot of a large network has to reach the volume."""

FAIL_AT_ONCE = (2, 3)
"""Exit codes that no further attempt can change: wrong settings, unusable input."""

STOPPED = 143
"""Exit code of a stage that was told to stop and saved its work."""

CONTENT_ANNOTATION = "trainyard/content"
"""Holds a digest of what was asked for; two Jobs with the same one do the same."""


@dataclass(frozen=True)
class StageJob:
    """Everything a stage's Job is made from."""

    stage: Stage[Any]
    image: str
    settings: Settings
    inputs: Mapping[str, str]
    """Input → path in the pod."""
    outputs: Mapping[str, str]
    """Output → path in the pod."""
    placement: Placement
    state_dir: str
    """Where work is kept for resuming; on a volume."""
    name: str = ""
    """Of the Job; '' makes one from stage and content, so that the same request has the same."""
    run: str = ""
    """Name of the run it belongs to; '' for one of its own."""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    """What the stage acts as where it talks to the cluster; '' for stages that do not."""


def stage_documents(job: StageJob) -> list[Document]:
    """The ConfigMap with the settings, and the Job."""
    content = digest(_documents(replace(job, namespace=""), "content"))
    name = job.name or dns_label(f"{job.stage.name}-{content[:8]}")
    config, document = _documents(job, name)
    document["metadata"]["annotations"] = {CONTENT_ANNOTATION: content}
    return [config, document]


def _documents(job: StageJob, name: str) -> tuple[Document, Document]:
    run = job.run or name
    labels = {
        **run_labels(run, job.stage.name),
        "trainyard/stage": job.stage.name,
        **job.placement.labels,
        **job.labels,
    }
    about = metadata(name, labels, job.namespace)
    container = {
        "name": dns_label(job.stage.name),
        "image": job.image,
        "command": ["python", "-m", f"components.{job.stage.name}"],
        "args": _arguments(job),
    }
    environment = {"TRAINYARD_STATE_DIR": job.state_dir, "TRAINYARD_RUN_ID": run}
    if job.stage.decides:  # the answer becomes part of the pod's status, where the driver reads it
        environment[DECISION_VARIABLE] = TERMINATION_MESSAGE
    pod = pod_spec(container, job.placement, environment, config=name)
    if job.service_account:
        pod |= {"serviceAccountName": job.service_account, "automountServiceAccountToken": True}
    return (
        config_map(about, {SETTINGS_FILE: _settings_text(job)}),
        job_document(about, pod, job.placement, stage_failure_policy()),
    )


def metadata(name: str, labels: Mapping[str, str], namespace: str = "") -> Document:
    """An object's metadata; without a namespace the one of the kubeconfig holds."""
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, "labels": dict(labels)}


def config_map(about: Document, data: Mapping[str, str]) -> Document:
    """A ConfigMap that cannot change under the Job that reads it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": dict(about),
        "immutable": True,
        "data": dict(data),
    }


def job_document(
    about: Document, pod: Document, placement: Placement, failure_policy: Document
) -> Document:
    """A batch/v1 Job from its metadata and the spec of its pod.

    Kueue holds back a Job that names a queue itself; its pods must not name one too.
    """
    limit = {"activeDeadlineSeconds": placement.deadline} if placement.deadline else {}
    queue = {QUEUE_LABEL: placement.queue} if placement.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**about, "labels": {**about["labels"], **queue}},
        "spec": {
            "backoffLimit": placement.retries,
            **limit,
            "ttlSecondsAfterFinished": placement.ttl,
            "podFailurePolicy": failure_policy,
            "template": {"metadata": {"labels": dict(about["labels"])}, "spec": pod},
        },
    }


def stage_failure_policy() -> Document:
    """Which ends of a pod count: not evictions and orderly stops; some end the Job at once."""
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"operator": "In", "values": list(FAIL_AT_ONCE)},
            },
            *uncounted_ends(),
        ]
    }


def uncounted_ends() -> list[Document]:
    """Rules for ends that came from outside and use up no retry."""
    return [
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [STOPPED]}},
    ]


def pod_spec(
    container: Document, placement: Placement, environment: Mapping[str, str], config: str
) -> Document:
    """A pod that runs one container as a plain user and ends with it.

    Args:
        container: its name, image, command and arguments.
        placement: what it asks for.
        environment: variables with plain values; secret ones come with the placement.
        config: the ConfigMap that is mounted under CONFIG_FOLDER; '' for none.
    """
    claims = list(dict.fromkeys(volume.claim for volume in placement.volumes))
    names = {claim: f"volume-{number}" for number, claim in enumerate(claims)}
    shared = {"medium": "Memory", "sizeLimit": placement.shared_memory}
    volumes: list[Document] = [
        *([{"name": "config", "configMap": {"name": config}}] if config else []),
        {"name": "tmp", "emptyDir": {}},
        *([{"name": "dshm", "emptyDir": shared}] if placement.shared_memory else []),
    ]
    volumes += [{"name": names[c], "persistentVolumeClaim": {"claimName": c}} for c in claims]
    mounts: list[Document] = [
        *([{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}] if config else []),
        {"name": "tmp", "mountPath": SCRATCH},
        *([{"name": "dshm", "mountPath": "/dev/shm"}] if placement.shared_memory else []),
        *(_mount(names[volume.claim], volume) for volume in placement.volumes),
    ]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_node_choice(placement),
        "containers": [
            {
                **container,
                "imagePullPolicy": "IfNotPresent",
                "workingDir": SCRATCH,
                "env": _environment(placement, environment),
                **_whole_secrets(placement),
                "resources": _resources(placement),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _node_choice(placement: Placement) -> Document:
    chosen: Document = {}
    affinity: Document = {}
    if required := expressions(placement.node_affinity):
        terms = {"nodeSelectorTerms": [{"matchExpressions": required}]}
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = terms
    if preferred := expressions(placement.preferred_labels):
        term = {"weight": PREFERENCE, "preference": {"matchExpressions": preferred}}
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [term]
    if affinity:
        chosen["affinity"] = {"nodeAffinity": affinity}
    if placement.tolerations:
        chosen["tolerations"] = [
            {key: value for key, value in vars(toleration).items() if value}
            for toleration in placement.tolerations
        ]
    if placement.image_pull_secrets:
        chosen["imagePullSecrets"] = [{"name": name} for name in placement.image_pull_secrets]
    if placement.priority_class:
        chosen["priorityClassName"] = placement.priority_class
    return chosen


def _environment(placement: Placement, environment: Mapping[str, str]) -> list[Document]:
    own = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "PYTHONUNBUFFERED": "1"}
    plain = {**own, **placement.environment, **environment}
    secret: list[Document] = []
    for source in placement.all_secrets:
        for variable, key in source.variables.items():
            reference: Document = {"name": source.name, "key": key}
            if source.optional:
                reference["optional"] = True
            secret.append({"name": variable, "valueFrom": {"secretKeyRef": reference}})
    return [*({"name": name, "value": value} for name, value in plain.items()), *secret]


def _whole_secrets(placement: Placement) -> Document:
    whole = [
        {"secretRef": {"name": s.name, **({"optional": True} if s.optional else {})}}
        for s in placement.all_secrets
        if not s.variables
    ]
    return {"envFrom": whole} if whole else {}


def _resources(placement: Placement) -> Document:
    asked = {"cpu": placement.cpu, "memory": placement.memory}
    if placement.ephemeral_storage:
        asked["ephemeral-storage"] = placement.ephemeral_storage
    if placement.gpus:
        asked[placement.gpu_type] = str(placement.gpus)
    given = {"cpu": placement.cpu_limit, "memory": placement.memory_limit}
    limits = {**asked, **{name: limit for name, limit in given.items() if limit}}
    return {"requests": asked, "limits": limits}


def _mount(name: str, volume: Volume) -> Document:
    mount: Document = {"name": name, "mountPath": volume.path}
    if volume.sub_path:
        mount["subPath"] = volume.sub_path
    if volume.read_only:
        mount["readOnly"] = True
    return mount


def as_yaml(documents: Sequence[Document]) -> str:
    """Documents as `kubectl apply` reads them; texts of several lines stay readable."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def run_labels(run: str, component: str) -> dict[str, str]:
    """The labels by which everything of a run is found."""
    return {
        "app.kubernetes.io/name": "trainyard",
        "app.kubernetes.io/component": dns_label(component),
        "app.kubernetes.io/version": __version__,
        "app.kubernetes.io/managed-by": "trainyard",
        "trainyard/run": run,
    }


def _settings_text(job: StageJob) -> str:
    values = job.settings.model_dump(mode="json", warnings=False)
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def _arguments(job: StageJob) -> list[str]:
    arguments = ["-f", f"{CONFIG_FOLDER}/{SETTINGS_FILE}"]
    for name, path in [*job.inputs.items(), *job.outputs.items()]:
        arguments += ["--" + name.replace("_", "-"), path]
    return arguments
