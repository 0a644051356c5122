"""A secret that was planted anywhere is found, and never repeated."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from kfp import dsl, kubernetes
from reference_pipelines import PIPELINES, add, compiled, say

from pipelines.container_rules import Finding
from pipelines.job_rules import check
from pipelines.lint import lint_pipeline, lint_run
from pipelines.lint.objects import lint_kubernetes
from pipelines.option_texts import image_reference
from pipelines.placement_options import parsed
from pipelines.secret_words import (
    secret_in_content,
    secret_in_program,
    secret_in_text,
    secret_in_words,
)

PLANTED = "Zq9-vT4xk2PlantedWp7"
ADDRESS = f"postgresql://me:{PLANTED}@database/runs"
ACCESS_KEY = "AKIA" + "PLANTEDPLANTED22"

Documents = list[dict[str, Any]]


def program(name: str) -> Callable[[Documents], None]:
    def plant(documents: Documents) -> None:
        command = documents[0]["deploymentSpec"]["executors"]["exec-add"]["container"]["command"]
        command[-1] += f"\n    connect(host='a', {name}='{PLANTED}')\n"

    return plant


def container(field: str, value: Any) -> Callable[[Documents], None]:
    def plant(documents: Documents) -> None:
        executors = documents[0]["deploymentSpec"]["executors"]
        executors["exec-add"]["container"][field] = value

    return plant


def default(name: str, value: Any, kind: str = "STRING") -> Callable[[Documents], None]:
    def plant(documents: Documents) -> None:
        inputs = documents[0]["root"].setdefault("inputDefinitions", {})
        parameter = {"parameterType": kind, "defaultValue": value}
        inputs.setdefault("parameters", {})[name] = parameter

    return plant


def metadata(kind: str, name: str, value: str) -> Callable[[Documents], None]:
    def plant(documents: Documents) -> None:
        executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        executors["exec-add"]["podMetadata"][kind][name] = value

    return plant


def constant(name: str, value: Any) -> Callable[[Documents], None]:
    def plant(documents: Documents) -> None:
        task = documents[0]["root"]["dag"]["tasks"]["add"]
        given = task.setdefault("inputs", {}).setdefault("parameters", {})
        given[name] = {"runtimeValue": {"constant": value}}

    return plant


def told(path: str) -> Callable[[Documents], None]:
    """Puts it into a text that people read."""

    def plant(documents: Documents) -> None:
        *inner, last = path.split("/")
        place: Any = documents[0]
        for key in inner:
            place = place.setdefault(key, {})
        place[last] = f"Adds.\nRead with --password={PLANTED}"

    return plant


PLANTS = {
    "description": told("pipelineInfo/description"),
    "display name": told("pipelineInfo/displayName"),
    "name of a task": told("root/dag/tasks/add/taskInfo/name"),
    "description of an input": told(
        "components/comp-add/inputDefinitions/parameters/a/description"
    ),
    "description of an output": told(
        "components/comp-add/outputDefinitions/parameters/Output/description"
    ),
    "variable": container("env", [{"name": "SERVICE_TOKEN", "value": PLANTED}]),
    "address in a variable": container("env", [{"name": "SERVICE", "value": ADDRESS}]),
    "two words": container("args", ["--password", PLANTED]),
    "one of two": container("args", ["run", "--verbose", "--api-key", PLANTED]),
    "header": container("command", ["curl", "-H", f"Authorization: Bearer {PLANTED}"]),
    "shell script": container("args", [f"set -e\nfor a in 1; do\nrun --token {PLANTED}\ndone"]),
    "argument": container("args", ["run", f"--password={PLANTED}"]),
    "address as argument": container("args", [ADDRESS]),
    "command": container("command", ["sh", "-c", f"TOKEN={PLANTED} run"]),
    "known form": container("args", [ACCESS_KEY]),
    "program": program("password"),
    "default": default("api_token", PLANTED),
    "address as default": default("database", ADDRESS),
    "nested default": default("options", {"a": [{"secret_key": PLANTED}]}, "STRUCT"),
    "list of addresses": default("databases", [ADDRESS], "LIST"),
    "constant": constant("password", PLANTED),
    "address as constant": constant("a", ADDRESS),
    "annotation": metadata("annotations", "example.org/token", PLANTED),
    "address in an annotation": metadata("annotations", "example.org/note", ADDRESS),
    "label": metadata("labels", "access-key", PLANTED),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_secret_in_a_pipeline_is_found_and_not_repeated(plant: str) -> None:
    sound = compiled(PIPELINES["pods"])
    documents = copy.deepcopy(sound)
    PLANTS[plant](documents)
    assert documents != sound
    assert_told(lint_pipeline(documents))
    assert lint_pipeline(sound) == []


@pytest.mark.parametrize(
    "text",
    [
        "token: where the token is from", "Password: none is needed.\n\nSecret: that of others",
        "Takes key: a name, and a TOKEN from a Secret.", "A secret\n  api_key: said by others",
    ],
)  # fmt: skip
def test_descriptions_that_only_speak_of_secrets_hold_none(text: str) -> None:
    documents = compiled(PIPELINES["pods"])
    documents[0]["pipelineInfo"].update(description=text, displayName=text)
    documents[0]["components"]["comp-add"]["inputDefinitions"]["parameters"]["a"].update(
        description=text
    )
    assert lint_pipeline(documents) == []


IMAGES = [
    f"https://me:{PLANTED}@host/image:1", f"me:{PLANTED}@host/image:1", f"{PLANTED}@host/image:1",
    f"host/image:1?token={PLANTED}", f"me:{PLANTED}@host/image@sha256:{'0' * 64}",
]  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_credentials_in_an_image_are_told_and_not_repeated(image: str) -> None:
    pod = {"containers": [{"name": "a", "image": image}]}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
    documents = compiled(PIPELINES["pods"])
    container("image", image)(documents)
    for found in (lint_kubernetes([document]), check([document]), lint_pipeline(documents)):
        text = "\n".join(map(str, found))
        assert "image: is no image: it holds credentials" in text
        assert PLANTED not in text


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", ["torch=", "tourch=", ""])
def test_an_option_with_credentials_in_an_image_is_refused_without_them(
    image: str, name: str
) -> None:
    found: list[str] = []
    parsed("image", [f"{name}{image}"], image_reference, found)
    [problem] = found
    assert problem.startswith(f"--image {name}…: " if name else "--image: ")
    assert PLANTED not in problem
    assert "accepted are" in problem or "imagePullSecret" in problem or "expected" in problem


def assert_told(found: list[Finding]) -> None:
    text = "\n".join(map(str, found))
    told = (
        "has a literal value", "a URL with a", "an access key, token", "a header with a token",
        "a command with a password",
    )  # fmt: skip
    assert any(words in text for words in told), text
    assert PLANTED not in text
    assert ACCESS_KEY not in text


def test_a_secret_among_other_faults_is_not_repeated_by_those() -> None:
    documents = compiled(PIPELINES["pods"])
    metadata("labels", "token", f"{PLANTED} !")(documents)
    container("env", [{"name": "TOKEN", "value": PLANTED}, {"name": "TOKEN", "value": 7}])(
        documents
    )
    assert PLANTED not in "\n".join(map(str, lint_pipeline(documents)))


def test_what_the_sdk_wrote_into_a_pipeline_is_looked_through() -> None:
    @dsl.pipeline(name="leaks")
    def leaks(password: str = PLANTED):
        task = say(text=ADDRESS)
        task.set_env_variable("SERVICE_SECRET", PLANTED)
        kubernetes.add_pod_annotation(task, "token", PLANTED)
        add().after(task)

    found = lint_pipeline(compiled(leaks))
    assert len(found) == 4
    assert_told(found)


def test_a_secret_among_the_values_of_a_run_is_found() -> None:
    documents = compiled(PIPELINES["values"])
    assert_told(lint_run(documents, {"text": ADDRESS}))
    assert_told(lint_run(documents, {"mapped": {"password": PLANTED}}))


def test_the_name_of_a_secret_is_none() -> None:
    assert lint_run(compiled(PIPELINES["secrets"]), {"secret": "database"}) == []


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "ConfigMap", "data": {"password": PLANTED}},
        {"kind": "Pipeline", "spec": {"displayName": f"one --token={PLANTED}"}},
        {"kind": "PipelineVersion", "spec": {"description": ADDRESS}},
        {
            "kind": "ScheduledWorkflow",
            "spec": {"workflow": {"parameters": [{"name": "token", "value": PLANTED}]}},
        },
        {"kind": "ConfigMap", "data": {"a.yaml": f"url: {ADDRESS}"}},
        {"kind": "ConfigMap", "data": {"a.json": f'{{"a": {{"apiKey": "{PLANTED}"}}}}'}},
        {"kind": "ConfigMap", "data": {"a.py": f'connect(token="{PLANTED}")'}},
        {"kind": "ConfigMap", "data": {"a.ini": f"[default]\naws_secret_access_key = {PLANTED}\n"}},
        {"kind": "ConfigMap", "data": {"a.txt": f"first\n  password: {PLANTED}\n- more: [\n"}},
        {"kind": "Service", "spec": {}},
        {"kind": "TrainJob", "spec": {"trainer": {"env": [{"name": "TOKEN", "value": PLANTED}]}}},
        {"kind": "Pod", "spec": {"containers": [{"args": [f"--token={PLANTED}"]}]}},
        {"kind": "Pod", "spec": {"containers": [{"args": ["-x", "--password", PLANTED]}]}},
        {
            "kind": "Pod",
            "spec": {"initContainers": [{"env": [{"name": "PGPASSWORD", "value": PLANTED}]}]},
        },
    ],
)
@pytest.mark.parametrize("linter", [lint_kubernetes, check])
def test_a_secret_in_a_kubernetes_document_is_found_and_not_repeated(
    document: dict[str, Any], linter: Callable[[list[Any]], list[Finding]]
) -> None:
    annotations = {"token": PLANTED} if document["kind"] == "Service" else {}
    whole = {"apiVersion": "v1", "metadata": {"name": "n", "annotations": annotations}, **document}
    assert_told(linter([whole]))


def test_a_secret_document_is_named_and_its_values_are_not() -> None:
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"a": PLANTED},
    }  # fmt: skip
    [finding] = lint_kubernetes([secret])
    assert finding.what == "holds secret values"
    assert PLANTED not in str(finding)


@pytest.mark.parametrize(
    "text",
    [
        "token = os.environ['TOKEN']", "sorted(words, key='name')", "PASSWORD = 'SERVICE_PASSWORD'",
        "def f(token: str = ''): pass", "connect(f'https://{user}:{token}@host')",
        "{'token': token}", "not python at all: password",
    ],
)  # fmt: skip
def test_programs_that_only_speak_of_secrets_hold_none(text: str) -> None:
    assert secret_in_program(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "token = 'a1'", "self.api_key = 'a1'", "def f(*, password='a1'): pass", "{'secret': 'a1'}",
        "settings['token'] = 'a1'", "token: str = 'a1'", "connect(password='a1')",
    ],
)  # fmt: skip
def test_programs_that_hold_a_secret(text: str) -> None:
    assert "has a literal value" in secret_in_program(text)


def test_lists_of_variables_are_looked_into() -> None:
    variables = [{"name": "TOKEN", "value": "a1"}]
    assert "TOKEN" in secret_in_content({"env": variables})
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "TOKEN"}}}
    assert secret_in_content({"env": [reference]}) == ""


@pytest.mark.parametrize(
    "text",
    [
        f"curl -H 'Authorization: Bearer {PLANTED}' https://a",
        f"curl -s -u admin:{PLANTED} https://a",
        f"mysql -h a -p{PLANTED} runs",
        f"https://hooks.slack.com/services/T024/B024/{PLANTED}",
        "AIza" + "SyPlanted" * 4,
        "hf_" + "Planted" * 5,
        "nvapi-" + "Planted_" * 5,
        "sk-proj-" + "Planted-" * 5,
        "github_pat_" + "Planted_" * 5,
        "dckr_pat_" + "Planted-" * 5,
        f"https://a/b?X-Amz-Date=1&X-Amz-Signature={'0a' * 32}",
        f"https://a/b?token={PLANTED}",
        f"[default]\naws_secret_access_key = {PLANTED}\n",
        f"a line\npassword: {PLANTED}\nanother: [\n",
    ],
)
def test_a_secret_in_a_text_is_found_wherever_it_stands(text: str) -> None:
    told = secret_in_text(text)
    assert told
    assert "lanted" not in told
    assert secret_in_words(["run", text]) == told
    pod = {"containers": [{"env": [{"name": "A", "value": text}]}]}
    documents: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": text}},
    ]
    assert [f.what for f in lint_kubernetes(documents)].count(told) == 2
    assert_told(lint_run(compiled(PIPELINES["values"]), {"text": text}))


@pytest.mark.parametrize(
    "text",
    [
        "curl -H 'Authorization: Bearer $TOKEN' -u \"$USER:$PASSWORD\" https://a",
        "mysql -h a -p$PASSWORD; mkdir -p here", "mysql -p < file", "export TOKEN=$(cat /a/token)",
        "https://hooks.slack.com/services/...", "https://a/b?token=$TOKEN", "--password-file /a",
        "password = %(password)s\ntoken: <token>\n[", "use --token to say who you are",
        "password_encryption = scram-sha-256", "security:\n  authorization: enabled",
        "secret = read('a')\nfi",
    ],
)  # fmt: skip
def test_texts_that_only_speak_of_secrets_hold_none(text: str) -> None:
    assert secret_in_text(text) == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--password", "--host", "a"], ["--password", "$(PASSWORD)"], ["--no-password", "host"],
        ["--token-file", "/run/token"], ["sort", "--key", "name"], ["--password"],
    ],
)  # fmt: skip
def test_words_that_only_speak_of_secrets_hold_none(words: list[str]) -> None:
    assert secret_in_words(words) == ""
