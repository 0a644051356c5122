"""Scheduled retraining: the same clips end a run early and well, another clip trains again."""

import html
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from clips import make_clips
from trainyard_process import SMALL, assignments, record, run
from webhook_server import SECRET_PATH, Webhook, running_webhook

TINY = {**SMALL, "epochs": 1, "baseline": False, "mistakes": 0, "model_name": "fall"}
STEPS = ["split_clips", "frame_extraction", "train_video", "evaluate_clips", "triton_publish"]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as server:
        yield server


def ran(folder: Path, webhook: Webhook, out: str, **parameters: Any) -> CompletedProcess[str]:
    values = {"source": "clips", "repository": "models", **TINY, **parameters}
    words = ["run", "action_recognition", *assignments(values), "--output", out]
    return run(folder, *words, **webhook.environment)


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models/fall").iterdir() if path.is_dir())


@pytest.mark.slow
def test_trains_again_only_where_the_clips_are_others(tmp_path: Path, webhook: Webhook) -> None:
    names = [f"{name}/{n}.mp4" for name in ("fall", "walk") for n in range(6)]
    make_clips(tmp_path / "clips", *names, frames=12)
    done = ran(tmp_path, webhook, "first", only_if_changed=True)
    assert done.returncode == 0, done.stderr
    assert "training: models, fall has no published version yet" in done.stderr
    assert "[8/8] triton_publish" in done.stderr
    assert versions(tmp_path) == ["1"]
    assert record(tmp_path / "first")["ended_early"] == ""
    told = webhook.received.pop()
    assert (told["state"], told["ended_early"], told["run"]) == ("succeeded", False, "first")
    assert told["duration_seconds"] > 0

    done = ran(tmp_path, webhook, "second", only_if_changed=True, epochs=3)
    assert done.returncode == 0, done.stderr
    assert "ended early: nothing changed since version 1 of fall" in done.stderr
    assert "[2/8] check_changes" in done.stderr
    assert "[3/8]" not in done.stderr
    assert versions(tmp_path) == ["1"]
    kept = record(tmp_path / "second")
    assert kept["status"] == "finished"
    assert kept["ended_early"] == "nothing changed since version 1 of fall"
    assert {step: kept["steps"][step]["status"] for step in STEPS} == dict.fromkeys(
        STEPS, "skipped"
    )
    told = webhook.received.pop()
    assert (told["state"], told["ended_early"]) == ("succeeded", True)
    assert told["text"].startswith("action_recognition had nothing to do after ")
    assert "fall" not in told["text"].replace("action_recognition", "")

    resumed = run(tmp_path, "run", "action_recognition", "--resume", "--output", "second")
    assert resumed.returncode == 0, resumed.stderr
    assert "ended early: nothing changed since version 1 of fall" in resumed.stderr

    # It trains again, or would: clients of the published model know no such class.
    make_clips(tmp_path / "clips", "jump/only.mp4", frames=12)
    done = ran(tmp_path, webhook, "third", only_if_changed=True)
    assert done.returncode == 3, done.stderr
    assert "tells fall, walk apart, in this order, and this model would tell" in done.stderr
    told = webhook.received.pop()
    assert (told["state"], told["failed_step"]) == ("failed", "check_changes")
    assert html.escape(told["error"], quote=False) in told["text"]
    assert "jump" in done.stderr
    assert "✗ failed" in done.stderr
    everything = "".join(path.read_text() for path in tmp_path.rglob("*.log")) + done.stderr
    assert SECRET_PATH not in everything
    assert SECRET_PATH not in done.stdout
