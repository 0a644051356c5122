"""Protocol buffers' text format, read and written without a schema.

https://protobuf.dev/reference/protobuf/textformat-spec. A message is a dict; a field that is there
several times, or written as a list, is a list in it. Names of enumerations are `Word`s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Word(str):
    """A value written without quotes: the name of an enumeration's value."""

    __slots__ = ()


SECRET = re.compile(r"(?:model|encryption)_?key", re.IGNORECASE)
"""Names whose values errors do not show."""


class SpecSyntaxError(ValueError):
    """Text that is not in the format; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


Lines = dict[tuple[str | int, ...], int]
"""Path of names and positions → line where it begins."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[fF]?(?![\w.]))
    |(?P<word>-?[A-Za-z_]\w*)
    |(?P<extension>\[[\w./-]+\](?=\s*[:{<]))
    |(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<mark>[{}<>\[\]:,;])
    """,
    re.VERBOSE,
)
_CLOSES = {"{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.S)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.text!r}" if self.kind != "end" else "the end of the file"


def parse(text: str) -> tuple[dict[str, Any], Lines]:
    """Reads a message.

    Returns:
        The message, and the line of each field.

    Raises:
        SpecSyntaxError: the text is not in the format.
    """
    reader = _Reader(text)
    message = reader.message((), None)
    return message, reader.lines


def write(message: dict[str, Any], indent: str = "") -> str:
    """The text of a message, two blanks deeper for each level."""
    return "".join(_fields(message, indent))


def _fields(message: dict[str, Any], indent: str) -> Iterator[str]:
    for name, value in message.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield f"{indent}{name} {{\n{write(one, indent + '  ')}{indent}}}\n"
            else:
                yield f"{indent}{name}: {_scalar(one)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not isinstance(value, Word):
        written = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        return f'"{written}"'
    return str(value)


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.place = 0
        self.lines: Lines = {}

    def message(self, path: tuple[str | int, ...], opened: _Token | None) -> dict[str, Any]:
        """Fields up to the mark that closes what `opened`, or to the end of the text."""
        found: dict[str, Any] = {}
        while True:
            token = self.next()
            if opened is None and token.kind == "end":
                return found
            if opened is not None and token.text == _CLOSES[opened.text] and token.kind == "mark":
                return found
            if opened is not None and token.kind == "end":
                what = f"the {opened.text} of {_dotted(path)} is never closed"
                raise SpecSyntaxError(opened.line, what)
            if token.kind not in ("word", "extension"):
                raise SpecSyntaxError(token.line, f"expected the name of a field, got {token}")
            self._add(found, token, path)
            if self.peek().text in (",", ";") and self.peek().kind == "mark":
                self.next()

    def _add(self, found: dict[str, Any], name: _Token, path: tuple[str | int, ...]) -> None:
        key = name.text
        count = len(found[key]) if isinstance(found.get(key), list) else int(key in found)
        place = (*path, key) if not count else (*path, key, count)
        self.lines[place] = name.line
        value = self._value(name, place)
        if not count:
            found[key] = value
            return
        before = found[key] if isinstance(found[key], list) else [found[key]]
        found[key] = [*before, *(value if isinstance(value, list) else [value])]

    def _value(self, name: _Token, path: tuple[str | int, ...]) -> Any:
        token = self.next()
        colon = token.text == ":" and token.kind == "mark"
        if colon:
            token = self.next()
        if token.kind == "mark" and token.text in _CLOSES:
            return self.message(path, token)
        if not colon:
            what = f"after {name.text} a colon or an opening brace is missing, got {token}"
            raise SpecSyntaxError(name.line if token.kind == "end" else token.line, what)
        if token.kind == "mark" and token.text == "[":
            return self._list(token, path)
        return self._scalar(token, name)

    def _list(self, opened: _Token, path: tuple[str | int, ...]) -> list[Any]:
        values: list[Any] = []
        while True:
            token = self.next()
            if token.text == "]" and token.kind == "mark" and not values:
                return values
            if token.kind == "mark" and token.text in _CLOSES:
                values.append(self.message((*path, len(values)), token))
            elif token.kind == "end":
                raise SpecSyntaxError(opened.line, f"the [ of {_dotted(path)} is never closed")
            else:
                values.append(self._scalar(token, opened))
            token = self.next()
            if token.kind == "mark" and token.text == "]":
                return values
            if token.text != "," or token.kind != "mark":
                raise SpecSyntaxError(token.line, f"expected a comma or ], got {token}")

    def _scalar(self, token: _Token, name: _Token) -> Any:
        if token.kind == "text":
            value = _unquoted(token.text)
            while self.peek().kind == "text":
                value += _unquoted(self.next().text)
            return value
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "word":
            return _word(token.text)
        line = name.line if token.kind == "end" else token.line
        raise SpecSyntaxError(line, f"{name.text} has no value, got {token}")

    def peek(self) -> _Token:
        return self.tokens[self.place]

    def next(self) -> _Token:
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token


def _tokens(text: str) -> Iterator[_Token]:
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].split("\n", 1)[0]
            what = "the text is not closed" if rest[0] in "\"'" else "this is not understood"
            raise SpecSyntaxError(line, f"{what}: {rest[:40]}")
        if match.lastgroup == "newline":
            line += 1
        elif match.lastgroup != "space":
            yield _Token(match.lastgroup or "", match[0], line)
        place = match.end()
    yield _Token("end", "", line)


def _number(text: str) -> int | float:
    if text.lower().lstrip("+-").startswith("0x"):
        return int(text, 16)
    digits = text.rstrip("fF")
    if re.fullmatch(r"[-+]?\d+", text):
        bare = digits.lstrip("+-")
        octal = len(bare) > 1 and bare[0] == "0" and not set(bare) & set("89")
        return int(digits, 8 if octal else 10)
    return float(digits)


def _word(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower().lstrip("-") in ("inf", "infinity", "nan"):
        return float(text.lower())
    return Word(text)


def _unquoted(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        return _ESCAPED.get(code, code)

    return _ESCAPE.sub(meant, text[1:-1])


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)
