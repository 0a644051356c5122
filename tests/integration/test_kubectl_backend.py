"""Pipelines as objects of a real Kubernetes API: applied, scheduled, started, ended, refused."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kubeflow_runs import account, step
from kubeflow_server import running_kubeflow
from kubeflow_state import KubeflowServer
from kubernetes_cluster import Cluster, wait_until

from pipelines.backends.kubectl import BACKEND
from pipelines.cli import main
from pipelines.kubernetes_format import kubernetes_documents
from pipelines.run_starter import RunOrder, starter_documents

CRDS = Path(__file__).parents[1] / "kubernetes_crds"
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API = "/apis/pipelines.kubeflow.org/v2beta1"
GIVEN = ("source=s3://clips/new", "epochs=3")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Told:
    """What a command said."""

    code: int
    out: str
    err: str


@dataclass
class Space:
    """A namespace, the command line of somebody who works in it, and a Kubeflow server."""

    cluster: Cluster
    name: str
    kubeflow: KubeflowServer

    def trainyard(self, *words: object, namespace: str = "") -> Told:
        arguments = [*map(str, words), "--namespace", namespace or self.name]
        done = CliRunner().invoke(main, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Told(done.exit_code, done.stdout, done.stderr)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.cluster.api(method, path.replace("NS", f"namespaces/{self.name}"), body)

    def items(self, plural: str) -> list[Any]:
        return list(self.api("GET", f"{API}/NS/{plural}")["items"])

    def find(self, path: str) -> Any:
        return self.cluster.api.find(path.replace("NS", f"namespaces/{self.name}"))

    def job(self, name: str) -> Any:
        return self.find(f"/apis/batch/v1/NS/jobs/{name}")

    def create_account(self) -> None:
        self.api(
            "POST", "/api/v1/NS/serviceaccounts", {"metadata": {"name": "trainyard-scheduler"}}
        )

    def create_secret(self) -> None:
        secret = {
            "metadata": {"name": "trainyard-kubeflow"},
            "stringData": {"TRAINYARD_KUBEFLOW_URL": self.kubeflow.url},
        }
        self.api("POST", "/api/v1/NS/secrets", secret)

    def kubeflow_sees(self) -> None:
        """What Kubeflow's server does with the objects: it offers them over its own API."""
        keep = self.kubeflow
        for about in (one["metadata"] for one in self.items("pipelines")):
            keep.pipelines[about["uid"]] = {"pipeline_id": about["uid"], "name": about["name"]}
        ids = {pipeline["name"]: key for key, pipeline in keep.pipelines.items()}
        for version in self.items("pipelineversions"):
            about, spec = version["metadata"], version["spec"]
            keep.versions[about["uid"]] = {
                "pipeline_id": ids[spec["pipelineName"]],
                "pipeline_version_id": about["uid"],
                "name": about["name"],
                "pipeline_spec": spec["pipelineSpec"],
                "created_at": about["creationTimestamp"],
            }

    def wait(self, condition: Callable[[], Any], what: str = "it") -> Any:
        return wait_until(condition, what, 30)

    def pods(self, job: str) -> list[Any]:
        selector = f"labelSelector=batch.kubernetes.io/job-name={job}"
        return list(self.api("GET", f"/api/v1/NS/pods?{selector}")["items"])

    def ended(self, job: str) -> str:
        conditions = self.job(job).get("status", {}).get("conditions", [])
        held = [c["type"] for c in conditions if c["status"] == "True"]
        return next((end for end in ("Complete", "Failed") if end in held), "")


def serves_pipelines(cluster: Cluster) -> bool:
    found = cluster.api.find(API)
    return {"Pipeline", "PipelineVersion"} <= {
        r["kind"] for r in (found or {"resources": []})["resources"]
    }


@pytest.fixture
def kinds(cluster: Cluster) -> None:
    """Kubeflow keeps its pipelines in this cluster."""
    for file in ("pipelines.yaml", "pipelineversions.yaml"):
        crd = yaml.safe_load((CRDS / file).read_text(encoding="utf-8"))
        if not cluster.api.find(f"{KINDS}/{crd['metadata']['name']}"):
            cluster.api("POST", KINDS, crd)
    wait_until(lambda: serves_pipelines(cluster), "the kinds of pipelines")


