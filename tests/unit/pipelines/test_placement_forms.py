"""Every field of a placement, as a Kubeflow task and as a Job: asked for, or told to be in vain."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from components.core.errors import SettingsError
from components.split_clips.stage import STAGE as SPLIT
from pipelines.jobs import StageJob, stage_documents
from pipelines.placement import Placement, SecretVariables, Toleration, Volume, place
from pipelines.placement_changes import change, read_sound_placements
from pipelines.placement_rules import task_problems, unheeded_by_jobs, unheeded_by_tasks

BASE = Placement(gpus=1, gpu_products=("NVIDIA-A10",))

OTHER: dict[str, Any] = {
    "cpu": "3",
    "cpu_limit": "2200m",
    "memory": "5Gi",
    "memory_limit": "4.5Gi",
    "gpus": 2,
    "gpu_type": "nvidia.com/mig-1g.10gb",
    "gpu_products": ("NVIDIA-A40",),
    "gpu_label": "gpu-type",
    "nodes": 2,
    "shared_memory": "1Gi",
    "ephemeral_storage": "3Gi",
    "tolerations": (Toleration("reserved"),),
    "node_labels": {"zone": ("b", "c")},
    "preferred_labels": {"disk": ("ssd",)},
    "volumes": (Volume("clips", "/data", "videos", read_only=True),),
    "secrets": (SecretVariables("database", {"PGPASSWORD": "password"}),),
    "retries": 7,
    "backoff_seconds": 30,
    "backoff_factor": 3.0,
    "deadline": 5400,
    "ttl": 86400,
    "priority_class": "batch-low",
    "labels": {"team": "vision"},
    "queue": "gpus",
    "environment": {"NCCL_DEBUG": "WARN"},
    "image_pull_secrets": ("registry",),
    "s3": True,
    "cached": False,
}
"""A value of each field that BASE does not have."""

NOT_OF_THE_POD = {"nodes"}
"""Read by the stage that leads the others, not by what makes its pod."""
OF_THE_RUN = {"ttl"}
"""On Kubeflow it is the pipeline's."""
NO_CACHE = {"cached"}
"""Jobs have no cache that could skip them: there is nothing to switch off."""


def as_task(placement: Placement, tmp_path: Path) -> list[Any]:
    """The compiled documents of a pipeline with one task."""

    @dsl.component(base_image="registry/python:1", install_kfp_package=False)
    def work() -> None:
        pass

    @dsl.pipeline(name="one")
    def one() -> None:
        place(work(), placement)

    path = tmp_path / "one.yaml"
    compiler.Compiler().compile(one, str(path))
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def as_job(placement: Placement) -> Any:
    """The spec of a Job, and its labels."""
    made = StageJob(SPLIT, "registry/data:1", SPLIT.settings(), {}, {}, placement, "/data/state")
    document = stage_documents(replace(made, name="split"))[1]
    return document["metadata"]["labels"], document["spec"]


def executor(documents: list[Any]) -> Any:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]


def resources(documents: list[Any]) -> Any:
    return documents[0]["deploymentSpec"]["executors"]["exec-work"]["container"]["resources"]


def pod(job: Any) -> Any:
    return job[1]["template"]["spec"]


