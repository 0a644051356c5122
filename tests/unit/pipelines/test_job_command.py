"""`trainyard job` and `run --backend prp` without a cluster: what they print and refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from trainyard_process import run

from pipelines import job_rules
from pipelines.cli import main

TRAIN = ["job", "train_video", "--pvc", "clips:/data", "--input", "frames=/data/frames",
         "--input", "split=/data/split", "--output", "model=/data/model"]  # fmt: skip
PIPELINE = ["run", "low_resolution_actions", "--backend", "prp", "source=/data/tinyvirat",
            "--name", "first", "--dry-run"]  # fmt: skip


def printed(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_a_job_is_printed_with_typed_settings_from_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("epochs: 3\nlearning_rate: 1e-4\n")
    config, job = printed(
        tmp_path, *TRAIN, "epochs=7", "-f", "params.yaml", "--gpus", "2", "--deadline", "36h",
        "--gpu-product", "NVIDIA-A10", "--retries", "1", "--label", "team=vision",
        "--image", "registry.example.org/lab/torch@sha256:" + "0" * 64,
    )  # fmt: skip
    settings = yaml.safe_load(config["data"]["params.yaml"])
    assert (settings["epochs"], settings["learning_rate"]) == (7, 0.0001)
    spec = job["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (129600, 1)
    container = spec["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["image"].endswith("0" * 64)
    assert job["metadata"]["labels"]["team"] == "vision"
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["TRAINYARD_STATE_DIR"] == "/data/state"
    assert job_rules.check([config, job]) == []


def test_the_same_command_prints_the_same(tmp_path: Path) -> None:
    assert printed(tmp_path, *TRAIN) == printed(tmp_path, *TRAIN, "--dry-run")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    done = run(
        tmp_path, "job", "train-video", "epoch=3", "learning_rate=fast", "pretrained=/weights.pt",
        "--pvc", "clips:/data", "--input", "frames=/frames", "--output", "modl=/data/m",
        "--memory", "16 GB", "--gpus", "3", "--gpu-type", "nvidia.com/gpus", "--shm", "1Gi",
        "--image", "trainyard-torch:latest", "--deadline", "later", "--name", "First_Job",
        "--toleration", "x:Never", "-f", "absent.yaml",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for expected in (
        "--deadline later: expected a time",
        "--toleration x:Never: expected KEY",
        "absent.yaml: cannot read it",
        "epoch: unknown parameter; did you mean 'epochs'?",
        "learning_rate: ",
        "--input split=PATH is missing",
        "--output modl: train_video has no such output; did you mean 'model'?",
        "input frames: /frames is not on a mounted volume (mounted: /data)",
        "pretrained: /weights.pt is not on a mounted volume",
        "memory: '16 GB' is no Kubernetes quantity",
        "nvidia.com/gpus: unknown resource",
        "trainyard-torch:latest is not pinned",
        "'First_Job' is no DNS label",
    ):
        assert expected in done.stderr, expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["job", "train_vido"], "unknown stage 'train_vido'; did you mean 'train_video'?"),
        ([*TRAIN, "--follow"], "--follow needs --apply"),
        ([*TRAIN, "--dry-run", "--apply"], "exclude each other"),
        (["job", "split_clips", "--input", "clips=/c", "--output", "split=/s"], "--pvc is missing"),
        (PIPELINE, "--pvc is missing"),
        ([*PIPELINE, "--pvc", "c:/elsewhere"], "source: /data/tinyvirat is not on a mounted"),
        ([*PIPELINE, "--pvc", "c:/data", "epoch=1"], "epoch: unknown parameter"),
        ([*PIPELINE, "--pvc", "c:/data", "--output", "x"], "give --name instead"),
        ([*PIPELINE, "--pvc", "c:/data", "--name", "A_b"], "--name 'A_b'"),
        (
            ["run", "action_recognition", "source=x", "--gpus", "2", "--pvc", "c"],
            "--gpus, --pvc: for --backend kubeflow, kubectl, prp only",
        ),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], message: str) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2, done.stdout
    text = done.stderr
    assert message in text
    assert "Traceback" not in text


def test_a_pipeline_is_rendered_as_one_job_per_step_and_a_driver(tmp_path: Path) -> None:
    (tmp_path / "placement.yaml").write_text(
        "all: {volumes: [{claim: clips, path: /data}]}\n"
        "train_video: {gpus: 2, cpu: 8, memory: 24Gi, shared_memory: 8Gi}\n"
    )
    [shown] = printed(tmp_path, *PIPELINE, "--placement", "placement.yaml", "--notify", "hook")
    steps = {step["task"]: step for step in shown["steps"]}
    order = list(steps)
    assert all(order.index(e) < order.index(task) for task in order for e in steps[task]["after"])
    config, driver = shown["driver"]
    assert json.loads(config["data"]["run.json"]) == {
        "run": "first",
        "pipeline": "low_resolution_actions",
        "steps": shown["steps"],
    }
    changed = {"task": "check-changes", "output": "Output", "value": "yes"}
    for task, step in steps.items():
        always = task in ("dataset-sync", "check-changes")
        assert step["conditions"] == ([] if always else [changed]), task
    [variable] = [v for v in environment(steps["check-changes"]["documents"][1]) if "DECISION" in v]
    assert variable == "TRAINYARD_DECISION_FILE"
    assert environment(driver)["TRAINYARD_WEBHOOK_URL"] == {
        "secretKeyRef": {"name": "hook", "key": "TRAINYARD_WEBHOOK_URL"}
    }
    assert "TRAINYARD_WEBHOOK_URL" not in environment(steps["train-video"]["documents"][1])
    pod = driver["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["python", "-m", "pipelines.backends._prp_driver"]
    assert pod["containers"][0]["resources"]["limits"]["cpu"] == "1"
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "2Gi"
    assert pod["serviceAccountName"] == "trainyard-driver"

    gpus = {
        task: step["documents"][1]["spec"]["template"]["spec"]["containers"][0]["resources"][
            "limits"
        ].get("nvidia.com/gpu")
        for task, step in steps.items()
    }
    assert gpus == {task: "2" if task == "train-video" else None for task in steps}

    def argument(task: str, option: str) -> str:
        job = steps[task]["documents"][1]
        words = job["spec"]["template"]["spec"]["containers"][0]["args"]
        return str(words[words.index(option) + 1])

    assert argument("train-video", "--frames") == "/data/runs/first/frame-extraction/frames"
    assert argument("train-video", "--frames") == argument("frame-extraction", "--frames")
    assert argument("triton-publish", "--model") == argument("train-video", "--model")
    settings = yaml.safe_load(steps["triton-publish"]["documents"][0]["data"]["params.yaml"])
    assert settings["repository"] == "/data/runs/first/model_repository"
    documents = [*shown["driver"], *(d for step in shown["steps"] for d in step["documents"])]
    assert job_rules.check(documents) == []


def environment(job: dict[str, Any]) -> dict[str, Any]:
    """Variable → its value, or where that comes from."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container["env"]}


