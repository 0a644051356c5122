"""`trainyard lint`: files, folders, kustomizations, pipelines and pipes."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from reference_pipelines import PIPELINES, compiled

from pipelines.cli import main

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a.b"}, "spec": {}}
SOUND = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {}}


def lint(*words: str | Path, text: str = "") -> Result:
    return CliRunner().invoke(main, ["lint", *map(str, words)], input=text)


def written(path: Path, *documents: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return path


def test_a_pipeline_by_its_name_is_compiled_and_checked() -> None:
    done = lint("action_recognition")
    assert done.exit_code == 0, done.output
    assert done.output == "2 documents, 0 errors, 0 warnings\n"


def test_a_file_with_both_kinds_of_documents(tmp_path: Path) -> None:
    documents = compiled(PIPELINES["pods"])
    documents[0]["schemaVersion"] = "1"
    done = lint(written(tmp_path / "all.yaml", *documents, SERVICE))
    assert done.exit_code == 2
    assert f"error: {tmp_path}/all.yaml: pods: schemaVersion: is '1'; compile with" in done.output
    assert "all.yaml: Service/a.b: metadata.name: 'a.b' is no DNS label; accepted" in done.output
    assert done.output.endswith("3 documents, 2 errors, 0 warnings\n")


def test_every_file_of_a_folder(tmp_path: Path) -> None:
    written(tmp_path / "one.yaml", SERVICE)
    written(tmp_path / "deeper" / "two.yml", SOUND, ["a"], {"a": 1})
    (tmp_path / "three.json").write_text("{", encoding="utf-8")
    done = lint(tmp_path)
    assert done.exit_code == 2
    for expected in (
        "one.yaml: Service/a.b",
        "deeper/two.yml: document 2: is no mapping",
        "deeper/two.yml: document 3: is neither a compiled pipeline nor a Kubernetes document",
        "three.json: line 2: no YAML",
        "4 documents, 4 errors",
    ):
        assert expected in done.output, expected


def test_a_pipe() -> None:
    done = lint("-", text=yaml.safe_dump(SERVICE))
    assert done.exit_code == 2
    assert "error: stdin: Service/a.b" in done.output
    assert lint("-", text=yaml.safe_dump(SOUND)).exit_code == 0


def test_warnings_alone_are_no_failure() -> None:
    claim = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "x"}, "roleRef": {"kind": "Role", "name": "y"},
    }  # fmt: skip
    role = {**binding, "kind": "Role", "rules": []}
    del role["roleRef"]
    done = lint("-", text=yaml.safe_dump_all([claim, binding, role]))
    assert done.exit_code == 0
    assert "warning: stdin: RoleBinding/x: roleRef: no Role 'y' in these documents" in done.output


def test_prp_holds_pods_to_more_rules() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}
    text = yaml.safe_dump(pod)
    assert "6 hours" not in lint("-", text=text).output
    assert "6 hours" in lint("-", "--prp", text=text).output


@pytest.mark.skipif(
    not (shutil.which("kubectl") or shutil.which("kustomize")),
    reason="neither kubectl nor kustomize is here to render a kustomization",
)
def test_a_kustomization_is_rendered(tmp_path: Path) -> None:
    written(tmp_path / "overlay" / "service.yaml", SERVICE)
    written(tmp_path / "overlay" / "kustomization.yaml", {"resources": ["service.yaml"]})
    done = lint(tmp_path / "overlay")
    assert done.exit_code == 2
    assert f"{tmp_path}/overlay: Service/a.b" in done.output
    above = lint(tmp_path)
    assert above.exit_code == 2
    assert f"name one: {tmp_path}/overlay" in above.output
    written(tmp_path / "overlay" / "kustomization.yaml", {"resources": ["gone.yaml"]})
    broken = lint(tmp_path / "overlay")
    assert broken.exit_code == 3
    assert "cannot be rendered" in broken.output


@pytest.mark.parametrize(
    ("target", "code", "expected"),
    [
        ("gone.yaml", 3, "gone.yaml does not exist"),
        ("action_recognitoin", 2, "did you mean 'action_recognition'?"),
    ],
)
def test_what_is_not_there(target: str, code: int, expected: str) -> None:
    done = lint(target)
    assert done.exit_code == code
    assert expected in done.output


def test_an_empty_folder(tmp_path: Path) -> None:
    done = lint(tmp_path)
    assert done.exit_code == 3
    assert "holds no .yaml, .yml, .json" in done.output


@pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n"])
def test_nothing_read_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    for target in ("-", tmp_path):
        done = lint(target, text=text)
        assert done.exit_code == 2
        assert "text: holds no document" in done.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 2026-13-45", "no YAML: a date or number that cannot be"),
        ("a: !!int abc", "no YAML: a date or number that cannot be"),
        ("a: !!timestamp abc", "no YAML: a date or number that cannot be"),
        ("{a: " * 900 + "}" * 900, "nested"),
        ("kind: Pod\nspec: &a {b: [*a]}", "or holds itself"),
        ("pipelineInfo: {name: a}\nroot: &a {a: *a}", "or holds itself"),
    ],
)
def test_one_unreadable_file_keeps_none_of_the_others(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    written(tmp_path / "b.yaml", SERVICE)
    done = lint(tmp_path)
    assert done.exit_code == 2
    lines = [line for line in done.output.splitlines() if "a.yaml" in line]
    assert len(lines) == 1
    assert expected in lines[0]
    assert "b.yaml: Service/a.b" in done.output


def test_a_key_that_stands_twice() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  type: A\n  type: B\n"
    done = lint("-", text=text)
    assert done.exit_code == 2
    assert "stdin: line 6: the key 'type' twice in one mapping" in done.output
    merged = (
        "kind: ExternalSecret\napiVersion: v1\nmetadata: {name: a}\n"
        "spec:\n  a: &a {x: 1}\n  b: &b {<<: *a, x: 2}\n  c: {<<: *b, x: 3}\n"
    )
    assert lint("-", text=merged).exit_code == 0