def test_the_list_of_fields_is_whole() -> None:
    assert [field.name for field in fields(Placement)] == list(OTHER)
    assert all(getattr(BASE, name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_every_field_is_asked_for_or_told_to_be_in_vain(name: str, tmp_path: Path) -> None:
    changed = change(BASE, {name: OTHER[name]})
    asked = as_task(changed, tmp_path) != as_task(BASE, tmp_path)
    told = any(problem.startswith(f"{name}: ") for problem in unheeded_by_tasks(changed))
    assert asked or told or name in NOT_OF_THE_POD | OF_THE_RUN
    assert not (asked and told) or name == "volumes"  # mounted, but for writing

    asked = as_job(changed) != as_job(BASE)
    told = any(problem.startswith(f"{name}: ") for problem in unheeded_by_jobs(changed))
    assert asked or told or name in NOT_OF_THE_POD | NO_CACHE
    assert not (asked and told)
    assert unheeded_by_tasks(BASE) == unheeded_by_jobs(BASE) == []


def test_limits_apart_from_requests(tmp_path: Path) -> None:
    placement = change(BASE, {"cpu_limit": "2200m", "memory_limit": "4.5Gi"})
    asked = resources(as_task(placement, tmp_path))
    assert (asked["resourceCpuRequest"], asked["resourceCpuLimit"]) == ("2", "2200m")
    assert asked["resourceMemoryRequest"] == "4Gi"
    assert int(asked["resourceMemoryLimit"]) == 9 * 2**29  # kfp knows no fractions
    [container] = pod(as_job(placement))["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "2200m", "memory": "4.5Gi", "nvidia.com/gpu": "1"},
    }


def test_retries_wait_longer_and_longer(tmp_path: Path) -> None:
    placement = change(BASE, {"retries": 5, "backoff_seconds": 30, "backoff_factor": 3})
    task = as_task(placement, tmp_path)[0]["root"]["dag"]["tasks"]["work"]
    assert task["retryPolicy"]["maxRetryCount"] == 5
    assert task["retryPolicy"]["backoffDuration"] == "30s"
    assert task["retryPolicy"]["backoffFactor"] == 3
    assert as_job(placement)[1]["backoffLimit"] == 5
    assert "Kubernetes waits 10 s" in unheeded_by_jobs(placement)[0]


def test_preferred_nodes_are_not_required(tmp_path: Path) -> None:
    placement = change(BASE, {"preferred_labels": {"disk": ["ssd", "nvme"]}})
    wanted = [{"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}]
    required, preferred = executor(as_task(placement, tmp_path))["nodeAffinity"]
    assert "weight" not in required
    assert preferred == {"matchExpressions": wanted, "weight": 100}
    affinity = pod(as_job(placement))["affinity"]["nodeAffinity"]
    assert affinity["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {"weight": 100, "preference": {"matchExpressions": wanted}}
    ]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [e["key"] for e in terms[0]["matchExpressions"]] == ["nvidia.com/gpu.product"]


def test_kueue_finds_its_label_where_it_looks(tmp_path: Path) -> None:
    placement = change(BASE, {"queue": "gpus", "priority_class": "batch-low", "ttl": 86400})
    task = executor(as_task(placement, tmp_path))
    assert task["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpus"}
    labels, spec = as_job(placement)
    assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "kueue.x-k8s.io/queue-name" not in spec["template"]["metadata"]["labels"]
    assert spec["template"]["spec"]["priorityClassName"] == "batch-low"
    assert spec["ttlSecondsAfterFinished"] == 86400
    told = unheeded_by_tasks(placement)
    assert [text.partition(":")[0] for text in told] == ["priority_class"]


def test_plain_variables_reach_the_container(tmp_path: Path) -> None:
    placement = change(BASE, {"environment": {"OMP_NUM_THREADS": 4, "TMPDIR": "/data/tmp"}})
    container = as_task(placement, tmp_path)[0]["deploymentSpec"]["executors"]["exec-work"]
    expected = {"OMP_NUM_THREADS": "4", "TMPDIR": "/data/tmp"}
    assert {v["name"]: v["value"] for v in container["container"]["env"]} == expected
    listed = pod(as_job(placement))["containers"][0]["env"]
    assert {v["name"]: v.get("value") for v in listed}.items() >= expected.items()
    assert len({v["name"] for v in listed}) == len(listed)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"cpu": 8, "cpu_limit": 4}, "cpu_limit: 4 is below the request 8; raise it"),
    ({"memory_limit": "1Gi"}, "memory_limit: 1Gi is below the request 4Gi"),
    ({"memory": "8gb"}, "memory: '8gb' is no Kubernetes quantity"),
    ({"cpu": "0"}, "cpu: 0 is not positive"),
    ({"shared_memory": "6Gi"}, "shared_memory: 6Gi is more than the memory 4Gi"),
    ({"gpu_type": "nvidia.com/mig-1g"}, "gpu_type: nvidia.com/mig-1g: unknown resource; accepted"),
    ({"nodes": 0}, "nodes: 0 is refused; accepted are 1"),
    ({"nodes": 1001}, "nodes: 1001 is refused; accepted are 1 (no others) to 1000"),
    ({"gpus": 10**20}, "gpus: 100000000000000000000 is refused; accepted are 0 (none) to 16"),
    ({"gpus": True}, "gpus: expected a number, got True"),
    ({"cpu": 1e30}, "cpu: 1e+30 is more than any node has; accepted are up to 1024"),
    ({"memory": 1e30}, "memory: 1e+30 is more than any node has; accepted are up to 64Ti"),
    ({"deadline": "99d"}, "deadline: 99d is refused; accepted are up to 14d"),
    ({"deadline": "soon"}, "deadline: expected a time such as 90m, 36h or 4d, got 'soon'"),
    ({"shm": "8Gi"}, "shm: unknown field; here it is called 'shared_memory'"),
    ({"image": "a:1"}, "image: unknown field; accepted are cpu, cpu_limit, memory"),
    (
        {"volumes": [{"claim": "a", "path": "/data"}, {"claim": "b", "path": "/data/"}]},
        "volumes: /data is the path of 2 volumes; give each its own",
    ),
    (
        {"secrets": [{"name": n, "variables": {"PGUSER": "user"}} for n in ("a", "b")]},
        "secrets: PGUSER comes from several Secrets; name it once",
    ),
    ({"backoff_seconds": -1}, "backoff_seconds: -1 is refused; accepted are 0 to 3600"),
    ({"backoff_factor": 0.5}, "backoff_factor: 0.5 is refused; accepted are 1 to 10"),
    ({"ttl": 60}, "ttl: 1m is refused; accepted are 1h and more"),
    ({"priority_class": "High"}, "priority_class: 'High' is no name in Kubernetes"),
    ({"queue": "my queue"}, "queue: 'my queue' is no name in Kubernetes"),
    ({"labels": {"kueue.x-k8s.io/queue-name": "q"}}, "when given as queue: q"),
    ({"preferred_labels": {"disk": ["s d", "x"]}}, "preferred_labels: disk: 's d' is no value"),
    ({"node_labels": {"a b": ["x"]}}, "node_labels: 'a b' is no key of a label"),
    ({"node_labels": {"disk": []}}, "node_labels: disk: no value would do"),
    ({"environment": {"1ST": "x"}}, "environment: '1ST' is no name of a variable"),
    ({"environment": {"TRAINYARD_STATE_DIR": "/x"}}, "TRAINYARD_STATE_DIR is set by trainyard"),
    ({"environment": {"FLAG": True}}, "environment.FLAG: input should be a valid string"),
]


@pytest.mark.parametrize(("given", "problem"), REFUSED)
def test_what_no_cluster_takes_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        change(Placement(), given)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    "kind", ["nvidia.com/gpu", "nvidia.com/mig-3g.40gb", "nvidia.com/a100", "amd.com/gpu"]
)
def test_gpus_go_by_the_name_of_their_resource(kind: str, tmp_path: Path) -> None:
    placement = change(BASE, {"gpu_type": kind, "gpus": 2})
    accelerator = resources(as_task(placement, tmp_path))["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == (kind, "2")
    assert pod(as_job(placement))["containers"][0]["resources"]["limits"][kind] == "2"


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_SECRET_ACCESS_KEY": "hunter2"},
        {"MLFLOW_URL": "https://me:hunter2@example.org"},
        {"EXTRA": "--password=hunter2"},
        {"TOKEN": ["hunter2"]},
    ],
)
def test_variables_hold_no_secrets_and_refusals_do_not_repeat_them(
    environment: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        change(Placement(), {"environment": environment})
    assert "hunter2" not in str(caught.value)
    assert next(iter(environment)) in str(caught.value)
    file = tmp_path / "placement.yaml"
    file.write_text(yaml.safe_dump({"all": {"environment": environment}}))
    placements, found = read_sound_placements(file, {"split_clips": Placement()})
    assert placements == {"split_clips": Placement()}
    assert len(found) == 1
    assert "hunter2" not in found[0]


def test_a_variable_comes_from_one_place() -> None:
    secrets = (SecretVariables("database", {"PGUSER": "user"}),)
    with pytest.raises(SettingsError, match="PGUSER comes from a Secret already"):
        change(Placement(secrets=secrets), {"environment": {"PGUSER": "me"}})


def test_everything_wrong_with_a_file_is_told_with_what_is_wrong_only_together(
    tmp_path: Path,
) -> None:
    file = tmp_path / "placement.yaml"
    file.write_text(
        "all: {memory_limit: 6Gi, ttl: 1, priority: high}\n"
        "split_clips: {cpu: 8, cpu_limit: 2, queue: A B}\n"
        "train_video: {memory: 8Gi}\n"
    )
    defaults = {"split_clips": Placement(), "train_video": Placement(gpus=1)}
    placements, found = read_sound_placements(file, defaults)
    assert [problem.partition(": ")[0] for problem in found] == [
        "all.priority",
        "all.ttl",
        "split_clips.cpu_limit",
        "split_clips.queue",
        "train_video.memory_limit",
    ]
    assert placements["split_clips"] == replace(Placement(), cpu="8", memory_limit="6Gi")
    assert placements["train_video"] == replace(Placement(gpus=1), memory="8Gi")


@pytest.mark.parametrize("heed", [task_problems, unheeded_by_tasks, unheeded_by_jobs])
def test_defaults_are_heeded_everywhere(heed: Callable[[Placement], list[str]]) -> None:
    from pipelines.placement import PLACEMENTS

    assert [heed(placement) for placement in PLACEMENTS.values()] == [[] for _ in PLACEMENTS]


def test_a_whole_secret_is_for_jobs_only() -> None:
    whole = Placement(secrets=(SecretVariables("database"),))
    assert task_problems(whole) == [
        "secrets: database: a Kubeflow task takes single keys; name them, as in database:VARIABLE,…"
    ]
