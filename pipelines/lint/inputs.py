"""Checks the parameters of a run against what its pipeline declares, as the server does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from components.core.settings import closest
from pipelines.container_rules import Document, Finding
from pipelines.lint.dag import declared
from pipelines.lint.secrets import check_value, names_of_secrets

LARGEST_PARAMETERS = 120_000
"""Bytes; a step gets its parameters as one argument, which Linux limits to 128 KiB."""
LARGEST_V1_PARAMETERS = 10_000
"""Bytes; what servers take from older clients unless they are configured otherwise."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return _is_number(value) and float(value).is_integer()  # type: ignore[arg-type]


TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "NUMBER_INTEGER": (_is_whole, "a whole number"),
    "NUMBER_DOUBLE": (_is_number, "a number"),
    "STRING": (lambda value: isinstance(value, str), "a text"),
    "BOOLEAN": (lambda value: isinstance(value, bool), "true or false"),
    "LIST": (lambda value: isinstance(value, list | tuple), "a list"),
    "STRUCT": (lambda value: isinstance(value, Mapping), "a mapping"),
}


def lint_run(documents: Sequence[Document], values: Mapping[str, Any]) -> list[Finding]:
    """Every finding in the parameters of a run: missing, unknown, of another type, too large."""
    spec = next(document for document in documents if "root" in document)
    root = spec["root"]
    return [
        *_check_names(root, values),
        *_check_values(declared(root, "inputDefinitions", "parameters"), values),
        *_check_secrets(documents, values),
        *_check_size(values),
    ]


def check_defaults(where: str, component: Document) -> Iterator[Finding]:
    """The defaults of a component's inputs are of the types that it declares."""
    for name, about in declared(component, "inputDefinitions", "parameters").items():
        if "defaultValue" in about and about["defaultValue"] is not None:
            place = f"{where}.inputDefinitions.parameters.{name}.defaultValue"
            yield from check_type(place, about, about["defaultValue"])


def check_type(where: str, about: Document, value: object) -> Iterator[Finding]:
    """A value is of the type that a parameter's declaration (`about`) says."""
    fits, wanted = TYPES.get(str(about.get("parameterType")), (lambda value: True, ""))
    if not fits(value):
        kind = "null" if value is None else type(value).__name__
        yield Finding(where, f"is of type {kind}", f"write {wanted}")


def _check_names(root: Document, values: Mapping[str, Any]) -> Iterator[Finding]:
    known = declared(root, "inputDefinitions", "parameters")
    for name in values:
        if name not in known:
            text = f"the pipeline has no such parameter{closest(name, known)}"
            yield Finding(f"parameter {name}", text, "`trainyard list PIPELINE` shows them")
    for name, about in known.items():
        if name not in values and "defaultValue" not in about and not about.get("isOptional"):
            yield Finding(f"parameter {name}", "is required and not given", f"add {name}=…")
    for name, about in declared(root, "inputDefinitions", "artifacts").items():
        if not about.get("isOptional"):
            text = "the pipeline wants an artifact, which no run can be given"
            yield Finding(f"artifact {name}", text, "import it in the pipeline with dsl.importer")


def _check_values(known: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in values.items():
        about = known.get(name)
        if about is None:
            continue
        found = list(check_type(f"parameter {name}", about, value))
        yield from found
        literals = about.get("literals") or []
        if not found and literals and value not in literals:
            accepted = f"accepted are {', '.join(map(repr, literals))}"
            yield Finding(f"parameter {name}", "is none of what is accepted", accepted)
        if not all(math.isfinite(number) for number in _floats(value)):
            yield Finding(f"parameter {name}", "is not finite", "JSON has no such number")


def _floats(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _floats(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _floats(inner)


def _check_secrets(documents: Sequence[Document], values: Mapping[str, Any]) -> Iterator[Finding]:
    exempt = names_of_secrets(list(documents))
    for name, value in values.items():
        yield from check_value(f"parameter {name}", name, value, exempt)


def _check_size(values: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        size = len(json.dumps(dict(values), ensure_ascii=False).encode())
    except (TypeError, ValueError) as error:
        yield Finding("parameters", f"cannot be written as JSON: {error}", "use plain values")
        return
    mend = "keep long lists in a file that a step reads"
    if size > LARGEST_PARAMETERS:
        text = f"{size} bytes; a step can be given {LARGEST_PARAMETERS}"
        yield Finding("parameters", text, mend)
    elif size > LARGEST_V1_PARAMETERS:
        text = f"{size} bytes; some servers take {LARGEST_V1_PARAMETERS}"
        yield Finding("parameters", text, mend, "warning")
