"""The sweep on a toy that trains in no time: what is found, resumed, shared and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from components.core.artifacts.split import Split
from components.core.artifacts.study import Study
from components.core.errors import InputError, ProblemsError, ServiceError, TrainyardError
from components.core.settings import build
from components.core.state import digest
from components.hpo_sweep.stage import STAGE, SweepSettings, check
from components.hpo_sweep.storage import RETRIES, JournalFile, retry

TESTS = Path(__file__).parents[1]
SPACE = {
    "rate": {"low": 1e-4, "high": 1, "log": True},
    "depth": [1, 9],
    "shape": ["round", "square"],
}
OPTUNA = "TRAINYARD_OPTUNA_STORAGE"


class Project:
    """A folder with inputs; each sweep has an output of its own and shares the state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0
        for name in ("data", "split"):
            Split.create(name, {"a": "train"}, {}).save(folder / name)

    def values(self, **given: Any) -> dict[str, Any]:
        start = {"trainer": "toy_trainers.valley", "search_space": SPACE, "n_trials": 6}
        return {**start, **given}

    def sweep(self, **given: Any) -> Study:
        settings = build(SweepSettings, self.values(**given))
        self.runs += 1
        out = self.folder / f"study{self.runs}"
        inputs = {name: self.folder / name for name in STAGE.inputs}
        STAGE.execute(settings, inputs, {"study": out}, self.folder / "state")
        return Study.load(out)

    def start(self, number: int = 0, **given: Any) -> subprocess.Popen[str]:
        """One worker as a process."""
        file = self.folder / f"worker{number}.json"
        file.write_text(json.dumps({**self.values(**given), "worker": number}))
        words = [sys.executable, "-m", "components.hpo_sweep", "-f", file]
        for name in STAGE.inputs:
            words += [f"--{name}", self.folder / name]
        words += ["--study", self.folder / f"out{number}", "--state-dir", self.folder / "state"]
        log = open(self.folder / f"worker{number}.log", "a")  # noqa: SIM115
        return subprocess.Popen(words, stdout=log, stderr=log, text=True)

    def said(self, number: int = 0) -> str:
        return (self.folder / f"worker{number}.log").read_text()

    def trained(self) -> list[list[str]]:
        """The epochs that each training went through."""
        logs = sorted(self.folder.glob("state/hpo_sweep/studies/*/training/valley/*/work/*.txt"))
        return [log.read_text().split() for log in logs]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{TESTS.parent}")
    monkeypatch.delenv(OPTUNA, raising=False)
    monkeypatch.setattr("components.hpo_sweep.searching.WAIT_SECONDS", 0.1)
    return Project(tmp_path)


def wait_for(happened: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def tried(study: Study) -> list[tuple[Any, ...]]:
    return [(t.number, t.state, t.settings, t.value) for t in study.trials]


def test_it_finds_settings_that_are_better_than_the_defaults(project: Project) -> None:
    study = project.sweep(n_trials=12, seed=1, settings={"rate": 0.5, "epochs": 2})
    out = project.folder / "study1"
    assert [trial.number for trial in study.trials] == list(range(12))
    first = study.trials[0]
    assert first.settings == {"rate": 0.5, "depth": 8, "shape": "square"}
    best = study.best_trial
    assert best is not None
    assert best.value == max(t.value for t in study.trials if t.state == "complete" and t.value)
    assert best.value > (first.value or 0) + 0.1
    assert json.loads((out / "best.json").read_text()) == {"epochs": 2, **best.settings}
    assert (out / "trials.csv").read_text().count("\n") == 13
    assert "rate" in (out / "report.html").read_text()
    words = [sys.executable, "-m", "toy_trainers.valley", "-f", out / "best.json", "--dry-run"]
    words += ["--frames", "x", "--split", "x", "--model", "x"]
    told = json.loads(subprocess.check_output(words, text=True))
    assert told["rate"] == best.settings["rate"]


def test_the_same_seed_makes_the_same_trials_also_when_continued(
    project: Project, tmp_path: Path
) -> None:
    whole = project.sweep(n_trials=9, startup_trials=3, seed=5)
    other = Project(tmp_path / "other")
    part = other.sweep(n_trials=4, startup_trials=3, seed=5)
    assert tried(part) == tried(whole)[:4]
    assert tried(other.sweep(n_trials=9, startup_trials=3, seed=5)) == tried(whole)
    assert len(other.trained()) <= 9
    assert other.sweep(n_trials=9, startup_trials=3, seed=5).fingerprint == whole.fingerprint
    assert tried(other.sweep(n_trials=4, startup_trials=3, seed=6))[1:] != tried(whole)[1:4]


def test_what_each_trial_works_with_lies_under_its_number(project: Project) -> None:
    study = project.sweep(n_trials=2, settings="epochs=2")
    [trials] = project.folder.glob("state/hpo_sweep/studies/*/trials")
    assert sorted(path.name for path in trials.iterdir()) == ["0", "1"]
    for trial in study.trials:
        folder = trials / str(trial.number)
        assert (folder / "work" / "epochs.txt").read_text() == "1\n2\n"
        settings = json.loads((folder / "settings.json").read_text())
        assert trial.settings.items() <= settings.items()


def test_poor_trials_are_given_up_after_few_epochs(project: Project) -> None:
    study = project.sweep(
        n_trials=14, settings={"epochs": 10, "seconds": 0.05}, sampler="random", seed=2
    )
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.intermediate) < 10 for trial in pruned)
    assert study.best not in [trial.number for trial in pruned]
    assert any(len(epochs) < 10 for epochs in project.trained())


