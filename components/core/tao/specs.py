"""Specifications of TAO's tasks: placeholders put in, text protobuf and YAML read with lines."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import InputError, SettingsError
from components.core.settings import closest
from components.core.tao import spec_text, yaml_lines
from components.core.tao.spec_text import Lines, SpecSyntaxError, Word

PLACEHOLDERS = {
    "experiment": "name of the experiment",
    "project": "name of the project",
    "dataset": "folder of the data set",
    "dataset_raw": "folder of the data set, as it was called once",
    "tfrecords": "folder of the converted data set",
    "dataset_tfrecord": "folder of the converted data set, as it was called once",
    "pretrained_model": "file of the pretrained weights",
    "specs": "folder of the experiment's specifications",
}
"""Name after the $ → what it stands for. Of TAO's own `${…}` nothing is touched."""

YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (".txt", *YAML_SUFFIXES)
"""Of specifications: text protobuf, and YAML."""

_PLACEHOLDER = re.compile(r"\$(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True)
class SpecTree:
    """A specification that was read."""

    path: Path
    kind: str
    """`text` (text protobuf) or `yaml`."""
    root: Any
    """Of dicts, lists, texts, numbers and `Word`s; repeated fields are lists."""
    lines: Lines = field(default_factory=dict, repr=False)

    def line(self, place: str) -> int:
        """The line of a value, such as that of `model_config.arch`; 1 where it is not known."""
        found: tuple[str | int, ...] = tuple(
            int(part) if part.isdecimal() else part for part in place.split(".")
        )
        return self.lines.get(found, 1)

    def changed(self, values: Mapping[str, Any]) -> SpecTree:
        """A copy with other values; names that are missing on the way to them are made.

        Where a name on the way is there several times, the first is changed.
        """
        root = copy.deepcopy(self.root)
        for place, value in values.items():
            *above, last = place.split(".")
            target = root
            for name in above:
                target = target.setdefault(name, {})
                target = target[0] if isinstance(target, list) else target
            target[last] = value
        return SpecTree(self.path, self.kind, root, self.lines)

    def text(self) -> str:
        """The specification as a text that TAO reads; without the comments of the file."""
        if self.kind == "text":
            return spec_text.write(self.root)
        import yaml

        return yaml.safe_dump(_plain(self.root), sort_keys=False, allow_unicode=True)


def placeholders(text: str) -> set[str]:
    """Names of the placeholders of a text, known or not."""
    return {name for name, _ in _named(text)}


def unknown(text: str, known: Sequence[str], where: str) -> list[str]:
    """Placeholders of a text that are none of the `known`: file, line, name, and the fix."""
    listed = ", ".join(f"${name}" for name in known)
    return [
        f"{where}:{line}: unknown placeholder ${name}"
        + (closest(f"${name}", [f"${name}" for name in known]) or f"; known are {listed}")
        for name, line in _named(text)
        if name not in known
    ]


def render(text: str, values: Mapping[str, Any], where: str = "the specification") -> str:
    """The text with the values of its placeholders, each taken as a whole identifier.

    What is no placeholder stays: `${…}`, and everything in comments that is not known.

    Args:
        text: of the specification.
        values: by name, without the $.
        where: what the text is, for errors.

    Raises:
        SettingsError: placeholders that are unknown.
    """
    if problems := unknown(text, tuple(values), where):
        raise SettingsError(problems, where)

    def value(match: re.Match[str]) -> str:
        return str(values[match["name"]]) if match["name"] in values else match[0]

    return _PLACEHOLDER.sub(value, text)


def parse(text: str, path: Path) -> SpecTree:
    """Reads a specification; YAML by its suffix, else text protobuf.

    Raises:
        InputError: the text is not in its format; names file and line.
    """
    kind = "yaml" if path.suffix.lower() in YAML_SUFFIXES else "text"
    try:
        root, lines = yaml_lines.parse(text) if kind == "yaml" else spec_text.parse(text)
    except SpecSyntaxError as error:
        form = "YAML" if kind == "yaml" else "protobuf text"
        raise InputError(f"{path}:{error.line}: not valid {form}: {error}") from None
    return SpecTree(path, kind, {} if root is None else root, lines)


def lookup(tree: SpecTree, place: str, default: Any = None) -> Any:
    """The first value at `a.b.c`; `default` where there is none.

    A number takes an element of a list or repeated field; without, the first that has the rest.
    """
    return next(iter(lookup_all(tree, place)), default)


def lookup_all(tree: SpecTree, place: str) -> list[Any]:
    """All values at `a.b.c`, those of all repetitions of the fields on the way, in order."""
    return list(_values(tree.root, place.split(".") if place else []))


def mapping(tree: SpecTree, place: str) -> dict[str, Any]:
    """A map of text protobuf, written as repeated `{ key: … value: … }`, or of YAML, as a dict."""
    found: dict[str, Any] = {}
    for entry in lookup_all(tree, place):
        if tree.kind == "text" and isinstance(entry, dict):
            found[str(entry.get("key", ""))] = entry.get("value", "")
        elif isinstance(entry, dict):
            found |= entry
    return found


def _values(node: Any, names: Sequence[str]) -> Iterator[Any]:
    if isinstance(node, list):
        if names and names[0].isdecimal():
            if int(names[0]) < len(node):
                yield from _values(node[int(names[0])], names[1:])
            return
        for one in node:
            yield from _values(one, names)
    elif not names:
        yield node
    elif isinstance(node, dict) and names[0] in node:
        yield from _values(node[names[0]], names[1:])


def _named(text: str) -> Iterator[tuple[str, int]]:
    """Placeholders outside of comments, with their lines."""
    for number, line in enumerate(text.split("\n"), 1):
        for match in _PLACEHOLDER.finditer(_uncommented(line)):
            yield match["name"], number


def _uncommented(line: str) -> str:
    quote = ""
    for place, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#" and line[place - 1 : place].strip() == "":
            return line[:place]
    return line


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Word) else value
