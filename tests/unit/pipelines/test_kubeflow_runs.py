"""Runs on Kubeflow from submission to end, against a server that answers as the real one does."""

import copy
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
import yaml
from click.testing import CliRunner, Result
from kubeflow_runs import account, pod_name, step
from kubeflow_server import running_kubeflow
from kubeflow_state import Fault, KubeflowServer
from trainyard_process import run as trainyard
from trainyard_process import start, wait_for

from components.core.errors import InputError, ServiceError, SettingsError
from pipelines.backends import ClusterOptions, Request, _kubeflow_api, _kubeflow_follow
from pipelines.backends._kubeflow_address import Address
from pipelines.backends._kubeflow_api import Kubeflow
from pipelines.backends._kubeflow_status import steps
from pipelines.backends.kubeflow import BACKEND
from pipelines.cli import main

VALUES: dict[str, Any] = {"source": "s3://clips/all", "epochs": 3, "width": 1}
PIPELINE = "action_recognition"
RUNS, VERSIONS = "/apis/v2beta1/runs", "/apis/v2beta1/pipelines/upload_version"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    for name in ("TOKEN", "TOKEN_FILE", "CA", "ROOT"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    monkeypatch.setattr(_kubeflow_follow, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(_kubeflow_api, "FIRST_PAUSE", 0.01)
    with running_kubeflow() as running:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", running.url)
        yield running


def request(**options: Any) -> Request:
    cluster = ClusterOptions({}, "", namespace=options.pop("namespace", ""))
    return Request(PIPELINE, options.pop("values", VALUES), cluster=cluster, **options)


def finished(state: str = "SUCCEEDED", **options: Any) -> list[dict[str, Any]]:
    """A short run as three looks at it would show it."""
    return [
        account("r", "PENDING"),
        account("r", "RUNNING", step("dataset-sync", "RUNNING")),
        account("r", state, step("dataset-sync", state, seconds=75, **options)),
    ]


def test_a_run_gets_typed_parameters_and_everything_it_refers_to(server: KubeflowServer) -> None:
    run = BACKEND.submit(request(name="first"))
    made = server.runs[run]
    parameters = made["runtime_config"]["parameters"]
    assert parameters["epochs"] == 3
    assert type(parameters["epochs"]) is int
    assert parameters["width"] == 1.0
    assert parameters["node_selector"] == {}
    assert made["display_name"] == "first"
    (pipeline,), (version,) = server.pipelines.values(), server.versions.values()
    assert pipeline["name"] == "action-recognition"
    assert version["name"].startswith("action-recognition-")
    assert made["pipeline_version_reference"] == {
        "pipeline_id": pipeline["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert server.experiments[made["experiment_id"]]["display_name"] == PIPELINE


def test_the_same_content_is_uploaded_once(server: KubeflowServer) -> None:
    server.largest_page = 1
    first, second = BACKEND.submit(request()), BACKEND.submit(request())
    assert first != second
    assert len(server.runs) == 2
    assert len(server.posted(VERSIONS)) == len(server.versions) == len(server.pipelines) == 1
    assert len(server.experiments) == 1
    other = ClusterOptions({}, "", notify="trainyard-webhook")
    BACKEND.submit(Request(PIPELINE, VALUES, cluster=other))
    BACKEND.submit(request())
    assert len(server.versions) == 2


def test_lost_answers_make_nothing_twice(server: KubeflowServer) -> None:
    for path in (RUNS, VERSIONS, "/apis/v2beta1/experiments", "/apis/v2beta1/pipelines"):
        server.faults.append(Fault(path, method="POST", lose_answer=True))
    run = BACKEND.submit(request())
    assert list(server.runs) == [run]
    assert (len(server.pipelines), len(server.versions), len(server.experiments)) == (1, 1, 1)


def test_a_strict_server_refuses_what_the_client_would_never_send(server: KubeflowServer) -> None:
    """The test server would tell if numbers went out as text."""
    BACKEND.submit(request())
    body = copy.deepcopy(server.posted(RUNS)[0].body)
    body["runtime_config"]["parameters"]["epochs"] = "3"
    api = kfp_server_api.ApiClient(kfp_server_api.Configuration(host=server.url))
    with pytest.raises(kfp_server_api.ApiException, match="epochs requires type NUMBER_INTEGER"):
        kfp_server_api.RunServiceApi(api).run_service_create_run(body)


def test_names_taken_by_other_things_are_told(server: KubeflowServer) -> None:
    BACKEND.submit(request())
    (version,) = server.versions.values()
    spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
    spec["root"]["dag"]["tasks"].popitem()
    with pytest.raises(
        InputError, match=r"a version 'action-recognition-\w+' with another content"
    ):
        BACKEND.submit(request())
    spec["pipelineInfo"]["name"] = "something-else"
    version["name"] = "v1"
    with pytest.raises(InputError, match=r"of another origin \(its version 'v1' describes"):
        BACKEND.submit(request())


def test_many_users_need_a_namespace_and_one_has_none(server: KubeflowServer) -> None:
    with pytest.raises(InputError, match=r"single user .* leave --namespace team-a out"):
        BACKEND.submit(request(namespace="team-a"))
    server.multi_user = True
    with pytest.raises(InputError, match="--namespace"):
        BACKEND.submit(request())
    run = BACKEND.submit(request(namespace="team-a"))
    assert server.experiments[server.runs[run]["experiment_id"]]["namespace"] == "team-a"
    assert [p["namespace"] for p in server.pipelines.values()] == ["team-a"]


def test_everything_wrong_is_told_before_the_server_is_asked(
    server: KubeflowServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    bad = ClusterOptions({}, "", experiment="x" * 200, problems=("--pvc CLAIM: no path",))
    values = {"epochs": "many", "sorce": "s3://a/b", "source": "s3://me:hunter2@host/clips"}
    with pytest.raises(SettingsError) as caught:
        BACKEND.run(Request(PIPELINE, values, tmp_path, resume=True, cluster=bad))
    text = str(caught.value)
    for expected in ("--pvc", "--experiment", "--resume", "--output", "source: it holds a secret"):
        assert expected in text
    assert "hunter2" not in text
    with pytest.raises(SettingsError, match="sorce: unknown"):
        BACKEND.submit(request(values={"sorce": "s3://a/b"}))
    assert server.asked == []


def test_steps_are_told_with_times_logs_and_the_end(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.story = finished()
    pod = pod_name("dataset-sync")
    server.logs[pod] = "checked 3 clips\nlast line without an end"
    assert BACKEND.run(request()) == 0
    shown = capsys.readouterr()
    (run,) = server.runs
    assert shown.out.splitlines() == [
        "dataset-sync | checked 3 clips",
        "dataset-sync | last line without an end",
    ]
    assert "dataset-sync: running\n" in shown.err
    assert "dataset-sync: succeeded after 1 min 15 s" in shown.err
    assert f"{server.url}/#/runs/details/{run}" in shown.err
    assert f"run {run} succeeded" in shown.err


def test_failures_say_which_step_and_why(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.story = [
        account(
            "r", "FAILED",
            step("dataset-sync", "SUCCEEDED", cached=True),
            step("split-clips", "FAILED", attempts=2, seconds=5, error="exit code 3"),
            step("frame-extraction", "FAILED", driver="FAILED"),
            step("train-video", "SKIPPED"),
            error="2 steps failed",
        )
    ]  # fmt: skip
    for attempt in (0, 1):
        server.logs[pod_name("split-clips", attempt)] = f"attempt {attempt}\n"
    assert BACKEND.run(request()) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["split-clips | attempt 0", "split-clips | attempt 1"]
    assert "split-clips: failed after 5 s: exit code 3" in shown.err
    assert "failed: 2 steps failed" in shown.err
    (run,) = server.runs
    status = BACKEND.status(run, "")
    assert (status.state, status.detail) == ("failed", "2 steps failed")
    assert {s.task: (s.state, s.detail) for s in status.steps} == {
        "dataset-sync": ("succeeded", "its cached results are used"),
        "split-clips": ("failed", "exit code 3"),
        "frame-extraction": ("failed", "it could not be prepared: its driver failed"),
        "train-video": ("cancelled", "not run"),
    }


def test_logs_come_by_the_older_path_too_or_their_absence_is_told_once(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.log_path = "/nowhere"
    server.story = finished()
    server.logs[pod_name("dataset-sync")] = "hello\n"
    assert BACKEND.run(request()) == 0
    assert capsys.readouterr().out == "dataset-sync | hello\n"
    server.logs.clear()
    both = (step("dataset-sync", "SUCCEEDED"), step("split-clips", "SUCCEEDED"))
    server.story = [account("r", "SUCCEEDED", *both)]
    assert BACKEND.run(request()) == 0
    said = capsys.readouterr().err
    assert said.count("logs cannot be shown") == 1
    assert "kubectl -n kubeflow logs POD" in said


def test_a_pod_that_finds_no_node_is_explained(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = pod_name("dataset-sync")
    unscheduled = {
        "type": "PodScheduled", "status": "False",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    }  # fmt: skip
    server.pods[pod] = {
        "metadata": {"name": pod},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Pending", "conditions": [unscheduled]},
    }
    server.story = finished("CANCELED")
    assert BACKEND.run(request()) == 1
    assert f"pod {pod} waits for a node: 0/3 nodes" in capsys.readouterr().err


def test_each_run_of_a_step_in_a_loop_is_told() -> None:
    nodes = [
        {"display_name": "hpo-sweep", "pod_name": "wf-1", "state": "RUNNING"},
        {"display_name": "for-loop-2", "pod_name": "wf-2", "state": "RUNNING"},
        {"display_name": "hpo-sweep-2", "pod_name": "wf-3", "state": "FAILED"},
        {"display_name": "hpo-sweep-2", "pod_name": "wf-4", "state": "RUNNING"},
    ]
    told = steps({"run_details": {"task_details": nodes}})
    assert [(step.status.task, step.status.state) for step in told] == [
        ("hpo-sweep", "running"),
        ("hpo-sweep-2", "failed"),
        ("hpo-sweep-2 (2)", "running"),
    ]


def test_further_workers_that_may_share_nothing_are_warned_of(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {"n_trials": 4, "search_space": {"epochs": [1, 5]}, "more_workers": [1, 2]}
    run_id = BACKEND.submit(request(values={**VALUES, **search}))
    assert server.runs[run_id]["runtime_config"]["parameters"]["more_workers"] == [1, 2]
    assert "more_workers: without a volume (--pvc" in capsys.readouterr().err


def test_a_run_that_is_not_there_and_one_that_is_over(server: KubeflowServer) -> None:
    for ask in (BACKEND.status, BACKEND.follow, BACKEND.cancel):
        nobody = str(uuid.uuid4())
        with pytest.raises(InputError, match=rf"find run .*: .* Run {nobody} not found"):
            ask(nobody, "")
    run = BACKEND.submit(request(name="night"))
    with pytest.raises(InputError, match="there is no run 'nights'; did you mean 'night'"):
        BACKEND.status("nights", "")
    BACKEND.cancel(run, "")
    assert BACKEND.status(run, "").state == "cancelled"
    with pytest.raises(InputError, match="is over already: it was cancelled"):
        BACKEND.cancel(run, "")


def test_the_same_name_goes_on_with_the_run_of_the_same_request(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.largest_page = 1
    with pytest.raises(InputError, match="has no run 'night' to resume"):
        BACKEND.submit(request(name="night", resume=True))
    BACKEND.submit(request(name="day"))
    run = BACKEND.submit(request(name="night"))
    assert BACKEND.submit(request(name="night")) == run
    assert "already; it is pending\n" in capsys.readouterr().err
    for ended in ("FAILED", "CANCELED"):
        server.runs[run]["state"] = ended
        assert BACKEND.submit(request(name="night", resume=ended == "FAILED")) == run
        assert server.runs[run]["state"] == "RUNNING"
        assert "it is tried again" in capsys.readouterr().err
    server.runs[run]["state"] = "SUCCEEDED"
    assert BACKEND.run(request(name="night")) == 0
    assert "already; it succeeded\n" in capsys.readouterr().err
    with pytest.raises(InputError, match=rf"'night' \({run}\) with another parameter epochs;"):
        BACKEND.submit(request(name="night", values={**VALUES, "epochs": 4}))
    other = ClusterOptions({}, "", notify="trainyard-webhook", service_account="trainer")
    with pytest.raises(InputError, match="with another pipeline version, service account; choose"):
        BACKEND.submit(Request(PIPELINE, VALUES, name="night", cluster=other))
    assert (len(server.runs), len(server.versions)) == (2, 1)


def test_runs_are_known_by_name_in_their_namespace(server: KubeflowServer) -> None:
    server.multi_user = True
    run = BACKEND.submit(request(name="night", namespace="team-a"))
    with pytest.raises(InputError, match="--namespace"):
        BACKEND.status("night", "")
    with pytest.raises(InputError, match="there is no run 'night'; give its name or its id"):
        BACKEND.status("night", "team-b")
    assert BACKEND.status("night", "team-a").run == run
    server.stories[run] = [account("r", "SUCCEEDED")]
    assert BACKEND.follow("night", "team-a") == 0
    weekly = BACKEND.submit(request(name="night/2 'ü'", namespace="team-a"))
    told = command("status", "night/2 'ü'", "--namespace", "team-a")
    assert told.stdout.startswith(f"{weekly}: pending\n")
    assert "RUN ' '" in command("status", " ").stderr
    twin = {**server.runs[run], "run_id": str(uuid.uuid4()), "state": "RUNNING"}
    server.runs[twin["run_id"]] = twin
    with pytest.raises(InputError, match="several runs are called 'night'; give an id") as caught:
        BACKEND.cancel("night", "team-a")
    assert f"{run} (succeeded)" in str(caught.value)
    assert f"{twin['run_id']} (running)" in str(caught.value)


def test_a_server_that_fails_for_a_while_is_waited_for_and_that_is_said_once(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = BACKEND.submit(request())
    server.stories[run] = finished()
    path = f"{RUNS}/{run}"
    broken = Fault(path, lose_answer=True)
    server.faults = [Fault(path, status=500, times=4), Fault(path, status=502), broken]
    assert BACKEND.follow(run, "team-a") == 0
    said = capsys.readouterr().err
    assert said.count("looking again, for up to") == said.count("the server answers again") == 1
    assert "answers 500" in said
    assert all(fault.times == 0 for fault in server.faults)


def test_a_server_that_is_gone_is_waited_for_while_following(
    monkeypatch: pytest.MonkeyPatch, server: KubeflowServer
) -> None:
    monkeypatch.setattr(_kubeflow_api, "PATIENCE_SECONDS", 0.2)
    said: list[str] = []
    with running_kubeflow() as leaving:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", leaving.url)
        api = Kubeflow(Address.from_environment())
    with pytest.raises(ServiceError, match="nothing listens"):
        _kubeflow_follow.Follower(api, "r", "team-a", said.append, said.append).follow()
    assert len(said) == 1
    assert "nothing listens" in said[0]
    assert "looking again" in said[0]


def test_a_long_silence_and_states_of_other_servers_are_told(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_kubeflow_follow, "SILENCE_SECONDS", 0.02)
    odd = step("dataset-sync", "HIBERNATING")
    server.story = [account("r", "PAUSED", odd)] * 8 + [account("r", "SUCCEEDED")]
    run = BACKEND.submit(request())
    status = BACKEND.status(run, "")
    assert (status.state, status.detail) == ("pending", "Kubeflow says PAUSED")
    assert status.steps[0].detail == "Kubeflow says HIBERNATING"
    assert BACKEND.follow(run, "") == 0
    assert "no news for 0 s; the run is still PAUSED" in capsys.readouterr().err


def test_an_exceeded_quota_says_what_to_do(
    server: KubeflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    why = 'pods "x" is forbidden: exceeded quota: gpus, requested: 1, used: 4, limited: 4'
    server.story = [account("r", "FAILED", step("train-video", "FAILED", error=why))]
    assert BACKEND.run(request()) == 1
    assert f"{why}; wait for other runs to end, ask for less" in capsys.readouterr().err
    refusal = f'{{"code":7,"message":"{why.replace(chr(34), chr(39))}"}}'
    server.faults = [Fault(RUNS, method="POST", status=403, body=refusal)]
    with pytest.raises(ServiceError, match=r"exceeded quota: gpus.*; wait for other runs"):
        BACKEND.submit(request())


def test_following_ends_with_a_hint_where_the_server_goes_away(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kubeflow_api, "PATIENCE_SECONDS", 0.2)
    run = BACKEND.submit(request())
    server.faults = [Fault(f"{RUNS}/{run}", status=503, times=99)]
    with pytest.raises(ServiceError, match=rf"overloaded.*\n.*trainyard follow {run} .* team-a"):
        BACKEND.follow(run, "team-a")


def test_rendering_asks_nobody_and_shows_what_is_sent(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_TOKEN", "planted-token")
    monkeypatch.setenv("TRAINYARD_S3_SECRET_KEY", "planted-key")
    rendered = BACKEND.render(request(name="first"))
    assert server.asked == []
    assert "planted" not in yaml.safe_dump(rendered)
    BACKEND.submit(request(name="first"))
    (sent,) = server.posted(RUNS)
    ids = ("experiment_id", "pipeline_version_reference", "description")
    assert {k: v for k, v in rendered["run"].items() if k not in ids} == {
        k: v for k, v in sent.body.items() if k not in ids
    }
    assert server.posted("/apis/v2beta1/experiments")[0].body == rendered["experiment"]
    assert server.posted("/apis/v2beta1/pipelines")[0].body == rendered["pipeline"]
    (version,) = server.versions.values()
    assert version["name"] == rendered["version"]["name"]


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, arguments)


def test_the_command_from_dry_run_to_cancel(
    server: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"TRAINYARD_KUBEFLOW_URL": server.url, "TRAINYARD_KUBEFLOW_TOKEN": "secret-token"}
    server.token = "secret-token"
    arguments = ["run", PIPELINE, "source=s3://clips/all", "--backend", "kubeflow"]
    dry = command(*arguments, "--dry-run", **environment)
    assert dry.exit_code == 0, dry.stderr
    assert server.asked == []
    assert yaml.safe_load(dry.stdout)["run"]["runtime_config"]["parameters"]["epochs"] == 30
    server.story = finished()
    server.logs[pod_name("dataset-sync")] = "hello\n"
    done = trainyard(tmp_path, *arguments, "--name", "first", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "dataset-sync | hello\n"
    (run,) = server.runs
    told = command("status", run, **environment)
    assert told.exit_code == 0, told.stderr
    assert "✓ dataset-sync: succeeded" in told.stdout
    assert f"/#/runs/details/{run}" in told.stdout
    over = command("cancel", run, **environment)
    assert over.exit_code == 3
    assert "is over already" in over.stderr
    denied = command(*arguments, **{**environment, "TRAINYARD_KUBEFLOW_TOKEN": "old"})
    assert denied.exit_code == 4
    assert "may have expired" in denied.stderr
    assert "secret-token" not in dry.stdout + done.stderr + denied.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_the_run_alone(server: KubeflowServer, tmp_path: Path) -> None:
    run = BACKEND.submit(request())
    server.stories[run] = [account("r", "RUNNING", step("dataset-sync", "RUNNING"))]
    process = start(tmp_path, "follow", run, TRAINYARD_KUBEFLOW_URL=server.url)
    output = tmp_path / "output.txt"
    assert wait_for(lambda: "dataset-sync: running" in output.read_text(), process, 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert f"trainyard follow {run} --backend kubeflow" in output.read_text()
    assert server.runs[run]["state"] == "RUNNING"
