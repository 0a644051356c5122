"""manifests/ on a real Kubernetes API: taken as they are, twice; rights; pods; the buckets' Job."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes_cluster import Cluster, wait_until
from kustomized import Document, kustomize, pod_templates, where
from process_kubelet import ApiError
from servers import absent, free_port, server_binary
from trainyard_process import REPOSITORY

MANIFESTS = REPOSITORY / "manifests"
CRDS = ("external_secrets.yaml", "kueue.yaml")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
ACCOUNTS = "system:serviceaccount"

Right = tuple[str, str, str]
"""API group, resource, verb."""

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Place:
    """An overlay's documents with namespaces of the test's in place of their own."""

    cluster: Cluster
    names: dict[str, str]
    documents: list[Document]

    @property
    def text(self) -> str:
        return yaml.safe_dump_all(self.documents)

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.cluster.kubeconfig}", *words],
            input=self.text if stdin is None else stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.kubectl(
            "apply",
            "--server-side",
            "--field-manager=tests",
            "--validate=strict",
            *words,
            "-f",
            "-",
        )

    def versions(self) -> dict[str, str]:
        """Every document's resourceVersion, as the server has it."""
        found = json.loads(self.kubectl("get", "-f", "-", "-o", "json").stdout)["items"]
        return {where(item): item["metadata"]["resourceVersion"] for item in found}


def renamed(value: Any, names: dict[str, str]) -> Any:
    """The documents in other namespaces: where they are, whom they bind, whom they let in."""
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    is_namespace = value.get("kind") == "Namespace"
    made = {key: renamed(item, names) for key, item in value.items()}
    for key in ("namespace", "kubernetes.io/metadata.name"):
        if made.get(key) in names:
            made[key] = names[made[key]]
    if is_namespace:
        made["metadata"]["name"] = names[made["metadata"]["name"]]
    return made


@pytest.fixture(scope="module")
def crds(cluster: Cluster) -> None:
    """External Secrets' and Kueue's kinds are served."""
    if shutil.which("kubectl") is None:
        absent("no kubectl is here to apply manifests/")
    for name in CRDS:
        path = REPOSITORY / "tests" / "kubernetes_crds" / name
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}"]
        subprocess.run([*command, "apply", "--server-side", "-f", path], check=True)
        subprocess.run([*command, "wait", "--for=condition=Established", "-f", path], check=True)


@pytest.fixture
def place(cluster: Cluster, crds: None, request: pytest.FixtureRequest) -> Iterator[Place]:
    """An overlay that is about to be applied; all of it goes with the test."""
    documents = kustomize(MANIFESTS / "overlays" / request.param)
    spaces = {d["metadata"].get("namespace", "") for d in documents} - {""}
    names = {space: cluster.namespace(RESTRICTED) for space in sorted(spaces)}
    yield Place(cluster, names, renamed(documents, names))
    for name in names.values():
        cluster.delete_namespace(name)


def overlay(*names: str) -> Any:
    return pytest.mark.parametrize("place", names, indirect=True)


@overlay("dev", "cluster")
def test_an_administrator_applies_it(place: Place) -> None:
    """The server takes it without a warning; again changes nothing; it lets the pods in."""
    first = place.apply()
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    applied = first.stdout.splitlines()
    assert len(applied) == len(place.documents)
    assert all(line.endswith("serverside-applied") for line in applied)
    before = place.versions()
    assert len(before) == len(place.documents)
    assert place.apply().returncode == 0
    others_write = ("Job/", "PersistentVolumeClaim/")  # their status and finalizers
    after = place.versions()
    changed = {name for name in before if after[name] != before[name]}
    assert {name for name in changed if not name.startswith(others_write)} == set()
    check_pods(place)


