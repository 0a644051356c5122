"""The linter of Kubernetes documents: a sound set has no finding, each planted fault has one."""

import copy
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from reference_pipelines import PIPELINES, compiled

from pipelines.job_rules import errors
from pipelines.kubernetes_format import kubernetes_documents
from pipelines.lint.objects import lint_kubernetes
from pipelines.lint.spelling import FIELDS

Document = dict[str, Any]
Set = dict[str, Document]
Damage = Callable[[Set], None]

SOUND = """
apiVersion: v1
kind: Namespace
metadata: {name: lab}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: server, namespace: lab}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: server, namespace: lab}
rules:
  - {apiGroups: [batch], resources: [jobs], verbs: [create, get, list]}
  - {apiGroups: [""], resources: [secrets], resourceNames: [one], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: server, namespace: lab}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: server}
subjects: [{kind: ServiceAccount, name: server, namespace: lab}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: lab}
data:
  params.yaml: "epochs: 3\\nsource: s3://bucket/clips\\n"
  start.py: |
    password = os.environ["SERVICE_PASSWORD"]
    connect(password=password, key="name")
---
apiVersion: v1
kind: Secret
metadata: {name: service, namespace: lab}
stringData: {SERVICE_PASSWORD: ""}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: lab}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server, namespace: lab, labels: {app: server}, annotations: {why: "it serves"}}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server, tier: front}}
    spec:
      serviceAccountName: server
      automountServiceAccountToken: false
      securityContext:
        {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: registry.example.org/lab/server:1.2.3
          args: [--port, "8000"]
          ports: [{name: http, containerPort: 8000}]
          env:
            - {name: LEVEL, value: info}
            - name: SERVICE_PASSWORD
              valueFrom: {secretKeyRef: {name: service, key: SERVICE_PASSWORD}}
          readinessProbe: {httpGet: {path: /ready, port: http}}
          livenessProbe: {tcpSocket: {port: 8000}}
          resources:
            requests: {cpu: "1", memory: 1Gi, ephemeral-storage: 1Gi}
            limits: {cpu: "1", memory: 1Gi, ephemeral-storage: 1Gi}
          securityContext:
            {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
             capabilities: {drop: [ALL]}}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            - {name: settings, mountPath: /settings}
      volumes:
        - {name: data, persistentVolumeClaim: {claimName: data}}
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
        - {name: settings, configMap: {name: settings}}
      nodeSelector: {kubernetes.io/arch: amd64}
      tolerations: [{key: reserved, operator: Exists, effect: NoSchedule}]
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: lab}
spec: {selector: {app: server}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server, namespace: lab}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: server, namespace: lab}
spec:
  {minReplicas: 1, maxReplicas: 2,
   scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: server}}
"""

SCHEDULE = """
apiVersion: kubeflow.org/v1beta1
kind: ScheduledWorkflow
metadata: {name: weekly, namespace: lab}
spec:
  enabled: true
  maxConcurrency: 1
  trigger: {cronSchedule: {cron: "0 0 3 * * 0"}}
  workflow: {parameters: [{name: epochs, value: "3"}], spec: {entrypoint: whole}}
status: {}
"""

CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: lab}
spec:
  schedule: "30 2 * * MON-FRI"
  concurrencyPolicy: Forbid