@pytest.fixture
def bare(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Space]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with running_kubeflow() as kubeflow:
        yield Space(cluster, namespace, kubeflow)


@pytest.fixture
def space(bare: Space, kinds: None) -> Space:
    return bare


@pytest.fixture
def ready(space: Space) -> Space:
    """Everything is there that starters need, and the pipeline is applied."""
    space.create_account()
    space.create_secret()
    assert space.trainyard("apply", "action_recognition").code == 0
    space.kubeflow_sees()
    return space


def test_a_kubeflow_without_pipelines_in_kubernetes_is_told(bare: Space) -> None:
    for name in ("pipelines", "pipelineversions"):
        if bare.cluster.api.find(f"{KINDS}/{name}.pipelines.kubeflow.org"):
            bare.cluster.api("DELETE", f"{KINDS}/{name}.pipelines.kubeflow.org")
    bare.wait(lambda: not bare.cluster.api.find(API))
    told = bare.trainyard("apply", "action_recognition")
    assert told.code == 4
    assert "--pipelinesStoreKubernetes" in told.err
    assert "--backend kubeflow" in told.err


def test_every_pipeline_is_applied_and_again_changes_nothing(space: Space) -> None:
    dry = space.trainyard("apply", "--all", "--dry-run")
    assert dry.code == 0, dry.err
    assert "Pipeline/action-recognition: would be created" in dry.out
    assert "Kubeflow checks it once its Pipeline is there" in dry.out
    assert space.items("pipelines") == []

    first = space.trainyard("apply", "--all")
    assert first.code == 0, first.err
    pipelines, versions = space.items("pipelines"), space.items("pipelineversions")
    names = {one["metadata"]["name"] for one in pipelines}
    assert names >= {"action-recognition", "low-resolution-actions"}
    assert {v["spec"]["pipelineName"] for v in versions} == names
    for one in [*pipelines, *versions]:
        [manager] = one["metadata"]["managedFields"]
        assert (manager["manager"], manager["operation"]) == ("trainyard", "Apply")
        assert "annotations" not in one["metadata"]
    [version] = [v for v in versions if v["spec"]["pipelineName"] == "action-recognition"]
    assert version["spec"]["pipelineSpec"]["pipelineInfo"]["name"] == "action-recognition"
    assert "kubernetes" in version["spec"]["platformSpec"]["platforms"]

    again = space.trainyard("apply", "--all")
    assert again.code == 0, again.err
    assert "everything is so already; nothing was changed" in again.out
    assert space.items("pipelines") == pipelines
    assert space.items("pipelineversions") == versions


def test_other_content_is_another_version_and_an_old_one_stays_old(space: Space) -> None:
    space.trainyard("apply", "action_recognition")
    [old] = space.items("pipelineversions")
    time.sleep(1)  # versions are as old as the second in which they were created
    told = space.trainyard("apply", "action_recognition", "--gpus", 2)
    assert told.code == 0, told.err
    assert "Pipeline/action-recognition: unchanged" in told.out
    assert len(space.items("pipelineversions")) == 2
    assert "older than" not in told.err
    back = space.trainyard("apply", "action_recognition")
    assert f"PipelineVersion/{old['metadata']['name']} is older than" in back.err


