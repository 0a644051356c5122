"""Versions of a model in a folder repository: ONNX files and SavedModels, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core import files
from components.core.errors import InputError
from components.core.model_repository import ABANDONED_SECONDS, GRAPHS, ModelRepository

ADD = (
    "import sys; from pathlib import Path; from components.core.model_repository import *; "
    "ModelRepository(sys.argv[1], 'm').add(Path(sys.argv[2]))"
)
BIG_BYTES = 256 << 20


def write_version(folder, graph, name, size=8):
    """A version directory with this file as its graph, and a big one beside it."""
    path = folder / graph
    path.parent.mkdir(parents=True)
    path.write_bytes(b"graph")
    with open(path.parent / "weights", "wb") as file:
        file.truncate(size)
    (folder / "model_card.json").write_text(json.dumps({"fingerprint": name}))
    (folder / "m.config").write_text("")
    return folder


def numbers(repository):
    return [(version.number, version.complete) for version in repository.versions()]


def test_all_kinds_of_graph_are_known():
    assert GRAPHS == ("model.savedmodel/saved_model.pb", "model.plan", "model.onnx")


@pytest.mark.parametrize("graph", GRAPHS)
def test_versions_are_numbered_read_and_removed(tmp_path, graph):
    repository = ModelRepository(str(tmp_path / "repository"), "m")
    for name in ("one", "two", "three"):
        repository.add(write_version(tmp_path / name, graph, name))
    versions = repository.versions()
    assert [(v.number, v.bundle, v.graph) for v in versions] == [
        (1, "one", graph),
        (2, "two", graph),
        (3, "three", graph),
    ]
    assert repository.remove_old(1, spare=2) == [1]
    assert numbers(repository) == [(2, True), (3, True)]


@pytest.mark.parametrize("left", ["model_card.json", "m.config"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_version_of_ours_without_its_graph_is_not_complete(tmp_path, graph, left):
    repository = ModelRepository(str(tmp_path / "repository"), "m")
    number = repository.add(write_version(tmp_path / "content", graph, "one"))
    version = tmp_path / "repository" / "m" / str(number)
    (version / graph).unlink()
    for name in {"model_card.json", "m.config"} - {left}:
        (version / name).unlink()
    assert numbers(repository) == [(1, False)]


def test_versions_of_others_count_whatever_they_hold(tmp_path):
    for number, name in ((3, "model.plan"), (4, "model.savedmodel/variables/weights")):
        path = tmp_path / "repository" / "m" / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
    repository = ModelRepository(str(tmp_path / "repository"), "m")
    assert numbers(repository) == [(3, True), (4, True)]
    assert repository.add(write_version(tmp_path / "content", GRAPHS[0], "one")) == 5


def test_a_directory_without_a_graph_is_no_version(tmp_path):
    content = write_version(tmp_path / "content", "model.pt", "one")
    with pytest.raises(InputError, match=r"none of model\.savedmodel/saved_model\.pb, model\.plan"):
        ModelRepository(str(tmp_path / "repository"), "m").add(content)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_killed_publication_leaves_no_version_and_is_cleared_later(tmp_path, graph):
    content = write_version(tmp_path / "content", graph, "one", BIG_BYTES)
    repository = ModelRepository(str(tmp_path / "repository"), "m")
    folder = tmp_path / "repository" / "m"
    command = [sys.executable, "-c", ADD, str(tmp_path / "repository"), str(content)]
    for _ in range(5):
        with subprocess.Popen(command) as process:
            while not folder.is_dir() or not any(folder.iterdir()):
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        if not (folder / "1").exists():
            break
        files.remove(folder)  # it was faster than the signal
    (partial,) = (path for path in folder.iterdir() if files.PARTIAL in path.name)
    assert repository.versions() == []
    old = time.time() - ABANDONED_SECONDS - 1
    os.utime(partial, (old, old))
    assert repository.add(content) == 1
    assert [path.name for path in folder.iterdir()] == ["1"]
    assert Path(folder, "1", graph).read_bytes() == b"graph"
