"""Pipelines and schedules as Kubernetes objects: names, shapes, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipelines import catalog
from pipelines.backends._job_follow import secret_command
from pipelines.cli import main
from pipelines.compile import compiled, in_format
from pipelines.job_rules import check
from pipelines.kubernetes_format import kubernetes_documents
from pipelines.quantities import is_dns_label
from pipelines.run_starter import RunOrder, canceller, schedule_documents, starter_documents

SCHEDULE = ("--format", "kubernetes", "--schedule", "0 3 * * 7")


def trainyard(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def made() -> list[Any]:
    return compiled("action_recognition").documents


@pytest.mark.parametrize("name", catalog.names())
def test_every_pipeline_has_both_objects_and_the_same_bytes_each_time(name: str) -> None:
    one = in_format(compiled(name), "kubernetes", "vision")
    pipeline, version = one.documents
    plain = name.replace("_", "-")
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert pipeline["metadata"]["name"] == version["spec"]["pipelineName"] == plain
    assert version["metadata"]["name"].startswith(f"{plain}-")
    assert pipeline["spec"]["displayName"] != plain
    for document in one.documents:
        assert document["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert document["metadata"]["namespace"] == "vision"
        assert is_dns_label(document["metadata"]["name"])
    spec, platform = compiled(name).documents
    assert version["spec"]["pipelineSpec"] == spec
    assert version["spec"]["platformSpec"] == platform
    assert one.text() == in_format(compiled(name), "kubernetes", "vision").text()


def test_a_versions_name_is_that_of_its_content(made: list[Any]) -> None:
    def name(documents: list[Any], namespace: str = "") -> str:
        return str(kubernetes_documents(documents, namespace)[1]["metadata"]["name"])

    changed = json.loads(json.dumps(made))
    changed[0]["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"] = 1234
    without_platform = made[:1]
    assert len({name(made), name(changed), name(without_platform)}) == 3
    assert name(made, "vision") == name(made)
    assert "namespace" not in kubernetes_documents(made)[1]["metadata"]
    assert "platformSpec" not in kubernetes_documents(without_platform)[1]["spec"]


def test_the_schedule_is_written_beside_the_pipeline(tmp_path: Path) -> None:
    words = ("compile", "action_recognition", "source=s3://clips", "epochs=3", *SCHEDULE)
    done = trainyard(*words, "--output", tmp_path, "--namespace", "vision")
    assert done.exit_code == 0, done.output
    [file] = tmp_path.iterdir()
    *_, config, schedule = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    assert json.loads(config["data"]["request.json"]) == {
        "pipeline": "action-recognition",
        "parameters": {"source": "s3://clips", "epochs": 3},
        "version": "",
        "experiment": "action_recognition",
        "namespace": "vision",
        "service_account": "",
    }
    assert "immutable" not in config, "other parameters are applied later"
    spec = schedule["spec"]
    assert spec["schedule"] == "0 3 * * 0"
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 3600


def test_starters_keep_to_the_rules_and_hold_no_rights() -> None:
    order = RunOrder("p", {"epochs": 3})
    once, regular = starter_documents(order, "first"), schedule_documents(order, "r", "0 3 * * *")
    assert check([*once, *regular]) == []
    pod = once[1]["spec"]["template"]["spec"]
    assert pod == {
        **regular[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        "volumes": pod["volumes"],
    }
    assert pod["serviceAccountName"] == "trainyard-scheduler"
    assert pod["automountServiceAccountToken"] is False
    [token] = [v["projected"]["sources"] for v in pod["volumes"] if v["name"] == "token"]
    assert token[0]["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"


def test_two_orders_are_two_contents_and_a_namespace_is_none() -> None:
    def content(order: RunOrder) -> str:
        job = starter_documents(order, "first")[1]
        return str(job["metadata"]["annotations"]["trainyard/content"])

    assert content(RunOrder("p", {"epochs": 3})) != content(RunOrder("p", {"epochs": 4}))
    assert content(RunOrder("p")) != content(RunOrder("p", version="p-1"))
    assert content(RunOrder("p")) == content(RunOrder("p", namespace="vision"))


def test_a_canceller_knows_the_job_whose_run_it_ends() -> None:
    job = starter_documents(RunOrder("p"), "x" * 63)[1]
    job["metadata"]["uid"] = "u-1"
    made = canceller(job)
    assert is_dns_label(made["metadata"]["name"])
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    [container] = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["/trainyard/config/request.json", "--cancel"]
    named = {v["name"]: v.get("value") for v in container["env"]}
    assert (named["TRAINYARD_JOB"], named["TRAINYARD_JOB_UID"]) == ("x" * 63, "u-1")
    assert check([made]) == []


def test_everything_wrong_with_a_schedule_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wrong = (
        "epochs=many", "--time-zone", "Mars", "--name", "N", "--schedule", "0 0 3 * * *",
        "--service-account", "ü", "--experiment", "https://u:hunter2@h/x", "--gpus", "99",
        "--image-registry", "BAD Registry/!!", "--notify", "A B", "--pvc", "a:/data", "--pvc",
        "b:/data", "--output", tmp_path / "file" / "out", "source=clips",
    )  # fmt: skip
    done = trainyard("compile", "action_recognition", *wrong, "--format", "kubernetes")
    assert done.exit_code == 2
    for text in (
        "epochs", "--time-zone: 'Mars'", "--name 'N'", "six fields", "--service-account: 'ü' is no",
        "--experiment: it holds a secret (a URL with a password in it)", "--gpus: 99 is refused",
        "--image-registry: 'BAD Registry/!!' is no prefix", "--notify: what was given is no name",
        "--pvc: /data is the path of 2 volumes", "file is a file; a folder is needed",
    ):  # fmt: skip
        assert done.output.count(text) >= 1, text
    assert done.output.count("--pvc: /data is the path") == 1
    assert "hunter2" not in done.output


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "action_recognition", *SCHEDULE),
        ("run", "action_recognition", "--backend", "kubeflow", "--dry-run"),
        ("schedule", "create", "action_recognition", "--every", "6h", "--dry-run"),
    ],
)
def test_pods_have_no_places_of_this_machine(words: tuple[str, ...], tmp_path: Path) -> None:
    def tried(*more: str) -> Result:
        output = ("--output", str(tmp_path)) if words[0] == "compile" else ()
        return trainyard(*words, *output, *more)

    done = tried("source=clips", "pretrained=/data/weights.pt", "--experiment", "a\tb")
    assert done.exit_code == 2, done.output
    fix = "(mounted: none; add --pvc CLAIM); give s3://…, or --pvc CLAIM:/data and source=/data/…"
    assert f"source: clips is not on a mounted volume {fix}" in done.output
    assert "pretrained: /data/weights.pt is not on a mounted volume" in done.output
    assert "--experiment 'a\\tb': accepted are" in done.output
    signed = tried("source=https://h/x?X-Amz-Signature=0a1b2c&token=0a1b2c")
    assert signed.exit_code == 2, signed.output
    assert tried("source=/data/clips", "--pvc", "work:/data").exit_code == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("action_recognition", "epochs=3"), "KEY=VALUE: for --schedule only"),
        (("action_recognition", "--time-zone", "UTC"), "--time-zone: for --schedule only"),
        (("--all", *SCHEDULE), "--schedule is for one pipeline; name it in place of --all"),
        (("source=s3://b/c", "--all", *SCHEDULE), "--schedule is for one pipeline; name it in"),
        (("action_recognition", "--schedule", "@daily"), "--schedule needs --format kubernetes"),
    ],
)
def test_options_that_mean_nothing_are_refused(words: tuple[str, ...], text: str) -> None:
    done = trainyard("compile", *words)
    assert done.exit_code == 2
    assert text in done.output


def test_no_secret_gets_into_a_schedule() -> None:
    done = trainyard("compile", "action_recognition", "source=https://me:hunter2@host/x", *SCHEDULE)
    assert done.exit_code == 2
    assert "holds a secret" in done.output
    assert "hunter2" not in done.output


def test_the_command_for_a_secret_names_its_keys_once() -> None:
    made = secret_command("vision", "trainyard-kubeflow", ["URL", "URL"])
    assert made == "kubectl -n vision create secret generic trainyard-kubeflow --from-literal=URL=…"


RUN = ("run", "action_recognition", "--backend", "kubectl", "--dry-run")


def test_a_dry_run_shows_the_exact_documents() -> None:
    done = trainyard(*RUN, "source=s3://clips", "--name", "first", "--namespace", "vision")
    assert done.exit_code == 0, done.output
    [shown] = yaml.safe_load_all(done.stdout)
    pipeline, version, config, job = shown["documents"]
    assert [d["kind"] for d in (pipeline, config, job)] == ["Pipeline", "ConfigMap", "Job"]
    order = RunOrder(**json.loads(config["data"]["request.json"]))
    assert order.version == version["metadata"]["name"]
    assert order.parameters["source"] == "s3://clips"
    assert [config, job] == starter_documents(order, "first")


def test_everything_wrong_with_a_run_is_told_at_once(tmp_path: Path) -> None:
    wrong = ("epochs=many", "--name", "Not_a_label", "--output", tmp_path / "out")
    done = trainyard(*RUN, *wrong)
    assert done.exit_code == 2
    for text in ("epochs", "source", "--name 'Not_a_label'", "--output"):
        assert text in done.output, text
