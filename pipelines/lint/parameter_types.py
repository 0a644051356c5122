"""Checks the types of parameters where they pass into tasks and loops.

The server turns anything into a text where a text is wanted, and nothing into anything else: the
run fails when it gets there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.container_rules import Document, Finding
from pipelines.lint.dag import Group, component_of, declared, groups
from pipelines.lint.inputs import TYPES, check_type

_LOOP_ITEM = "loop-item"
"""In the names that kfp gives to items of loops."""
_NUMBERS = ("NUMBER_INTEGER", "NUMBER_DOUBLE")
_Uses = Mapping[str, tuple[Group, Document]]


def check_types(spec: Document) -> Iterator[Finding]:
    """What every task is given is of the type that its component declares."""
    known: Mapping[str, Document] = spec.get("components") or {}
    uses = {
        f"components.{component_of(task)}": (group, task)
        for group in groups(spec)
        for task in group.tasks.values()
    }
    for group in groups(spec):
        for name, task in group.tasks.items():
            component = known.get(component_of(task)) or {}
            wanted = declared(component, "inputDefinitions", "parameters")
            where = f"{group.where}.dag.tasks.{name}"
            for key, source in _given(task).items():
                kind = _type(wanted.get(key))
                if kind and kind != "STRING":
                    place = f"{where}.inputs.parameters.{key}"
                    yield from _check_source(place, kind, source, group, known)
            yield from _check_loop(where, task, wanted, group, known, uses)


def _given(task: Document) -> Mapping[str, Document]:
    found: Mapping[str, Document] = (task.get("inputs") or {}).get("parameters") or {}
    return found


def _type(about: object) -> str:
    """One of the six that values have, or ''."""
    kind = str(about.get("parameterType")) if isinstance(about, Mapping) else ""
    return kind if kind in TYPES else ""


def _check_source(
    where: str, wanted: str, source: Document, group: Group, known: Mapping[str, Document]
) -> Iterator[Finding]:
    constant = (source.get("runtimeValue") or {}).get("constant")
    if constant is not None:
        yield from check_type(where, {"parameterType": wanted}, constant)
    given = _source_type(source, group, known)
    if given in ("", wanted) or (given, wanted) == _NUMBERS:
        return
    mend = "pass one of that type, or let a step make it"
    if _LOOP_ITEM in str(source.get("componentInputParameter")):
        mend = "say what the list holds, such as list[int]; items of a bare list become texts"
    yield Finding(where, f"is {given}, but the component wants {wanted}", mend)


def _source_type(source: Document, group: Group, known: Mapping[str, Document]) -> str:
    """Declared type of what a task is given; '' for constants, and for parts of a value."""
    if source.get("parameterExpressionSelector"):
        return ""
    if (name := source.get("componentInputParameter")) is not None:
        return _type(group.parameters.get(str(name)))
    output = source.get("taskOutputParameter") or {}
    producer = group.tasks.get(str(output.get("producerTask"))) or {}
    component = known.get(component_of(producer)) or {}
    offered = declared(component, "outputDefinitions", "parameters")
    return _type(offered.get(str(output.get("outputParameterKey"))))


def _check_loop(
    where: str, task: Document, wanted: Mapping[str, Any], group: Group,
    known: Mapping[str, Document], uses: _Uses,
) -> Iterator[Finding]:  # fmt: skip
    iterator = task.get("parameterIterator") or {}
    items = iterator.get("items") or {}
    where = f"{where}.parameterIterator.items"
    if (raw := items.get("raw")) is not None:
        item = wanted.get(str(iterator.get("itemInput")))
        yield from _check_items(f"{where}.raw", raw, _type(item))
    name = str(items.get("inputParameter"))
    kind = _type(wanted.get(name))
    source = _given(task).get(name) or {}
    if kind == "STRING":
        yield from _check_text(f"{where}.inputParameter", source, group, known, uses)
    elif kind not in ("", "LIST"):
        text = f"loops over {name!r} of type {kind}"
        yield Finding(f"{where}.inputParameter", text, "loop over a list")


def _check_items(where: str, raw: str, kind: str) -> Iterator[Finding]:
    items = _list(raw)
    if items is None:
        yield Finding(where, "is no JSON list", "write one, such as [1, 2]")
        return
    if kind == "STRING":
        return
    kind = "NUMBER_DOUBLE" if kind in _NUMBERS else kind  # kfp goes by the first item
    for number, item in enumerate(items):
        yield from check_type(f"{where}[{number}]", {"parameterType": kind}, item)


def _list(text: str) -> list[Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


_MEND_LOOP = "declare it as a list, such as list[str]"


def _check_text(
    where: str, source: Document, group: Group, known: Mapping[str, Document], uses: _Uses
) -> Iterator[Finding]:
    """A loop over a text goes well only where that is a JSON list, as lists in lists become."""
    for _ in range(len(uses) + 1):  # outwards, to where the text comes from
        name = source.get("componentInputParameter")
        if name is None or source.get("parameterExpressionSelector") or _LOOP_ITEM in str(name):
            break
        if group.where not in uses:
            text = group.parameters.get(str(name), {}).get("defaultValue")
            yield _text_loop(where, f"the parameter {name!r}", text)
            return
        group, task = uses[group.where]
        source = _given(task).get(str(name)) or {}
    constant = (source.get("runtimeValue") or {}).get("constant")
    if constant is not None:
        yield _text_loop(where, "a constant", constant)
    elif source.get("taskOutputParameter") and _source_type(source, group, known) == "STRING":
        producer = source["taskOutputParameter"].get("producerTask")
        yield _text_loop(where, f"the output of {producer!r}", None)


def _text_loop(where: str, what: str, text: object) -> Finding:
    if text is None or (isinstance(text, str) and _list(text) is not None):
        told = f"loops over {what} of type STRING, which works only while it holds a JSON list"
        return Finding(where, told, _MEND_LOOP, "warning")
    told = f"loops over {what} of type STRING, which is no list"
    return Finding(where, told, _MEND_LOOP)