"""


@cache
def _sound() -> Set:
    documents = list(yaml.safe_load_all(SOUND))
    found = {document["kind"]: document for document in documents}
    pod = copy.deepcopy(found["Deployment"]["spec"]["template"]["spec"])
    pod["restartPolicy"] = "Never"
    for name in ("readinessProbe", "livenessProbe", "ports"):
        del pod["containers"][0][name]
    job = {
        "backoffLimit": 1,
        "activeDeadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 3600,
        "podFailurePolicy": {"rules": []},
        "template": {"metadata": {"labels": {"app": "nightly"}}, "spec": pod},
    }
    found["ScheduledWorkflow"] = yaml.safe_load(SCHEDULE)
    found["CronJob"] = yaml.safe_load(CRON_JOB)
    found["CronJob"]["spec"]["jobTemplate"] = {"spec": job}
    found["StatefulSet"] = copy.deepcopy(found["Deployment"])
    database = found["StatefulSet"]
    database["kind"] = "StatefulSet"
    database["metadata"]["name"] = "database"
    database["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    del database["spec"]["template"]["spec"]["volumes"][0]
    pipeline, version = kubernetes_documents(compiled(PIPELINES["pods"]), "lab")
    return {**found, "Pipeline": pipeline, "PipelineVersion": version}


def sound() -> Set:
    return copy.deepcopy(_sound())


def found(documents: Set, prp: bool = False) -> list[str]:
    return [str(finding) for finding in lint_kubernetes(list(documents.values()), prp)]


@pytest.mark.parametrize("prp", [False, True])
def test_a_sound_set_has_no_finding(prp: bool) -> None:
    assert found(sound(), prp) == []
    assert len(sound()) == 16


def put(kind: str, path: str, value: Any) -> Damage:
    """Sets what lies at a path of a document; None removes it."""

    def damage(documents: Set) -> None:
        *inner, last = path.split("/")
        place: Any = documents[kind]
        for key in inner:
            place = place[int(key) if key.isdigit() else key]
        key = int(last) if isinstance(place, list) else last
        if value is None:
            del place[key]
        else:
            place[key] = value

    return damage


def pod(path: str, value: Any) -> Damage:
    return put("Deployment", f"spec/template/spec/{path}", value)


def container(path: str, value: Any) -> Damage:
    return pod(f"containers/0/{path}", value)


def security(path: str, value: Any) -> Damage:
    return container(f"securityContext/{path}", value)


def nightly(path: str, value: Any) -> Damage:
    return put("CronJob", f"spec/jobTemplate/spec/{path}", value)


def weekly(path: str, value: Any) -> Damage:
    return put("ScheduledWorkflow", path, value)


def claim(path: str, value: Any) -> Damage:
    return put("PersistentVolumeClaim", f"spec/{path}", value)


def rule(**fields: Any) -> Damage:
    fields = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **fields}
    return put("Role", "rules/0", fields)


def again(documents: Set) -> None:
    documents["again"] = copy.deepcopy(documents["Service"])


def host_path(documents: Set) -> None:
    volumes = documents["Deployment"]["spec"]["template"]["spec"]["volumes"]
    volumes[0] = {"name": "data", "hostPath": {"path": "/"}}


def unreadable_image(documents: Set) -> None:
    executors = documents["PipelineVersion"]["spec"]["pipelineSpec"]["deploymentSpec"]["executors"]
    executors["exec-add"]["container"]["image"] = "image"


# What is done, and what the finding says: where, then what.
FAULTS: dict[str, tuple[Damage, str]] = {
    "root": (pod("securityContext/runAsNonRoot", None), "containers[0].securityContext.runAsNonR"),
    "user 0": (pod("securityContext/runAsUser", 0), "runAsUser: is 0, which is root"),
    "own user 0": (security("runAsUser", 0), "runAsUser: is 0, which is root"),
    "writable root": (
        security("readOnlyRootFilesystem", False), "readOnlyRootFilesystem: is not true"),
    "no word on the root": (security("readOnlyRootFilesystem", None), "readOnlyRootFilesystem"),
    "capabilities": (security("capabilities", None), "capabilities: are not dropped"),
    "more capabilities": (
        security("capabilities/add", ["SYS_ADMIN"]), "capabilities.add: SYS_ADMIN is too much"),
    "escalation": (
        security("allowPrivilegeEscalation", None), "allowPrivilegeEscalation: is not false"),
    "privileged": (security("privileged", True), "privileged: gives it the whole node"),
    "seccomp": (pod("securityContext/seccompProfile", None), "seccompProfile: is not set"),
    "unconfined": (
        pod("securityContext/seccompProfile/type", "Unconfined"), "seccompProfile: is not set"),
    "readiness": (container("readinessProbe", None), "readinessProbe: is not set"),
    "liveness": (container("livenessProbe", {"periodSeconds": 1}), "livenessProbe: 0 ways to ask"),
    "port of a probe": (container("readinessProbe/httpGet/port", "https"), "no port 'https'"),
    "limits": (container("resources/limits/memory", None), "resources memory: has no limit"),
    "requests": (container("resources", {}), "resources cpu: has neither request nor limit"),
    "request over limit": (
        container("resources/requests/memory", "2Gi"), "request 2Gi, limit 1Gi: refused"),
    "quantity": (container("resources/limits/cpu", "1 core"), "'1 core' is no Kubernetes quantity"),
    "latest": (container("image", "r/i:latest"), "containers[0].image: r/i:latest is not pinned"),
    "no tag": (container("image", "r/i"), "r/i is not pinned"),
    "no image": (container("image", None), "'' is no image"),
    "host path": (host_path, "volumes: data is a folder of the node"),
    "host network": (pod("hostNetwork", True), "hostNetwork: shares the node's own"),
    "host processes": (pod("hostPID", True), "hostPID: shares the node's own"),
    "host port": (container("ports/0/hostPort", 80), "ports: takes a port of the node"),
    "token": (
        pod("automountServiceAccountToken", None), "automountServiceAccountToken: is not set"),
    "init container": (
        pod("initContainers", [{"name": "i", "image": "r/i:1"}]), "initContainers[0].security"),
    "install": (container("args", ["pip install torch"]), "'pip install' at the start"),
    "no volume": (container("volumeMounts/0/name", "datum"), "did you mean 'data'"),
    "relative mount": (container("volumeMounts/0/mountPath", "data"), "'data' is relative"),
    "two mounts": (container("volumeMounts/0/mountPath", "/tmp"), "/tmp twice"),
    "medium": (pod("volumes/1/emptyDir/medium", "RAM"), "unknown medium 'RAM'"),
    "toleration": (pod("tolerations/0/operator", "Is"), "unknown operator 'Is'"),
    "node label": (pod("nodeSelector", {"a b": "c"}), "'a b' is no key of a label"),
    "selector": (put("Deployment", "spec/selector/matchLabels/app", "x"), "not select its own"),
    "service": (put("Service", "spec/selector/app", "serve"), "Service/server: selector: no pod"),
    "port of a service": (put("Service", "spec/ports/0/targetPort", "htp"), "did you mean 'http'"),
    "network policy": (
        put("NetworkPolicy", "spec/podSelector/matchLabels/app", "x"),
        "Deployment/server: no NetworkPolicy"),
    "network policy elsewhere": (
        put("NetworkPolicy", "metadata/namespace", "other"), "no NetworkPolicy selects its pods"),
    "network policy for nothing": (
        put("NetworkPolicy", "spec/ingress", [{}]), "ingress[0]: allows everything, from everyb"),
    "network policy to everywhere": (
        put("NetworkPolicy", "spec/egress", [{"to": []}]), "egress[0]: allows everything, to"),
    "ephemeral container": (
        pod("ephemeralContainers", [{"name": "e", "image": "r/i:1"}]),
        "ephemeralContainers[0].securityContext"),
    "unknown field": (
        put("Deployment", "specs", {}), "unknown field 'specs'; did you mean 'spec'"),
    "unknown field of a Secret": (put("Secret", "spec", {}), "Secret/service: unknown field 'spec"),
    "item of a List": (
        lambda documents: documents.update(
            List={"apiVersion": "v1", "kind": "List", "items": [documents["Role"], "x", {}]}),
        "List: items[1]: is no object"),
    "claim": (pod("volumes/0/persistentVolumeClaim/claimName", "dat"), "no PersistentVolumeClaim"),
    "config map": (pod("volumes/2/configMap/name", "setting"), "no ConfigMap 'setting'"),
    "account": (pod("serviceAccountName", "serve"), "no ServiceAccount 'serve'"),
    "role": (put("RoleBinding", "roleRef/name", "serve"), "no Role 'serve'"),
    "target": (
        put("HorizontalPodAutoscaler", "spec/scaleTargetRef/name", "serve"), "no Deployment 'serve'"
    ),
    "namespace": (put("Service", "metadata/namespace", None), "none, while others are in lab"),
    "bad namespace": (put("Service", "metadata/namespace", "My_Lab"), "'My_Lab' is no DNS label"),
    "namespace of none": (put("Namespace", "metadata/namespace", "lab"), "it has none"),
    "name": (put("Deployment", "metadata/name", "My_Server"), "'My_Server' is no name"),
    "name of a service": (put("Service", "metadata/name", "a.b"), "'a.b' is no DNS label"),
    "two of a name": (again, "Service/server: appears twice"),
    "label": (put("Service", "metadata/labels", {"a": "b c"}), "labels.a: its value is none"),
    "annotation": (put("Service", "metadata/annotations", {"a": 1}), "annotations.a: is no text"),
    "kind": (put("Service", "apiVersion", None), "no Kubernetes document"),
    "any verb": (rule(verbs=["*"]), "rules[0].verbs: allows everything (*)"),
    "any resource": (rule(resources=["*"]), "rules[0].resources: allows everything (*)"),
    "any group": (rule(apiGroups=["*"]), "rules[0].apiGroups: allows everything (*)"),
    "escalate": (rule(verbs=["escalate"]), "'escalate' makes its owner anybody"),
    "impersonate": (rule(resources=["users"], verbs=["impersonate"]), "'impersonate' makes"),
    "list secrets": (rule(resources=["secrets"], verbs=["list"]), "may list secrets"),
    "get secrets": (rule(resources=["secrets"]), "may get secrets"),
    "exec": (rule(resources=["pods/exec"], verbs=["create"]), "pods/exec lets its owner act"),
    "admin": (put("RoleBinding", "roleRef/name", "cluster-admin"), "gives cluster-admin"),
    "everybody": (
        put("RoleBinding", "subjects/0/name", "system:authenticated"), "gives it to system:auth"),
    "default account": (
        put("RoleBinding", "subjects/0/name", "default"), "every pod without a ServiceAccount"),
    "schedule": (put("CronJob", "spec/schedule", "0 0 3 * * *"), "schedule: '0 0 3 * * *' has 6"),
    "hour": (put("CronJob", "spec/schedule", "0 25 * * *"), "'25' is no hour"),
    "concurrency": (put("CronJob", "spec/concurrencyPolicy", None), "concurrencyPolicy: is None"),
    "long name": (put("CronJob", "metadata/name", "n" * 53), "53 characters"),
    "restarts": (nightly("template/spec/restartPolicy", "Always"), "'Always' is refused in Jobs"),
    "deadline": (nightly("activeDeadlineSeconds", None), "activeDeadlineSeconds: is not set"),
    "retries": (nightly("backoffLimit", None), "backoffLimit: is not set"),
    "negative retries": (nightly("backoffLimit", -1), "backoffLimit: -1 is negative"),
    "negative completions": (nightly("completions", -1), "completions: -1 is negative"),
    "negative parallelism": (nightly("parallelism", -2), "parallelism: -2 is negative"),
    "negative deadline": (
        nightly("activeDeadlineSeconds", -1), "activeDeadlineSeconds: -1 is negative"),
    "negative time to live": (
        nightly("ttlSecondsAfterFinished", -1), "ttlSecondsAfterFinished: -1 is negative"),
    "retries in quotes": (nightly("backoffLimit", "3"), "backoffLimit: is no whole number"),
    "negative history": (
        put("CronJob", "spec/failedJobsHistoryLimit", -1), "failedJobsHistoryLimit: -1 is neg"),
    "indices without a number": (
        nightly("completionMode", "Indexed"), "completions: is not set, which an indexed"),
    "completion mode": (nightly("completionMode", "Index"), "unknown mode 'Index'"),
    "version of a CronJob": (
        put("CronJob", "apiVersion", "batch/v1beta1"), "batch/v1beta1 does not serve this kind"),
    "version of a Deployment": (
        put("Deployment", "apiVersion", "extensions/v1beta1"), "extensions/v1beta1 does not"),
    "version of an autoscaler": (
        put("HorizontalPodAutoscaler", "apiVersion", "autoscaling/v2beta2"),
        "autoscaling/v2beta2 does not"),
    "version of a policy": (
        put("NetworkPolicy", "apiVersion", "networking.k8s.io/v1beta1"), "k8s.io/v1beta1 does not"),
    "version of a group": (put("Deployment", "apiVersion", "v1"), "v1 does not serve this kind"),
    "field of a Job": (
        nightly("backofLimit", 3),
        "spec.jobTemplate.spec: unknown field 'backofLimit'; did you mean 'backoffLimit'"),
    "field of a CronJob": (
        put("CronJob", "spec/concurencyPolicy", "Forbid"), "did you mean 'concurrencyPolicy'"),
    "field of a pod": (
        nightly("template/spec/restartPolcy", "Never"),
        "jobTemplate.spec.template.spec: unknown field 'restartPolcy'"),
    "field of a container": (
        container("imagePullPolcy", "Always"), "containers[0]: unknown field 'imagePullPolcy'"),
    "field of a variable": (container("env/0/valeu", "x"), "env[0]: unknown field 'valeu'"),
    "field of a probe": (
        container("livenessProbe/periodSecond", 3), "did you mean 'periodSeconds'"),
    "field of resources": (container("resources/limit", {}), "did you mean 'limits'"),
    "field of metadata": (put("Service", "metadata/label", {}), "did you mean 'labels'"),
    "field of a claim": (claim("storageClass", "x"), "did you mean 'storageClassName'"),
    "number of a probe's port": (
        container("livenessProbe/tcpSocket/port", 70000), "tcpSocket.port: 70000 is no port"),
    "port in quotes": (
        container("readinessProbe/httpGet/port", "0"), "httpGet.port: 0 is no port"),
    "port of a startup probe": (
        container("startupProbe", {"grpc": {"port": 0}}), "startupProbe.grpc.port: 0 is no port"),
    "port of a container": (container("ports/0/containerPort", -1), "-1 is no port"),
    "number in a variable": (container("env/0/value", 1), "env LEVEL: its value is no text"),
    "flag in a variable": (container("env/0/value", True), "env LEVEL: its value is no text"),
    "annotations": (
        put("Service", "metadata/annotations", {"a": "x" * 200_000, "b": "x" * 100_000}),
        "an object may have 262144 of them"),
    "annotations of a pod": (
        put("Deployment", "spec/template/metadata/annotations", {"a": "x" * 300_000}),
        "template.metadata.annotations: 300001 bytes"),
    "access mode": (claim("accessModes", ["ReadWriteSome"]), "unknown mode 'ReadWriteSome'"),
    "no access mode": (claim("accessModes", []), "spec.accessModes: is missing"),
    "size of a claim": (claim("resources/requests/storage", "1 GB"), "'1 GB' is no size"),
    "no size of a claim": (claim("resources", {}), "None is no size of a volume"),
    "size of a pod's own claim": (
        pod("volumes/1", {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5 G"}}}}}}),
        "volumes tmp: ephemeral.resources.requests.storage: '5 G' is no size"),
    "ordinary cron of a schedule": (
        weekly("spec/trigger/cronSchedule/cron", "0 3 * * 0"),
        "ScheduledWorkflow/weekly: schedule: cron: '0 3 * * 0' has 5 fields, not 6"),
    "no trigger": (weekly("spec/trigger", {}), "give either a cron expression or an interval"),
    "interval of a schedule": (
        weekly("spec/trigger", {"periodicSchedule": {"intervalSecond": 0}}), "0 is refused"),
    "runs of a schedule": (weekly("spec/maxConcurrency", 11), "11 runs at the same time are ref"),
    "no run of a schedule": (weekly("spec/maxConcurrency", 0), "0 runs at the same time are ref"),
    "version of a schedule": (
        weekly("spec/pipelineVersionId", "x"),
        "spec.pipelineVersionId: refers to a pipeline: no run of an applied schedule"),
    "pipeline of a schedule": (weekly("spec/pipelineName", "x"), "spec.pipelineName: refers to a"),
    "schedule of nothing": (weekly("spec/workflow", {}), "workflow.spec: is missing"),
    "no status": (weekly("status", None), "status: is missing: the cluster refuses"),
    "secret": (put("Secret", "stringData/SERVICE_PASSWORD", "x"), "Secret/service: holds secret"),
    "data of a secret": (put("Secret", "data", {"A": "eA=="}), "Secret/service: holds secret"),
    "image of a pipeline": (unreadable_image, "exec-add.container.image: image is not pinned"),
    "name of a version": (put("PipelineVersion", "metadata/name", "V 1"), "no name of a version"),
    "content of a version": (
        put("PipelineVersion", "spec/pipelineSpec/pipelineInfo/description", "x"),
        "is the name of another content"),
    "tag of a version": (put("PipelineVersion", "spec/tags", {"a": "x" * 64}), "64 characters"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault(fault: str) -> None:
    damage, expected = FAULTS[fault]
    documents = sound()
    damage(documents)
    assert documents != sound()
    findings = lint_kubernetes(list(documents.values()))
    assert any(expected in f"{f.where}: {f.what}" or expected in f.what for f in findings), [
        str(finding) for finding in findings
    ]
    assert all(finding.mend for finding in findings)


def test_a_schedule_that_cannot_work_is_told_with_what_does() -> None:
    documents = sound()
    weekly("spec/pipelineVersionId", "x")(documents)
    [text] = found(documents)
    assert "`trainyard schedule create`" in text
    assert "CronJob" in text


def test_kinds_of_the_same_name_elsewhere_are_left_alone() -> None:
    for version, kind in (("serving.knative.dev/v1", "Service"), ("example.org/v1beta1", "Role")):
        document = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}
        assert found({"one": document}) == []


def test_every_field_that_kubernetes_knows_is_known() -> None:
    """Compared with the schemas of Kubernetes itself."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for version in ("1.25.0", "1.31.0", kubernetes_validate.latest_version()):
        schema = json.loads((folder / f"v{version}-local" / "_definitions.json").read_text())
        models = {
            name.rpartition(".")[2]: set(model.get("properties") or ())
            for name, model in schema["$defs"].items()
            if re.search(r"(api\.(apps|batch|core)|meta)\.v1\.\w+$", name)
        }
        for model, fields in FIELDS.items():
            assert models[model] <= set(fields), (version, model)
            assert {inner for inner in fields.values() if inner} <= set(FIELDS)


