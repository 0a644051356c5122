"""`python -m components.<stage>`: a command line made from the stage's own definition."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from components import __version__
from components.core.errors import ProblemsError, SettingsError
from components.core.events import Reporter
from components.core.lifetime import exit_on_sigterm, watch_runner
from components.core.settings import (
    Settings,
    build,
    closest,
    is_runtime,
    parse_assignments,
    problems,
    read_file,
)
from components.core.stage import S, Stage, reported_failure


def main(stage: Stage[S], arguments: Sequence[str] | None = None) -> int:
    """Runs `stage` from command-line arguments; returns the exit code."""
    exit_on_sigterm()
    parser = make_parser(stage)
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_unknown(stage, unknown))
    given = vars(known)
    if given["describe"]:
        print(json.dumps(description(stage, json.load(sys.stdin))))
        return 0
    report = Reporter(stage.name)
    watch_runner()
    with reported_failure(report):
        settings = build(stage.settings, _values(stage.settings, given), stage.name)
        if missing := _missing_paths(stage, given):
            raise SettingsError(missing, "the command line")
        if given["dry_run"]:
            if found := stage.check(settings):
                raise ProblemsError(found, stage.name)
            print(settings.model_dump_json(indent=2))
            return 0
        inputs = {name: Path(given[name]) for name in stage.inputs if given[name]}
        outputs = {name: Path(given[name]) for name in stage.outputs if given[name]}
        state = Path(given["state_dir"]) if given["state_dir"] else None
        stage.execute(settings, inputs, outputs, state, report)
        for name, path in outputs.items():
            if not path.exists():
                report.warn(f"{_option(name)}: exists in the Kubeflow UI only; nothing was written")
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the list of a stage's options would bury it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help shows all options\n")


def make_parser(stage: Stage[Any]) -> argparse.ArgumentParser:
    """The stage's argument parser: one option per input, output and setting."""
    module = sys.modules[stage.settings.__module__]
    parser = _Parser(
        prog=f"python -m components.{stage.name}",
        description=(module.__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trainyard {__version__}")
    parser.add_argument("-f", "--file", help="YAML or JSON file with settings; options override it")
    parser.add_argument(
        "--state-dir", help="where work is kept for resuming ($TRAINYARD_STATE_DIR)"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, do nothing")
    text = "print this stage as JSON, for programs; stdin is a JSON list of settings to check"
    parser.add_argument("--describe", action="store_true", help=text)
    places = parser.add_argument_group("inputs and outputs")
    for name, text in stage.inputs.items():
        places.add_argument(_option(name), dest=name, metavar="DIR", help=f"input: {text}")
    for name, text in stage.outputs.items():
        places.add_argument(_option(name), dest=name, metavar="PATH", help=f"output: {text}")
    group = parser.add_argument_group("settings")
    for name, field in stage.settings.model_fields.items():
        default = "required" if field.is_required() else f"default: {field.default!r}"
        speed = "; affects speed only" if is_runtime(field) else ""
        text = f"{field.description} ({default}{speed})".replace("%", "%%")
        group.add_argument(_option(name), dest=f"setting {name}", metavar="VALUE", help=text)
    return parser


def description(stage: Stage[Any], candidates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The stage for a program that cannot import it, and what is wrong with some settings.

    Returns:
        `inputs` and `outputs`: their names; `settings`: each as JSON schema, with its default;
        for each candidate `problems`, a list, and `values`, what was given in its proper type.
    """
    found = [problems(stage.settings, candidate) for candidate in candidates]
    return {
        "inputs": [name for name in stage.inputs if name not in stage.optional],
        "outputs": list(stage.outputs),
        "settings": stage.settings.model_json_schema()["properties"],
        "problems": found,
        "values": [
            {} if wrong else build(stage.settings, given).model_dump(mode="json", include={*given})
            for given, wrong in zip(candidates, found, strict=True)
        ],
    }


def text_fields(settings: type[Settings]) -> set[str]:
    """Names of the settings whose command-line value is taken literally."""
    return {name for name, field in settings.model_fields.items() if field.annotation is str}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _unknown(stage: Stage[Any], arguments: Sequence[str]) -> str:
    """What to write instead of arguments that the parser does not know."""
    names = {*stage.inputs, *stage.outputs, *stage.settings.model_fields, "file", "state_dir"}
    options = [*map(_option, names), "--version", "--dry-run", "--describe", "--help"]
    lines = []
    after_option = False
    for argument in arguments:
        key, assigned, value = argument.partition("=")
        if key.replace("-", "_") in names and assigned:
            lines.append(f"{argument}: write {_option(key)} {shlex.quote(value)}")
        elif argument.startswith("-"):
            lines.append(f"{key}: unknown option{closest(key, options)}")
        elif not after_option:  # else it is the value of an unknown option
            hint = f"{closest(_option(key), options)}" if assigned else ""
            lines.append(f"{argument!r} belongs to no option{hint}")
        after_option = argument.startswith("-") and not assigned
    return "; ".join(lines)


def _values(settings: type[Settings], given: Mapping[str, Any]) -> dict[str, Any]:
    values = read_file(given["file"]) if given["file"] else {}
    pairs = [
        f"{key.removeprefix('setting ')}={value}"
        for key, value in given.items()
        if key.startswith("setting ") and value is not None
    ]
    return {**values, **parse_assignments(pairs, text_fields(settings))}


def _missing_paths(stage: Stage[Any], given: Mapping[str, Any]) -> list[str]:
    needed = [name for name in stage.inputs if name not in stage.optional]
    missing = [f"{_option(name)} is required" for name in needed if not given[name]]
    if stage.outputs and not any(given[name] for name in stage.outputs):
        missing.append(f"give at least one of {', '.join(map(_option, stage.outputs))}")
    return missing