def test_without_trials_the_settings_pass_through(project: Project) -> None:
    study = project.sweep(n_trials=0, settings="rate=1e-04\nepochs=7.0\nshape=round\n")
    assert study.trials == []
    assert study.best == -1
    given = {"rate": 1e-4, "epochs": 7, "shape": "round"}
    assert study.best_settings == {**given, "depth": 8}, "that of its default which is searched"
    assert (project.folder / "study1/report.html").is_file()


def test_grid_repeats_bounds_and_first_trials(project: Project) -> None:
    space = {"depth": [2, 4], "shape": ["round", "square"]}
    study = project.sweep(search_space=space, sampler="grid", n_trials=50, try_defaults=False)
    assert len({json.dumps(t.settings, sort_keys=True) for t in study.trials}) == 6
    assert len(study.trials) == 6
    first = {"depth": 9, "shape": "square"}
    study = project.sweep(
        search_space={**space, "depth": [2, 9]},
        initial_trials=[first],
        try_defaults=False,
        constraints=["val_loss >= 0.7"],
        repeats=2,
        n_trials=5,
        monitor="val_loss",
        pruner="none",
    )
    assert study.trials[0].settings == first
    assert study.direction == "minimize"
    best = study.best_trial
    assert best is not None
    assert best.metrics["val_loss"] >= 0.7
    assert {t.feasible for t in study.trials} == {True, False}
    assert (project.folder / "state/hpo_sweep/studies").exists()
    seeds = {
        json.loads(path.read_text())["seed"]
        for path in project.folder.glob("state/hpo_sweep/studies/*/trials/*/settings.json")
    }
    assert seeds == {0, 1}


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_each_sampler_searches(sampler: str, project: Project) -> None:
    study = project.sweep(sampler=sampler, n_trials=6, startup_trials=3, settings={"epochs": 1})
    assert [trial.state for trial in study.trials].count("complete") >= 3


def test_trials_that_fail_are_counted_and_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    study = project.sweep(
        settings={"fails_above": 0.05, "rate": 0.01}, sampler="random", n_trials=8
    )
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert failed
    assert len(study.trials) == 8
    assert "makes it diverge; lower it" in failed[0].error
    assert "makes it diverge" in capfd.readouterr().err
    with pytest.raises(TrainyardError, match=r"each of the first 3 trials failed.*diverge"):
        project.sweep(settings={"fails_above": 1e-5})


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (
            {"search_space": {"rate": [1, 0.1], "dept": [1, 3], "depth": [0, 12]}},
            ["search_space.rate: low 1 is above high 0.1", "search_space.dept: the trainer has no"],
        ),
        ({"search_space": {"depth": [0, 12]}}, ["search_space.depth: ", "(got 0)", "(got 12)"]),
        ({"search_space": {"shape": ["round", "oval"]}}, ["search_space.shape: ", "oval"]),
        ({"settings": "epochs=3\nepoch=4\nrate=1e-4"}, ["settings: epoch: unknown parameter"]),
        ({"settings": "epochs"}, ["'epochs' is not of the form key=value"]),
        ({"settings": {"epoch": 3}}, ["settings: epoch: unknown parameter; did you mean 'epochs'"]),
        ({"initial_trials": [{"rate": 3}, {"epochs": 2}]}, ["[0].rate: 3 is", "[1].epochs: it is"]),
        ({"search_space": {}}, ["search_space: it is empty"]),
        ({"monitor": "train_loss"}, ["monitor: train_loss is what training makes good"]),
        ({"sampler": "grid"}, ["sampler grid: rate can have any value"]),
        ({"trainer": "train_vide"}, ["trainer: 'train_vide' cannot be run"]),
        ({"trainer": "split_clips"}, ["trainer: 'split_clips' writes split and no model"]),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    given: dict[str, Any], texts: list[str], project: Project
) -> None:
    settings = build(SweepSettings, project.values(**given))
    told = "\n".join(str(problem) for problem in check(settings))
    for text in texts:
        assert text in told
    with pytest.raises(TrainyardError):
        project.sweep(**given)
    assert not project.trained()


