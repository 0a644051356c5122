"""Recognises secret values where only references to them belong."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise

import yaml

_WORDS = {
    "key", "apikey", "secret", "token", "password", "passwd", "pwd", "passphrase", "credential",
    "credentials", "dsn", "secretkey", "accesskey",
}  # fmt: skip
_ENDINGS = ("password", "passwd", "secret", "token", "apikey")
_NO_VALUES = {
    "file", "path", "dir", "name", "ref", "url", "env", "stdin", "type", "count", "length", "size",
    "encryption", "policy", "ttl", "timeout",
}  # fmt: skip
"""Last words of names that say where a secret is or what it is like, not what it is."""

_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "a URL with a password in it",
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:([^\s/@]+)@", re.I),
    ),
    (
        "a URL with a token or signature in it",
        re.compile(
            r"(?:[?&](?:access_token|api_?key|auth|password|secret|sig|token)"
            r"|X-(?:Amz|Goog)-Signature)=([^\s&]{4,})",
            re.I,
        ),
    ),
    (
        "a header with a token in it",
        re.compile(
            r"\b(?:authorization\W{1,4}(?:basic|bearer|token)\s+"
            r"|(?:private-token|x-api-key|x-auth-token)\s*:\s*)(\S{4,})",
            re.I,
        ),
    ),
    (
        "a command with a password in it",
        re.compile(
            r"\b(?:curl\b[^\n;|&]*\s(?:-u|--user)[ =]?['\"]?[^\s:'\"]+:"
            r"|(?:mysql|mariadb)[\w-]*\b[^\n;|&]*\s-p"
            r"|(?:mongo\w*|sshpass|docker login)\b[^\n;|&]*\s-p\s+"
            r"|redis-cli\b[^\n;|&]*\s-a\s+)(\S+)"
        ),
    ),
    (
        "an access key, token or private key",
        re.compile(
            r"(\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}"
            r"|github_pat_\w{20,}|dckr_pat_[\w-]{20,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}"
            r"|hf_[A-Za-z0-9]{20,}|nvapi-[\w-]{20,}|sk-(?:ant|proj|svcacct)-[\w-]{20,}"
            r"|sk-[A-Za-z0-9]{32,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.)"
            r"|\bhooks\.slack\.com/(?:services|triggers|workflows)/\w[\w/-]{7,}"
            r"|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
        ),
    ),
)  # fmt: skip
"""What they are, and how they look; the group is the secret."""

_ARGUMENT = re.compile(r"(?:^|\s|;)(?:--?|export\s+)?([A-Za-z][\w.-]*)=(\S+)")
_OPTION = re.compile(r"(?:^|\s)--([A-Za-z][\w-]*)\s+(?=\S*\d)(\S{4,})")
"""Not every word after an option: texts speak of options too."""
_LINE = re.compile(r"^[ \t]*([A-Za-z][\w.-]*)[ \t]*[:=][ \t]*(\S+)[ \t]*$", re.MULTILINE)
"""Of settings files."""
_NO_LITERAL = re.compile(
    r"['\"]*([$<{]|%\(|[\w.]+[(\[]|process\.env|(true|false|none|null)?[\s'\",]*$)", re.I
)
"""References, placeholders, calls, and nothing."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
"""Names of environment variables."""

_PROGRAM = (ast.Call, ast.FunctionDef, ast.Import, ast.ImportFrom)
"""One of these at least is in a program."""
_BARE = (ast.Attribute, ast.BinOp, ast.Name)
"""What a text without quotes looks like to Python."""


def names_secret(name: str) -> bool:
    """Whether a variable, setting or option of this name holds a secret."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    secret = any(word in _WORDS or word.endswith(_ENDINGS) for word in words)
    return secret and words[-1] not in _NO_VALUES and words[0] != "no"


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
    if problem := _in_form(text):
        return problem
    for pattern in (_ARGUMENT, _OPTION):
        if problem := _named(pattern, text):
            return problem
    return _in_settings(text)


def secret_in_words(words: Sequence[str]) -> str:
    """What is secret in a command of several words, such as `--password` and the next one."""
    for word in words:
        find = secret_in_program if "\n" in word else secret_in_text
        if problem := find(word):
            return problem
    for option, value in pairwise(words):
        name = option.lstrip("-")
        given = option.startswith("-") and name != "key" and not value.startswith("-")
        given = given and "=" not in name and not _NO_LITERAL.match(value)
        if given and (problem := secret_in_value(name, value)):
            return problem
    return _in_form(" ".join(word for word in words if "\n" not in word))


def _in_form(text: str) -> str:
    for problem, form in _FORMS:
        if any(not _NO_LITERAL.match(match[1]) for match in form.finditer(text)):
            return problem
    return ""


def _named(pattern: re.Pattern[str], text: str) -> str:
    for name, value in pattern.findall(text):
        literal = name != "key" and not _NO_LITERAL.match(value)
        if literal and (problem := secret_in_value(name, value)):
            return problem
    return ""


def _in_settings(text: str) -> str:
    """Looks into YAML and JSON mappings, as settings files are, and into lines of other forms."""
    try:
        content = yaml.safe_load(text) if ":" in text else None
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    return secret_in_content(content) if isinstance(content, dict) else _named(_LINE, text)


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
    What is no program is a script or a settings file.
    """
    try:
        tree = ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return secret_in_text(text)
    if _is_script(tree):
        return secret_in_text(text)
    if problem := _in_form(text):
        return problem
    for name, value in (pair for node in ast.walk(tree) for pair in _named_texts(node)):
        reference = name == "key" or _VARIABLE.fullmatch(value)
        if not reference and (found := secret_in_value(name, value)):
            return found
    return ""


def _is_script(tree: ast.AST) -> bool:
    """Whether what parses as Python may be of a shell or a settings file, such as `token=a1`."""
    nodes = list(ast.walk(tree))
    bare = any(isinstance(n, ast.Assign) and isinstance(n.value, _BARE) for n in nodes)
    return bare and not any(isinstance(node, _PROGRAM) for node in nodes)


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
