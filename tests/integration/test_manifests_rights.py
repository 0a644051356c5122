"""What every ServiceAccount of manifests/ may do on a real Kubernetes API, and that it is all."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes_cluster import Cluster
from placed_manifests import Place, placed

ACCOUNTS = "system:serviceaccount"

pytestmark = pytest.mark.timeout(120)

Right = tuple[str, str, str]
"""API group, resource, verb."""


@pytest.fixture
def place(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Place]:
    with placed(cluster, request.param) as place:
        yield place


def overlay(name: str) -> Any:
    return pytest.mark.parametrize("place", [name], indirect=True)


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