def test_another_search_of_the_same_name_is_refused(project: Project) -> None:
    project.sweep(study_name="mine", n_trials=1)
    with pytest.raises(ProblemsError, match="study_name: 'mine' searches something else"):
        project.sweep(study_name="mine", n_trials=1, seed=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_sweep_goes_on_in_the_middle_of_a_trial(
    number: signal.Signals, project: Project
) -> None:
    settings = {"epochs": 8, "seconds": 0.1}
    process = project.start(n_trials=3, settings=settings, pruner="none")
    wait_for(lambda: [e for e in project.trained() if "3" in e])
    process.send_signal(number)
    assert process.wait(30) == (-9 if number == signal.SIGKILL else 128 + number)
    time.sleep(1)  # what it started has noticed
    begun = [epochs for epochs in project.trained() if epochs]
    assert begun[-1][-1] != "8"
    assert project.start(n_trials=3, settings=settings, pruner="none").wait(60) == 0
    study = Study.load(project.folder / "out0")
    assert [t.state for t in study.trials].count("complete") == 3
    assert [t.retry_of for t in study.trials if t.retry_of is not None] == [0]
    assert project.trained() == [[str(n) for n in range(1, 9)]] * 3  # no epoch twice


def test_a_search_that_was_stopped_tries_what_an_undisturbed_one_does(project: Project) -> None:
    given: dict[str, Any] = {
        "n_trials": 6,
        "startup_trials": 2,
        "pruner": "none",
        "settings": {"epochs": 4, "seconds": 0.1},
    }
    undisturbed = project.sweep(**given, study_name="undisturbed")
    for begun in (2, 4):
        process = project.start(**given)
        wait_for(lambda: len(project.trained()) >= 6 + begun)  # noqa: B023
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    study = project.sweep(**given)
    kept = [trial.settings for trial in study.trials if trial.state == "complete"]
    assert len(study.trials) > len(kept)
    assert kept == [trial.settings for trial in undisturbed.trials]


def test_first_trials_that_leave_something_open_differ_in_it(project: Project) -> None:
    first = [{"rate": 0.1}, {"rate": "2e-1"}, {"rate": 0.3}]
    trials = project.sweep(n_trials=4, initial_trials=first).trials[1:]
    assert [trial.settings["rate"] for trial in trials] == [0.1, 0.2, 0.3]
    assert len({(trial.settings["depth"], trial.settings["shape"]) for trial in trials}) > 1


def test_only_the_death_of_its_worker_uses_up_the_retries_of_a_trial(tmp_path: Path) -> None:
    studies = JournalFile(tmp_path / "journal.log").studies
    study = optuna.create_study(study_name="s", storage=studies)

    def waits_after_failing(**how: Any) -> bool:
        number = study.ask().number
        retry(study, study.tell(number, state=TrialState.FAIL), **how)
        return bool(study.get_trials(states=(TrialState.WAITING,)))

    assert all(waits_after_failing(limit=None) for _ in range(RETRIES + 2)), "stopped in order"
    assert not waits_after_failing()
    assert all(waits_after_failing() for _ in range(RETRIES)), "another trial, died so often"
    assert not waits_after_failing()


def test_a_trial_that_is_stopped_again_and_again_is_finished(project: Project) -> None:
    settings = {"epochs": 5, "seconds": 0.2}
    for epoch in ("1", "2", "3"):
        process = project.start(n_trials=1, settings=settings)
        wait_for(lambda: any(epoch in epochs for epochs in project.trained()))  # noqa: B023
        process.terminate()
        assert process.wait(30) == 143
    assert [t.state for t in project.sweep(n_trials=1, settings=settings).trials][-1] == "complete"


def test_an_error_while_a_trial_is_chosen_holds_nobody_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, trial: Any) -> Any:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("components.hpo_sweep.space.Dimension.suggest", broken)
        with pytest.raises(OSError, match="no space left"):
            project.sweep(n_trials=2)
    complete = [trial for trial in project.sweep(n_trials=2).trials if trial.state == "complete"]
    assert len(complete) == 2


