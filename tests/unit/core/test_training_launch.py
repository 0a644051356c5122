"""What several processes end with is what the process that started them ends with."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
import torch

from components.core.errors import InputError, OutOfSpaceError, TrainyardError
from components.core.training.launch import count_processes, launch, process_problems

TESTS = Path(__file__).parents[2]


def run(folder: Path, end: str, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    request = {"end": end, "out": str(folder)}
    launch("launched_worker", request, processes, folder / "processes")


def test_all_do_their_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "well", 3, monkeypatch)
    threads = [int((tmp_path / str(rank)).read_text(encoding="utf-8")) for rank in range(3)]
    assert all(1 <= count <= max(1, torch.get_num_threads()) for count in threads)


@pytest.mark.parametrize(
    ("end", "kind", "code", "text"),
    [
        ("input", InputError, 3, "^clips: there are none; add some$"),
        ("full", OutOfSpaceError, 5, "no space left while writing /some/file"),
        ("crash", TrainyardError, 1, r"(?s)process 2 of 2: ValueError: a mistake.*Traceback"),
    ],
)
def test_an_error_in_one_process_ends_all_and_is_raised_here(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    kind: type[TrainyardError],
    code: int,
    text: str,
) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=text) as caught:
        run(tmp_path, end, 2, monkeypatch)
    assert caught.value.exit_code == code
    assert time.monotonic() - began < 50


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "launched_nodes"]
    group = {"nodes": 2, "processes": 1, "command": command}
    monkeypatch.setenv("TRAINYARD_NODE_GROUP", json.dumps(group))


@pytest.mark.usefixtures("two_machines")
def test_several_machines_do_their_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "well", 2, monkeypatch)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "processes"}


@pytest.mark.usefixtures("two_machines")
def test_how_many_processes_of_several_machines() -> None:
    assert count_processes(0, "cuda", 8, 100) == 2, "whatever this machine has"
    assert count_processes(3, "cuda", 8, 100) == 6
    assert process_problems(3, "cuda", 8, 100) == []
    assert "leaves some of the 8 processes" in process_problems(4, "cpu", 7, 100)[0]


def test_how_many_processes() -> None:
    assert count_processes(0, "cpu", 8, 100) == 1
    assert count_processes(3, "cpu", 8, 100) == 3
    assert process_problems(0, "cpu", 8, 100) == process_problems(4, "cpu", 8, 100) == []
    assert "batch_size: 8 makes batches of 7" in process_problems(8, "cpu", 8, 100)[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_one_process_per_gpu() -> None:
    gpus = torch.cuda.device_count()
    assert count_processes(0, "auto", 64, 640) == gpus
    assert count_processes(0, "cuda:0", 64, 640) == 1
    assert f"more than the {gpus} GPUs here" in process_problems(gpus + 1, "cuda", 64, 640)[0]
    assert "cannot share 'cuda:0'" in process_problems(2, "cuda:0", 64, 640)[0]
