"""Schedules on Kubeflow: always the latest version, never two of a kind, cron as people know it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
import yaml
from click.testing import CliRunner, Result
from kubeflow_server import running_kubeflow
from kubeflow_state import Fault, KubeflowServer
from trainyard_process import run as trainyard

from components.core.errors import TrainyardError
from pipelines.backends import _kubeflow_api
from pipelines.backends._kubeflow_api import Kubeflow
from pipelines.cli import main

SCHEDULES = "/apis/v2beta1/recurringruns"
VERSIONS = "/apis/v2beta1/pipelines/upload_version"
NIGHTLY = ("create", "action_recognition", "source=s3://clips/all", "epochs=3", "--cron")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    for name in ("TOKEN", "TOKEN_FILE", "CA", "ROOT"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    monkeypatch.setattr(_kubeflow_api, "FIRST_PAUSE", 0.01)
    with running_kubeflow() as running:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", running.url)
        yield running


def schedule(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["schedule", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def only(server: KubeflowServer) -> dict[str, Any]:
    (found,) = server.schedules.values()
    return found


def test_runs_take_the_latest_version_and_only_what_was_given(server: KubeflowServer) -> None:
    shown = schedule(*NIGHTLY, "0 3 * * 7", "--name", "nightly")
    made, (pipeline,) = only(server), server.pipelines.values()
    assert made["pipeline_version_reference"] == {"pipeline_id": pipeline["pipeline_id"]}
    assert made["runtime_config"] == {"parameters": {"source": "s3://clips/all", "epochs": 3}}
    assert type(made["runtime_config"]["parameters"]["epochs"]) is int
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 0"}}
    assert (made["max_concurrency"], made["no_catchup"]) == ("1", True)
    assert len(server.versions) == 1
    assert f"schedule nightly ({made['recurring_run_id']}): created" in shown.output
    next_sunday = datetime.now(UTC).replace(hour=3, minute=0)
    while next_sunday.weekday() != 6 or next_sunday <= datetime.now(UTC):
        next_sunday += timedelta(days=1)
    assert f"next: Sun {next_sunday:%Y-%m-%d} 03:00, Sun" in shown.output
    assert "CRON_SCHEDULE_TIMEZONE" in shown.output


def test_an_interval_a_window_and_the_other_options_arrive(server: KubeflowServer) -> None:
    schedule(
        "create", "action_recognition", "source=s3://clips/all", "model_name=falls",
        "--every", "6h", "--from", "2090-01-31", "--until", "2091-01-31T06:00+01:00",
        "--max-concurrency", "3", "--catch-up", "--only-if-changed", "--experiment", "nights",
        "--service-account", "trainer",
    )  # fmt: skip
    made = only(server)
    assert made["display_name"] == "action_recognition"
    assert made["trigger"] == {
        "periodic_schedule": {
            "interval_second": "21600",
            "start_time": "2090-01-31T00:00:00Z",
            "end_time": "2091-01-31T05:00:00Z",
        }
    }
    assert (made["max_concurrency"], made["service_account"]) == ("3", "trainer")
    assert "no_catchup" not in made
    assert made["runtime_config"]["parameters"]["only_if_changed"] is True
    assert server.experiments[made["experiment_id"]]["display_name"] == "nights"


def test_the_same_schedule_is_made_once_and_another_one_on_demand(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "0 3 * * *", "--name", "n", "--until", "2091-01-31")
    first = only(server)
    again = schedule(*NIGHTLY, "0 3 * * *", "--name", "n", "--until", "2091-01-31T01:00+01:00")
    assert "is there already" in again.output
    assert only(server) is first
    changed = (*NIGHTLY, "0 4 * * *", "width=0.5", "--name", "n", "--max-concurrency", "2")
    asked = len(server.posted(VERSIONS))
    refused = schedule(*changed, "--notify", "trainyard-webhook", code=3)
    assert (
        "a schedule 'n' with another time, number of runs at once, parameter width; give --replace"
    ) in refused.output
    assert only(server) is first
    assert len(server.posted(VERSIONS)) == asked
    schedule(*changed, "--replace")
    assert only(server)["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"
    order = [a.method for a in server.asked if a.path.startswith(SCHEDULES) and a.method != "GET"]
    assert order == ["POST", "POST", "DELETE"]


def test_a_paused_schedule_stays_paused_when_replaced(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "0 3 * * *", "--name", "n")
    schedule("pause", "n")
    shown = schedule(*NIGHTLY, "0 4 * * *", "--name", "n", "--replace")
    assert "replaced; it is paused, as the old one was" in shown.output
    assert only(server)["status"] == "DISABLED"


@pytest.mark.parametrize("kind", ["other", "deleted", "inline"])
def test_a_schedule_of_another_pipeline_is_never_replaced(
    server: KubeflowServer, kind: str
) -> None:
    schedule(*NIGHTLY, "0 3 * * *", "--name", "n")
    made = only(server)
    pipeline = {"pipeline_id": "other-id", "display_name": "theirs", "name": "theirs"}
    if kind == "other":
        server.pipelines["other-id"] = pipeline
    made["pipeline_version_reference"] = {} if kind == "inline" else {"pipeline_id": "other-id"}
    refused = schedule(*NIGHTLY, "0 3 * * *", "--name", "n", "--replace", code=3)
    called = {"other": "'theirs'", "deleted": "other-id, which is deleted"}
    assert f"of another pipeline, {called.get(kind, 'which was never uploaded')}" in refused.output
    assert f"trainyard schedule delete {made['recurring_run_id']}" in refused.output
    assert only(server) is made


def test_runs_that_take_a_version_uploaded_later_are_told(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "0 3 * * *", "--name", "first")
    schedule(*NIGHTLY, "0 3 * * *", "--name", "second", "--notify", "trainyard-webhook")
    latest = list(server.versions.values())[-1]["name"]
    shown = schedule(*NIGHTLY, "0 3 * * *", "--name", "third")
    assert len(server.versions) == 2
    assert f"created; its runs take {latest}, uploaded later" in shown.output


def test_a_failed_replacement_keeps_the_old_one(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "0 3 * * *")
    first = only(server)
    body = '{"code":3,"message":"Invalid input error: the quota of schedules"}'
    server.faults = [Fault(SCHEDULES, method="POST", status=400, body=body)]
    refused = schedule(*NIGHTLY, "0 4 * * *", "--replace", code=2)
    assert "the quota of schedules" in refused.output
    assert only(server) is first


def test_a_lost_answer_makes_one_schedule(server: KubeflowServer) -> None:
    server.faults = [Fault(SCHEDULES, method="POST", lose_answer=True)]
    shown = schedule(*NIGHTLY, "0 3 * * *")
    assert f"({only(server)['recurring_run_id']}): created" in shown.output


def test_everything_wrong_is_told_before_the_server_is_asked(server: KubeflowServer) -> None:
    shown = schedule(
        "create", "action_recognition", "source=s3://a/b", "epoch=3", "--cron", "0 25 * * *",
        "--until", "2001-01-01", "--from", "soon", "--max-concurrency", "11", "--name", "x" * 200,
        "--placement", "/nowhere.yaml", code=2,
    )  # fmt: skip
    for expected in (
        "--cron '0 25 * * *': hour '25' is wrong", "--until 2001-01-01: it has passed",
        "--from soon", "--max-concurrency 11: Kubeflow accepts 1 to 10", "--name",
        "epoch: unknown", "/nowhere",
    ):  # fmt: skip
        assert expected in shown.output
    unknown = schedule("create", "action_recog", "--cron", "soon", "--name", "", code=2)
    for expected in ("did you mean 'action_recognition'", "--cron", "--name ''"):
        assert expected in unknown.output
    both = schedule(*NIGHTLY, "0 3 * * *", "--every", "6h", code=2)
    assert "give either --cron '0 3 * * *' or --every 6h" in both.output
    never = schedule(*NIGHTLY, "0 0 1 1 *", "--from", "2090-02-01", "--until", "2090-03-01", code=2)
    assert "does not come before --until 2090-03-01" in never.output
    assert server.asked == []


def test_a_dry_run_shows_the_request_and_asks_nobody(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_TOKEN", "planted-token")
    dry = schedule(*NIGHTLY, "@daily", "--dry-run")
    assert server.asked == []
    assert "planted" not in dry.output
    rendered = yaml.safe_load(dry.stdout)
    schedule(*NIGHTLY, "@daily")
    (sent,) = server.posted(SCHEDULES)
    ids = ("experiment_id", "pipeline_version_reference")
    shown = rendered["recurring_run"]
    assert list(shown["pipeline_version_reference"]) == ["pipeline_id"]
    assert {k: v for k, v in shown.items() if k not in ids} == {
        k: v for k, v in sent.body.items() if k not in ids
    }


def test_pausing_resuming_and_deleting(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "30 3 * * 1-5", "--name", "n")
    made = only(server)
    number = made["recurring_run_id"]
    assert f"n  on  30 3 * * 1,2,3,4,5  {number}\n" in schedule("list").output
    assert "would be paused" in schedule("pause", "n", "--dry-run").output
    assert made["status"] == "ENABLED"
    assert f"schedule n ({number}): paused" in schedule("pause", "n").output
    assert made["status"] == "DISABLED"
    assert "n  paused  " in schedule("list").output
    assert "but is paused" in schedule(*NIGHTLY, "30 3 * * mon-fri", "--name", "n").output
    schedule("resume", number)
    assert made["status"] == "ENABLED"
    schedule("delete", "n", "--dry-run")
    assert server.schedules
    schedule("delete", "n")
    assert not server.schedules
    assert "there is no schedule 'n' (there: none)" in schedule("delete", "n", code=3).output


def test_schedules_of_many_users_lie_in_their_namespaces(server: KubeflowServer) -> None:
    alone = schedule(*NIGHTLY, "0 3 * * *", "--namespace", "team-a", code=3)
    assert "leave --namespace team-a out" in alone.output
    server.multi_user = True
    assert "many users" in schedule("list", code=3).output
    schedule(*NIGHTLY, "0 3 * * *", "--namespace", "team-a")
    assert only(server)["namespace"] == "team-a"
    assert schedule("list", "--namespace", "team-b").output == ""
    schedule("delete", "action_recognition", "--namespace", "team-a")


def test_names_that_are_not_unique_need_an_id(server: KubeflowServer) -> None:
    schedule(*NIGHTLY, "0 3 * * *", "--name", "n")
    twin = {**only(server), "recurring_run_id": "other-id"}
    server.schedules["other-id"] = twin
    assert (
        "no schedule 'nn'; did you mean 'n'? (there: n)" in schedule("pause", "nn", code=3).output
    )
    refused = schedule("pause", "n", code=3)
    assert "several schedules are called 'n'; give an id: " in refused.output
    assert "other-id" in refused.output
    schedule("delete", "other-id")
    assert only(server)["recurring_run_id"] != "other-id"


def test_lists_tell_what_was_made_otherwise(server: KubeflowServer) -> None:
    server.largest_page = 1
    schedule(*NIGHTLY, "0 3 * * *", "--name", "ours")
    version = next(iter(server.versions))
    foreign = {
        **only(server),
        "recurring_run_id": "foreign-id",
        "display_name": "foreign",
        "trigger": {"periodic_schedule": {"interval_second": "5400"}},
        "error": {"code": 13, "message": "its workflow is broken"},
    }
    foreign["pipeline_version_reference"] = {
        **foreign["pipeline_version_reference"], "pipeline_version_id": version,
    }  # fmt: skip
    server.schedules["foreign-id"] = foreign
    odd: dict[str, tuple[dict[str, Any], str]] = {
        "x1": ({}, "at no time"),
        "x2": (
            {"cron_schedule": {"cron": "@daily"}, "periodic_schedule": {"interval_second": "60"}},
            "every 1m and @daily",
        ),
        "x3": ({"periodic_schedule": {"interval_second": "often"}, "cron_schedule": {}}, "every ?"),
        "x4": ({"event_schedule": {"on": "push"}}, "event_schedule: {'on': 'push'}"),
    }
    for name, (trigger, _) in odd.items():
        made = {**foreign, "display_name": name, "recurring_run_id": name, "trigger": trigger}
        server.schedules[name] = made
    lines = schedule("list").output.splitlines()
    for line, (name, (_, expected)) in zip(lines[2:], odd.items(), strict=True):
        assert line.startswith(f"{name}  on  {expected}  {name}  ")
    assert (
        lines[0] == "foreign  on  every 90m  foreign-id  (a fixed version)  its workflow is broken"
    )
    assert lines[1].startswith("ours  on  0 3 * * *  ")


def test_the_test_server_refuses_five_fields_and_sunday_as_seven(server: KubeflowServer) -> None:
    """As the real one misreads the one and refuses the other."""
    schedule(*NIGHTLY, "0 3 * * *")
    sent = server.posted(SCHEDULES)[0].body
    api = Kubeflow.connect()
    for cron in ("0 3 * * *", "0 0 3 * * 7"):
        body = {**sent, "trigger": {"cron_schedule": {"cron": cron}}}
        with pytest.raises(TrainyardError, match="cron is not supported"):
            api.call("create", api.schedules.recurring_run_service_create_recurring_run, body)
    assert isinstance(api.schedules, kfp_server_api.RecurringRunServiceApi)


def test_the_command_end_to_end(
    server: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"TRAINYARD_KUBEFLOW_URL": server.url}
    done = trainyard(tmp_path, "schedule", *NIGHTLY, "0 3 * * *", "--name", "n", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("schedule n (")
    assert "next: " in done.stderr
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", "http://kubeflow.invalid")
    assert "there is no host kubeflow.invalid" in schedule("list", code=4).stderr