def test_without_trials_nothing_of_an_earlier_search_and_no_storage_is_used(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.sweep(n_trials=2, study_name="mine").best >= 0
    monkeypatch.setenv(OPTUNA, "postgresql://me@127.0.0.1:1/x")
    study = project.sweep(n_trials=0, study_name="mine")
    assert (study.best, study.trials) == (-1, [])


def test_large_seeds_large_grids_and_whole_fractions(project: Project) -> None:
    assert len(project.sweep(n_trials=2, seed=2**31, sampler="random").trials) == 2
    steps = {"rate": {"low": 0.001, "high": 1, "step": 0.001}, "depth": [1, 9]}
    study = project.sweep(n_trials=1, sampler="grid", search_space=steps)
    assert len(study.trials) == 1
    [journal] = project.folder.glob(f"state/hpo_sweep/studies/{digest(study.name, 16)}/*.log")
    assert len(journal.read_text().splitlines()) < 100, "thousands of points wait for nobody"
    assert len(project.sweep(n_trials=3, sampler="grid", search_space=steps).trials) == 3
    study = project.sweep(n_trials=2, search_space={"offset": {"choices": [0.0, 1.0]}})
    assert study.base_trial is not None, "the default 0.0 is one of the choices"


def test_a_damaged_journal_is_named(project: Project) -> None:
    project.sweep(n_trials=1, study_name="mine")
    [journal] = project.folder.glob("state/hpo_sweep/studies/*/journal.log")
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    with pytest.raises(InputError, match=r"journal.log is damaged, or no journal of Optuna"):
        project.sweep(n_trials=2, study_name="mine")


def test_a_worker_that_was_silent_too_long_leaves_its_trial_to_the_other(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OPTUNA, database)
    given: dict[str, Any] = {
        "n_trials": 3,
        "pruner": "none",
        "heartbeat_seconds": 1,
        "settings": {"epochs": 3, "seconds": 0.3},
    }
    silent = project.start(0, **given)
    wait_for(lambda: any("1" in epochs for epochs in project.trained()), 60)
    silent.send_signal(signal.SIGSTOP)
    time.sleep(5)
    other = project.start(1, **given)
    wait_for(lambda: Path(project.folder / "out1").exists() or "waiting" in project.said(1), 60)
    silent.send_signal(signal.SIGCONT)
    assert [silent.wait(90), other.wait(90)] == [0, 0]
    study = max(
        (Study.load(project.folder / f"out{n}") for n in (0, 1)), key=lambda s: len(s.trials)
    )
    complete = [trial for trial in study.trials if trial.state == "complete"]
    assert len(complete) == 3
    assert len({str(trial.settings) for trial in complete}) == 3, "none is counted twice"


@pytest.mark.parametrize("kind", ["journal", "postgres"])
def test_four_workers_share_a_study_and_one_is_killed(
    kind: str, project: Project, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = ""
    if kind == "postgres":
        url = request.getfixturevalue("database")
        secret = url.split("@")[0].rpartition(":")[2]
        monkeypatch.setenv(OPTUNA, url)
    given: dict[str, Any] = {
        "n_trials": 14,
        "settings": {"epochs": 4, "seconds": 0.2},
        "pruner": "none",
        "sampler": "random",
        "heartbeat_seconds": 1,
    }
    processes = [project.start(number, **given) for number in range(4)]
    wait_for(lambda: ": trial " in project.said(1), 60)  # it has finished one
    processes[1].kill()
    assert [process.wait(90) for process in processes] == [0, -9, 0, 0]
    studies = [Study.load(project.folder / f"out{number}") for number in (0, 2, 3)]
    study = max(studies, key=lambda each: len(each.trials))
    complete = [trial for trial in study.trials if trial.state == "complete"]
    assert len(complete) == 14
    assert len({trial.worker for trial in study.trials}) == 4
    lost = [trial for trial in study.trials if trial.state == "failed"]
    assert len(lost) <= 1
    assert len(study.trials) == 14 + len(lost)
    for trial in lost:
        [again] = [t for t in complete if t.retry_of == trial.number]
        assert trial.settings.items() <= again.settings.items()
    said = "".join(path.read_text() for path in project.folder.rglob("*.log"))
    assert not secret or secret not in said


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://root:hunter2@db/x", "mysql:// is not accepted"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "127.0.0.1 cannot be used: "),
        ("/proc/none/journal.log", "/proc/none/journal.log cannot be used"),
        ("postgresql://me:a@hunter2@db/x", "the address cannot be read; write special characters"),
        ("postgresql://me:hunter2/b@db/x", "the address cannot be read"),
        ("postgresql://me:[hunter2@db/x", "the address cannot be read"),
        ("host=db password=hunter2", "the form of key=value pairs is not accepted"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(
    url: str, text: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OPTUNA, url)
    with pytest.raises(ServiceError) as caught:
        project.sweep()
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)