def test_shared_clusters_want_limits_near_requests_and_a_policy_for_evictions() -> None:
    documents = sound()
    container("resources/requests/cpu", "500m")(documents)
    nightly("podFailurePolicy", None)(documents)
    assert errors(lint_kubernetes(list(documents.values()))) == []
    text = "\n".join(found(documents, prp=True))
    assert "100 % more, at most 20 % are allowed" in text
    assert "an eviction uses up a retry" in text


def test_a_resource_of_another_vendor_is_known_outside_shared_clusters() -> None:
    documents = sound()
    for kind in ("requests", "limits"):
        place = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]["resources"]
        place[kind]["example.org/device"] = "1"
    assert found(documents) == []
    assert any("unknown resource" in text for text in found(documents, prp=True))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (pod("containers", {}), "Deployment/server: spec.template.spec.containers: is no list"),
        (pod("containers/0", "x"), "spec.template.spec.containers: holds what is no mapping"),
        (container("securityContext", True), "containers[0].securityContext: is no mapping"),
        (container("args", [["x"]]), "containers[0].args: holds what is no text"),
        (put("ConfigMap", "data", ["x"]), "ConfigMap/settings: data: is no mapping"),
        (put("Role", "rules/0/resources", "pods"), "Role/server: rules[0].resources: is no list"),
        (put("Namespace", "metadata/labels", "x"), "Namespace/lab: metadata.labels: is no mapping"),
    ],
)
def test_what_has_another_shape_is_told_with_everything_else(damage: Damage, expected: str) -> None:
    documents = sound()
    damage(documents)
    put("Service", "metadata/name", "a.b")(documents)
    text = "\n".join(found(documents))
    assert expected in text
    assert "'a.b' is no DNS label" in text


def test_no_value_of_another_type_breaks_the_linter() -> None:
    """Every field of every document, one by one; each must be told or be harmless."""
    documents = list(sound().values())
    places = [path for number, one in enumerate(documents) for path in paths(one, (number,))]
    assert len(places) > 400
    for path, other in zip(places, itertools.cycle([["x"], {"x": "y"}, 7, "x", [None], [[]]])):
        damaged = copy.deepcopy(documents)
        place: Any = damaged
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = other
        assert all(finding.mend for finding in lint_kubernetes(damaged, prp=True))


def paths(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner if isinstance(value, dict | list) else ():
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from paths(one, (*path, key))


def test_lists_are_looked_into() -> None:
    documents = sound()
    security("privileged", True)(documents)
    listed = {"apiVersion": "v1", "kind": "List", "items": list(documents.values())}
    assert any("whole node" in str(finding) for finding in lint_kubernetes([listed]))


def test_thousands_of_documents_take_no_time_each() -> None:
    services = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"}, "spec": {}}
        for n in range(5000)
    ]
    began = time.process_time()
    assert lint_kubernetes(services) == []
    assert time.process_time() - began < 5
