"""Notifications: a real HTTP server receives them; failures are told without the address."""

from collections.abc import Iterator

import pytest
from servers import free_port
from webhook_server import SECRET_PATH, Webhook, running_webhook

from components.core import notify as notifying
from components.core.errors import SettingsError
from components.core.notify import (
    Ending,
    address_problem,
    message,
    notify,
    notify_status,
    public,
)

FAILED = Ending("action_recognition", "first", "failed", "train_video", "it broke\nat line 3", 3725)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr(notifying, "RETRY_SECONDS", 0.01)
    with running_webhook() as server:
        monkeypatch.setenv("TRAINYARD_WEBHOOK_URL", server.url)
        yield server


def test_an_ending_arrives_as_text_and_as_fields(webhook: Webhook) -> None:
    ending = Ending("p", "r<1>", "succeeded", seconds=61.04, link="https://kf.example.org/#/r?a&b")
    assert notify(ending) == ""
    assert notify(FAILED) == ""
    assert webhook.paths == [SECRET_PATH] * 2
    assert webhook.received == [
        {
            "text": "p succeeded after 1 min 1 s (run r&lt;1&gt;)\nhttps://kf.example.org/#/r?a&b",
            "pipeline": "p",
            "run": "r<1>",
            "state": "succeeded",
            "ended_early": False,
            "failed_step": "",
            "error": "",
            "duration_seconds": 61.0,
            "link": "https://kf.example.org/#/r?a&b",
        },
        {
            "text": "action_recognition failed in train_video after 1 h 2 min (run first)\n"
            "it broke",
            "pipeline": "action_recognition",
            "run": "first",
            "state": "failed",
            "ended_early": False,
            "failed_step": "train_video",
            "error": "it broke",
            "duration_seconds": 3725,
            "link": "",
        },
    ]


@pytest.mark.parametrize(
    ("answers", "posts", "problem"),
    [
        ([503], 2, ""),
        ([429, 200], 2, ""),
        ([500, 502], 2, "it answered 502 Bad Gateway"),
        ([404], 1, "it answered 404 Not Found"),
        ([302], 1, "it answered 302 Found"),
    ],
)
def test_it_is_tried_once_more_where_that_may_help(
    webhook: Webhook, answers: list[int], posts: int, problem: str
) -> None:
    webhook.answers = answers
    told = f"the webhook at 127.0.0.1 was not notified: {problem}" if problem else ""
    assert notify(FAILED) == told
    assert len(webhook.received) == posts


def test_a_webhook_that_does_not_answer_is_given_up(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "TIMEOUT_SECONDS", 0.1)
    webhook.delay = 0.4
    assert notify(FAILED) == "the webhook at 127.0.0.1 was not notified: no answer within 0.1 s"
    assert len(webhook.received) == 2


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:PORT/s3cret", "at 127.0.0.1 was not notified: Connection refused"),
        ("https://u:s3cret@127.0.0.1:PORT/", "at 127.0.0.1 was not notified: "),
        ("http://s3cret", "at s3cret was not notified: "),  # a host is no secret
        ("ftp://127.0.0.1/s3cret", "TRAINYARD_WEBHOOK_URL is no http:// or https:// address"),
        ("http://[s3cret", "TRAINYARD_WEBHOOK_URL is no http:// or https:// address"),
        ("http://127.0.0.1:s3cret/", "TRAINYARD_WEBHOOK_URL is no http:// or https:// address"),
        ("http://127.0.0.1:PORT/s3\ncret", "TRAINYARD_WEBHOOK_URL is no http:// or https:// add"),
        ("https:///s3cret", "TRAINYARD_WEBHOOK_URL is no http:// or https:// address with a host"),
    ],
)
def test_what_cannot_be_reached_is_told_without_the_address(
    url: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "RETRY_SECONDS", 0.01)
    monkeypatch.setenv("TRAINYARD_WEBHOOK_URL", url.replace("PORT", str(free_port())))
    problem = notify(FAILED)
    assert told in problem
    if not url.startswith("http://s3cret"):
        assert "s3" not in problem + address_problem()
    assert bool(address_problem()) == told.startswith("TRAINYARD")


def test_without_an_address_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINYARD_WEBHOOK_URL", raising=False)
    assert notify(FAILED) == ""
    assert address_problem() == ""


def test_of_several_problems_the_first_is_told() -> None:
    error = SettingsError(["epochs: got 0", "seed: got x"], "settings of train_video")
    told = message(Ending("p", "r", "failed", "train_video", str(error)), {})
    assert told["error"] == "2 problems in settings of train_video: epochs: got 0"
    assert told["text"].endswith(f"\n{told['error']}")


def test_messages_hold_neither_credentials_nor_values_of_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINYARD_S3_SECRET_KEY", "hunter22")
    parameters = {
        "source": "s3://clinic/patients",
        "epochs": 30,
        "network": "i3d",
        "node_selector": {"team": "vision-lab"},
        "checkpoints": ["/data/a b"],
    }
    line = (
        "s3://clinic/patients/x.mp4: hunter22 refused by https://me:pw@host/x for vision-lab, "
        "/data/a b, hunter222"
    )
    shown = "<source>/x.mp4: <secret> refused by https://host/x for <node_selector>, "
    assert public(line, parameters) == f"{shown}<checkpoints>, hunter222"
    told = message(Ending("p", "r", "failed", error=line), parameters)
    assert "clinic" not in str(told)
    assert "hunter22 " not in str(told)
    assert len(message(Ending("p", "r", "failed", error="x" * 9999), {})["error"]) == 200
    assert public("no '/home/me/a.mp4', see /tmp/x/y and s3://b/c/d or 1/2", {}) == (
        "no '…/a.mp4', see …/y and s3://b/c/d or 1/2"
    )


def test_the_last_task_of_a_run_on_kubeflow_tells_its_page_and_never_fails(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", "https://kf.example.org/pipeline/")
    notify_status("p", "p-x7k2", "1234", "FAILED", "OOMKilled")
    [told] = webhook.received
    assert told["link"] == "https://kf.example.org/pipeline/#/runs/details/1234"
    assert (told["state"], told["error"]) == ("failed", "OOMKilled")
    assert capsys.readouterr().err == ""
    for error, state in (("", "has ended"), ("OOMKilled", "failed")):  # some servers, of loops
        notify_status("p", "p-x7k2", "1234", "RUNNING", error)
        assert webhook.received[-1]["state"] == state
    webhook.answers = [403]
    notify_status("p", "p-x7k2", "1234", "SUCCEEDED", "")
    assert capsys.readouterr().err == (
        "warning: the webhook at 127.0.0.1 was not notified: it answered 403 Forbidden\n"
    )
