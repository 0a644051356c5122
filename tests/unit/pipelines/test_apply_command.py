"""`trainyard apply`: what is read from files, and what is refused before any cluster is asked."""

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.core.errors import ServiceError, SettingsError
from pipelines.apply_command import read_documents
from pipelines.backends import _cluster
from pipelines.backends._cluster import Cluster, UnreachableError
from pipelines.cli import main
from pipelines.compile import compiled, in_format


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))


def refused(*words: object) -> str:
    done = CliRunner().invoke(main, ["apply", *map(str, words)])
    assert done.exit_code == 2, done.output
    return done.output


def config(name: str, **more: Any) -> dict[str, Any]:
    about = {"name": name, **more}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {}}


def test_folders_and_lists_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "2.yaml").write_text(yaml.safe_dump_all([config("b"), None, config("c")]))
    listed = {"apiVersion": "v1", "kind": "List", "items": [config("a")]}
    (tmp_path / "1.json").write_text(yaml.safe_dump(listed))
    (tmp_path / "notes.txt").write_text("not a document")
    read = read_documents([tmp_path, tmp_path / "2.yaml"])
    assert [d["metadata"]["name"] for d in read] == ["a", "b", "c", "b", "c"]


def test_every_file_that_cannot_be_applied_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    texts = {
        "broken.yaml": "a: 1\nb: [\n",
        "nothing.yaml": "# only a comment\n---\n",
        "text.yaml": "hello",
        "nameless.yaml": yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        "elsewhere.yaml": yaml.safe_dump(config("x", namespace="other")),
        "upload.yaml": compiled("action_recognition").text(),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError) as error:
        read_documents([*(tmp_path / name for name in texts), tmp_path / "gone.yaml", empty], "us")
    told = str(error.value)
    for name in (*texts, "gone.yaml", "empty"):
        assert str(tmp_path / name) in told
    assert told.count("compile --format kubernetes") == 1
    assert "broken.yaml: is no YAML in line 3" in told
    assert "nothing.yaml: holds no objects" in told
    assert "is for namespace other, not us" in told


def test_documents_are_linted_before_a_cluster_is_asked(tmp_path: Path) -> None:
    pipeline, version = in_format(compiled("action_recognition"), "kubernetes").documents
    executors = version["spec"]["pipelineSpec"]["deploymentSpec"]["executors"]
    executors["exec-train-video"]["container"]["image"] = ""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"k": "eA=="},
    }
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([pipeline, version, secret]))
    told = refused("-f", file)
    assert "exec-train-video" in told
    assert "Secret/s: holds secret values" in told


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "name one pipeline, or give --all, or -f"),
        (("action_recognition", "--all"), "name one pipeline, or give --all, or -f"),
        (("action_recognitoin",), "unknown pipeline 'action_recognitoin'"),
        (("-f", "x.yaml", "--schedule", "@daily"), "--schedule: name one PIPELINE"),
        (("action_recognition", "--namespace", "Bad_"), "--namespace"),
        (("action_recognition", "--storage", "volume"), "--storage volume"),
    ],
)
def test_usage_is_told(words: tuple[str, ...], text: str) -> None:
    assert text in refused(*words)


def test_without_a_cluster_the_configuration_is_asked_for() -> None:
    done = CliRunner().invoke(main, ["apply", "action_recognition"])
    assert done.exit_code == 4
    assert "no usable cluster configuration" in done.output


@pytest.mark.parametrize("text", ["garbage: [", "[]", "words", "clusters: 7", "", "a: \x00"])
def test_a_kubeconfig_that_is_none_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ServiceError, match="no usable cluster configuration") as error:
        Cluster.connect()
    assert str(file) in str(error.value)


def test_waiting_for_a_cluster_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_cluster, "PATIENCE_SECONDS", 0.4)
    monkeypatch.setattr(_cluster, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(_cluster, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = f"https://127.0.0.1:{mute.getsockname()[1]}"
        one = {"name": "x", "cluster": {"server": server}, "context": {"cluster": "x"}}
        settings = {"clusters": [one], "contexts": [one], "current-context": "x"}
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("KUBECONFIG", str(file))
        with pytest.raises(UnreachableError, match="does not answer"):
            Cluster.connect().get("ConfigMap", "c")
    assert f"{server} does not answer (read ConfigMap/c); waiting up to" in capsys.readouterr().err
