"""Parameters of runs, schedules and names, checked as the server checks them."""

from datetime import datetime
from typing import Any

import pytest
from kfp import dsl
from reference_pipelines import PIPELINES, compiled, train

from pipelines.container_rules import Finding
from pipelines.lint import lint_names, lint_run, lint_schedule
from pipelines.lint.schedules import cron_findings

VALUES = {"text": "a", "whole": 3, "real": 2, "flag": False, "listed": [1], "mapped": {"a": 1.5}}


def texts(found: list[Finding]) -> str:
    assert all(finding.mend for finding in found)
    return "\n".join(str(finding) for finding in found)


def test_good_values_have_no_finding() -> None:
    documents = compiled(PIPELINES["values"])
    assert lint_run(documents, VALUES) == []
    assert lint_run(documents, {"whole": 3.0}) == []  # JSON knows no other 3
    assert lint_run(documents, {}) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"whole": "3"}, "parameter whole: is of type str; write a whole number"),
        ({"whole": 2.5}, "parameter whole: is of type float; write a whole number"),
        ({"whole": True}, "parameter whole: is of type bool; write a whole number"),
        ({"real": "2.5"}, "parameter real: is of type str; write a number"),
        ({"real": float("nan")}, "parameter real: is not finite"),
        ({"listed": [1, [float("inf")]]}, "parameter listed: is not finite"),
        ({"flag": 1}, "parameter flag: is of type int; write true or false"),
        ({"text": 1}, "parameter text: is of type int; write a text"),
        ({"text": None}, "parameter text: is of type null"),
        ({"listed": "a,b"}, "parameter listed: is of type str; write a list"),
        ({"mapped": []}, "parameter mapped: is of type list; write a mapping"),
        ({"txt": "a"}, "the pipeline has no such parameter; did you mean 'text'?"),
        ({"mapped": {"a": object()}}, "parameters: cannot be written as JSON"),
        ({"text": "x" * 130_000}, "a step can be given 120000"),
        ({"text": "x" * 11_000}, "warning: parameters: 110"),
        ({"text": "{{$.x}}"}, "holds '{{$'"),
    ],
)  # fmt: skip
def test_each_bad_value_is_found(values: dict[str, Any], expected: str) -> None:
    assert expected in texts(lint_run(compiled(PIPELINES["values"]), values))


def test_all_are_found_at_once() -> None:
    found = lint_run(compiled(PIPELINES["values"]), {"whole": "3", "flag": 1, "more": 1})
    assert len(found) == 3


def test_what_is_required_is_missed_and_literals_hold() -> None:
    @dsl.component(base_image="registry/python:1", install_kfp_package=False)
    def work(source: str, size: int):
        print(source, size)

    @dsl.pipeline(name="required")
    def required(source: str, size: int = 3):
        work(source=source, size=size)

    documents = compiled(required)
    assert "parameter source: is required and not given" in texts(lint_run(documents, {}))
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    parameters["size"]["literals"] = [1, 3]
    assert lint_run(documents, {"source": "a", "size": 3}) == []
    found = texts(lint_run(documents, {"source": "a", "size": 2}))
    assert "parameter size: is none of what is accepted; accepted are 1, 3" in found


def test_no_run_can_be_given_an_artifact() -> None:
    @dsl.pipeline(name="wants")
    def wants(data: dsl.Input[dsl.Dataset]):
        train(data=data)

    assert "artifact data: the pipeline wants an artifact" in texts(lint_run(compiled(wants), {}))


@pytest.mark.parametrize(
    "cron",
    ["0 0 3 * * *", "*/30 * * * * *", "0 15,45 8-18/2 1 JAN-MAR MON", "0 0 0 ? * 0", "@daily",
     "@every 1h30m"],
)  # fmt: skip
def test_good_schedules(cron: str) -> None:
    assert lint_schedule(cron=cron, max_concurrency=10) == []
    assert lint_schedule(interval=1) == []


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"cron": "0 3 * * *"}, "Kubeflow would take the first one for seconds"),
        ({"cron": "0 0 24 * * *"}, "'24' is no hour; use 0 to 23"),
        ({"cron": "60 0 3 * * *"}, "'60' is no second"),
        ({"cron": "0 0 3 0 * *"}, "'0' is no day; use 1 to 31"),
        ({"cron": "0 0 3 * 13 *"}, "'13' is no month; use 1 to 12 or JAN to DEC"),
        ({"cron": "0 0 3 * * 7"}, "'7' is no weekday; use 0 to 6 or SUN to SAT"),
        ({"cron": "0 0 5-3 * * *"}, "'5-3' is no hour"),
        ({"cron": "0 */0 3 * * *"}, "'*/0' is no minute"),
        ({"cron": "0 0 3 * * * *"}, "has 7 fields, not 6"),
        ({"cron": "@nightly"}, "'@nightly' is no shorthand"),
        ({"interval": 0}, "schedule: interval: 0 is refused"),
        ({"interval": 60, "max_concurrency": 0}, "0 runs at the same time are refused"),
        ({"interval": 60, "max_concurrency": 11}, "11 runs at the same time are refused"),
        ({}, "give either a cron expression or an interval"),
        ({"cron": "@daily", "interval": 60}, "give either a cron expression or an interval"),
        (
            {"interval": 60, "start": datetime(2026, 2, 1), "end": datetime(2026, 1, 1)},
            "schedule: end: is not after the start",
        ),
    ],
)
def test_bad_schedules(schedule: dict[str, Any], expected: str) -> None:
    assert expected in texts(lint_schedule(**schedule))


def test_the_cron_of_kubernetes_has_five_fields() -> None:
    assert list(cron_findings("here", "0 3 * * 1-5", seconds=False)) == []
    assert "not 5" in texts(list(cron_findings("here", "0 0 3 * * *", seconds=False)))


def test_names() -> None:
    assert lint_names(version="v1", namespace="lab", experiment="first", tags={"a": "b"}) == []
    found = texts(
        lint_names(
            version="v" * 128,
            namespace="My Lab",
            experiment="",
            tags={"k" * 64: "v", "a": "v" * 64},
        )
    )
    for expected in (
        "version: has 128 characters; use 1 to 127",
        "namespace: 'My Lab' is no namespace",
        "experiment: has 0 characters",
        "tag: has 64 characters",
        "tag a: its value has 64 characters",
    ):
        assert expected in found, expected
