"""The command line of INOVIS's `train.py` as that of this stage.

Old: `[run_name] -key=value --network_key=value`, with a space in place of `=` and lists with
spaces: `-set_description office hall`. New: `--key value`. Both may be mixed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime
from pathlib import Path

from components.core.errors import SettingsError
from components.core.events import Reporter
from components.core.settings import closest
from components.core.stage import reported_failure
from components.train_renderer.stage import FIXED, LONGEST_NAME, NAME_VARIABLE, NETWORK, STAGE

SAME = {
    "batch_size": "batch_size",
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "loss_function": "loss_function",
    "write_output_nth_epoch": "write_output_nth_epoch",
    "input_width": "input_width",
    "input_height": "input_height",
    "save_checkpoint_frequency": "keep_every",
}
"""Old key → setting with the same meaning."""

OF_THE_DATA = {
    "set_description": "sets",
    "test_indices": "test_indices",
    "dataset_size": "max_frames",
    "lod_description": "lod",
}
"""Old key → setting of rendering_sync, which makes the data set."""

OTHERS = (
    "checkpoint_load_dir",
    "restore_dataloader",
    "save_checkpoint_best_epoch_frequency",
    "output_results",
    "use_fixed_train_size",
)
KEYS = (*SAME, *OF_THE_DATA, *OTHERS)
"""Everything with a single dash."""

WITHOUT_EFFECT = "output_warped"
"""Argument of the old network that the new one does without: it wrote pictures for debugging."""

TRUTH = {"true": True, "false": False}

PLAIN = str.maketrans("", "", "[],")

FIXED_CROP = 256
"""Pixels of the side of training crops with `-use_fixed_train_size`."""


def translated(
    arguments: Sequence[str],
    tell: Callable[[str], None] | None = None,
    environment: MutableMapping[str, str] | None = None,
) -> list[str]:
    """Arguments of `train.py` as this stage's; those that are this stage's stay as they are.

    Args:
        arguments: without the program.
        tell: gets remarks on what has no effect; standard error by default.
        environment: gets the name that results folder and traces share, where the old command
            line leaves it to the program.

    The process ends with exit code 2 and all problems where some cannot be translated.
    """
    with reported_failure(Reporter(STAGE.name)):
        translation = _Translation(arguments, tell or _say)
        words = translation.arguments()
    if environment is not None and translation.name:
        environment[NAME_VARIABLE] = translation.name
    return words


class _Translation:
    """One command line on its way."""

    def __init__(self, arguments: Sequence[str], tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._new: list[str] = []
        self._old: dict[str, list[str]] = {}
        self._network: dict[str, list[str]] = {}
        self._run_name = ""
        self._problems: list[str] = []
        self.name = ""
        """Date and name of the run, where the program chooses its folders."""
        self._sort(list(arguments))

    def arguments(self) -> list[str]:
        """The new command line.

        Raises:
            SettingsError: with every problem.
        """
        if not (self._old or self._network or self._run_name or self._problems):
            return self._new
        found = [*self._run(), *self._training(), *self._places(), *self._of_network()]
        if self._problems:
            raise SettingsError(self._problems, "the old command line")
        return [*found, *self._new]

    def _sort(self, left: list[str]) -> None:
        """Into old and new; a first word without a dash is the name of the run."""
        if left and not left[0].startswith("-"):
            given = left.pop(0)
            self._run_name = cleaned(given)
            if not self._run_name:
                self._problems.append(f"{given!r}: the run's name needs a letter or a digit")
        while left:
            word = left.pop(0)
            key, assigned, value = word.lstrip("-").partition("=")
            dashes = len(word) - len(word.lstrip("-"))
            network = dashes == 2 and key in (*NETWORK, *FIXED, WITHOUT_EFFECT) and "_" in key
            if network or (dashes == 1 and len(key) > 1):
                values = [value] if assigned else []
                while left and not _is_option(left[0]):
                    values.append(left.pop(0))
                (self._network if network else self._old)[key] = values
            else:
                self._new.append(word)
                while left and not _is_option(left[0]):
                    self._new.append(left.pop(0))

    def _run(self) -> list[str]:
        return ["--run-name", self._run_name] if self._run_name else []

    def _training(self) -> list[str]:
        found: list[str] = []
        for key, values in self._old.items():
            if key in SAME:
                found += [_option(SAME[key]), self._one(key, values)]
            elif key in OF_THE_DATA:
                shown = " ".join(values)
                self._tell(
                    f"-{key} {shown}: it is for rendering_sync, which makes the data set; give it "
                    f"{OF_THE_DATA[key]} there"
                )
            elif key == "save_checkpoint_best_epoch_frequency":
                self._tell(f"-{key}: has no effect, the best epoch is always kept")
            elif key == "output_results":
                if not self._truth(key, values):
                    found += ["--write-output-nth-epoch", "0"]
            elif key == "use_fixed_train_size":
                found += ["--crop-width", str(FIXED_CROP), "--crop-height", str(FIXED_CROP)]
            elif key not in KEYS:
                hint = closest(key, KEYS) or f"; known: {', '.join(KEYS)}"
                self._problems.append(f"-{key}: unknown{hint}")
        return found

    def _places(self) -> list[str]:
        found: list[str] = []
        resume = "restore_dataloader" in self._old
        resume = resume and self._truth("restore_dataloader", self._old["restore_dataloader"])
        if "checkpoint_load_dir" in self._old:
            place = self._one("checkpoint_load_dir", self._old["checkpoint_load_dir"])
            old = Path(place) / "model_zoo.pth"
            if old.is_file() and resume:
                self._problems.append(
                    f"-restore_dataloader: {place} is a checkpoint of the old program, whose "
                    "weights can be fine-tuned (False), but whose training cannot be resumed"
                )
            place = str(old) if old.is_file() else place
            found += ["--resume-from" if resume else "--pretrained", place]
        elif resume:
            self._problems.append("-restore_dataloader: give -checkpoint_load_dir, too")
        if not any(word.split("=")[0] in ("--results", "--model") for word in self._new):
            date = datetime.now().strftime("%Y_%m_%d_%H_%M_%S")
            self.name = f"{date}_{self._run_name}" if self._run_name else date
            found += ["--results", self.name, "--model", f"{self.name}_model"]
        return found

    def _of_network(self) -> list[str]:
        found: list[str] = []
        fields = STAGE.settings.model_fields
        for key, values in self._network.items():
            if key in FIXED:
                if " ".join(values) != str(FIXED[key]).translate(PLAIN):
                    self._problems.append(
                        f"--{key}: got {' '.join(values)}, the data makes it {FIXED[key]}"
                    )
            elif key == WITHOUT_EFFECT:
                if self._truth(key, values):
                    self._tell(
                        f"--{key}: has no effect; write_output_nth_epoch writes pictures of the "
                        "results"
                    )
            elif fields[key].annotation is bool:
                found += [_option(key), str(self._truth(key, values)).lower()]
            elif key == "filter_sizes":
                numbers = re.findall(r"[^\s,\[\]]+", " ".join(values))
                found += [_option(key), f"[{', '.join(numbers)}]"]
            else:
                found += [_option(key), self._one(key, values)]
        return found

    def _one(self, key: str, values: list[str]) -> str:
        if len(values) != 1:
            self._problems.append(f"-{key}: got {json.dumps(values)}, one value is needed")
        return values[0] if values else ""

    def _truth(self, key: str, values: list[str]) -> bool:
        text = self._one(key, values)
        if text.lower() not in TRUTH:
            self._problems.append(f"-{key}: got {text!r}, accepted are True and False")
        return TRUTH.get(text.lower(), False)


def cleaned(name: str) -> str:
    """What is left of a name that files and the viewer's networks can have."""
    plain = re.sub(r"[^\w.-]", "_", name)
    while plain and not re.match(r"[A-Za-z0-9]", plain):
        plain = plain[1:]
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")


def _is_option(word: str) -> bool:
    """A dash in front of something that is no number."""
    return word.startswith("-") and not re.fullmatch(r"-\d+(\.\d*)?([eE][-+]?\d+)?", word)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _say(text: str) -> None:
    print(f"train_renderer: {text}", file=sys.stderr)
