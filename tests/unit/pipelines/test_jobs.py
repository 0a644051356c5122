"""Jobs from stages: whole documents, names, and what makes two Jobs the same."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from components import __version__
from components.split_clips.stage import STAGE as SPLIT
from components.train_video.stage import STAGE as TRAIN
from pipelines.job_places import path_problems
from pipelines.jobs import StageJob, as_yaml, stage_documents
from pipelines.placement import Placement, SecretVariables, Toleration, Volume
from pipelines.quantities import dns_label, is_dns_label, quantity

PLACEMENT = Placement(
    cpu="16",
    memory="48Gi",
    gpus=4,
    gpu_products=("NVIDIA-A10",),
    shared_memory="16Gi",
    ephemeral_storage="10Gi",
    tolerations=(Toleration("reserved", effect="NoSchedule"),),
    volumes=(
        Volume("clips", "/data"),
        Volume("models", "/models", sub_path="i3d", read_only=True),
        Volume("models", "/more"),
    ),
    secrets=(SecretVariables("database", {"PGPASSWORD": "password"}), SecretVariables("all")),
    retries=4,
    deadline=345600,
    labels={"team": "vision"},
    image_pull_secrets=("registry",),
    s3=True,
)


def job(**changes: Any) -> StageJob:
    made = StageJob(
        stage=SPLIT,
        image="registry/trainyard-data:0.1.0",
        settings=SPLIT.settings(val_size=0.2),
        inputs={"clips": "/data/clips"},
        outputs={"split": "/data/split"},
        placement=PLACEMENT,
        state_dir="/data/state",
        name="first-split",
        namespace="vision",
    )
    return replace(made, **changes)


LABELS = {
    "app.kubernetes.io/name": "trainyard",
    "app.kubernetes.io/component": "split-clips",
    "app.kubernetes.io/version": __version__,
    "app.kubernetes.io/managed-by": "trainyard",
    "trainyard/run": "first-split",
    "trainyard/stage": "split_clips",
    "team": "vision",
}
S3 = "trainyard-s3"
RESOURCES = {"cpu": "16", "memory": "48Gi", "ephemeral-storage": "10Gi", "nvidia.com/gpu": "4"}


def secret(variable: str, name: str, key: str, **more: bool) -> dict[str, Any]:
    reference = {"name": name, "key": key, **more}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def test_the_whole_job() -> None:
    config, made = stage_documents(job())
    content = made["metadata"]["annotations"].pop("trainyard/content")
    assert len(content) == 64
    assert made == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "first-split",
            "namespace": "vision",
            "labels": LABELS,
            "annotations": {},
        },
        "spec": {
            "backoffLimit": 4,
            "activeDeadlineSeconds": 345600,
            "ttlSecondsAfterFinished": 604800,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3]}},
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}},
                ]
            },
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 120,
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "runAsGroup": 1000,
                        "fsGroup": 1000,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [
                                    {
                                        "matchExpressions": [
                                            {
                                                "key": "nvidia.com/gpu.product",
                                                "operator": "In",
                                                "values": ["NVIDIA-A10"],
                                            }
                                        ]
                                    }
                                ]
                            }
                        }
                    },
                    "tolerations": [
                        {"key": "reserved", "operator": "Exists", "effect": "NoSchedule"}
                    ],
                    "imagePullSecrets": [{"name": "registry"}],
                    "containers": [
                        {
                            "name": "split-clips",
                            "image": "registry/trainyard-data:0.1.0",
                            "command": ["python", "-m", "components.split_clips"],
                            "args": [
                                "-f",
                                "/trainyard/config/params.yaml",
                                "--clips",
                                "/data/clips",
                                "--split",
                                "/data/split",
                            ],
                            "imagePullPolicy": "IfNotPresent",
                            "workingDir": "/tmp",
                            "env": [
                                {"name": "HOME", "value": "/tmp"},
                                {"name": "TMPDIR", "value": "/tmp"},
                                {"name": "PYTHONUNBUFFERED", "value": "1"},
                                {"name": "TRAINYARD_STATE_DIR", "value": "/data/state"},
                                {"name": "TRAINYARD_RUN_ID", "value": "first-split"},
                                *(
                                    secret(name, S3, name, optional=True)
                                    for name in (
                                        "TRAINYARD_S3_ENDPOINT",
                                        "TRAINYARD_S3_ACCESS_KEY",
                                        "TRAINYARD_S3_SECRET_KEY",
                                    )
                                ),
                                secret("PGPASSWORD", "database", "password"),
                            ],
                            "envFrom": [{"secretRef": {"name": "all"}}],
                            "resources": {"requests": RESOURCES, "limits": RESOURCES},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [
                                {
                                    "name": "config",
                                    "mountPath": "/trainyard/config",
                                    "readOnly": True,
                                },
                                {"name": "tmp", "mountPath": "/tmp"},
                                {"name": "dshm", "mountPath": "/dev/shm"},
                                {"name": "volume-0", "mountPath": "/data"},
                                {
                                    "name": "volume-1",
                                    "mountPath": "/models",
                                    "subPath": "i3d",
                                    "readOnly": True,
                                },
                                {"name": "volume-1", "mountPath": "/more"},
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "config", "configMap": {"name": "first-split"}},
                        {"name": "tmp", "emptyDir": {}},
                        {
                            "name": "dshm",
                            "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"},
                        },
                        {
                            "name": "volume-0",
                            "persistentVolumeClaim": {"claimName": "clips"},
                        },
                        {
                            "name": "volume-1",
                            "persistentVolumeClaim": {"claimName": "models"},
                        },
                    ],
                },
            },
        },
    }
    settings = config.pop("data")["params.yaml"]
    assert yaml.safe_load(settings) == SPLIT.settings(val_size=0.2).model_dump()
    assert config == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "first-split", "namespace": "vision", "labels": LABELS},
        "immutable": True,
    }


def test_the_same_request_has_the_same_name_and_another_one_another() -> None:
    names = [
        stage_documents(made)[1]["metadata"]["name"]
        for made in (
            job(name=""),
            job(name="", settings=SPLIT.settings(val_size=0.3)),
            job(name="", image="registry/trainyard-data:0.2.0"),
            job(name="", placement=replace(PLACEMENT, gpus=2)),
            job(name="", outputs={"split": "/data/other"}),
        )
    ]
    elsewhere = stage_documents(job(name="", namespace="elsewhere"))
    assert names[0] == elsewhere[1]["metadata"]["name"]
    assert len(set(names)) == len(names)
    assert all(is_dns_label(name) and name.startswith("split-clips-") for name in names)


def test_content_says_what_is_done_whatever_the_name() -> None:
    def content(made: StageJob) -> str:
        return str(stage_documents(made)[1]["metadata"]["annotations"]["trainyard/content"])

    assert content(job(name="a")) == content(job(name="b"))
    assert content(job()) != content(job(settings=SPLIT.settings(seed=7)))


def test_paths_that_the_pod_would_not_find() -> None:
    settings = TRAIN.settings(
        network="resizer_2d", pretrained="/weights/i3d.pt", pretrained_resizer="relative.pt"
    )
    wrong = job(
        stage=TRAIN,
        settings=settings,
        inputs={"frames": "/data/../etc/frames", "split": "/data/split"},
        outputs={"model": "/models/model"},
        state_dir="/state",
    )
    mounted = "is not on a mounted volume (mounted: /data, /models, /more)"
    assert path_problems(wrong) == [
        f"state directory: /state {mounted}",
        f"input frames: /data/../etc/frames {mounted}",
        "output model: /models/model is on a volume that is mounted read-only; choose another "
        "place",
        f"pretrained: /weights/i3d.pt {mounted}",
        f"pretrained_resizer: relative.pt {mounted}",
    ]
    assert path_problems(job()) == []


def test_yaml_keeps_settings_readable_and_loses_nothing() -> None:
    documents = stage_documents(job())
    text = as_yaml(documents)
    assert list(yaml.safe_load_all(text)) == documents
    assert "params.yaml: |" in text
    assert "\n    val_size: 0.2\n" in text
    assert "&id" not in text


@pytest.mark.parametrize(
    ("text", "amount"),
    [("8Gi", 8 * 2**30), ("500m", 0.5), ("1.5", 1.5), ("2k", 2000), ("1e3", 1000), (4, 4)],
)
def test_quantities(text: object, amount: float) -> None:
    assert float(quantity(text)) == amount


@pytest.mark.parametrize("text", ["16 GB", "8gb", "five", "", None, True, "1e3Gi", "--1"])
def test_no_quantities(text: object) -> None:
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        quantity(text)


def test_names() -> None:
    assert dns_label("Train_Video/first run") == "train-video-first-run"
    long = "low-resolution-actions-" * 5
    assert is_dns_label(dns_label(long))
    assert dns_label(long + "a") != dns_label(long + "b")
    assert not is_dns_label("Upper")
    assert not is_dns_label("a" * 64)