@overlay("nautilus")
def test_a_user_of_a_namespace_applies_it(place: Place) -> None:
    """Who administers a namespace of a shared cluster, and nothing else, can apply all of it."""
    [space] = place.names.values()
    binding = {
        "metadata": {"name": "owner"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "owner"}],
    }  # fmt: skip
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings"
    place.cluster.api("POST", bindings, binding)
    for _ in range(2):
        done = place.apply("--as=owner")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    check_pods(place)


def check_pods(place: Place) -> None:
    """Pods made from every template are let in, within the quota, at their full number."""
    api = place.cluster.api
    for document in place.documents:
        if document["kind"] == "ResourceQuota":  # its controller would say so
            path = f"/api/v1/namespaces/{document['metadata']['namespace']}/resourcequotas"
            hard = document["spec"]["hard"]
            status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
            api("PATCH", f"{path}/{document['metadata']['name']}/status", status)
    made = 0
    for document, template in pod_templates(place.documents):
        spec = dict(template["spec"])
        for claim in document["spec"].get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            volume = {"name": name, "persistentVolumeClaim": {"claimName": name}}
            spec["volumes"] = [*spec["volumes"], volume]
        pod = {"metadata": {"generateName": "pod-", **template["metadata"]}, "spec": spec}
        pods = f"/api/v1/namespaces/{document['metadata']['namespace']}/pods"
        answer = api("POST", f"{pods}?dryRun=All&fieldValidation=Strict", pod)
        assert answer["spec"]["containers"]
        made += 1
    assert made >= 7


@overlay("dev")
def test_a_pod_that_is_not_locked_down_is_refused(place: Place) -> None:
    [namespace] = [d for d in place.documents if d["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"].items() >= RESTRICTED.items()
    [space] = place.names.values()
    pod = {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "a", "image": "b:1"}]}}
    with pytest.raises(ApiError, match="restricted"):
        place.cluster.api("POST", f"/api/v1/namespaces/{space}/pods?dryRun=All", pod)


DRIVER: set[Right] = {
    *(("batch", "jobs", verb) for verb in ("create", "get", "patch", "delete")),
    *(("", "configmaps", verb) for verb in ("create", "patch", "delete")),
    ("", "pods", "list"),
}
NODE_GROUPS: set[Right] = {
    *(("batch", "jobs", verb) for verb in ("create", "get", "delete")),
    *(("", "services", verb) for verb in ("create", "delete")),
    *(("", "pods", verb) for verb in ("get", "list")),
    ("", "persistentvolumeclaims", "get"),
    ("", "pods/log", "get"),
}
TRAIN_JOBS: set[Right] = {
    ("trainer.kubeflow.org", "trainjobs", verb) for verb in ("create", "get", "delete")
}
RUNS: set[Right] = {
    ("pipelines.kubeflow.org", resource, verb)
    for resource, verbs in (
        ("runs", ("create", "get", "list", "readArtifact", "terminate")),
        ("pipelines", ("get", "list")),
        ("experiments", ("create", "get", "list")),
    )
    for verb in verbs
}
RIGHTS: dict[tuple[str, str], dict[str, set[Right]]] = {
    ("trainyard", "default"): {},
    ("kubeflow", "trainyard-stage"): {},
    ("kubeflow", "trainyard-driver"): {"kubeflow": DRIVER | NODE_GROUPS | TRAIN_JOBS},
    ("kubeflow", "trainyard-scheduler"): {"kubeflow": RUNS},
    ("kubeflow", "pipeline-runner"): {"kubeflow": NODE_GROUPS | TRAIN_JOBS},
    ("kubeflow", "default-editor"): {"kubeflow": NODE_GROUPS | TRAIN_JOBS},
    ("kubeflow", "default"): {},
}
"""ServiceAccount → namespace → what it may do there. Nothing in any other namespace."""


@overlay("cluster")
def test_every_account_can_do_what_it_must_and_nothing_else(place: Place) -> None:
    """The server's own list of every account's rights, in every namespace concerned."""
    wanted = [d for d in place.documents if "rbac" in d["apiVersion"]]
    done = place.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(wanted))
    assert done.returncode == 0, done.stderr
    for (space, account), rights in RIGHTS.items():
        user = f"{ACCOUNTS}:{place.names[space]}:{account}"
        for other, real in [*place.names.items(), ("default", "default")]:
            assert allowed(place, user, real) == rights.get(other, set()), (user, other)


