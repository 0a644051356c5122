"""Programs of TAO run with the vendor's paths, are followed, stopped, and fail when they fail."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from components.core.errors import TrainyardError
from components.core.events import Reporter
from components.core.lifetime import is_alive
from components.core.tao.key import Key
from components.core.tao.process import program_problem, run

KEY = Key("tlt_encode")


class Recorder(Reporter):
    def __init__(self):
        super().__init__("tao_train", "silent")
        self.lines = []

    def message(self, text):
        self.lines.append((time.monotonic(), text))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a program of a text, found through TAO_PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("TAO_PATH", f"{folder}:/usr/bin:/bin")

    def make(text, name="dssd"):
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)

    return make


def start(tmp_path, *words, report=None, **others):
    return run(
        ["dssd", "train", *words],
        key=KEY,
        log=tmp_path / "train.log",
        report=report or Recorder(),
        folder=tmp_path,
        **others,
    )


def test_lines_come_while_the_program_runs_and_progress_bars_only_go_to_the_log(program, tmp_path):
    program(
        r"""
        import sys, time
        print("first", flush=True)
        sys.stdout.write("\r1/2 [==>  ]\r2/2 [====]"); sys.stdout.flush()
        time.sleep(0.6)
        print("\nno newline at the end", end="")
        """
    )
    report = Recorder()
    output = start(tmp_path, report=report)
    texts = [text for _, text in report.lines]
    assert texts == ["$ dssd train", "first", "2/2 [====]", "no newline at the end"]
    assert report.lines[-1][0] - report.lines[1][0] > 0.4
    assert "1/2 [==>  ]" in output
    assert "1/2 [==>  ]" in (tmp_path / "train.log").read_text()


def test_the_program_gets_the_vendors_paths_and_none_of_our_secrets(program, tmp_path, monkeypatch):
    monkeypatch.setenv("TAO_PYTHONPATH", "/vendor/python")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("TRAINYARD_TAO_KEY", "tlt_encode")
    program("import os; print(sorted(os.environ.items()))")
    output = start(tmp_path)
    assert "('PYTHONPATH', '/vendor/python')" in output
    assert "('TELEMETRY_OPT_OUT', 'yes')" in output
    assert "/ours" not in output
    assert "TRAINYARD" not in output


def test_the_key_is_shown_by_its_name_everywhere(program, tmp_path):
    program("import sys; print('key', sys.argv[-1]); sys.exit(3)")
    report = Recorder()
    with pytest.raises(TrainyardError) as caught:
        start(tmp_path, "-k", KEY.reveal(), report=report)
    shown = str(caught.value) + (tmp_path / "train.log").read_text() + str(report.lines)
    assert "tlt_encode" not in shown
    assert "key $TRAINYARD_TAO_KEY" in str(caught.value)
    assert "dssd train ended with 3" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("print('Execution status: FAIL')", "dssd train ended with 0"),
        ("import os; os.kill(os.getpid(), 9)", "killed for its memory"),
        ("print('CUDA out of memory'); raise SystemExit(1)", "use a smaller batch"),
    ],
)
def test_what_failed_is_a_failure_with_the_end_of_its_output(program, tmp_path, text, told):
    program(text)
    with pytest.raises(TrainyardError, match=told):
        start(tmp_path)


def test_a_missing_program_is_told_with_the_image_that_has_it(program, tmp_path):
    assert "5.0.0-tf1.15.5" in program_problem("dssd", "5.0.0-tf1.15.5")
    program("pass")
    assert program_problem("dssd", "5.0.0-tf1.15.5") == ""


CHILDREN = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("pids", "w").write(f"{os.getpid()} {child.pid}")
print("ready", flush=True)
time.sleep(60)
"""
DRIVER = """
import sys
from pathlib import Path
from components.core.errors import StoppedError
from components.core.events import Reporter
from components.core.tao.key import Key
from components.core.tao.process import run
folder = Path(sys.argv[1])
try:
    run(["dssd", "train"], key=Key(), log=folder / "log", report=Reporter("t"), folder=folder)
except StoppedError as error:
    print("stopped:", error)
    raise SystemExit(error.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_ours_is_stopped_or_killed(program, tmp_path, number):
    program(CHILDREN)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    time.sleep(0.3)
    os.kill(driver.pid, number)
    output, _ = driver.communicate(timeout=30)
    if number == signal.SIGTERM:
        assert driver.returncode == 143
        assert "stopped by SIGTERM; run the same command again to resume" in output
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline + 20
        time.sleep(0.05)
