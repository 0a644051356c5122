"""The key with which TAO encrypts models: from the environment, and never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from components.core import files

VARIABLE = "TRAINYARD_TAO_KEY"
"""Environment variable with the key; on a cluster a Secret sets it."""

LONG = 4
"""Characters from which on a key is hidden inside of words, too."""

TEXTS = (".yaml", ".yml", ".json", ".txt", ".log", ".cfg", ".conf")
"""Endings of the text files that programs of TAO write."""

_REFERENCE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<bare>\w+))")


class Key:
    """A model key; printed, formatted or written it is `$TRAINYARD_TAO_KEY`."""

    __slots__ = ("_value", "shown")

    def __init__(self, value: str = "", variable: str = VARIABLE) -> None:
        """`value` is '' where there is no key; `variable` is where it comes from, or belongs."""
        self._value = value
        self.shown = f"${variable}"

    def reveal(self) -> str:
        """The key itself, for the command line of a program of TAO only."""
        return self._value

    def hidden(self, text: str) -> str:
        """The text with what is shown in place of the key, wherever the key stands in it."""
        if not self._value:
            return text
        value, shown = re.escape(self._value), re.escape(self.shown)
        if len(self._value) < LONG:
            value = rf"(?<!\w){value}(?!\w)"
        return re.sub(f"{shown}|{value}", lambda _: self.shown, text)

    def hide_below(self, folder: Path) -> None:
        """Takes the key out of the text files below a folder; PyTorch's programs write it there.

        A file is replaced, not written into: one that is linked to stays as it is.
        """
        if not self._value or not folder.is_dir():
            return
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in TEXTS or path.is_symlink() or not path.is_file():
                continue
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            if (hidden := self.hidden(text)) != text:
                with files.atomic_path(path) as place:
                    place.write_bytes(hidden.encode("utf-8", "surrogateescape"))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return self.shown

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a model key is not written anywhere")


def found(
    written: str, where: str, environment: Mapping[str, str] | None = None
) -> tuple[Key, list[str], list[str]]:
    """The key of an experiment.

    The environment's TRAINYARD_TAO_KEY comes before a key that is written in plain text. A text
    such as `$OTHER_KEY` names another variable of the environment.

    Args:
        written: `model_key` of the file, '' where there is none.
        where: file and line of it.
        environment: by default that of the process.

    Returns:
        The key, problems, and warnings.
    """
    variables = os.environ if environment is None else environment
    if reference := _REFERENCE.fullmatch(written):
        name = reference["braced"] or reference["bare"]
        if value := variables.get(name, ""):
            return Key(value, name), [], []
        return Key("", name), [f"{where}: the environment variable {name} is not set"], []
    secret = variables.get(VARIABLE, "")
    if not written:
        return Key(secret), [], []
    warning = f"{where}: model_key is in plain text; set {VARIABLE} instead and take the line out"
    if secret and secret != written:
        warning = f"{where}: model_key is not that of {VARIABLE}, which is taken; take the line out"
    return Key(secret or written), [], [warning]
