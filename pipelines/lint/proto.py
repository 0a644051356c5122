"""Holds parsed documents against protobuf messages as strictly as the server does.

`json_format.ParseDict` stops at the first problem and repeats the value; these checks go on, say
where, and repeat none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.core.settings import closest
from pipelines.container_rules import Finding

_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_INTEGER = re.compile(r"-?\d+")


def check(descriptor: Any, value: object, where: str) -> Iterator[Finding]:
    """Unknown fields, wrong types and choices made twice.

    Args:
        descriptor: of the protobuf message.
        value: what stands in the document.
        where: its path, for people.
    """
    if descriptor.full_name == "google.protobuf.Value":
        return
    if descriptor.full_name == "google.protobuf.Duration":
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            yield Finding(where, "is no duration", "write seconds, such as 60s")
        return
    if not isinstance(value, Mapping):
        yield Finding(where, f"is {_kind(value)}", "write a mapping of fields here")
        return
    if descriptor.full_name == "google.protobuf.Struct":
        return
    yield from _check_fields(descriptor, value, where)


def _check_fields(descriptor: Any, value: Mapping[Any, Any], where: str) -> Iterator[Finding]:
    known = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    accepted = [field.json_name for field in descriptor.fields]
    chosen: dict[str, str] = {}
    for name, inner in value.items():
        place = f"{where}.{name}" if where else str(name)
        field = known.get(name)
        if field is None:
            yield Finding(
                place,
                f"unknown field{closest(str(name), accepted)}",
                f"accepted are {', '.join(accepted) or 'none'}",
            )
            continue
        if inner is None:
            continue
        if (choice := field.containing_oneof) is not None:
            if choice.name in chosen:
                both = f"{chosen[choice.name]} and {name} exclude each other"
                yield Finding(place, both, "keep one")
            chosen[choice.name] = name
        yield from _check_field(field, inner, place)


def _check_field(field: Any, value: object, where: str) -> Iterator[Finding]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        if not isinstance(value, Mapping):
            yield Finding(where, f"is {_kind(value)}", "write a mapping here")
            return
        for name, inner in value.items():
            yield from _check_single(message.fields_by_name["value"], inner, f"{where}.{name}")
    elif field.is_repeated:
        if not isinstance(value, list):
            yield Finding(where, f"is {_kind(value)}", "write a list here")
            return
        for number, inner in enumerate(value):
            yield from _check_single(field, inner, f"{where}[{number}]")
    else:
        yield from _check_single(field, value, where)


def _check_single(field: Any, value: object, where: str) -> Iterator[Finding]:
    if field.message_type is not None:
        yield from check(field.message_type, value, where)
    elif field.enum_type is not None:
        names = list(field.enum_type.values_by_name)
        if not _is_integer(value) and value not in names:
            yield Finding(where, "unknown value", f"accepted are {', '.join(names)}")
    elif not _is_scalar(field, value):
        wanted = {"bool": "true or false", "string": "a text", "double": "a number"}
        name = _scalar(field)
        yield Finding(where, f"is {_kind(value)}", f"write {wanted.get(name, 'a whole number')}")


def _is_scalar(field: Any, value: object) -> bool:
    name = _scalar(field)
    if name == "bool":
        return isinstance(value, bool)
    if name == "string":
        return isinstance(value, str)
    if name == "double":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return _is_integer(value)


def _scalar(field: Any) -> str:
    kinds = {
        field.CPPTYPE_BOOL: "bool",
        field.CPPTYPE_STRING: "string",
        field.CPPTYPE_DOUBLE: "double",
        field.CPPTYPE_FLOAT: "double",
    }
    return kinds.get(field.cpp_type, "integer")


def _is_integer(value: object) -> bool:
    if isinstance(value, str):
        return bool(_INTEGER.fullmatch(value))
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _kind(value: object) -> str:
    kinds = {type(None): "empty", bool: "true or false", str: "a text", list: "a list"}
    if isinstance(value, Mapping):
        return "a mapping"
    return kinds.get(type(value), "a number")
