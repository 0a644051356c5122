"""Placements: from files and options, and as what Kubeflow gets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from components.core.errors import SettingsError
from pipelines import catalog
from pipelines.option_texts import seconds
from pipelines.placement import (
    PLACEMENTS,
    PRP_PLACEMENTS,
    Placement,
    SecretVariables,
    Toleration,
    Volume,
    place,
)
from pipelines.placement_changes import read_placements
from pipelines.placement_options import placed

EVERYTHING = Placement(
    cpu="16",
    memory="48Gi",
    gpus=4,
    gpu_products=("NVIDIA-A10", "NVIDIA-A40"),
    shared_memory="16Gi",
    tolerations=(Toleration("reserved", effect="NoSchedule"), Toleration("kind", "Equal", "gpu")),
    node_labels={"topology.kubernetes.io/region": ("us-west",)},
    volumes=(Volume("clips", "/data", sub_path="videos"),),
    secrets=(SecretVariables("database", {"TRAINYARD_POSTGRES_DSN": "dsn"}, optional=True),),
    deadline=3600,
    queue="gpu",
    image_pull_secrets=("registry",),
    s3=True,
)


def test_every_stage_has_a_placement() -> None:
    assert sorted(PLACEMENTS) == sorted(PRP_PLACEMENTS) == catalog.stages()


def test_training_on_prp_takes_four_gpus_and_only_what_trains_holds_one() -> None:
    four = ("train_video", "train_keras", "train_detector")
    assert {PRP_PLACEMENTS[stage].gpus for stage in four} == {4}
    holding = {stage for stage, placement in PRP_PLACEMENTS.items() if placement.gpus}
    tao = {stage for stage in PRP_PLACEMENTS if stage.startswith("tao_")}  # its programs want one
    assert holding == {"hpo_sweep", *four, "train_renderer", *tao}
    assert all(p.deadline and p.ephemeral_storage for p in PRP_PLACEMENTS.values())


def compiled(placement: Placement, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Container and Kubernetes options of one placed task."""

    @dsl.component(base_image="registry/python:1", install_kfp_package=False)
    def work() -> None:
        pass

    @dsl.pipeline(name="one")
    def one() -> None:
        place(work(), placement)

    path = tmp_path / "one.yaml"
    compiler.Compiler().compile(one, str(path))
    spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    container = spec["deploymentSpec"]["executors"]["exec-work"]["container"]
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]
    return container, kubernetes


def test_a_kubeflow_task_gets_everything_that_it_can(tmp_path: Path) -> None:
    container, kubernetes = compiled(EVERYTHING, tmp_path)
    resources = container["resources"]
    assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"] == "16"
    assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"] == "48Gi"
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "4"
    [affinity] = kubernetes["nodeAffinity"]
    assert affinity["matchExpressions"] == [
        {
            "key": "nvidia.com/gpu.product",
            "operator": "In",
            "values": ["NVIDIA-A10", "NVIDIA-A40"],
        },
        {"key": "topology.kubernetes.io/region", "operator": "In", "values": ["us-west"]},
    ]
    assert kubernetes["tolerations"] == [
        {"key": "reserved", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "kind", "operator": "Equal", "value": "gpu"},
    ]
    [mount] = kubernetes["pvcMount"]
    assert (mount["constant"], mount["mountPath"], mount["subPath"]) == ("clips", "/data", "videos")
    assert {s["secretName"]: s["optional"] for s in kubernetes["secretAsEnv"]} == {
        "trainyard-s3": True,
        "database": True,
    }
    assert kubernetes["secretAsEnv"][1]["keyToEnv"] == [
        {"secretKey": "dsn", "envVar": "TRAINYARD_POSTGRES_DSN"}
    ]
    [shared] = kubernetes["emptyDirMounts"]
    assert (shared["mountPath"], shared["medium"]) == ("/dev/shm", "Memory")
    assert kubernetes["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpu"}
    assert kubernetes["imagePullSecret"][0]["secretName"] == "registry"
    assert kubernetes["activeDeadlineSeconds"] == "3600"


def test_old_clusters_name_gpus_by_another_label() -> None:
    old = replace(EVERYTHING, gpu_label="gpu-type", gpu_products=("1080Ti",), node_labels={})
    assert old.node_affinity == {"gpu-type": ("1080Ti",)}


