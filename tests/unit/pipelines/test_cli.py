"""The command line: instant help, completion, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
from trainyard_process import REPOSITORY, run

from components import __version__
from pipelines.demo import DEMOS


@pytest.mark.parametrize("command", ["", "list", "run", "job", "compile", "demo", "completion"])
def test_help_everywhere(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_the_help_of_demo_names_every_one(tmp_path: Path) -> None:
    said = run(tmp_path, "demo", "--help").stdout
    assert [name for name in DEMOS if name not in said] == []


def test_help_imports_nothing_heavy() -> None:
    script = """
import sys
from click.testing import CliRunner
from pipelines.cli import main
result = CliRunner().invoke(main, ["--help"])
assert result.exit_code == 0 and "Exit codes" in result.output
heavy = {"kfp", "torch", "numpy", "av", "kubernetes", "google.protobuf", "sklearn", "lightning"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


def test_version_and_list(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"trainyard, version {__version__}\n"
    assert "action_recognition" in run(tmp_path, "list").stdout
    shown = run(tmp_path, "list", "action_recognition").stdout
    assert "dataset_sync → " in shown
    assert "source (str, required)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "action"], "unknown pipeline 'action'"),
        (["run", "action_recognition", "epochs"], "not of the form key=value"),
        (["run", "action_recognition", "-f", "absent.yaml"], "cannot read it"),
        (["compile"], "name one pipeline, or give --all"),
        (["run", "action_recognition", "--backend", "cloud"], "Invalid value for '--backend'"),
    ],
)
def test_usage_errors_exit_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_completion_script_and_candidates(tmp_path: Path) -> None:
    assert "_TRAINYARD_COMPLETE" in run(tmp_path, "completion", "bash").stdout
    done = run(
        tmp_path,
        _TRAINYARD_COMPLETE="bash_complete",
        COMP_WORDS="trainyard run action_recognition learn",
        COMP_CWORD="3",
    )
    assert "learning_rate=" in done.stdout
