"""YAML with the lines of what it holds; a name that is there twice is an error."""

from __future__ import annotations

import re
from typing import Any

import yaml

from components.core.tao.spec_text import SECRET, Lines, SpecSyntaxError

UNSHOWN = "model_key (not shown) is not valid; write a blank behind the colon, and it in quotes"
"""In place of an error that may hold the key."""


class _Loader(yaml.SafeLoader):
    """Numbers such as 2e-5 are numbers, as in TAO's own reader (OmegaConf)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.merged: set[int] = set()
        """Nodes whose `<<` was resolved already: those that several places refer to."""


_Loader.yaml_implicit_resolvers = {
    first: list(rules) for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+"),
    list("-+0123456789."),
)


def parse(text: str) -> tuple[Any, Lines]:
    """Reads one YAML document.

    Returns:
        Its content, and the line of every value by its path of names and positions.

    Raises:
        SpecSyntaxError: not YAML, a name twice, or several documents.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines: Lines = {}
        return _value(loader, node, (), lines), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(filter(None, [error.context, error.problem])) or "not YAML"
        marks = [one.line for one in (error.context_mark, error.problem_mark) if one]
        if marks and SECRET.search("\n".join(text.splitlines()[min(marks) : max(marks) + 1])):
            what = UNSHOWN
        raise SpecSyntaxError(mark.line + 1 if mark else 1, what) from None
    except yaml.YAMLError as error:
        raise SpecSyntaxError(1, str(error).partition("\n")[0]) from None
    except RecursionError:
        raise SpecSyntaxError(1, "it is nested too deeply, or holds itself") from None
    finally:
        loader.dispose()


def _value(loader: _Loader, node: yaml.Node, path: tuple[str | int, ...], lines: Lines) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, one, (*path, i), lines) for i, one in enumerate(node.value)]
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, ArithmeticError, TypeError, LookupError) as error:
        what = f"{node.value!r}: {error}"
        if any(SECRET.search(str(name)) for name in path) or SECRET.search(what):
            what = UNSHOWN
        raise SpecSyntaxError(node.start_mark.line + 1, what) from None


def _mapping(
    loader: _Loader, node: yaml.MappingNode, path: tuple[str | int, ...], lines: Lines
) -> dict[str, Any]:
    written = set() if id(node) in loader.merged else {id(key) for key, _ in node.value}
    loader.merged.add(id(node))
    loader.flatten_mapping(node)
    found: dict[str, Any] = {}
    own: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise SpecSyntaxError(line, "a name is expected in front of the colon")
        name = key.value
        if id(key) in written:
            if name in own:
                found_name = SECRET.search(name)
                shown = name[: found_name.end()] if found_name else name
                raise SpecSyntaxError(line, f"{shown} is there twice, first in line {own[name]}")
            own[name] = line
            lines[(*path, name)] = line
        found[name] = _value(loader, value, (*path, name), lines)
    return found
