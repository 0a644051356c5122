"""`trainyard dashboard`: a real server shows a study, changes nothing, and ends with Ctrl-C."""

import json
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest
import trainyard_process
from click.testing import CliRunner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from components.core.artifacts.study import Study, Trial
from pipelines.cli import main

optuna.logging.set_verbosity(optuna.logging.CRITICAL)


def searched(path: Path, name: str = "digits", trials: int = 3) -> optuna.Study:
    """A study in a journal file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(path)))
    made = optuna.create_study(storage=storage, study_name=name)
    made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return made


def artifact(folder: Path, name: str = "digits", trials: int = 3) -> Path:
    """A Study folder."""
    made = searched(folder / "journal.log", name, trials)
    Study.create(
        name=name,
        trainer="train_video",
        monitor="val_loss",
        direction="minimize",
        search_space={"x": {"low": 0.0, "high": 1.0}},
        settings={},
        seed=0,
        sampler="tpe",
        pruner="none",
        trials=[
            Trial(number=t.number, state="complete", value=t.value, settings=t.params)
            for t in made.trials
        ],
    ).write(folder)
    return folder


@contextmanager
def serving(folder: Path, *arguments: object, **environment: str) -> Iterator[Any]:
    """A dashboard on a free port: (address, process)."""
    process = trainyard_process.start(folder, "dashboard", *arguments, "--port", 0, **environment)
    output = folder / "output.txt"
    try:
        trainyard_process.wait_for(lambda: "Ctrl-C ends it" in output.read_text(), process, 60)
        found = re.match(r"(http://127\.0\.0\.1:\d+)/dashboard", output.read_text())
        assert found, output.read_text()
        yield found[1], process
    finally:
        process.kill()
        process.wait()


def answer(address: str, method: str = "GET", data: bytes | None = None) -> Any:
    request = urllib.request.Request(address, data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def test_a_study_folder_is_shown_and_not_changed(tmp_path: Path) -> None:
    study = artifact(tmp_path / "run" / "outputs" / "hpo_sweep" / "study")
    before = {path: path.read_bytes() for path in sorted(study.iterdir())}
    with serving(tmp_path, tmp_path / "run") as (address, process):
        (found,) = answer(f"{address}/api/studies")["study_summaries"]
        assert found["study_name"] == "digits"
        one = f"{address}/api/studies/{found['study_id']}"
        assert len(answer(one)["trials"]) == 3
        with urllib.request.urlopen(f"{address}/dashboard", timeout=30) as page:
            assert b"<html" in page.read()
        for method, place, body in (
            ("PUT", f"{one}/note", b'{"body": "mine", "version": 1}'),
            ("POST", f"{address}/api/studies", b'{"study_name": "b", "directions": [1]}'),
            ("DELETE", one, None),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                answer(place, method, body)
            assert refused.value.code == 403
            assert "changes nothing" in json.loads(refused.value.read())["reason"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert {path: path.read_bytes() for path in sorted(study.iterdir())} == before
    said = (tmp_path / "output.txt").read_text()
    assert said == f"{address}/dashboard shows digits\nCtrl-C ends it\n"


def test_a_search_that_goes_on_is_shown_as_it_goes(tmp_path: Path) -> None:
    made = searched(tmp_path / "studies" / "journal.log", trials=1)
    with serving(tmp_path, tmp_path / "studies") as (address, _):
        (found,) = answer(f"{address}/api/studies")["study_summaries"]
        made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert len(answer(f"{address}/api/studies/{found['study_id']}")["trials"]) == 3


def test_the_shared_database_is_shown_and_its_password_is_not(
    tmp_path: Path, database: str
) -> None:
    driver, rest = "postgresql+psycopg2", database.partition("://")[2]
    made = optuna.create_study(storage=f"{driver}://{rest}", study_name="shared")
    made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    secret = urlsplit(database).password
    assert secret
    with serving(tmp_path, TRAINYARD_OPTUNA_STORAGE=database) as (address, process):
        (found,) = answer(f"{address}/api/studies")["study_summaries"]
        assert found["study_name"] == "shared"
        assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert secret not in (tmp_path / "output.txt").read_text()


def test_a_dry_run_says_what_there_is_to_see(tmp_path: Path) -> None:
    study = artifact(tmp_path / "study")
    for place in (study, study / "journal.log"):
        result = CliRunner().invoke(main, ["dashboard", str(place), "--dry-run", "--port", "0"])
        assert result.exit_code == 0, result.output
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/dashboard shows digits\n", result.output)
    shared = {"TRAINYARD_OPTUNA_STORAGE": str(study / "journal.log")}
    result = CliRunner().invoke(main, ["dashboard", "--dry-run", "--port", "0"], env=shared)
    assert "shows digits" in result.output


def test_of_several_workers_the_study_with_most_trials_is_shown(tmp_path: Path) -> None:
    for worker in range(3):
        artifact(tmp_path / f"worker-{worker}", trials=[2, 4, 3][worker])
    from pipelines.dashboard_command import journal

    assert journal(tmp_path) == tmp_path / "worker-1" / "journal.log"


def refusal(*arguments: object, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        main, ["dashboard", *map(str, arguments), "--dry-run", "--port", "0"], env=environment
    )
    return result.exit_code, result.output


def test_what_is_no_study_is_refused_with_what_is_accepted(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent")[0] == 3
    assert "absent does not exist; expected a Study folder" in refusal(tmp_path / "absent")[1]
    assert "holds no study; expected a Study folder" in refusal(tmp_path)[1]
    for name, content in {
        "empty.log": b"",
        "text.log": b"hello\nworld\n",
        "json.log": b'[1]\n{"a": 1}\n',
        "binary.log": bytes(range(256)) * 9,
    }.items():
        (tmp_path / name).write_bytes(content)
        code, said = refusal(tmp_path / name)
        assert (code, f"{name} is no journal of Optuna" in said) == (3, True), said
        assert (tmp_path / name).read_bytes() == content
    artifact(tmp_path / "a", "first")
    artifact(tmp_path / "b", "second")
    assert "holds several studies; name one of them" in refusal(tmp_path)[1]
    (tmp_path / "a" / "journal.log").unlink()
    assert "journal.log is missing" in refusal(tmp_path / "a")[1]


def test_without_a_study_and_a_storage_it_says_what_to_name() -> None:
    code, said = refusal(TRAINYARD_OPTUNA_STORAGE="")
    assert code == 2
    assert "name a Study folder, a run folder or a journal file" in said
    assert "TRAINYARD_OPTUNA_STORAGE" in said


def test_a_storage_that_cannot_be_reached_is_a_service_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"postgresql://me:pass8731@127.0.0.1:{port}/x"
    code, said = refusal(TRAINYARD_OPTUNA_STORAGE=url)
    assert code == 4, said
    assert "TRAINYARD_OPTUNA_STORAGE: 127.0.0.1 cannot be used" in said
    assert "pass8731" not in said


def test_a_taken_port_and_an_unknown_host_are_told(tmp_path: Path) -> None:
    study = str(artifact(tmp_path / "study"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["dashboard", study, "--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen at 127.0.0.1:{port}: address already in use" in result.output
    assert "give another --port" in result.output
    result = CliRunner().invoke(main, ["dashboard", study, "--host", "nowhere.invalid"])
    assert result.exit_code == 2
    assert "cannot listen at nowhere.invalid:8080" in result.output


def test_without_the_dashboard_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = artifact(tmp_path / "study")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    code, said = refusal(study)
    assert code == 1
    assert "optuna_dashboard is not installed here" in said
    assert "pip install 'trainyard[dashboard]'" in said
