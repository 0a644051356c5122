"""`trainyard logs`: from a console log to a page, a table and the lowest losses."""

import csv
import re
import subprocess
import sys

import pytest
from trainyard_process import run

LOG = "".join(
    f"Epoch {epoch}/2\ntrain Loss: {train}\nnoise\nval  Loss: {val} \n"
    for epoch, train, val in ((0, 0.4, 0.3), (1, 0.2, 0.1), (2, 0.1, 0.2))
)


def test_a_log_becomes_a_page_and_a_table(tmp_path):
    (tmp_path / "train.log").write_text(LOG)
    done = run(tmp_path, "logs", "train.log")
    assert done.returncode == 0, done.stderr
    assert re.search(r"training loss\s+lowest 0.1000 at epoch 2", done.stdout)
    assert re.search(r"validation loss\s+lowest 0.1000 at epoch 1", done.stdout)
    text = (tmp_path / "train_losses.html").read_text()
    assert "<svg" in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    with open(tmp_path / "train_losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["number"], row["train_loss"], row["val_loss"]) for row in rows] == [
        ("0", "0.4", "0.3"),
        ("1", "0.2", "0.1"),
        ("2", "0.1", "0.2"),
    ]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "train.log").write_text(LOG)
    (tmp_path / "train_losses.csv").write_text("mine")
    done = run(tmp_path, "logs", "train.log")
    assert (tmp_path / "train_losses.csv").read_text() == "mine"
    assert "train_losses_2.html" in done.stdout
    refused = run(tmp_path, "logs", "train.log", "--output", "train_losses_2.html")
    assert refused.returncode == 3
    assert "exists already" in refused.stderr


def test_a_pipe_and_several_logs_in_one_page(tmp_path):
    (tmp_path / "other.log").write_text(LOG.replace("0.3", "0.7"))
    command = [sys.executable, "-m", "pipelines.cli", "logs", "-", "other.log"]
    from trainyard_process import REPOSITORY

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        input=LOG,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "losses.html").read_text()
    assert text.count("<svg") == 2  # validation and training, each with both logs
    assert "standard input" in text
    assert "other.log" in text


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["absent.log", "empty.log"], ["absent.log: cannot read it", "empty.log: no losses found"]),
        (["train.log", "--output", "page.txt"], ["must end in .html"]),
        (["train.log", "--output", "train.log/page.html"], ["is a file; a folder is needed"]),
    ],
)
def test_refusals_say_everything_at_once(tmp_path, arguments, messages):
    (tmp_path / "train.log").write_text(LOG)
    (tmp_path / "empty.log").write_text("nothing here\n")
    done = run(tmp_path, "logs", *arguments)
    assert done.returncode == 3
    assert [message for message in messages if message not in done.stderr] == []
    assert "Traceback" not in done.stderr
    if "empty.log" in arguments:
        assert "expected lines such as 'train Loss: 0.1234'" in done.stderr
