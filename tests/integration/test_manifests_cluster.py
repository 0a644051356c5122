"""manifests/ on a real Kubernetes API: taken as they are, twice; pods let in; Secrets made."""

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes_cluster import Cluster
from kustomized import pod_templates
from placed_manifests import RESTRICTED, ROOT, Place, placed
from process_kubelet import ApiError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def place(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Place]:
    with placed(cluster, request.param) as place:
        yield place


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


@overlay("dev")
def test_the_readmes_commands_make_every_secret(place: Place) -> None:
    [space] = place.names.values()
    readme = (ROOT / "manifests" / "README.md").read_text(encoding="utf-8")
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