def test_a_file_changes_placements(tmp_path: Path) -> None:
    file = tmp_path / "placement.yaml"
    file.write_text(
        "all: {volumes: [{claim: clips, path: /data}]}\n"
        "train_video: {gpus: 2, gpu_products: [NVIDIA-A10], cpu: 8, tolerations: [{key: gpu}]}\n"
    )
    made = read_placements(file, PRP_PLACEMENTS)
    volumes = (Volume("clips", "/data"),)
    assert made["split_clips"] == replace(PRP_PLACEMENTS["split_clips"], volumes=volumes)
    assert made["train_video"] == replace(
        PRP_PLACEMENTS["train_video"],
        volumes=volumes,
        gpus=2,
        gpu_products=("NVIDIA-A10",),
        cpu="8",
        tolerations=(Toleration("gpu"),),
    )


def test_a_file_with_mistakes_tells_them_all(tmp_path: Path) -> None:
    file = tmp_path / "placement.yaml"
    file.write_text("train_video: {gpu: 2, gpus: many}\nsplit_clips: {volumes: [{claim: c}]}\n")
    with pytest.raises(SettingsError) as caught:
        read_placements(file, PRP_PLACEMENTS)
    assert len(caught.value.problems) == 3
    for expected in (
        "train_video.gpu: unknown field; did you mean 'gpus'?",
        "train_video.gpus: ",
        "split_clips.volumes.0.path: field required",
    ):
        assert expected in str(caught.value)
    file.write_text("train_vido: {gpus: 2}\nsplit_clips: 3\n")
    with pytest.raises(
        SettingsError, match=r"unknown stage; did you mean 'train_video'(.|\n)*got 3"
    ):
        read_placements(file, PRP_PLACEMENTS)


def test_options_change_a_placement() -> None:
    placement, problems = placed(
        PRP_PLACEMENTS["split_clips"],
        {
            "cpu": "3",
            "volumes": ("clips", "models:/models:ro"),
            "secrets": ("trainyard-s3", "database:PGUSER,PGPASSWORD:password"),
            "tolerations": ("reserved:NoSchedule", "kind=gpu"),
            "labels": ("team=vision",),
            "deadline": "90m",
        },
    )
    assert problems == []
    assert placement == replace(
        PRP_PLACEMENTS["split_clips"],
        cpu="3",
        volumes=(Volume("clips", "/mnt/clips"), Volume("models", "/models", read_only=True)),
        secrets=(
            SecretVariables("trainyard-s3"),
            SecretVariables("database", {"PGUSER": "PGUSER", "PGPASSWORD": "password"}),
        ),
        tolerations=(
            Toleration("reserved", effect="NoSchedule"),
            Toleration("kind", "Equal", "gpu"),
        ),
        labels={"team": "vision"},
        deadline=5400,
    )


def test_fewer_gpus_take_their_share_of_everything_else() -> None:
    base = PRP_PLACEMENTS["train_video"]
    half, _ = placed(base, {"gpus": 2})
    assert (half.cpu, half.memory, half.shared_memory) == ("8", "24576Mi", "8192Mi")
    chosen, _ = placed(base, {"gpus": 2, "cpu": "10", "memory": "40Gi"})
    assert (chosen.cpu, chosen.memory) == ("10", "40Gi")
    none, _ = placed(replace(base, gpu_products=("NVIDIA-A10",)), {"gpus": 0})
    assert none.node_affinity == {}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"volumes": ("clips:data",)}, "--pvc clips:data: expected CLAIM"),
        ({"tolerations": ("a:Sometimes",)}, "--toleration a:Sometimes: expected KEY"),
        ({"labels": ("team",)}, "--label team: expected KEY=VALUE"),
        ({"deadline": "soon"}, "--deadline soon: expected a time"),
    ],
)
def test_malformed_options_are_named(options: dict[str, Any], problem: str) -> None:
    placement, problems = placed(PRP_PLACEMENTS["split_clips"], options)
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert placement == PRP_PLACEMENTS["split_clips"]


def test_times() -> None:
    assert [seconds(text) for text in ("90", "90m", "36h", "4d")] == [90, 5400, 129600, 345600]
