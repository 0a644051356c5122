"""The HTML report of a study: what was searched, what was best, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import __version__
from components.core import files
from components.core.artifacts.study import Study, Trial
from components.core.report import page
from components.core.wording import counted
from components.hpo_sweep import plots

if TYPE_CHECKING:
    import optuna

ENOUGH = 10
"""Complete trials below which the importance of settings means little."""

EDGE = 0.02
"""Share of a range at either end that counts as its edge."""

ERROR_SHOWN = 300


def write_report(path: Path, study: Study, optuna_study: optuna.Study) -> None:
    """Writes the page of a study.

    Args:
        path: of the HTML file.
        study: what the page is about.
        optuna_study: the same as Optuna has it, for the importance of settings.
    """
    files.write_text(path, html_report(study, optuna_study))


def html_report(study: Study, optuna_study: optuna.Study) -> str:
    """The whole report; the same input gives the same bytes."""
    workers = len({trial.worker for trial in study.trials})
    facts = [
        study.trainer,
        counted(len(study.trials), "trial"),
        counted(len(study.search_space), "setting"),
        f"{study.direction} {study.monitor}",
        f"{workers} workers" if workers > 1 else "",
        f"{_duration(sum(trial.seconds for trial in study.trials))} of trials",
    ]
    return page.page(
        study.name,
        "Hyper-parameter search",
        " · ".join(fact for fact in facts if fact),
        [
            verdict(study),
            page.notes(warnings(study)),
            headline(study),
            settings_table(study),
            *(charts(study, optuna_study) if study.trials else []),
            trials_table(study),
            particulars(study),
        ],
        f"Trainyard {__version__}",
    )


def verdict(study: Study) -> str:
    """One or two sentences that say what the search found."""
    best, base = study.best_trial, study.base_trial
    if best is None:
        text = "No best trial: training goes on with the base settings."
    else:
        text = f"Trial {best.number} is the best: {escape(study.monitor)} <b>{best.value:.4g}</b>."
        if base is not None and base.number != best.number:
            text += f" The base settings reach <b>{base.value:.4g}</b>."
    return f'<p class="verdict">{text}</p>'


def warnings(study: Study) -> list[str]:
    """What a reader should know before using the settings."""
    trials, best = study.trials, study.best_trial
    complete = [trial for trial in trials if trial.state == "complete"]
    found = []
    if not trials:
        found.append("No trial was made, so the best settings are the base settings.")
    elif not complete:
        states = Counter(trial.state for trial in trials)
        counts = " and ".join(f"{count} {state}" for state, count in sorted(states.items()))
        found.append(f"No trial is complete ({counts}): the best settings are the base settings.")
    elif best is None:
        found.append(
            f"{counted(len(complete), 'complete trial')}, and none keeps the constraints: the best "
            "settings are the base settings."
        )
    if failed := [trial for trial in trials if trial.state == "failed"]:
        found.append(f"{counted(len(failed), 'trial')} of {len(trials)} failed{_reason(failed)}.")
    if len(complete) > 1 and len({trial.value for trial in complete}) == 1:
        found.append(
            f"All complete trials have the same {study.monitor}: the searched settings make no "
            "difference to it, or training is too short to tell."
        )
    elif best is not None:
        found += edges(study, best)
        base = study.base_trial
        if base is not None and base.number == best.number and len(complete) > 1:
            found.append("No trial is better than the base settings.")
    if 0 < len(complete) < ENOUGH:
        found.append(
            f"Only {counted(len(complete), 'complete trial')}: the best may be best by luck, and "
            f"the importance of settings means little below {ENOUGH}."
        )
    if far := len(complete) - len(plots.drawn(study)):
        found.append(
            f"{counted(far, 'trial')} with a far worse {study.monitor} than most "
            f"{'is' if far == 1 else 'are'} left out of the charts; the table holds all."
        )
    return found


def edges(study: Study, best: Trial) -> list[str]:
    """A sentence for each range whose end the best trial is at."""
    found = []
    for name, space in study.search_space.items():
        if "choices" in space or name not in best.settings:
            continue
        axis, step = plots.Axis.of(name, space, []), space.get("step") or 1
        if axis.whole and axis.high - axis.low < 2 * step:
            continue  # every value is an end
        place = axis.place(best.settings[name])
        if EDGE < place < 1 - EDGE:
            continue
        end = "lower" if place <= EDGE else "upper"
        found.append(
            f"{name}: the best value {plots.written(best.settings[name])} is at the {end} edge of "
            f"its range ({_range(space)}); widen the range there, if the trainer allows it, and "
            "search again."
        )
    return found


def headline(study: Study) -> str:
    """Best value, value of the base settings, and trials by state."""
    best, base = study.best_trial, study.base_trial
    states = Counter(trial.state for trial in study.trials)
    cards = {
        f"best {study.monitor}": f"{best.value:.4g}" if best else "–",
        "with the base settings": f"{base.value:.4g}" if base else "–",
        "complete": str(states["complete"]),
        "pruned": str(states["pruned"]),
        "failed": str(states["failed"]),
    }
    if missed := sum(t.state == "complete" and not t.feasible for t in study.trials):
        cards["miss a constraint"] = str(missed)
    return page.cards(
        f'<div class="card"><div class="label">{escape(label)}</div>'
        f'<div class="value">{value}</div></div>'
        for label, value in cards.items()
    )


def settings_table(study: Study) -> str:
    """The searched settings: base, best, and what was searched."""
    best = study.best_trial
    rows = [
        [
            page.breakable(name),
            _written(study.settings, name),
            f"<b>{_written(best.settings if best else {}, name)}</b>",
            escape(_range(space)),
        ]
        for name, space in study.search_space.items()
    ]
    if not rows:
        return ""
    table = page.table(["setting", "base", "best", "searched"], rows, ["", "code", "code", ""])
    return page.section(
        "Settings",
        page.panel(table, scroll=True),
        hint="All settings of the best trial are in best.json, which a run or the trainer takes "
        "with -f. A dash: not set, so the trainer's own default.",
    )


def charts(study: Study, optuna_study: optuna.Study) -> list[str]:
    """The sections with charts; a sentence in place of one that shows nothing."""
    complete = {"complete": "k1"}
    best = {"best": "k3"}
    limited = {} if all(t.feasible for t in study.trials) else {"misses a constraint": "k4"}
    slices = plots.slices(study)
    boxes = "".join(page.panel(svg) for svg in slices.values())
    return [
        _section(
            "Optimisation history",
            plots.history(study),
            {**complete, **limited, "best so far": "k3"},
            "Without a complete trial there is no history.",
        ),
        _section(
            "Which settings matter",
            plots.importances(study, optuna_study),
            {},
            "This needs two settings or more that were tried at several values, and complete "
            "trials that differ.",
            "Share of each setting in how much the complete trials differ (fANOVA); it says "
            "nothing about values outside of the ranges.",
        ),
        _section(
            "Settings together",
            plots.parallel(study),
            {**complete, **best},
            "This needs two searched settings and two complete trials.",
            "A line for each complete trial, stronger for a better one.",
        ),
        page.section(
            "Setting by setting",
            f'<div class="charts">{boxes}</div>'
            if boxes
            else "<p>No setting was tried at two values by complete trials.</p>",
            hint="Each dot is a complete trial." if boxes else "",
        ),
        _section(
            "While training",
            plots.intermediate(study),
            {**complete, "pruned (dot: its last epoch) or failed": "k2", **best},
            "No trial reported two epochs.",
        ),
    ]


def trials_table(study: Study) -> str:
    """All trials, the best first."""
    trials = sorted(study.trials, key=lambda trial: _rank(study, trial))
    searched = list(study.search_space)
    figures = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
    several = len({trial.worker for trial in trials}) > 1
    rows = [
        [
            str(trial.number),
            _state(study, trial),
            _figure(trial.value),
            *(_written(trial.settings, name) for name in searched),
            *(_figure(trial.metrics.get(name)) for name in figures),
            str(len(trial.intermediate)),
            f"{trial.seconds:.1f}",
            *([str(trial.worker)] if several else []),
            escape(_shortened(trial.error)),
        ]
        for trial in trials
    ]
    if not rows:
        return ""
    last = ["epochs", "seconds", *(["worker"] if several else []), "error"]
    heads = ["trial", "state", study.monitor, *searched, *figures, *last]
    kinds = ["number", "", *["number"] * (len(heads) - 3), ""]
    return page.section(
        "All trials",
        page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True),
        hint="Best first; a click on a heading sorts. The same is in trials.csv.",
    )


def particulars(study: Study) -> str:
    """How it was searched, and the base settings."""
    facts = {
        "Study": study.name,
        "Trainer": study.trainer,
        "Goal": f"{study.direction} {study.monitor}",
        "Sampler": study.sampler,
        "Pruner": study.pruner,
        "Seed": study.seed,
        "Fingerprint": study.fingerprint,
    }
    base = page.properties(study.settings) or "<p>None: the trainer's defaults.</p>"
    return page.section(
        "Particulars",
        page.panel("<h3>Search</h3>", page.properties(facts)),
        page.panel("<h3>Base settings</h3>", base),
    )


def _section(title: str, svg: str, legend: Mapping[str, str], without: str, hint: str = "") -> str:
    if not svg:
        return page.section(title, f"<p>{escape(without)}</p>")
    key = page.legend(legend) if legend else ""
    return page.section(title, page.panel(svg, key, scroll='class="fixed"' in svg), hint=hint)


def _rank(study: Study, trial: Trial) -> tuple[Any, ...]:
    sign = 1 if study.direction == "minimize" else -1
    value = math.inf if trial.value is None else sign * trial.value
    states = ("complete", "pruned", "failed")
    return not trial.feasible, states.index(trial.state), value, trial.number


def _state(study: Study, trial: Trial) -> str:
    text: str = trial.state
    if trial.number == study.best:
        text = f"<b>{text}, best</b>"
    if trial.state == "complete" and not trial.feasible:
        text += ", misses a constraint"
    return text if trial.retry_of is None else f"{text}, repeats {trial.retry_of}"


def _reason(failed: list[Trial]) -> str:
    errors = Counter(trial.error.strip() for trial in failed if trial.error.strip())
    return f", most often with: {_shortened(errors.most_common(1)[0][0])}" if errors else ""


def _shortened(error: str) -> str:
    text = " ".join(error.split())
    return text if len(text) <= ERROR_SHOWN else f"{text[:ERROR_SHOWN]}…"


def _written(settings: Mapping[str, Any], name: str) -> str:
    return escape(plots.written(settings[name])) if name in settings else "–"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _range(space: Mapping[str, Any]) -> str:
    if "choices" in space:
        return ", ".join(plots.written(choice) for choice in space["choices"])
    text = f"{plots.written(space['low'])} to {plots.written(space['high'])}"
    if space.get("log"):
        text += ", logarithmic"
    return f"{text} in steps of {plots.written(space['step'])}" if space.get("step") else text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
