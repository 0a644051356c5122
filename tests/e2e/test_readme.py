"""The README's commands work as printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.demo import write_clips

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
SMALL = {"frame_size": 32, "clip_frames": 8, "width": 0.125, "epochs": 1}
"""The README's parameters train for minutes; these only show that the commands work."""


def test_the_readme_has_commands() -> None:
    programs = {command.split()[0] for command in COMMANDS}
    assert programs == {"make", "trainyard", "python"}
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_targets_exist(command: str) -> None:
    subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPOSITORY, check=True)


@pytest.mark.slow
def test_commands_run_in_the_order_of_the_readme(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", clips_per_class=8)
    parameters = yaml.safe_load(blocks("yaml")[0])
    assert parameters.keys() >= SMALL.keys() - {"frame_size"} | {"source"}
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({**parameters, **SMALL, "val_size": 2, "test_size": 2})
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in COMMANDS:
        if command.startswith("make"):
            continue
        done = subprocess.run(
            shlex.split(re.sub(r"\bepochs=\d+", "epochs=1", command)),
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "runs" / "first" / "report.html").is_file()
    assert (tmp_path / "runs" / "first" / "model_repository").is_dir()
    assert (tmp_path / "compiled" / "action_recognition.yaml").is_file()


def test_every_stage_and_pipeline_is_in_the_tables() -> None:
    stages = [p.parent.name for p in (REPOSITORY / "components").glob("*/component.py")]
    projects = [p.stem for p in (REPOSITORY / "pipelines" / "projects").glob("[a-z]*.py")]
    for name in stages + projects:
        assert f"| `{name}` |" in README
