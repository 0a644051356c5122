"""What every stage gets from the framework: reuse, resume, publishing, exit codes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from pydantic import Field

from components.core import events, lifetime
from components.core import stage as stage_module
from components.core.artifacts import base
from components.core.artifacts.split import Split
from components.core.errors import InputError, ProblemsError, ServiceError, StoppedError
from components.core.settings import Settings, build
from components.core.stage import Job, Stage

REPOSITORY = Path(__file__).parents[3]


class CountSettings(Settings):
    size: int = Field(1, ge=1, description="How many")


def make_stage(
    calls: list[int], *, external: bool = False, problems: tuple[str, ...] = ()
) -> Stage[CountSettings]:
    def count(settings: CountSettings, job: Job) -> None:
        calls.append(settings.size)
        job.outputs["split"].mkdir()
        Split.create("parent", {str(n): "train" for n in range(settings.size)}, {}).save(
            job.outputs["split"]
        )
        job.metadata["split"] = {"size": settings.size}

    return Stage(
        name="count",
        settings=CountSettings,
        function=count,
        outputs={"split": "what was counted"},
        external=external,
        check=lambda settings: [ServiceError(text) for text in problems],
    )


def test_a_finished_result_is_reused_and_published_again(tmp_path: Path) -> None:
    calls: list[int] = []
    stage = make_stage(calls)
    for number in range(2):
        out = tmp_path / f"out{number}"
        metadata = stage.execute(build(CountSettings, {}), {}, {"split": out}, tmp_path / "state")
        assert Split.load(out).parts == {"0": "train"}
        assert metadata == {"split": {"size": 1}}
    assert calls == [1]
    stage.execute(
        build(CountSettings, {"size": 2}), {}, {"split": tmp_path / "c"}, tmp_path / "state"
    )
    assert calls == [1, 2]


def test_external_results_are_reused_only_within_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    stage = make_stage(calls, external=True)
    for number, run in enumerate(["a", "a", "b"]):
        monkeypatch.setenv("TRAINYARD_RUN_ID", run)
        out = {"split": tmp_path / str(number)}
        stage.execute(build(CountSettings, {}), {}, out, tmp_path / "state")
    assert len(calls) == 2


def test_problems_with_the_outside_world_stop_it_before_any_work(tmp_path: Path) -> None:
    calls: list[int] = []
    stage = make_stage(calls, problems=("the endpoint is down", "the source is missing"))
    with pytest.raises(ProblemsError) as caught:
        stage.execute(build(CountSettings, {}), {}, {"split": tmp_path / "x"}, tmp_path / "state")
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == ServiceError.exit_code
    assert not calls


def test_location_instead_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_ARTIFACTS", "location")
    out = tmp_path / "out"
    make_stage([]).execute(build(CountSettings, {}), {}, {"split": out}, tmp_path / "state")
    assert os.listdir(out) == ["location.json"]
    assert Split.load(base.resolve(out)).parts == {"0": "train"}
    assert base.fingerprint(out) == Split.load(base.resolve(out)).fingerprint
    (out / "location.json").write_text('{"uri": "/nowhere"}')
    with pytest.raises(InputError, match="mount the volume"):
        base.resolve(out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no index.json"),
        ("{", "damaged"),
        ('{"schema": "other", "schema_version": 1}', "'other' version 1, but 'trainyard/split'"),
        ('{"schema": "trainyard/split", "schema_version": 1}', "damaged index, fingerprint"),
    ],
)
def test_wrong_artifacts_are_refused_by_name(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "index.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Split.load(tmp_path)


def run_stage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "components.split_clips", *arguments],
        env={**os.environ, **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_line_reports_every_problem_and_exits_with_2() -> None:
    done = run_stage("--val-size", "much", "--fold", "3")
    assert done.returncode == 2
    assert "val_size" in done.stderr
    assert "Traceback" not in done.stderr
    done = run_stage()
    assert done.returncode == 2
    assert "--clips is required" in done.stderr
    assert "--split" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["val_size=0.2"], "val_size=0.2: write --val-size 0.2"),
        (["--fold", "1", "clips=a b"], "clips=a b: write --clips 'a b'"),
        (["--val-sise", "0.2"], "--val-sise: unknown option; did you mean '--val-size'?"),
        (["val_sise=0.2"], "'val_sise=0.2' belongs to no option; did you mean '--val-size'?"),
        (["--fold"], "expected one argument"),
    ],
)
def test_wrong_options_are_told_in_one_line(arguments: list[str], told: str) -> None:
    done = run_stage(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_command_line_names_a_wrong_input_and_exits_with_3(tmp_path: Path) -> None:
    done = run_stage("--clips", str(tmp_path), "--split", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "holds no index.json" in done.stderr


def test_failures_reach_a_parent_as_events(tmp_path: Path) -> None:
    done = run_stage("--clips", str(tmp_path), "--split", "x", TRAINYARD_EVENTS="json")
    found = [event for line in done.stdout.splitlines() if (event := events.parse(line))]
    assert found[-1]["event"] == "state"
    assert found[-1]["exit_code"] == 3


def test_a_process_ends_with_the_process_it_watches(tmp_path: Path) -> None:
    watched = subprocess.Popen(["sleep", "60"])
    script = "import time; from components.core.lifetime import watch_runner; watch_runner(); "
    script += "print('up', flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, lifetime.PARENT_VARIABLE: str(watched.pid)},
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert child.stdout is not None
    child.stdout.readline()
    watched.kill()
    assert child.wait(timeout=5) == -signal.SIGTERM
    watched.wait()


def test_grandchildren_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import multiprocessing, os, time
        from components.core.lifetime import die_with_parent
        def work():
            die_with_parent()
            print(os.getpid(), flush=True)
            time.sleep(60)
        multiprocessing.get_context("fork").Process(target=work).start()
        time.sleep(60)
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while lifetime.is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lifetime.is_alive(worker)


def test_progress_lines_say_rate_and_time_left() -> None:
    line = events.progress_line("sync", 30, 120, "clips", "", 10.0)
    assert line == "sync:  25% 30/120 clips, 3 clips/s, 0:30 left"


def test_events_survive_the_way_through_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = events.Reporter("train", mode="json")
    reporter.metrics({"loss": 0.5, "bad": float("nan")}, step=2)
    line = capsys.readouterr().out
    event = events.parse("    " + line)
    assert event is not None
    assert event["values"] == {"loss": 0.5}
    assert event["step"] == 2
    assert events.parse("an ordinary line") is None
    json.loads(line.partition(events.MARK)[2])


def test_a_stop_that_a_destructor_swallows_is_raised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "STOP_AGAIN_SECONDS", 0.1)

    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    def work(settings: CountSettings, job: Job) -> None:
        Finalized()
        time.sleep(10)
        raise AssertionError("it went on")

    stage = Stage(name="deaf", settings=CountSettings, function=work)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError):
        stage.execute(build(CountSettings, {}), {}, {}, tmp_path / "state")
    assert signal.getsignal(signal.SIGTERM) == before
