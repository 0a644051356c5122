"""Losses in console logs: the study's form, its predecessor's, ours, and what surrounds them."""

import contextlib
import io
import math

import pytest

from components.core.events import Reporter
from components.core.formats.study_log import parse

STUDY = """
Namespace(config='resizer', data_root='/mnt/data')
Epoch 0/2
----------
train Loss: 0.4000
train Loss: 0.2000
/opt/conda/lib/python3.8/site-packages/torch/nn/functional.py:3103: UserWarning: train Loss is odd
val  Loss: 0.1500 
Epoch 1/2
train Loss: 0.1000
val  Loss: 0.0900 
val  Loss: 0.1100 
Epoch 2/2
train Loss: 0.0500
val  Loss: 0.1200 
"""


def means(run, name):
    return {each.number: each.mean(name) for each in run.passes}


def test_the_means_of_each_epoch_and_where_they_are_lowest():
    (run,) = parse(STUDY.splitlines())
    assert run.unit == "epoch"
    assert means(run, "train_loss") == pytest.approx({0: 0.3, 1: 0.1, 2: 0.05})
    assert means(run, "val_loss") == pytest.approx({0: 0.15, 1: 0.1, 2: 0.12})
    assert run.best("train_loss").number == 2
    assert run.best("val_loss").number == 1


def test_steps_number_the_passes_of_the_i3d_trainer():
    lines = ["Step 0/64000", "-" * 10, "train Loss: 0.30", "train Loss: 0.20", "val  Loss: 0.21 "]
    lines += ["Step 95/64000", "train Loss: 0.10", "val  Loss: 0.12 "]
    (run,) = parse(lines)
    assert run.unit == "step"
    assert means(run, "train_loss") == pytest.approx({0: 0.25, 95: 0.1})


def test_localisation_classification_and_total_of_the_port():
    lines = [
        "Step 0/100",
        "train Loc Loss: 0.5 Cls Loss: 0.3 Tot Loss: 0.4",
        "train Loc Loss: 0.3 Cls Loss: 0.1 Tot Loss: 0.2",
        "val Loc Loss: 0.6 Cls Loss: 0.2 Tot Loss: 4e-1",
    ]
    (run,) = parse(lines)
    (only,) = run.passes
    assert only.mean("train_loc") == pytest.approx(0.4)
    assert only.mean("train_cls") == pytest.approx(0.2)
    assert only.mean("train_loss") == pytest.approx(0.3)
    assert only.mean("val_loss") == pytest.approx(0.4)


def prefixed(pod, lines):
    return [
        f"[pod/{pod}/train] 2021-11-05T12:00:{second % 60:02d}.123456789Z {line}"
        for second, line in enumerate(lines)
    ]


def test_what_kubectl_puts_before_lines_is_passed_over_and_pods_are_kept_apart():
    first, second = STUDY.splitlines(), STUDY.replace("0.0500", "0.0700").splitlines()
    mixed = [
        line
        for pair in zip(prefixed("a-1", first), prefixed("b-2", second), strict=True)
        for line in pair
    ]
    runs = parse(mixed)
    assert [run.source for run in runs] == ["pod/a-1/train", "pod/b-2/train"]
    assert means(runs[0], "train_loss") == means(parse(first)[0], "train_loss")
    assert means(runs[1], "train_loss")[2] == pytest.approx(0.07)
    plain = [f"2021-11-05T12:00:00.1Z {line}" for line in first]
    assert means(parse(plain)[0], "val_loss") == means(parse(first)[0], "val_loss")


def test_progress_bars_and_colours_around_a_loss():
    line = (
        "  50%|#####     | 1/2 [00:01]\r\x1b[2K100%|##########| 2/2\r\x1b[1mtrain Loss: 0.25\x1b[0m"
    )
    (run,) = parse(["Epoch 4/9", line])
    assert means(run, "train_loss") == {4: 0.25}


def test_our_own_log_lines(capfd):
    """Printed by the reporter that training prints with, in both of its written forms."""
    history = {1: (0.5, 0.4), 2: (0.25, 0.3), 3: (0.125, 0.35)}
    for mode, stream in (("log", "err"), ("json", "out")):
        report = Reporter("train_video", mode)
        for epoch, (train, val) in history.items():
            report.progress(epoch, 3, "clips", f"epoch {epoch}/3 loss {train}")
            values = {"train_loss": train, "val_loss": val, "val_macro_f1": 0.5}
            report.metrics(values, step=epoch)
        text = getattr(capfd.readouterr(), stream)
        (run,) = parse(prefixed("job", text.splitlines()))
        assert means(run, "train_loss") == {1: 0.5, 2: 0.25, 3: 0.125}
        assert means(run, "val_loss") == {1: 0.4, 2: 0.3, 3: 0.35}
        assert run.best("val_loss").number == 2
        assert run.names() == ["train_loss", "val_loss"]


def test_a_followed_local_run():
    from pipelines.backends._console import Console

    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        console = Console(6, text)
        console.step_started("train_video")
        values = {"train_loss": 0.7, "val_loss": 0.6}
        console.event({"event": "metrics", "step": 1, "values": values})
    (run,) = parse(text.getvalue().splitlines())
    assert means(run, "train_loss") == {1: 0.7}


def test_a_run_that_goes_back_shows_what_it_did_last():
    again = ["Epoch 1/2", "train Loss: 0.9", "val  Loss: 0.8"]
    (run,) = parse([*STUDY.splitlines(), *again])
    assert means(run, "train_loss") == pytest.approx({0: 0.3, 1: 0.9})
    assert run.restarts == 1


def test_a_log_that_lacks_its_beginning():
    rest = STUDY[STUDY.index("Epoch 1/2") :].splitlines()
    (run,) = parse(["train Loss: 0.5", "val  Loss: 0.4", *rest])
    assert means(run, "train_loss") == {0: 0.5, 1: 0.1, 2: 0.05}
    assert run.unplaced == 0
    (run,) = parse(["train Loss: 0.5", "Step 30/90", "train Loss: 0.4"])
    assert means(run, "train_loss") == {30: 0.4}
    assert run.unplaced == 1


def test_losses_without_any_mark_are_divided_after_each_validation():
    (run,) = parse(["train Loss: 0.4", "train Loss: 0.2", "val  Loss: 0.3", "train Loss: 0.1"])
    assert means(run, "train_loss") == pytest.approx({1: 0.3, 2: 0.1})


def test_losses_that_are_not_finite_are_counted():
    (run,) = parse(["Epoch 0/1", "train Loss: nan", "train Loss: 0.5", "val  Loss: inf"])
    assert means(run, "train_loss") == {0: 0.5}
    assert means(run, "val_loss") == {0: None}
    assert run.broken == 2
    assert math.isfinite(run.best("train_loss").mean("train_loss"))


@pytest.mark.parametrize("text", ["", "Epoch 1/3", "loss: 0.4", "train Loss: 1.2.3", "[3] clips 4"])
def test_other_text_holds_no_losses(text):
    assert parse([text]) == []
