"""`<model>.config`: the INI file in which video services look up how to feed a model.

[PREDICTION] num_frames, class_list (a Python list as text, in output order), height, width,
input_name, output_name; [TRAINING] epochs, shuffle_size, batch_size.
"""

from __future__ import annotations

import ast
import configparser
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.core.errors import InputError

OTHER = "Other"
"""Class of all clips that show none of the others."""


@dataclass(frozen=True)
class ModelConfigIni:
    """The content of a `<model>.config` file."""

    num_frames: int
    class_list: list[str]
    height: int
    """Pixels."""
    width: int
    input_name: str
    output_name: str
    epochs: int = 0
    shuffle_size: int = 0
    """Clips in the shuffling buffer; 0: the whole training part is shuffled."""
    batch_size: int = 0

    @classmethod
    def of(
        cls,
        preprocessing: Mapping[str, Any],
        training: Mapping[str, Any],
        classes: Sequence[str],
        input_name: str,
        output_name: str,
    ) -> ModelConfigIni:
        """From what a ModelBundle says.

        Raises:
            InputError: the preprocessing does not give the number or size of frames.
        """
        if missing := [key for key in ("frames", "size") if not preprocessing.get(key)]:
            raise InputError(
                f"the model's preprocessing lacks {' and '.join(missing)}; it is not a clip model "
                "that can be described for serving"
            )
        side = int(preprocessing["size"])
        return cls(
            num_frames=int(preprocessing["frames"]),
            class_list=list(classes),
            height=side,
            width=side,
            input_name=input_name,
            output_name=output_name,
            epochs=int(training.get("epochs") or 0),
            shuffle_size=int(training.get("shuffle_size") or 0),
            batch_size=int(training.get("batch_size") or 0),
        )

    def text(self) -> str:
        """The file's content."""
        parser = _parser()
        parser["PREDICTION"] = {
            "num_frames": str(self.num_frames),
            # plain configparsers take a % for the begin of a reference
            "class_list": repr(self.class_list).replace("%", "\\x25"),
            "height": str(self.height),
            "width": str(self.width),
            "input_name": self.input_name,
            "output_name": self.output_name,
        }
        parser["TRAINING"] = {
            "epochs": str(self.epochs),
            "shuffle_size": str(self.shuffle_size),
            "batch_size": str(self.batch_size),
        }
        buffer = io.StringIO()
        parser.write(buffer)
        return buffer.getvalue()

    def parameters(self) -> dict[str, Any]:
        """Parameters of a pipeline that trains such a model again; what is 0 is left out.

        Raises:
            InputError: frames that are not square.
        """
        if self.height != self.width:
            raise InputError(
                f"frames of {self.width}x{self.height} pixels are not square; give a file with "
                "equal height and width"
            )
        found = {
            "clip_frames": self.num_frames,
            "sample_frames": self.num_frames,
            "frame_size": self.height,
            "classes": [name for name in self.class_list if name != OTHER],
            "other_class": OTHER if OTHER in self.class_list else "",
            "epochs": self.epochs,
            "shuffle_size": self.shuffle_size,
            "batch_size": self.batch_size,
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def parse(cls, text: str, where: str = "the model's .config file") -> ModelConfigIni:
        """Reads such a file.

        Raises:
            InputError: it is not one; `where` names it.
        """
        parser = _parser()
        try:
            parser.read_string(text)
        except configparser.Error as error:
            raise InputError(f"{where} is damaged: {error}") from None
        values: dict[str, Any] = {}
        problems = []
        for section, keys in KEYS.items():
            for key, read in keys.items():
                try:
                    values[key] = read(parser[section][key])
                except KeyError:
                    problems.append(f"[{section}] {key} is missing")
                except (ValueError, SyntaxError):
                    expected = "a whole number" if read is int else "a list such as ['a', 'b']"
                    problems.append(f"{key}: got {parser[section][key]!r}, expected {expected}")
        if problems:
            raise InputError(f"{where} is damaged: {'; '.join(problems)}")
        return cls(**values)


def _names(text: str) -> list[str]:
    found = ast.literal_eval(text)
    if not isinstance(found, list):
        raise ValueError("no list")
    return [str(name) for name in found]


KEYS: dict[str, dict[str, Callable[[str], Any]]] = {
    "PREDICTION": {
        "num_frames": int,
        "class_list": _names,
        "height": int,
        "width": int,
        "input_name": str,
        "output_name": str,
    },
    "TRAINING": {"epochs": int, "shuffle_size": int, "batch_size": int},
}
"""Section → key → how its text is read."""


def _parser() -> configparser.ConfigParser:
    # No interpolation: a class may be called `50%`.
    return configparser.ConfigParser(interpolation=None)
