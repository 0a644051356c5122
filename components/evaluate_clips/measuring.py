"""From predictions to `metrics.json`: all figures, and remarks in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from components.core.artifacts.evaluation import ClipMetrics, Comparison, Outcomes
from components.core.metrics.classification import Floats, predict_multi
from components.core.metrics.summary import FEWEST_GROUPS, Measure, Outcome, in_mixed_groups
from components.core.wording import counted
from components.evaluate_clips.predictions import NOTHING, RIGHT, WRONG, Predictions

FEW_CLIPS = 10
FEW_GROUPS = 20


def measure(
    predictions: Predictions,
    how: Measure,
    *,
    thresholds: Floats | None = None,
    tuned: bool = False,
    mixed: dict[str, bool] | None = None,
    remarks: Sequence[str] = (),
) -> ClipMetrics:
    """All figures of one evaluation.

    Args:
        predictions: of the model, and of the baseline if there is one.
        how: classes and how intervals are made.
        thresholds: multi-label: per class, `(C,)`.
        tuned: whether the thresholds were tuned; then the figures at 0.5 are added.
        mixed: group → whether its clips differ in class; by default from the clips at hand.
        remarks: what the caller has to say; they come before those found here.
    """
    if mixed is None:
        mixed = in_mixed_groups(predictions.groups, predictions.labels(how.classes))
    overall = how.comparison(predictions.outcome(), predictions.baseline_outcome())
    rows = np.array([mixed.get(group, False) for group in predictions.groups], dtype=bool)
    within = None
    if mixed and rows.any() and not rows.all():
        stills = predictions.baseline_outcome()
        within = how.comparison(
            predictions.outcome().select(rows), stills.select(rows) if stills else None
        )
    at_half = None
    if tuned:
        chosen = predict_multi(predictions.probabilities, 0.5)
        half = Outcome(predictions.actual, chosen, predictions.probabilities, predictions.groups)
        at_half = how.summary(half)
    found = notes(overall, within, how, mixed, predictions)
    return ClipMetrics(
        confidence=how.confidence,
        replicates=how.replicates,
        overall=overall,
        mixed_groups=within,
        thresholds=[] if thresholds is None else [float(value) for value in thresholds],
        at_half=at_half,
        outcomes=outcomes(predictions),
        notes=[*remarks, *found],
    )


def outcomes(predictions: Predictions) -> Outcomes:
    """How many clips are right, wrong, or without any prediction."""
    found = Counter(predictions.outcomes())
    return Outcomes(right=found[RIGHT], wrong=found[WRONG], no_prediction=found[NOTHING])


def notes(
    overall: Comparison,
    within: Comparison | None,
    how: Measure,
    mixed: dict[str, bool],
    predictions: Predictions,
) -> list[str]:
    """What a reader should know before quoting a figure, in plain words."""
    lines = _against_chance(overall, "") + _against_baseline(overall, "")
    if within is not None:
        where = " within the recordings that hold more than one class"
        lines += _against_chance(within, where) + _against_baseline(within, where)
    lines += _about_groups(overall, within, how, mixed) + _about_perfection(overall)
    return lines + _about_classes(overall, how, predictions)


def _against_chance(found: Comparison, where: str) -> list[str]:
    interval = found.model.intervals.get("macro_f1")
    chance = found.model.chance_macro_f1
    if interval is None:
        return []
    low, high = interval
    if low <= chance <= high:
        so = "" if where else ": this does not show that the model has learned anything useful"
        return [
            f"The interval of the macro F1{where} ({low:.2f} to {high:.2f}) includes {chance:.2f}, "
            f"which guessing would reach{so}."
        ]
    if high < chance:
        return [
            f"The macro F1{where} is below {chance:.2f}, which guessing would reach; are the "
            "classes in the right order?"
        ]
    return []


def _against_baseline(found: Comparison, where: str) -> list[str]:
    interval = found.difference_intervals.get("macro_f1")
    if interval is None or interval[0] > 0:
        return []
    low, high = interval
    if high < 0:
        return [
            f"A single still frame does better than the model{where} "
            f"(macro F1 difference {signed(low)} to {signed(high)})."
        ]
    return [
        f"A single still frame may do as well{where}: the difference in macro F1 "
        f"({signed(low)} to {signed(high)}) includes 0, so nothing here shows that motion is used."
    ]


def _about_groups(
    overall: Comparison, within: Comparison | None, how: Measure, mixed: dict[str, bool]
) -> list[str]:
    lines = []
    groups, clips = overall.model.groups, overall.model.clips
    if how.replicates and groups < FEWEST_GROUPS:
        lines.append(_no_intervals(groups, ""))
    elif how.replicates and groups < FEW_GROUPS:
        lines.append(f"Only {groups} recordings: the intervals themselves are rough.")
    if how.replicates and within is not None and within.model.groups < FEWEST_GROUPS <= groups:
        where = " for the recordings that hold more than one class"
        lines.append(_no_intervals(within.model.groups, where))
    if not mixed:
        lines.append(
            "No recordings are known (groups), so each clip counts on its own; if several clips "
            "come from one recording, the intervals are too narrow."
        )
    elif not any(mixed.values()):
        lines.append(
            "Every recording holds clips of one class only: scene or camera alone may tell the "
            "class, and these figures cannot show otherwise."
        )
    elif within is not None:
        rest = clips - within.model.clips
        lines.append(
            f"{rest} of {clips} clips come from recordings that hold a single class, where scene "
            "or camera alone may tell it; see the figures without them."
        )
    return lines


def _no_intervals(groups: int, where: str) -> str:
    few = counted(groups, "recording")
    return (
        f"No intervals are given{where}: {few} at hand, and intervals over fewer than "
        f"{FEWEST_GROUPS} would be far too narrow."
    )


def _about_perfection(overall: Comparison) -> list[str]:
    """Resampling clips that are all right can only find them right again (rule of three)."""
    interval = overall.model.intervals.get("macro_f1")
    if interval is None or interval[0] < interval[1]:
        return []
    groups = overall.model.groups
    return [
        f"The interval has no width because all {groups} independent samples came out alike; "
        f"in so few, exceptions at a rate of {min(3 / groups, 1):.0%} may well not show."
    ]


def _about_classes(overall: Comparison, how: Measure, predictions: Predictions) -> list[str]:
    lines = []
    classes = overall.model.classes
    absent = [c.name for c in classes if c.support == 0]
    few = [f"{c.name} ({c.support})" for c in classes if 0 < c.support < FEW_CLIPS]
    if absent:
        lines.append(f"No clip shows {listed(absent)}; undefined figures are left out of means.")
    if silent := [c.name for c in classes if c.chosen == 0]:
        found = overall.model.figures
        if "macro_precision" in found:
            lines.append(
                f"Macro precision ({found['macro_precision']:.3f}) leaves out {len(silent)} of "
                f"{counted(len(classes), 'class', 'classes')}, never predicted and thus without a "
                f"precision: {listed(silent, 40)}. A model that predicts fewer classes can look "
                f"better by it; with 0 for these it is {found['macro_precision_all_classes']:.3f}."
            )
    if few:
        lines.append(f"Few clips of {listed(few)}; single clips move these classes' figures a lot.")
    unlabelled = ~(predictions.actual | predictions.predicted).any(axis=1)
    if predictions.multi_label and unlabelled.any():
        lines.append(
            f"{counted(int(unlabelled.sum()), 'clip')} without any label, and given none: right, "
            "but the F1 per clip is 0 there by definition."
        )
    if not predictions.multi_label and len(np.unique(predictions.predicted.argmax(axis=1))) == 1:
        only = how.classes[int(predictions.predicted[0].argmax())]
        lines.append(f"The model says {only!r} for every clip.")
    return lines


def signed(value: float) -> str:
    """A difference as text, with a real minus sign."""
    return f"{value:+.2f}".replace("-", "−")


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names in a sentence, the rest counted."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