def allowed(place: Place, user: str, space: str) -> set[Right]:
    """What `user` may do in a namespace beyond what everybody may who is logged in."""
    return rules(place, user, space) - rules(place, f"{ACCOUNTS}:default:nobody", space)


def rules(place: Place, user: str, space: str) -> set[Right]:
    from kubernetes import client

    api = place.cluster.client()
    api.set_default_header("Impersonate-User", user)
    review = client.V1SelfSubjectRulesReview(spec={"namespace": space})
    status = client.AuthorizationV1Api(api).create_self_subject_rules_review(review).status
    assert not status.incomplete, status
    return {
        (group, resource, verb)
        for rule in status.resource_rules
        for group in rule.api_groups or []
        for resource in rule.resources or []
        for verb in rule.verbs
    }


@overlay("dev")
def test_rights_hold_for_every_resource_and_verb(place: Place) -> None:
    """Asked one by one for all that the server serves in a namespace; and for real."""
    assert place.apply().returncode == 0
    [space] = place.names.values()
    asked = served(place.cluster)
    assert len(asked) > 300
    for account, rights in (("driver", DRIVER | NODE_GROUPS), ("stage", set())):
        user = f"{ACCOUNTS}:{space}:trainyard-{account}"
        assert {right for right in asked if may(place.cluster, user, space, right)} == rights
        done = place.kubectl(f"--as={user}", "-n", space, "get", "pods")
        assert (done.returncode == 0) == (account == "driver")


def served(cluster: Cluster) -> set[Right]:
    """Every namespaced resource and subresource of every API group, with each of its verbs."""
    groups = cluster.api("GET", "/apis")["groups"]
    versions = ["v1", *(version["groupVersion"] for g in groups for version in g["versions"])]
    found = set()
    for version in versions:
        group = version.rpartition("/")[0]
        listed = cluster.api("GET", f"/{'apis' if group else 'api'}/{version}")["resources"]
        found |= {
            (group, resource["name"], verb)
            for resource in listed
            if resource["namespaced"]
            for verb in resource["verbs"]
        }
    return found