def test_documents_of_any_size_are_applied_from_files(space: Space, tmp_path: Path) -> None:
    compiled = space.trainyard(
        "compile", "action_recognition", "--format", "kubernetes", "--dry-run"
    )
    pipeline, version = yaml.safe_load_all(compiled.out)
    parameters = version["spec"]["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    parameters["source"]["description"] = "long " * 80_000  # no annotation holds that
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([pipeline, version]))
    told = space.trainyard("apply", "-f", tmp_path)
    assert told.code == 2
    assert "is the name of another content" in told.err
    spec = version["spec"]
    [_, version] = kubernetes_documents([spec["pipelineSpec"], spec["platformSpec"]], space.name)
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([pipeline, version]))
    told = space.trainyard("apply", "-f", tmp_path)
    assert told.code == 0, told.err
    [stored] = space.items("pipelineversions")
    assert stored["spec"]["pipelineSpec"] == version["spec"]["pipelineSpec"]
    parameters = version["spec"]["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    parameters["source"]["description"] = "long " * 400_000
    version["metadata"]["name"] = "too-large"
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([pipeline, version]))
    told = space.trainyard("apply", "-f", tmp_path)
    assert told.code == 2
    assert "a cluster stores 1500000 in one object" in told.err
    assert "nothing was changed" in told.err


def test_misspelt_fields_are_told_at_once(space: Space, tmp_path: Path) -> None:
    file = tmp_path / "typo.yaml"
    spec = {"ports": [{"port": 80}], "selektor": {"app": "x"}}
    typo = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": spec}
    file.write_text(yaml.safe_dump(typo))
    began = time.monotonic()
    told = space.trainyard("apply", "-f", file)
    assert time.monotonic() - began < 5
    assert told.code == 2
    assert "selektor: field not declared in schema" in told.err
    assert "check the spelling" in told.err


def test_fields_of_others_are_not_taken_silently(space: Space) -> None:
    foreign = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "Pipeline",
        "metadata": {"name": "action-recognition"},
        "spec": {"displayName": "Somebody's"},
    }
    space.api("POST", f"{API}/NS/pipelines?fieldManager=argocd", foreign)
    told = space.trainyard("apply", "action_recognition")
    assert told.code == 4
    assert 'conflict with "argocd"' in told.err
    assert "--force-conflicts" in told.err
    assert space.items("pipelineversions") == []
    assert space.trainyard("apply", "action_recognition", "--force-conflicts").code == 0
    assert space.items("pipelines")[0]["spec"]["displayName"] == "Action recognition"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/v1/NS/configmaps", "ConfigMap"), ("/apis/batch/v1/NS/cronjobs", "CronJob")],
)
def test_a_schedule_leaves_what_others_made(space: Space, path: str, kind: str) -> None:
    when = ("--schedule", "0 3 * * *", "--name", "nightly")
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    job = {"spec": {"template": {"spec": pod}}}
    more = {"spec": {"schedule": "0 1 * * *", "jobTemplate": job}} if kind == "CronJob" else {}
    space.api("POST", path, {"metadata": {"name": "nightly"}, **more})
    told = space.trainyard("apply", "action_recognition", *GIVEN, *when, "--force-conflicts")
    assert told.code != 0
    assert f"{kind}/nightly exists and is no schedule of trainyard's" in told.err
    assert "give another --name" in told.err
    assert space.items("pipelines") == []


def test_the_schedule_of_another_pipeline_keeps_its_name(space: Space) -> None:
    when = ("--schedule", "0 3 * * *", "--name", "nightly")
    assert space.trainyard("apply", "action_recognition", *GIVEN, *when).code == 0
    told = space.trainyard("apply", "action_recognition", GIVEN[0], "epochs=4", *when)
    assert "ConfigMap/nightly: changed" in told.out
    told = space.trainyard("apply", "low_resolution_actions", GIVEN[0], *when)
    assert told.code != 0
    assert "already taken by the schedule of action-recognition" in told.err


def trigger(space: Space, schedule: str, name: str) -> None:
    """What `kubectl create job --from=cronjob/…` does."""
    cron = space.find(f"/apis/batch/v1/NS/cronjobs/{schedule}")
    template = cron["spec"]["jobTemplate"]
    about = {**template["metadata"], "name": name}
    space.api("POST", "/apis/batch/v1/NS/jobs", {"metadata": about, "spec": template["spec"]})


