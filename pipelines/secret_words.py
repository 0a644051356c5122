"""Recognises secret values where only references to them belong."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

import yaml

_WORDS = {
    "key", "apikey", "secret", "token", "password", "passwd", "pwd", "passphrase", "credential",
    "credentials", "dsn", "secretkey", "accesskey",
}  # fmt: skip
_ENDINGS = ("password", "passwd", "secret", "token", "apikey")
_PLACES = {"file", "path", "dir", "name", "ref", "url"}
"""Last words of names that say where a secret is, not what it is."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:([^\s/@]+)@", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?:^|\s|;)(?:--?|export\s+)?([A-Za-z][\w.-]*)=(\S+)")
_KNOWN = re.compile(
    r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.)|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
"""Names of environment variables."""


def names_secret(name: str) -> bool:
    """Whether a variable, setting or option of this name holds a secret."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    secret = any(word in _WORDS or word.endswith(_ENDINGS) for word in words)
    return secret and words[-1] not in _PLACES


def secret_in_value(name: str, value: str) -> str:
    """What is secret about `name` having this literal value, or an empty string.

    `$(OTHER)` and `${OTHER}` are references.
    """
    if names_secret(name) and value.strip() and not re.match(r"\$[({][\w]+[)}]$", value.strip()):
        return f"{name} has a literal value"
    return ""


def secret_in_text(text: str) -> str:
    """What is secret in an argument, a script or a settings file, or an empty string.

    The secret itself is never part of the answer.
    """
    if (match := _URL.search(text)) and not match[1].startswith("$"):
        return "a URL with a password in it"
    if _KNOWN.search(text):
        return "an access key, token or private key"
    for match in _ARGUMENT.finditer(text):
        if problem := secret_in_value(match[1], match[2]):
            return problem
    return _in_mapping(text)


def _in_mapping(text: str) -> str:
    """Looks into YAML and JSON mappings, as settings files are."""
    if ":" not in text:
        return ""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return ""
    return secret_in_content(content) if isinstance(content, dict) else ""


def secret_in_content(content: object) -> str:
    """What is secret in nested mappings and lists, or an empty string.

    `key` alone is what lists of labels, taints and references call their names.
    """
    if isinstance(content, list):
        return next(filter(None, map(secret_in_content, content)), "")
    if not isinstance(content, dict):
        return ""
    pair = content.get("name"), content.get("value")
    if all(isinstance(part, str) for part in pair) and (
        found := secret_in_value(str(pair[0]), str(pair[1]))
    ):
        return found
    for name, value in content.items():
        if isinstance(value, str | int) and name != "key" and not isinstance(value, bool):
            found = secret_in_value(str(name), str(value))
        else:
            found = secret_in_content(value)
        if found:
            return found
    return ""


def secret_in_program(text: str) -> str:
    """What is secret in Python source, or an empty string: texts that secret names stand for.

    Names of environment variables are none, nor is `key` alone, which sorting takes.
    """
    if (match := _URL.search(text)) and not match[1].startswith(("$", "{")):
        return "a URL with a password in it"
    if _KNOWN.search(text):
        return "an access key, token or private key"
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:
        return ""
    for name, value in (pair for node in ast.walk(tree) for pair in _named_texts(node)):
        reference = name == "key" or _VARIABLE.fullmatch(value)
        if not reference and (found := secret_in_value(name, value)):
            return found
    return ""


def _named_texts(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names and the literal texts they get at this node."""
    pairs: list[tuple[object, ast.AST | None]] = []
    if isinstance(node, ast.Assign):
        pairs = [(_name(target), node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign):
        pairs = [(_name(node.target), node.value)]
    elif isinstance(node, ast.keyword):
        pairs = [(node.arg, node.value)]
    elif isinstance(node, ast.Dict):
        pairs = [(_name(key), value) for key, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.arguments):
        names = [argument.arg for argument in [*node.posonlyargs, *node.args]]
        pairs = list(zip(names[len(names) - len(node.defaults) :], node.defaults, strict=True))
        pairs += [
            (argument.arg, default)
            for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
    for name, value in pairs:
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(name, str) and isinstance(text, str):
            yield name, text


def _name(node: ast.AST | None) -> object:
    if isinstance(node, ast.Subscript):
        node = node.slice
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant):
        return node.value
    return node.id if isinstance(node, ast.Name) else None
