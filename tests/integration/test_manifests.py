"""manifests/: what the overlays render is valid, locked down, complete, and free of secrets."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kustomized import (
    Document,
    containers,
    kustomize,
    pod_templates,
    rendered,
    selects,
    validate,
    where,
)
from trainyard_process import REPOSITORY

from components import __version__
from components.core.images import IMAGES
from pipelines import placement
from pipelines.cli import main
from pipelines.container_rules import check_resources
from pipelines.lint.objects import lint_kubernetes
from pipelines.secret_words import names_secret

MANIFESTS = REPOSITORY / "manifests"
OVERLAYS = ("cluster", "dev", "nautilus")
OTHER_GROUPS = ("external-secrets.io/", "kueue.x-k8s.io/")
"""API groups that are no part of Kubernetes: a real API server checks these documents."""

OPTIONAL = {f"TRAINYARD_KUBEFLOW_{name}" for name in ("TOKEN", "CA", "ROOT")} | {
    f"TRAINYARD_CVAT_{name}" for name in ("USERNAME", "PASSWORD", "ORGANIZATION")
}
SERVERS_SECRET = "trainyard-servers"
README = (MANIFESTS / "README.md").read_text(encoding="utf-8")

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@cache
def text_of(overlay: str) -> str:
    return rendered(MANIFESTS / "overlays" / overlay)


def documents_of(overlay: str) -> list[Document]:
    return list(yaml.safe_load_all(text_of(overlay)))


def own_kinds(documents: list[Document]) -> list[Document]:
    """The documents that Kubernetes itself understands."""
    return [d for d in documents if not d["apiVersion"].startswith(OTHER_GROUPS)]


def find(documents: list[Document], kind: str, name: str) -> Document:
    [found] = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def secret_keys(documents: list[Document]) -> dict[str, set[str]]:
    """Every key of every Secret that containers read."""
    keys: dict[str, set[str]] = {}
    for _, template in pod_templates(documents):
        for container in containers(template):
            assert "envFrom" not in container
            for variable in container.get("env", []):
                if source := variable.get("valueFrom", {}).get("secretKeyRef"):
                    keys.setdefault(source["name"], set()).add(source["key"])
    return keys


def documented_keys() -> dict[str, set[str]]:
    """The Secrets that the README's commands make, and those that it says to make by hand."""
    made = re.findall(r"secret (\S+) <<END\n(.*?)^ +END$", README, re.DOTALL | re.MULTILINE)
    keys = {name: set(re.findall(r"^ +([A-Z0-9_]+)=", text, re.MULTILINE)) for name, text in made}
    prose = re.sub(r"\s+", " ", README)
    by_hand = {
        placement.WEBHOOK_SECRET: {"TRAINYARD_WEBHOOK_URL"},
        placement.CVAT_SECRET: set(placement.CVAT_VARIABLES),
        placement.TAO_SECRET: {placement.TAO_VARIABLE},
        placement.KUBEFLOW_SECRET: {"TRAINYARD_KUBEFLOW_URL"}
        | {name for name in OPTIONAL if "KUBEFLOW" in name},
    }
    for name, names in by_hand.items():
        assert all(f"`{text}`" in prose for text in (name, *names))
    return keys | by_hand


def external_keys() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for document in documents_of("cluster"):
        if document["kind"] == "ExternalSecret":
            spec = document["spec"]
            assert spec["target"]["name"] == document["metadata"]["name"]
            keys = {entry["secretKey"] for entry in spec["data"]}
            assert keys == {entry["remoteRef"]["property"] for entry in spec["data"]}
            assert found.setdefault(spec["target"]["name"], keys) == keys
    return found


def test_every_overlay_is_tested() -> None:
    assert sorted(path.name for path in (MANIFESTS / "overlays").iterdir()) == list(OVERLAYS)


@overlays
def test_fits_the_schemas(overlay: str) -> None:
    documents = documents_of(overlay)
    validate(own_kinds(documents))
    names = [where(document) for document in documents]
    assert len(names) == len(set(names))
    assert len(own_kinds(documents)) > 30


@overlays
def test_the_linter_finds_nothing(overlay: str) -> None:
    """Security, resources, images, rights, references, secrets: all that is checked anywhere."""
    found = lint_kubernetes(documents_of(overlay), prp=overlay == "nautilus")
    assert [str(finding) for finding in found] == []


@overlays
def test_servers_are_probed_and_have_somewhere_to_write(overlay: str) -> None:
    seen = set()
    for document, template in pod_templates(documents_of(overlay)):
        serves = document["kind"] in ("Deployment", "StatefulSet")
        for container in template["spec"]["containers"]:
            probes = {"startupProbe", "readinessProbe", "livenessProbe"} & set(container)
            assert len(probes) == (3 if serves else 0), where(document)
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
            assert list(check_resources(where(document), container["resources"])) == []
        seen.add(document["metadata"]["name"])
    assert seen >= {
        "trainyard-minio", "trainyard-buckets", "trainyard-postgres", "trainyard-mongodb",
        "trainyard-optuna-dashboard", "trainyard-tensorboard", "trainyard-triton",
    }  # fmt: skip