def claims(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_a_schedule_starts_one_run_of_the_newest_version(space: Space) -> None:
    when = ("--schedule", "0 3 * * 7", "--time-zone", "Europe/Berlin")
    told = space.trainyard("apply", "action_recognition", *GIVEN, *when)
    assert told.code == 0, told.err
    assert "warning: there is no Secret/trainyard-kubeflow" in told.err
    cron = space.find("/apis/batch/v1/NS/cronjobs/retrain-action-recognition")["spec"]
    assert (cron["schedule"], cron["timeZone"]) == ("0 3 * * 0", "Europe/Berlin")
    assert cron["concurrencyPolicy"] == "Forbid"
    space.kubeflow_sees()
    space.kubeflow.story = [account("r", "RUNNING", step("train-video", "RUNNING"))]
    space.create_account()
    trigger(space, "retrain-action-recognition", "night")

    def waits() -> str:
        return space.trainyard("status", "night", "--backend", "kubectl").out

    said = space.wait(lambda: text if "create it with" in (text := waits()) else "")
    command = f"kubectl -n {space.name} create secret generic trainyard-kubeflow"
    assert f"{command} --from-literal=TRAINYARD_KUBEFLOW_URL=" in said
    space.create_secret()

    [run] = space.wait(lambda: list(space.kubeflow.runs.values()), "the run")
    space.wait(lambda: "train-video: running" in waits())
    space.kubeflow.stories[run["run_id"]] = [account("r", "SUCCEEDED")]
    assert space.wait(lambda: space.ended("night")) == "Complete"

    [asked] = space.kubeflow.posted("/apis/v2beta1/runs")
    [pipeline] = space.items("pipelines")
    assert asked.body["pipeline_version_reference"] == {"pipeline_id": pipeline["metadata"]["uid"]}
    assert asked.body["runtime_config"]["parameters"] == {"source": "s3://clips/new", "epochs": 3}
    assert asked.body["display_name"] == "night"
    about = claims(asked.token)
    assert about["aud"] == ["pipelines.kubeflow.org"]
    assert about["sub"] == f"system:serviceaccount:{space.name}:trainyard-scheduler"


RUN = ("run", "action_recognition", "--backend", "kubectl", "--name", "first")


def test_a_run_is_followed_to_its_end_and_found_again(ready: Space) -> None:
    ready.kubeflow.story = [
        account("r", "RUNNING", step("train-video", "RUNNING")),
        account("r", "SUCCEEDED", step("train-video", "SUCCEEDED")),
    ]
    told = ready.trainyard(*RUN, *GIVEN)
    assert told.code == 0, told.out + told.err
    assert "train-video: succeeded" in told.out
    assert "Job/first succeeded" in told.err
    [asked] = ready.kubeflow.posted("/apis/v2beta1/runs")
    [version] = ready.items("pipelineversions")
    assert (
        asked.body["pipeline_version_reference"]["pipeline_version_id"]
        == (version["metadata"]["uid"])
    )
    assert asked.body["runtime_config"]["parameters"]["epochs"] == 3
    status = ready.trainyard("status", "first", "--backend", "kubectl")
    assert status.out.startswith("first: succeeded")
    assert f"{ready.kubeflow.url}/#/runs/details/" in status.out

    again = ready.trainyard(*RUN, *GIVEN)
    assert again.code == 0
    assert "Job/first is done already" in again.err
    other = ready.trainyard(*RUN, *GIVEN, "seed=7", "--gpus", 2)
    assert other.code == 3
    assert "does something else" in other.err
    assert ready.items("pipelineversions") == [version]


def test_a_run_that_fails_fails_its_job_once(ready: Space) -> None:
    ready.kubeflow.story = [account("r", "FAILED", step("train-video", "FAILED", error="no GPU"))]
    told = ready.trainyard(*RUN, *GIVEN)
    assert told.code == 1
    assert "train-video: failed: no GPU" in told.out
    assert "trying again would not help" in told.err
    assert len(ready.pods("first")) == 1


def test_a_run_is_cancelled_in_kubeflow_too(ready: Space) -> None:
    told = ready.trainyard(*RUN, *GIVEN, "--no-follow")
    assert told.code == 0, told.err
    assert "trainyard cancel first --backend kubectl" in told.err
    [run] = ready.wait(lambda: list(ready.kubeflow.runs.values()))
    told = ready.trainyard("cancel", "first", "--backend", "kubectl")
    assert told.code == 0, told.err
    assert run["state"] == "CANCELED"
    ready.wait(lambda: not ready.job("first"))
    ready.wait(lambda: not ready.job("first-cancel"))
    told = ready.trainyard("status", "first", "--backend", "kubectl")
    assert told.code == 3
    assert "no run in namespace" in told.err


def test_what_starters_need_is_asked_for_before_anything_is_created(space: Space) -> None:
    told = space.trainyard(*RUN, *GIVEN)
    assert told.code == 3
    assert f"kubectl -n {space.name} create serviceaccount trainyard-scheduler" in told.err
    assert f"kubectl -n {space.name} create secret generic trainyard-kubeflow" in told.err
    assert space.items("pipelines") == []


def test_why_a_starter_finds_no_node(space: Space) -> None:
    config, job = starter_documents(RunOrder("p"), "big")
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["resources"]["limits"]["nvidia.com/gpu"] = "64"
    space.create_account()
    space.api("POST", "/api/v1/NS/configmaps", config)
    space.api("POST", "/apis/batch/v1/NS/jobs", job)
    status = space.wait(lambda: s if (s := BACKEND.status("big", space.name)).detail else None)
    assert status.state == "pending"
    status = space.wait(
        lambda: s if "waits" in (s := BACKEND.status("big", space.name)).detail else None
    )
    assert "waits for a node: 0/1" in status.detail
    assert "nvidia.com/gpu" in status.detail


def quota(space: Space, resource: str) -> None:
    """Nothing more of a resource may be created (the bed has no controller that counts)."""
    body = {"metadata": {"name": "none"}, "spec": {"hard": {resource: "0"}}}
    space.api("POST", "/api/v1/NS/resourcequotas", body)
    status = {"status": {"hard": {resource: "0"}, "used": {resource: "0"}}}
    space.api("PATCH", "/api/v1/NS/resourcequotas/none/status", status)


def test_quotas_are_told_before_anything_is_created(ready: Space) -> None:
    quota(ready, "count/jobs.batch")
    told = ready.wait(lambda: t if (t := ready.trainyard(*RUN, *GIVEN, "--gpus", 2)).code else None)
    assert told.code == 4
    assert "exceeded quota: none" in told.err
    assert "remove what is not needed" in told.err
    assert len(ready.items("pipelineversions")) == 1


def test_who_and_what_is_refused(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(kubeconfig: Any, namespace: str = "") -> str:
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(path))
        done = space.trainyard("apply", "action_recognition", namespace=namespace)
        assert done.code == 4, done.err
        return done.err

    good = space.cluster.kubeconfig.read_text(encoding="utf-8")
    assert "check --namespace" in told(yaml.safe_load(good), "nowhere")
    expired = yaml.safe_load(good)
    expired["users"][0]["user"] = {"token": "expired"}
    assert "fetch a new kubeconfig" in told(expired)
    gone = yaml.safe_load(good)
    gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    assert "does not answer" in told(gone)
    plain = yaml.safe_load(good)
    plain["clusters"][0]["cluster"]["server"] = plain["clusters"][0]["cluster"]["server"].replace(
        "https:", "http:"
    )
    assert "wants https" in told(plain)
    elsewhere = yaml.safe_load(good)
    elsewhere["clusters"][0]["cluster"] = {"server": space.kubeflow.url}
    assert "is no Kubernetes API" in told(elsewhere)
    unknown = yaml.safe_load(good)
    for key in ("certificate-authority", "certificate-authority-data"):
        unknown["clusters"][0]["cluster"].pop(key, None)
    assert "certificate-authority-data: fetch a new kubeconfig" in told(unknown)
    weak = space.cluster.user_kubeconfig(space.name).read_text(encoding="utf-8")
    assert "is forbidden" in told(yaml.safe_load(weak))
