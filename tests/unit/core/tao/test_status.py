"""Figures, curves, progress and failures out of status.json and out of what evaluations print."""

import json

from components.core.tao import status

TF1 = [
    {"status": "STARTED", "message": "Starting training."},
    {
        "status": "RUNNING",
        "epoch": 1,
        "max_epoch": 3,
        "graphical": {"loss": "2.5", "learning_rate": "0.001", "validation_loss": "nan"},
        "kpi": {},
    },
    {
        "status": "RUNNING",
        "epoch": 2,
        "max_epoch": 3,
        "graphical": {"loss": "1.5", "mean average precision": "0.4"},
        "kpi": {"mean average precision": "0.4"},
    },
]


def write(path, entries, end="\n"):
    path.write_text("\n".join(json.dumps(entry) for entry in entries) + end)
    return path


def test_curves_have_our_names_and_finite_numbers(tmp_path):
    lines = status.lines_of(write(tmp_path / "status.json", TF1))
    assert status.curves(lines) == [
        {"epoch": 1.0, "train_loss": 2.5, "learning_rate": 0.001},
        {"epoch": 2.0, "train_loss": 1.5, "map": 0.4},
    ]
    assert status.figures(lines) == {"train_loss": 1.5, "learning_rate": 0.001, "map": 0.4}
    assert status.failure(lines) == ""


def test_an_epoch_that_was_trained_again_counts_once_and_validations_belong_to_the_last_epoch():
    again = {"status": "RUNNING", "epoch": 2, "max_epoch": 3, "graphical": {"loss": 1.25}}
    validation = {"status": "RUNNING", "kpi": {"val_mAP50": 0.6}, "message": "Validation"}
    lines = [status.Line.read(json.dumps(entry)) for entry in [*TF1, again, validation]]
    assert status.curves(lines)[1] == {
        "epoch": 2.0,
        "train_loss": 1.25,
        "map": 0.4,
        "map50": 0.6,
    }


def test_percent_becomes_a_share_and_classes_are_read():
    text = json.dumps(
        {
            "kpi": {"mean average precision": 71.5},
            "categorical": {"average_precision": {"car": 80.0, "person": 63.0}},
        }
    )
    line = status.Line.read(text)
    assert line.figures == {"map": 0.715}
    assert line.classes == {"car": 0.8, "person": 0.63}


def test_a_failure_is_told_until_the_program_starts_again():
    failed = {"status": "FAILURE", "message": "Training was interrupted"}
    started = {"status": "STARTED"}

    def failure(*entries):
        return status.failure(status.Line.read(json.dumps(entry)) for entry in entries)

    assert failure(*TF1, failed) == "Training was interrupted"
    assert failure(*TF1, failed, started) == ""


def test_a_follower_gives_what_is_new_and_waits_for_the_end_of_a_line(tmp_path):
    folder = tmp_path / "results" / "train"
    folder.mkdir(parents=True)
    path = write(folder / "status.json", TF1[:1])
    follower = status.Follower(tmp_path / "results")
    assert list(follower.news()) == []
    with open(path, "a") as file:
        file.write(json.dumps(TF1[1]) + "\n" + json.dumps(TF1[2])[:20])
    assert [line.epoch for line in follower.news()] == [1]
    with open(path, "a") as file:
        file.write(json.dumps(TF1[2])[20:] + "\nno json\n")
    assert [line.epoch for line in follower.news()] == [2]


def test_damaged_lines_do_not_hide_the_others(tmp_path):
    path = write(tmp_path / "status.json", TF1, end="\n{half\n[1]\n")
    assert len(status.lines_of(path)) == 3
    assert status.lines_of(tmp_path / "none.json") == []


def test_what_evaluations_print_is_read():
    ssd = "***\nred car       AP    0.75\nperson        AP    0.5\n              mAP   0.625\n***\n"
    assert status.printed(ssd) == ({"map": 0.625}, {"red car": 0.75, "person": 0.5})
    detectnet = (
        "Validation cost: 0.0013\nMean average_precision (in %): 55.0\n\n"
        "class name      average precision (in %)\n------------  --------------------------\n"
        "car                              60.0\nroad sign                        50.0\n\n"
        "Median Inference Time:  0.005\n"
    )
    assert status.printed(detectnet) == ({"map": 0.55}, {"car": 0.6, "road sign": 0.5})
