"""What was predicted for each clip, as arrays in memory and in an Evaluation directory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.evaluation import (
    ARRAYS,
    BASELINE_FILE,
    TRAIN_CONFUSION_FILE,
    Evaluation,
)
from components.core.errors import InputError
from components.core.metrics.classification import (
    Bools,
    confusion_multi,
    confusion_single,
    one_hot,
    predict_multi,
    predict_single,
)
from components.core.metrics.summary import Outcome

TABLE = "predictions.csv"
RIGHT, WRONG, NOTHING = "right", "wrong", "no prediction"


@dataclass(frozen=True)
class Predictions:
    """Predictions for N clips and C classes beside the truth."""

    ids: list[str]
    groups: list[str]
    actual: Bools
    """`(N, C)`."""
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: Bools
    multi_label: bool
    baseline: NDArray[np.float64] | None = None
    """The single-frame baseline's probabilities `(N, C)`."""
    training: tuple[Bools, Bools] | None = None
    """Truth and predictions `(M, C)` of the clips that were trained on, where asked for."""

    def outcome(self) -> Outcome:
        """The model's predictions, for the figures."""
        return Outcome(self.actual, self.predicted, self.probabilities, self.groups)

    def baseline_outcome(self) -> Outcome | None:
        """The baseline's, decided at 0.5 or by the largest probability."""
        if self.baseline is None:
            return None
        choose = predict_multi if self.multi_label else predict_single
        return Outcome(self.actual, choose(self.baseline), self.baseline, self.groups)

    def labels(self, classes: Sequence[str]) -> list[list[str]]:
        """The true class names of each clip."""
        return [names_of(row, classes) for row in self.actual]

    def outcomes(self) -> list[str]:
        """RIGHT, WRONG or NOTHING (it has labels, none was given) for each clip."""
        right = (self.actual == self.predicted).all(axis=1)
        silent = ~self.predicted.any(axis=1)
        return list(map(str, np.where(right, RIGHT, np.where(silent, NOTHING, WRONG))))

    def confusion(self) -> NDArray[np.int64]:
        """`(C, C)` counts with rows true, or `(C, 2, 2)` for multi-label."""
        return self._confused(self.actual, self.predicted)

    def train_confusion(self) -> NDArray[np.int64] | None:
        """The same of the clips that were trained on; None where that was not asked for."""
        return self._confused(*self.training) if self.training else None

    def _confused(self, actual: Bools, predicted: Bools) -> NDArray[np.int64]:
        table = confusion_multi if self.multi_label else confusion_single
        return table(actual, predicted)

    def save(self, directory: Path, evaluation: Evaluation) -> dict[str, str]:
        """Writes the arrays and the table; returns file name → what it is."""
        content: dict[str, NDArray[Any]] = {
            "logits": self.logits,
            "probabilities": self.probabilities,
            "predictions": self._encoded(self.predicted),
            "actuals": self._encoded(self.actual),
            "confusion": self.confusion(),
        }
        listed = {}
        for array, about in ARRAYS.items():
            np.save(directory / evaluation.array_file(array), content[array])
            listed[evaluation.array_file(array)] = f"{array}: {about}"
        self._save_table(directory / TABLE, evaluation.classes)
        listed[TABLE] = "one row per clip, in the order of the arrays"
        if self.baseline is not None:
            np.save(directory / BASELINE_FILE, self.baseline)
            listed[BASELINE_FILE] = "of the single-frame baseline, float64 (clips, classes)"
        if (trained := self.train_confusion()) is not None:
            np.save(directory / TRAIN_CONFUSION_FILE, trained)
            listed[TRAIN_CONFUSION_FILE] = "confusion of the training part, as confusion"
        return listed

    @classmethod
    def load(cls, directory: Path, index: Evaluation) -> Predictions:
        """Reads what `save` wrote.

        Raises:
            InputError: a file is missing or does not fit the index.
        """
        try:
            with open(directory / TABLE, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            arrays = {
                name: np.load(directory / index.array_file(name))
                for name in ("logits", "probabilities", "predictions", "actuals")
            }
            baseline = directory / BASELINE_FILE
            stills = np.load(baseline) if baseline.exists() else None
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{directory} is damaged: {error}") from None
        if len(rows) != index.clips or any(len(a) != index.clips for a in arrays.values()):
            raise InputError(f"{directory} is damaged: its files do not hold {index.clips} clips")
        count = len(index.classes)

        def decoded(values: NDArray[np.int64]) -> Bools:
            return values.astype(bool) if index.multi_label else one_hot(values, count)

        return cls(
            ids=[row["clip"] for row in rows],
            groups=[row["group"] for row in rows],
            actual=decoded(arrays["actuals"]),
            logits=arrays["logits"],
            probabilities=arrays["probabilities"],
            predicted=decoded(arrays["predictions"]),
            multi_label=index.multi_label,
            baseline=stills,
        )

    def _encoded(self, table: Bools) -> NDArray[np.int64]:
        return table.astype(np.int64) if self.multi_label else table.argmax(axis=1)

    def _save_table(self, path: Path, classes: Sequence[str]) -> None:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            heads = [f"p({name})" for name in classes]
            writer.writerow(["clip", "group", "actual", "predicted", "right", "outcome", *heads])
            outcomes = self.outcomes()
            for row, clip in enumerate(self.ids):
                actual, predicted = self.actual[row], self.predicted[row]
                writer.writerow(
                    [
                        clip,
                        self.groups[row],
                        "|".join(names_of(actual, classes)),
                        "|".join(names_of(predicted, classes)),
                        int(outcomes[row] == RIGHT),
                        outcomes[row],
                        *(f"{value:.6g}" for value in self.probabilities[row]),
                    ]
                )


def names_of(row: Bools, classes: Sequence[str]) -> list[str]:
    """The class names that a boolean row `(C,)` marks."""
    return [name for name, marked in zip(classes, row, strict=True) if marked]


def labels_table(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> Bools:
    """Label names of each clip as a boolean `(N, C)` table."""
    position = {name: column for column, name in enumerate(classes)}
    table = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, names in enumerate(labels):
        for name in names:
            table[row, position[name]] = True
    return table