@overlays
def test_budgets_and_queues_and_autoscalers_fit(overlay: str) -> None:
    documents = documents_of(overlay)
    templates = {d["metadata"]["name"]: t for d, t in pod_templates(documents)}
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "PodDisruptionBudget":
            labels = [template["metadata"]["labels"] for template in templates.values()]
            assert sum(selects(spec["selector"], pod) for pod in labels) == 1
        if document["kind"] == "HorizontalPodAutoscaler":
            target = find(documents, spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
            assert "replicas" not in target["spec"]
        if document["kind"] == "LocalQueue":
            queue = find(documents, "ClusterQueue", spec["clusterQueue"])["spec"]
            home = {"kubernetes.io/metadata.name": document["metadata"]["namespace"]}
            assert selects(queue["namespaceSelector"], home)
            for group in queue["resourceGroups"]:
                for flavor in group["flavors"]:
                    assert find(documents, "ResourceFlavor", flavor["name"])
                    assert [r["name"] for r in flavor["resources"]] == group["coveredResources"]


@overlays
def test_network_policies_cover_every_pod(overlay: str) -> None:
    documents = documents_of(overlay)
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    for document, template in pod_templates(documents):
        covered = {
            kind
            for policy in policies
            if policy["metadata"]["namespace"] == document["metadata"]["namespace"]
            and selects(policy["spec"]["podSelector"], template["metadata"]["labels"])
            for kind in policy["spec"]["policyTypes"]
        }
        assert covered == {"Ingress", "Egress"}, where(document)


@overlays
def test_whoever_uses_a_server_is_let_in(overlay: str) -> None:
    """Pods that are given a server's address may connect to it, by both sides' policies."""
    documents = documents_of(overlay)
    policies = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
    servers = {
        placement.S3_SECRET: ("minio", "s3", 9000),
        placement.POSTGRES_SECRET: ("postgresql", "postgres", 5432),
        placement.MONGODB_SECRET: ("mongodb", "mongodb", 27017),
    }
    for document, template in pod_templates(documents):
        used = secret_keys([document]).keys() & servers.keys()
        labels = template["metadata"]["labels"]
        for name in used:
            server, port, number = servers[name]
            theirs = {"app.kubernetes.io/name": server}
            assert _lets(policies, "ingress", theirs, labels, {port, number}), where(document)
            assert _lets(policies, "egress", labels, theirs, {port, number}), where(document)


def _lets(
    policies: list[Document], way: str, pod: dict[str, str], other: dict[str, str], ports: set[Any]
) -> bool:
    side = {"ingress": "from", "egress": "to"}[way]
    for policy in policies:
        if way.title() in policy["policyTypes"] and selects(policy["podSelector"], pod):
            for rule in policy.get(way, []):
                peers = [p["podSelector"] for p in rule.get(side, []) if "podSelector" in p]
                named = {p["port"] for p in rule.get("ports", [])}
                if any(selects(peer, other) for peer in peers) and (not named or named & ports):
                    return True
    return False


@overlays
def test_everything_bears_the_common_labels(overlay: str) -> None:
    for document in documents_of(overlay):
        labels = document["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/name"), where(document)
        if document["metadata"]["name"] not in ("trainyard", "trainyard-driver"):  # those of prp/
            assert labels.get("app.kubernetes.io/part-of") == "trainyard", where(document)
    for document, template in pod_templates(documents_of(overlay)):
        assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "trainyard", document


def test_one_file_pins_every_image() -> None:
    component = yaml.safe_load((MANIFESTS / "components/images/kustomization.yaml").read_text())
    pinned = {entry["name"]: entry["newTag"] for entry in component["images"]}
    used = set()
    for overlay in OVERLAYS:
        for _, template in pod_templates(documents_of(overlay)):
            for container in containers(template):
                name, _, tag = container["image"].rpartition(":")
                assert pinned[name] == tag
                used.add(name)
    assert used == set(pinned)
    for name, tag in pinned.items():
        if name.startswith("trainyard/"):
            assert name.removeprefix("trainyard/trainyard-") in IMAGES
            assert tag == __version__
    for path in MANIFESTS.rglob("*.yaml"):
        if path.name != "schedule.yaml":  # as it is rendered by code, whose version is tested below
            assert not re.search(r"image: \S+:\S+", path.read_text(encoding="utf-8")), path


def test_the_schedule_is_what_its_command_writes(tmp_path: Path) -> None:
    folder = MANIFESTS / "base" / "retrain"
    text = (folder / "kustomization.yaml").read_text(encoding="utf-8")
    [command] = re.findall(r"^#   trainyard (.*\\\n.*)$", text, re.MULTILINE)
    words = shlex.split(command.replace("\\\n#", ""))
    done = CliRunner().invoke(main, [*words, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    [file] = tmp_path.iterdir()
    made = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    written = list(yaml.safe_load_all((folder / "schedule.yaml").read_text(encoding="utf-8")))
    assert [d["kind"] for d in written] == ["ConfigMap", "CronJob"]
    assert made[-2:] == written
    schedule = find(documents_of("cluster"), "CronJob", "retrain-action-recognition")
    assert schedule["spec"]["suspend"] is True


def test_the_secrets_are_those_that_the_code_names() -> None:
    documented = documented_keys()
    ours = {
        placement.S3_SECRET: set(placement.S3_VARIABLES),
        placement.POSTGRES_SECRET: {"TRAINYARD_POSTGRES_DSN", "TRAINYARD_OPTUNA_STORAGE"},
        placement.MONGODB_SECRET: {"TRAINYARD_MONGODB_URI"},
        placement.CVAT_SECRET: set(placement.CVAT_VARIABLES),
        placement.TAO_SECRET: {placement.TAO_VARIABLE},
    }
    assert ours.items() <= documented.items()
    assert set(documented) == {
        *ours, SERVERS_SECRET, placement.WEBHOOK_SECRET, placement.KUBEFLOW_SECRET,
    }  # fmt: skip
    for name, keys in external_keys().items():
        assert documented[name] - OPTIONAL == keys
    assert set(external_keys()) == set(documented)
    for overlay in OVERLAYS:
        for name, keys in secret_keys(documents_of(overlay)).items():
            assert keys <= documented[name]


def test_every_secret_that_the_code_reads_is_in_a_secret() -> None:
    read = set()
    for top in ("components", "pipelines"):
        for path in (REPOSITORY / top).rglob("*.py"):
            read |= set(re.findall(r"\bTRAINYARD_[A-Z0-9_]+\b", path.read_text(encoding="utf-8")))
    given = {key for keys in documented_keys().values() for key in keys if "TRAINYARD_" in key}
    given = {key for key in given if key.startswith("TRAINYARD_")}
    secret = {name for name in read if names_secret(name)}
    assert secret
    assert secret <= given
    assert given <= read


def test_a_planted_secret_is_rendered_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever renders with the secrets in the environment renders the same."""
    before = [text_of(overlay) for overlay in OVERLAYS]
    for key in {key for keys in documented_keys().values() for key in keys}:
        monkeypatch.setenv(key, "hunter2-d1c0ffee")
    after = [rendered(MANIFESTS / "overlays" / overlay) for overlay in OVERLAYS]
    assert after == before
    assert "hunter2" not in "".join(after)
    kinds = {document["kind"] for overlay in OVERLAYS for document in documents_of(overlay)}
    assert "Secret" not in kinds


def test_nautilus_has_what_its_users_may_create() -> None:
    documents = documents_of("nautilus")
    forbidden = {"Namespace", "ResourceQuota", "LimitRange", "ClusterRole", "ClusterRoleBinding"}
    assert forbidden.isdisjoint(document["kind"] for document in documents)
    assert {document["metadata"]["namespace"] for document in documents} == {"trainyard"}
    [claim] = [d for d in documents if d["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["storageClassName"] == "rook-cephfs"
    for document in documents:
        if document["kind"] == "StatefulSet":
            [claim] = document["spec"]["volumeClaimTemplates"]
            assert claim["spec"]["storageClassName"] == "rook-ceph-block"
    prp = {where(d): d for d in kustomize(REPOSITORY / "prp" / "driver")}
    for document in documents:
        if document["kind"] in ("Role", "RoleBinding") and where(document) in prp:
            same = prp.pop(where(document))
            assert {k: v for k, v in document.items() if k != "metadata"} == {
                k: v for k, v in same.items() if k != "metadata"
            }
    assert set(prp) == {"ServiceAccount/trainyard/trainyard-driver"}


def triton(overlay: str) -> tuple[Document, Document]:
    deployment = find(documents_of(overlay), "Deployment", "trainyard-triton")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return deployment, container


def test_triton_on_a_gpu_from_the_object_store() -> None:
    deployment, container = triton("cluster")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "--model-repository=s3://$(TRAINYARD_S3_ENDPOINT)/models/triton" in container["args"]
    assert "--model-control-mode=poll" in container["args"]
    pod = deployment["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert "data" not in {volume["name"] for volume in pod["volumes"]}
    kinds = [d["kind"] for d in documents_of("cluster")]
    assert "HorizontalPodAutoscaler" not in kinds
    assert "PodDisruptionBudget" in kinds


def test_triton_on_the_cpu_scales_by_it() -> None:
    _, container = triton("nautilus")
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert "--model-repository=/data/model_repository" in container["args"]
    scaler = find(documents_of("nautilus"), "HorizontalPodAutoscaler", "trainyard-triton")
    [metric] = scaler["spec"]["metrics"]
    assert metric["resource"]["name"] == "cpu"


def test_triton_that_is_told_what_to_load_has_one_replica() -> None:
    deployment, container = triton("dev")
    assert "--model-control-mode=explicit" in container["args"]
    assert "--load-model=*" in container["args"]
    assert not any("poll" in argument for argument in container["args"])
    assert deployment["spec"]["replicas"] == 1


@overlays
def test_triton_is_asked_for_its_health(overlay: str) -> None:
    _, container = triton(overlay)
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert [port["containerPort"] for port in container["ports"]] == [8000, 8001, 8002]