def test_a_planted_secret_appears_in_no_document(tmp_path: Path) -> None:
    done = run(
        tmp_path, *PIPELINE, "--pvc", "clips:/data", "--secret", "database:PGPASSWORD",
        TRAINYARD_S3_SECRET_KEY="planted-value", TRAINYARD_S3_ACCESS_KEY="planted-value",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "planted-value" not in done.stdout
    assert "PGPASSWORD" in done.stdout
    refused = run(
        tmp_path, *PIPELINE, "--pvc", "clips:/data", "triton_url=http://me:planted-value@host:8000"
    )
    assert refused.returncode == 2
    assert "triton_url: it holds credentials" in refused.stderr
    assert "planted-value" not in refused.stdout + refused.stderr


def test_the_same_run_is_rendered_alike_every_time(tmp_path: Path) -> None:
    """Protobuf gives its maps another order in each process."""
    words = [*PIPELINE, "--pvc", "clips:/data"]
    texts = {run(tmp_path, *words, PYTHONHASHSEED=str(seed)).stdout for seed in range(4)}
    assert len(texts) == 1


def test_what_kubernetes_would_refuse_is_refused_here_all_at_once(tmp_path: Path) -> None:
    done = run(
        tmp_path, "job", "train_video", "processes=8", "--gpus", "4", "--retries", "-2",
        "--pvc", "Work_X:/data", "--namespace", "Bad NS", "--secret", "Data_Base",
        "--secret", "s:KEY=hunter2", "--image-pull-secret", "my registry", "--label", "a b=c",
        "--label", "trainyard/run=mine", "--label", "app.kubernetes.io/name=mine",
        "--gpu-product", "", "--deadline", "400d", "--input", "frames=", "--input", "split=/data/s",
        "--input", "split=/data/t", "--output", "model=/data/s/model", "--state-dir", "/data/s/x",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for expected in (
        "--retries: -2 is refused; accepted are 0 (a failure is final) to 100",
        "--pvc: claim 'Work_X' is no name in Kubernetes; accepted are a-z",
        "--namespace: 'Bad NS' is no name of a namespace; accepted are at most 63",
        "--secret: 'Data_Base' is no name of a Secret",
        "--secret s:KEY: values never belong on the command line",
        "--image-pull-secret: 'my registry' is no name of a Secret",
        "--label: 'a b' is no key of a label",
        "--label: trainyard/run is set by trainyard",
        "--label: app.kubernetes.io/name is set by trainyard",
        "--gpu-product: '' is no GPU model",
        "--deadline: 400d is refused; accepted are up to 14d",
        "--input frames=: expected NAME=PATH",
        "--input split: given twice (/data/s and /data/t)",
    ):
        assert expected in done.stderr, expected
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "model=/data/frames"], "output model: /data/frames is also input frames"),
        (["--output", "model=/data/split/m/"], "/data/split/m/ lies inside input split (/data/spl"),
        (["--output", "model=/data"], "output model: /data holds input frames (/data/frames)"),
        (["--output", "model=/data/model", "--state-dir", "/data/model"],
         "state directory: /data/model is also output model"),
        (["--output", "model=/data/model", "--state-dir", "/data/frames/s"],
         "state directory: /data/frames/s lies inside input frames"),
        (["--output", "model=/data/state/model"], "lies inside the state directory /data/state"),
        (["--output", "model=/data/m", "pretrained=/data/m"], "model: /data/m is also pretrained"),
        (["--output", "model=/data/m", "device=cpu"], "device: cpu, but the Job gets 4 GPUs, wh"),
        (["--output", "model=/data/m", "device=cuda", "--gpus", "0"], "but the Job gets no GPU"),
        (["--output", "model=/data/m", "processes=8"], "processes: 8, but the Job gets 4 GPUs"),
        (["--output", "model=/data/m", "--gpus", "17"], "gpus: 17 is refused; accepted are 0"),
    ],
)  # fmt: skip
def test_places_and_settings_that_contradict_one_another(
    tmp_path: Path, words: list[str], message: str
) -> None:
    done = run(tmp_path, *TRAIN[:-2], *words)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr


def test_many_gpus_are_doubted(tmp_path: Path) -> None:
    done = run(tmp_path, *TRAIN, "--gpus", "9")
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert "few nodes have more than 8" in done.stderr


def test_everything_wrong_with_a_run_on_a_cluster_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "placement.yaml").write_text(
        "all: {tolerations: {key: reserved}}\ntrain: {gpus: 2}\ntrain_video: {gpu: 2}\n"
    )
    words = ["run", "low_resolution_actions", "--backend", "prp", "--dry-run", "epocs=3"]
    done = run(tmp_path, *words, "--name", "A_b", "--placement", "placement.yaml",
               "--service-account", "me")  # fmt: skip
    assert done.returncode == 2
    for expected in (
        "--pvc is missing",
        "epocs: unknown parameter; did you mean 'epochs'?",
        "source: required but not given",
        "--name 'A_b'",
        "--service-account: for --backend kubeflow, kubectl only",
        "train: unknown stage",
        "train_video.gpu: unknown field; did you mean 'gpus'?",
        "all.tolerations: got {'key': 'reserved'}; write it like tolerations: [{key: ",
    ):
        assert done.stderr.count(expected) == 1, expected
    assert done.stderr.count("tolerations: got") == 1


@pytest.mark.parametrize("command", ["status", "follow", "cancel"])
@pytest.mark.parametrize(
    ("backend", "name"),
    [("prp", ""), ("prp", "Bad/Name"), ("kubectl", "a b"), ("kubeflow", ""), ("kubeflow", " ")],
)
def test_what_can_be_no_run_is_refused(command: str, backend: str, name: str) -> None:
    done = CliRunner().invoke(main, [command, name, "--backend", backend])
    assert done.exit_code == 2
    assert f"RUN {name!r}: accepted are " in done.output


def test_places_are_checked_beside_wrong_parameters(tmp_path: Path) -> None:
    done = run(tmp_path, *PIPELINE, "--pvc", "c:/elsewhere", "epochs=abc")
    assert "epochs: " in done.stderr
    assert "source: /data/tinyvirat is not on a mounted" in done.stderr
    assert done.returncode == 2


def test_a_local_run_tells_a_missing_source_beside_wrong_parameters(tmp_path: Path) -> None:
    words = ["run", "low_resolution_actions", "source=/nope", "epochs=abc", "foo=1", "--dry-run"]
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for expected in ("foo: unknown parameter", "epochs: ", "/nope"):
        assert expected in done.stderr, expected
    done = run(tmp_path, "run", "low_resolution_actions", "source=/nope", "--dry-run")
    assert done.returncode == 3  # nothing but the input is wrong