def may(cluster: Cluster, user: str, space: str, right: Right) -> bool:
    group, name, verb = right
    resource, _, subresource = name.partition("/")
    attributes = {
        "namespace": space, "verb": verb, "group": group,
        "resource": resource, "subresource": subresource,
    }  # fmt: skip
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{space}", "system:authenticated"]
    review = {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(cluster.api("POST", path, review)["status"]["allowed"])


@overlay("dev")
def test_the_readmes_commands_make_every_secret(place: Place) -> None:
    [space] = place.names.values()
    readme = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^ +```sh\n(.*?)^ +```", readme, re.MULTILINE | re.DOTALL)
    script = re.sub(r"^   ", "", block, flags=re.MULTILINE)
    assert "namespace=trainyard\n" in script
    done = subprocess.run(
        ["sh", "-eu", "-c", script.replace("namespace=trainyard\n", f"namespace={space}\n")],
        env={**os.environ, "KUBECONFIG": str(place.cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = place.cluster.api("GET", f"/api/v1/namespaces/{space}/secrets")["items"]
    held = {(secret["metadata"]["name"], key) for secret in found for key in secret["data"]}
    for _, template in pod_templates(place.documents):
        for container in [*template["spec"].get("initContainers", []),
                          *template["spec"]["containers"]]:  # fmt: skip
            for variable in container.get("env", []):
                if source := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert (source["name"], source["key"]) in held
    values = [value for secret in found for value in secret["data"].values()]
    assert all(values)


@overlay("dev")
def test_the_object_store_serves_and_its_job_makes_buckets(place: Place) -> None:
    """A pod of the StatefulSet with a real MinIO in the image's place, then the Job against it."""
    from minio import Minio
    from minio.error import S3Error

    binary = server_binary("minio")
    if not binary.is_file():
        absent(f"no MinIO server in {binary.parent}; `sh tests/build_servers.sh` builds it")
    [space] = place.names.values()
    api, host = place.cluster.api, f"127.0.0.1:{free_port()}"
    for name, data in store_secrets(f"http://{host}").items():
        body = {"metadata": {"name": name}, "stringData": data}
        api("POST", f"/api/v1/namespaces/{space}/secrets", body)
    serve(place, binary, host)
    wanted = [d for d in place.documents if d["metadata"]["name"] == "trainyard-buckets"]
    assert [d["kind"] for d in wanted] == ["ConfigMap", "Job"]
    jobs = f"/apis/batch/v1/namespaces/{space}/jobs"
    for _ in range(2):
        done = place.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(wanted))
        assert done.returncode == 0, done.stderr
        end = wait_until(lambda: ended(api("GET", f"{jobs}/trainyard-buckets")), "the Job", 60)
        assert end == "Complete"
        api("DELETE", f"{jobs}/trainyard-buckets", {"propagationPolicy": "Background"})
        wait_until(lambda: not api.find(f"{jobs}/trainyard-buckets"), "its end", 30)
    Minio(host, "admin", "administrators", secure=False).make_bucket("other")
    client = Minio(host, "trainyard", "of-the-steps", secure=False)
    for bucket in ("trainyard", "models"):
        client.fput_object(bucket, "file", str(REPOSITORY / "LICENSE"))
        assert [o.object_name for o in client.list_objects(bucket)] == ["file"]
        client.remove_object(bucket, "file")
    for refused in (
        lambda: client.make_bucket("new"),
        lambda: list(client.list_objects("other")),
        lambda: client.remove_bucket("trainyard"),
    ):
        with pytest.raises(S3Error, match="Access"):
            refused()


def store_secrets(endpoint: str) -> dict[str, dict[str, str]]:
    return {
        "trainyard-servers": {
            "MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": "administrators",
        },
        "trainyard-s3": {
            "TRAINYARD_S3_ENDPOINT": endpoint,
            "TRAINYARD_S3_ACCESS_KEY": "trainyard", "TRAINYARD_S3_SECRET_KEY": "of-the-steps",
        },
    }  # fmt: skip


def serve(place: Place, binary: Path, host: str) -> None:
    """Starts a pod as the object store's StatefulSet does; returns when its probe succeeds."""
    [document] = [
        document
        for document, _ in pod_templates(place.documents)
        if document["metadata"]["name"] == "trainyard-minio"
    ]
    [claim], template = document["spec"]["volumeClaimTemplates"], document["spec"]["template"]
    name = f"{claim['metadata']['name']}-trainyard-minio-0"
    volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}}
    spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], volume]}
    [container] = spec["containers"]
    assert container["command"] == ["minio"]
    args = [host if argument == ":9000" else argument for argument in container["args"]]
    assert host in args
    spec["containers"] = [{**container, "command": [str(binary)], "args": args}]
    [space] = place.names.values()
    pod = {"metadata": {"name": "trainyard-minio-0", **template["metadata"]}, "spec": spec}
    core = f"/api/v1/namespaces/{space}"
    place.cluster.api(
        "POST", f"{core}/persistentvolumeclaims", {**claim, "metadata": {"name": name}}
    )
    place.cluster.api("POST", f"{core}/pods", pod)
    probe = f"http://{host}{container['readinessProbe']['httpGet']['path']}"

    def ready() -> bool:
        try:
            return urllib3.request("GET", probe, timeout=2, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    wait_until(ready, "the object store", 30)


def ended(job: dict[str, Any]) -> str:
    held = [c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"]
    return next((kind for kind in held if kind in ("Complete", "Failed")), "")
