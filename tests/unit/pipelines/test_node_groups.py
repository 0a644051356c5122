"""The pods of a distributed training: whole documents, in every form that clusters take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.core.training.launch import node_group
from components.train_video.stage import STAGE as TRAIN
from pipelines import job_rules, node_groups
from pipelines.building import BuildOptions, build
from pipelines.cli import main
from pipelines.jobs import StageJob, stage_documents
from pipelines.placement import PLACEMENTS, Placement, SecretVariables, Toleration, Volume

PLACEMENT = Placement(
    cpu="16",
    memory="48Gi",
    gpus=4,
    nodes=2,
    gpu_products=("NVIDIA-A10",),
    shared_memory="16Gi",
    ephemeral_storage="10Gi",
    tolerations=(Toleration("reserved", effect="NoSchedule"),),
    volumes=(Volume("clips", "/data"),),
    secrets=(SecretVariables("tracker", {"TOKEN": "token"}),),
    retries=3,
    deadline=3600,
    queue="team",
    image_pull_secrets=("registry",),
)
JOB = StageJob(
    stage=TRAIN,
    image="registry/trainyard-torch:0.1.0",
    settings=TRAIN.settings(epochs=2),
    inputs={"frames": "/data/frames", "split": "/data/split"},
    outputs={"model": "/data/model"},
    placement=PLACEMENT,
    state_dir="/data/state",
    name="first",
    namespace="vision",
)
ASKED = {"cpu": "16", "memory": "48Gi", "ephemeral-storage": "10Gi", "nvidia.com/gpu": "4"}
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "first-abcde", "uid": "1"}


def group() -> tuple[dict[str, Any], dict[str, Any]]:
    job = node_groups.group_job("train_video", PLACEMENT, JOB.image)
    words = ["components.train_video.worker", "/data/state/x/processes"]
    service, made = node_groups.started(job, "train-video-nodes-1a", words, 4, OWNER)
    return service, made


def test_the_leader_waits_without_gpus_and_knows_what_to_create() -> None:
    config, leader = stage_documents(node_groups.lead(JOB))
    pod = leader["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"] == {
        "cpu": "2",
        "memory": "8Gi",
        "ephemeral-storage": "10Gi",
    }
    assert "affinity" not in pod
    assert pod["serviceAccountName"] == "trainyard-driver"
    assert pod["automountServiceAccountToken"] is True
    [text] = [v["value"] for v in container["env"] if v["name"] == "TRAINYARD_NODE_GROUP"]
    told = json.loads(text)
    assert (told["nodes"], told["processes"]) == (2, 4)
    assert told["command"] == ["python", "-m", "pipelines.backends._node_group"]
    assert told["job"] == node_groups.group_job("train_video", PLACEMENT, JOB.image)
    shown = node_groups.created(leader)
    assert [document["metadata"]["namespace"] for document in shown] == ["vision", "vision"]
    assert job_rules.errors(job_rules.check([config, leader, *shown])) == []


def test_one_node_changes_nothing() -> None:
    alone = replace(JOB, placement=replace(PLACEMENT, nodes=1))
    assert node_groups.lead(alone) is alone
    assert node_groups.created(stage_documents(alone)[-1]) == []


def test_the_indexed_job_and_its_service() -> None:
    service, job = group()
    assert service["spec"] == {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"trainyard/node-group": "train-video-nodes-1a"},
        "ports": [{"name": "rendezvous", "port": 29500}],
    }
    assert service["metadata"]["ownerReferences"] == [OWNER]
    assert "kueue.x-k8s.io/queue-name" not in service["metadata"]["labels"]
    assert job["metadata"]["ownerReferences"] == [OWNER]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "trainyard/run" not in job["metadata"]["labels"], "it is no step of the run"
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["backoffLimit"] == 6
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"Ignore"}
    pod = spec["template"]["spec"]
    assert pod["subdomain"] == "train-video-nodes-1a"
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["command"] == ["python", "-m", "components.core.training.node"]
    assert container["args"] == ["components.train_video.worker", "/data/state/x/processes"]
    assert container["resources"] == {"requests": ASKED, "limits": ASKED}
    variables = {v["name"]: v.get("value") or v["valueFrom"] for v in container["env"]}
    assert variables["PET_NNODES"] == "2"
    assert variables["PET_NPROC_PER_NODE"] == "4"
    assert variables["PET_MASTER_ADDR"] == "train-video-nodes-1a-0.train-video-nodes-1a"
    assert "job-completion-index" in variables["PET_NODE_RANK"]["fieldRef"]["fieldPath"]
    assert variables["TOKEN"] == {"secretKeyRef": {"name": "tracker", "key": "token"}}


@pytest.mark.parametrize("field", node_groups.OVERRIDE_FIELDS)
def test_the_train_job_has_all_that_the_indexed_job_has(
    field: node_groups.OverrideField,
) -> None:
    _, job = group()
    made = node_groups.train_job(job, field)
    spec, pod = made["spec"], job["spec"]["template"]["spec"]
    assert made["metadata"] == job["metadata"]
    assert spec["suspend"] is True, "Kueue admits it"
    assert spec["runtimeRef"]["name"] == "torch-distributed"
    trainer, [container] = spec["trainer"], pod["containers"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    for name in ("image", "command", "args"):
        assert trainer[name] == container[name]
    assert trainer["resourcesPerNode"] == container["resources"]
    names = [variable["name"] for variable in trainer["env"]]
    assert "TOKEN" in names
    assert not [name for name in names if name.startswith("PET_")], "Trainer sets them"
    [change] = spec[field]
    assert set(node_groups.OVERRIDE_FIELDS) & set(spec) == {field}
    if field == "runtimePatches":
        [part] = change["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
        assert (change["manager"], part["name"]) == ("trainyard.io/leader", "node")
        change = part["template"]["spec"]["template"]["spec"]
        assert change["securityContext"] == pod["securityContext"]
    else:
        assert change["targetJobs"] == [{"name": "node"}]
        change = change.get("spec", change)
    for name in ("volumes", "affinity", "tolerations", "imagePullSecrets"):
        assert change[name] == pod[name]
    mounts = container["volumeMounts"]
    assert change["containers"] == [{"name": "node", "volumeMounts": mounts}]


def test_what_cannot_be_on_several_nodes_is_told() -> None:
    assert node_groups.node_problems("train_video", PLACEMENT) == []
    [problem] = node_groups.node_problems("split_clips", PLACEMENT)
    assert problem == "nodes: 2, but split_clips runs in one pod; leave it at 1"
    read_only = replace(PLACEMENT, volumes=(Volume("clips", "/data", read_only=True),))
    [problem] = node_groups.node_problems("train_video", read_only)
    assert "a volume that all of them can write to (ReadWriteMany)" in problem


def test_kubeflow_tasks_on_several_nodes_need_the_volume(tmp_path: Path) -> None:
    words = ["compile", "action_recognition", "--output", str(tmp_path), "--nodes", "2"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "a volume that all of them can write to (ReadWriteMany)" in done.stderr
    assert "add --storage volume" in done.stderr
    words += ["--pvc", "work:/data", "--storage", "volume"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output


def test_a_dry_run_shows_the_pods_that_the_job_creates() -> None:
    words = ["job", "train_video", "--pvc", "work:/data", "--input", "frames=/data/f"]
    words += ["--input", "split=/data/s", "--output", "model=/data/m", "--nodes", "3"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [d["kind"] for d in yaml.safe_load_all(done.stdout)] == ["ConfigMap", "Job"]
    comments = [line[2:] for line in done.stdout.splitlines() if line.startswith("#")]
    service, job = yaml.safe_load_all("\n".join(comments[1:]))
    assert (service["kind"], job["spec"]["completions"]) == ("Service", 3)


def test_a_dry_run_of_a_pipeline_shows_them_at_the_step_that_leads() -> None:
    words = ["run", "action_recognition", "source=/data/s", "--backend", "prp", "--dry-run"]
    words += ["--pvc", "work:/data", "--nodes", "2", "--name", "first"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    shown = yaml.safe_load(done.stdout)
    leading = {step["task"]: step["creates"] for step in shown["steps"] if "creates" in step}
    assert list(leading) == ["train-video"]
    assert [document["kind"] for document in leading["train-video"]] == ["Service", "Job"]


def test_a_kubeflow_task_becomes_a_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    placements = {**PLACEMENTS, "train_video": replace(PLACEMENT, secrets=())}
    drawn = build("action_recognition", BuildOptions(placements, "volume", "/data/state"))
    containers = _containers(drawn)
    [leader] = [c for c in containers if "train_video" in " ".join(c["args"])]
    variables = {v["name"]: v["value"] for v in leader["env"]}
    assert "accelerator" not in leader["resources"]
    assert variables["TRAINYARD_STATE_DIR"] == "/data/state"
    monkeypatch.setenv("TRAINYARD_NODE_GROUP", variables["TRAINYARD_NODE_GROUP"])
    told = node_group()
    assert told is not None
    assert (told.nodes, told.processes) == (2, 4)


def _containers(drawn: Any) -> list[Any]:
    from google.protobuf import json_format

    spec = json_format.MessageToDict(drawn.pipeline_spec)
    executors = spec["deploymentSpec"]["executors"].values()
    return [executor["container"] for executor in executors if "container" in executor]


def test_workers_are_found_by_their_module() -> None:
    assert node_groups.can_be_distributed("train_video")
    assert not node_groups.can_be_distributed("split_clips")
