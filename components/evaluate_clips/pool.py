"""Pools the evaluations of the folds of a cross-validation into one.

Each clip is predicted by the model that did not train on it; the figures are those of all test
parts together, with intervals over recordings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components import __version__
from components.core import files
from components.core.artifacts import base
from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.frames import FrameReader
from components.core.errors import InputError, TrainyardError
from components.core.metrics.summary import Measure
from components.evaluate_clips.measuring import listed, measure
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.writing import Pictures, write_evaluation


def pool_evaluations(
    directories: Sequence[Path],
    output: Path,
    *,
    frames: Path | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
    top_k: int = 5,
    seed: int = 0,
    mistakes: int = 12,
) -> Evaluation:
    """Writes one Evaluation of the test parts of several.

    Args:
        directories: Evaluation directories of the folds.
        output: directory to create; it must not exist.
        frames: the FrameDataset, for pictures of the worst mistakes.
        replicates: resamples for intervals.
        confidence: of the intervals.
        top_k: see `evaluate_clips`.
        seed: of the resampling.
        mistakes: how many are shown.

    Raises:
        InputError: the evaluations do not belong together, share clips, or `output` exists.
    """
    folders = [base.resolve(Path(directory)) for directory in directories]
    indexes = [Evaluation.load(folder) for folder in folders]
    reader = FrameReader(frames) if frames is not None else None
    if problems := _problems(indexes, reader, output):
        raise InputError("\n  - ".join(["these evaluations cannot be pooled:", *problems]))
    parts = [Predictions.load(folder, i) for folder, i in zip(folders, indexes, strict=True)]
    if twice := _shared(parts):
        raise InputError(
            f"{len(twice)} clips ({listed(twice, 3)}) lie in the test part of more than one "
            "evaluation; pool folds, whose test parts are disjoint"
        )
    predictions = concatenated(parts)
    first = indexes[0]
    how = Measure(first.classes, first.multi_label, top_k, replicates, confidence, seed)
    remark = (
        f"Pooled from {len(indexes)} models, each on its own test part; average precision ranks "
        "probabilities of different models against each other."
    )
    metrics = measure(predictions, how, remarks=[remark])
    names = [f"fold {number}" for number in range(1, len(indexes) + 1)]
    pooled = Evaluation(
        fingerprint="",
        task=first.task,
        multi_label=first.multi_label,
        classes=first.classes,
        part="pooled",
        clips=len(predictions.ids),
        models={n: ", ".join(i.models.values()) for n, i in zip(names, indexes, strict=True)},
        dataset=first.dataset,
        parent=first.parent,
        splits=[split for index in indexes for split in index.splits],
        code_version=__version__,
        settings={"bootstrap": replicates, "confidence": confidence, "seed": seed},
        figures=metrics.overall.model.figures,
        curves={
            name: rows
            for name, index in zip(names, indexes, strict=True)
            for rows in index.curves.values()
        },
        files={},
    )
    each = {
        f"Macro F1 of {name}": index.figures.get("macro_f1", "undefined")
        for name, index in zip(names, indexes, strict=True)
    }
    with files.atomic_path(output) as temporary:
        return write_evaluation(
            temporary,
            pooled,
            predictions,
            metrics,
            Pictures(reader, None, mistakes),
            details={"Folds": each},
        )


def concatenated(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several evaluations one after another."""
    stills = [part.baseline for part in parts if part.baseline is not None]
    return Predictions(
        ids=[clip for part in parts for clip in part.ids],
        groups=[group for part in parts for group in part.groups],
        actual=np.concatenate([part.actual for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        multi_label=parts[0].multi_label,
        baseline=np.concatenate(stills) if len(stills) == len(parts) else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m components.evaluate_clips.pool",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("evaluations", nargs="+", type=Path, help="evaluation of each fold")
    parser.add_argument("--output", required=True, type=Path, help="directory to create")
    parser.add_argument("--frames", type=Path, help="FrameDataset, for pictures of mistakes")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for intervals")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    given = parser.parse_args(arguments)
    try:
        pooled = pool_evaluations(
            given.evaluations,
            given.output,
            frames=given.frames,
            replicates=given.bootstrap,
            confidence=given.confidence,
            seed=given.seed,
        )
    except TrainyardError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for name, value in pooled.figures.items():
        print(f"{name} {value:.4f}")
    print(given.output / "report.html")
    return 0


def _problems(indexes: Sequence[Evaluation], reader: FrameReader | None, output: Path) -> list[str]:
    problems = []
    if len(indexes) < 2:
        problems.append("one evaluation is not a cross-validation; give at least two")
    if output.exists():
        problems.append(f"{output} exists already; choose another output")
    first = indexes[0]
    for number, index in enumerate(indexes[1:], 2):
        for field in ("task", "multi_label", "classes", "parent"):
            if getattr(index, field) != getattr(first, field):
                problems.append(
                    f"evaluation {number} has {field} {getattr(index, field)!r}, "
                    f"the first {getattr(first, field)!r}"
                )
    splits = [split for index in indexes for split in index.splits]
    if len(set(splits)) < len(splits):
        problems.append("two evaluations are of the same split; give one of each fold")
    if reader is not None and reader.index.parent != first.parent:
        problems.append("the frames come from another data set than the evaluations")
    return problems


def _shared(parts: Sequence[Predictions]) -> list[str]:
    seen: set[str] = set()
    twice = []
    for part in parts:
        twice += [clip for clip in part.ids if clip in seen]
        seen.update(part.ids)
    return twice


if __name__ == "__main__":
    raise SystemExit(main())
