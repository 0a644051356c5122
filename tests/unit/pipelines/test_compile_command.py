"""`trainyard compile`: options, formats, refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from trainyard_process import run

from components.core.errors import OutOfSpaceError
from pipelines import catalog
from pipelines.cli import main
from pipelines.compile import compiled, write

NAME = "action_recognition"


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compile_(*words: str) -> Result:
    """The command in this process, which has imported kfp already."""
    return CliRunner().invoke(main, ["compile", *words])


def test_options_are_those_of_run_and_job(tmp_path: Path) -> None:
    (tmp_path / "placement.yaml").write_text(
        "all: {queue: gpus, environment: {NCCL_DEBUG: WARN}, ttl: 86400, priority_class: low}\n"
        "split_clips: {memory: 3Gi, memory_limit: 4Gi}\n"
    )
    done = run(
        tmp_path, "compile", "action-recognition", "--gpus", "2", "--pvc", "work:/data",
        "--storage", "volume", "--secret", "database:PGUSER,PGPASSWORD:password",
        "--toleration", "reserved:NoSchedule", "--label", "team=vision", "--placement",
        "placement.yaml", "--image-pull-secret", "registry", "--image-registry", "r.example.org/v",
        "--gpu-product", "NVIDIA-A10", "--state-dir", "/data/kept", "--output", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out/action_recognition.yaml\n"
    assert "warning: priority_class: a Kubeflow task cannot ask for it" in done.stderr
    assert "(every stage)" in done.stderr
    spec, platform = documents((tmp_path / "out/action_recognition.yaml").read_text())
    assert spec["root"]["inputDefinitions"]["parameters"]["gpus"]["defaultValue"] == "2"
    assert platform["platforms"]["kubernetes"]["pipelineConfig"] == {
        "resourceTtlOnCompletion": 86400
    }
    train = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-video"]
    assert train["podMetadata"]["labels"] == {
        "kueue.x-k8s.io/queue-name": "gpus",
        "team": "vision",
    }
    assert train["secretAsEnv"][0]["secretName"] == "database"
    assert train["imagePullSecret"][0]["secretName"] == "registry"
    assert train["tolerations"][0]["key"] == "reserved"
    assert train["nodeAffinity"][0]["matchExpressions"][0]["values"] == ["NVIDIA-A10"]
    executors = spec["deploymentSpec"]["executors"]
    resources = executors["exec-split-clips"]["container"]["resources"]
    assert resources["resourceMemoryRequest"] == "3Gi"
    assert resources["resourceMemoryLimit"] == "4Gi"
    container = executors["exec-train-video"]["container"]
    assert container["resources"]["resourceMemoryLimit"] == "65536Mi"  # twice: as many GPUs
    assert container["image"].startswith("r.example.org/v/trainyard-torch:")
    variables = {v["name"]: v["value"] for v in container["env"]}
    assert variables["TRAINYARD_STATE_DIR"] == "/data/kept"
    assert variables["NCCL_DEBUG"] == "WARN"


def test_all_of_them_as_kubernetes_objects(tmp_path: Path) -> None:
    done = compile_("--all", "--format", "kubernetes", "--namespace", "vision")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == [f"{name}.kubernetes.yaml" for name in catalog.names()]
    for path in done.stdout.split():
        pipeline, version = documents((tmp_path / path).read_text())
        assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
        assert pipeline["metadata"]["namespace"] == "vision"
    again = compile_("--all", "--format", "kubernetes", "--namespace", "vision")
    assert again.exit_code == 0, again.stderr


def test_a_dry_run_prints_and_writes_nothing(tmp_path: Path) -> None:
    done = compile_("--all", "--output", "out", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == [f"out/{name}.yaml" for name in catalog.names()]
    done = compile_(NAME, "--output", "out", "--dry-run")
    assert documents(done.stdout)[0]["pipelineInfo"]["name"] == "action-recognition"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("/proc/foo", "/proc/foo cannot be written to (No such file or directory)"),
        ("n" * 300, "cannot be a folder (File name too long)"),
        ("file", "file is a file; a folder is needed; choose another folder"),
    ],
)
def test_folders_that_cannot_be_written_to_are_told(folder: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = compile_(NAME, "--output", folder)
    assert done.exit_code == 2, done.output
    assert text in done.stderr


def test_a_full_disk_is_told_with_what_was_written(tmp_path: Path, small_volume: Path) -> None:
    made = [compiled(NAME), compiled(catalog.names()[1])]
    huge = replace(made[1], header=made[1].header + "#" * 10**8)
    with pytest.raises(OutOfSpaceError, match=f"written: {small_volume}/{NAME}.yaml$"):
        write([made[0], huge], small_volume)


def test_every_mistake_is_told_at_once_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "placement.yaml").write_text("all: {environment: {API_TOKEN: hunter2}}\n")
    done = compile_(
        "--all", "--output", "out", "--gpus", "-1", "--gpu-type", "gpu",
        "--placement", "placement.yaml", "--secret", "database", "--namespace", "A B",
        "--pvc", "work:/data:ro", "--storage", "volume", "--image", "torch=mine:latest",
        "--image", "data=one", "--image", "tourch=a:1", "--toleration", "x:Never",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    for expected in (
        "--gpus: -1 is refused",
        "--gpu-type: gpu: unknown resource; accepted are nvidia.com/gpu",
        "placement.yaml: all.environment: API_TOKEN",
        "secrets: database: a Kubeflow task takes single keys",
        "--namespace: 'A B' is no name of a namespace",
        "--state-dir /data/state: not on a volume that every step can write to",
        "--image torch=mine:latest: mine:latest is not pinned",
        "--image data=one: one is not pinned",
        "--image tourch=a:1: there is no image 'tourch'",
        "--toleration x:Never: expected KEY",
    ):
        assert expected in done.stderr, expected
    assert "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--storage", "volume"], "add --pvc CLAIM:/path, or take --storage artifact"),
        (["--state-dir", "/kept"], "--state-dir /kept: not on a volume that every step can write"),
        (["--notify", "Not A Secret"], "--notify: what was given is no name in Kubernetes"),
        (
            ["--image-registry", "my registry"],
            "--image-registry: 'my registry' is no prefix of images",
        ),
        (["--placement", "absent.yaml"], "absent.yaml: cannot read it"),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], message: str) -> None:
    done = compile_(NAME, *words)
    assert done.exit_code == 2, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
