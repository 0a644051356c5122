"""`trainyard logs`: loss curves from console logs of trainings, as a page and a table."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from components import __version__
from components.core import files
from components.core.errors import InputError, ProblemsError, TrainyardError
from components.core.formats.study_log import EXPECTED, PARTS, Run, parse
from components.core.report import page
from components.core.report.charts import COLOURED, Series, line_chart

STDIN = "-"


def show_losses(sources: Sequence[str], output: Path | None) -> list[str]:
    """Reads logs, writes `<output>.html` and its `.csv`; returns lines for people.

    Args:
        sources: log files, or `-` for the standard input.
        output: the page to write; by default beside the first log under a name that is free.

    Raises:
        ProblemsError: logs that cannot be read or hold no losses, or an output that exists.
    """
    sources = list(dict.fromkeys(sources))
    place = output or _free_place(sources[0])
    problems: list[str | TrainyardError] = []
    if problem := files.place_problem(place.parent):
        problems.append(InputError(f"{problem}; choose another place with --output"))
    if output is not None:
        problems += [
            InputError(f"{path} exists already; choose another --output")
            for path in (output, output.with_suffix(".csv"))
            if path.exists()
        ]
        if output.suffix != ".html":
            problems.append(InputError(f"--output: {output} must end in .html"))
    runs: dict[str, Run] = {}
    for source, name in zip(sources, _names(sources), strict=True):
        try:
            found = parse(_text(source).splitlines())
        except OSError as error:
            problems.append(InputError(f"{source}: cannot read it: {error.strerror}"))
            continue
        if not found:
            problems.append(InputError(f"{source}: no losses found; expected {EXPECTED}"))
        for run in found:
            runs[f"{name} {run.source}" if len(found) > 1 else name] = run
    if problems:
        raise ProblemsError(problems, "the logs")
    lines = [line for name, run in runs.items() for line in summary(name, run)]
    files.write_text(place.with_suffix(".csv"), as_csv(runs))
    files.write_text(place, as_page(runs))
    return [*lines, str(place), str(place.with_suffix(".csv"))]


def summary(name: str, run: Run) -> list[str]:
    """What a run's losses say, in a few lines."""
    lines = [f"{name}: {len(run.passes)} {'epochs' if run.unit == 'epoch' else 'passes'}"]
    for loss in run.names():
        if best := run.best(loss):
            lines.append(
                f"  {_spoken(loss):<15} lowest {best.mean(loss):.4f} at {run.unit} {best.number}"
            )
    return lines + [f"  warning: {text}" for text in remarks(run)]


def remarks(run: Run) -> list[str]:
    """What a reader of the curves should know."""
    lines = []
    if run.restarts:
        lines.append(
            f"training went back {run.restarts} times; what was repeated is shown as it was last"
        )
    if run.unplaced:
        lines.append(
            f"{run.unplaced} losses before the first {run.unit} line are left out; the log lacks "
            "its beginning"
        )
    if run.broken:
        lines.append(f"{run.broken} losses are not finite and left out of the means")
    return lines


def as_csv(runs: dict[str, Run]) -> str:
    """Mean losses of every pass, one row each."""
    names = list(dict.fromkeys(name for run in runs.values() for name in run.names()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["log", "unit", "number", *names])
    for source, run in runs.items():
        for each in run.passes:
            means = (each.mean(name) for name in names)
            cells = ["" if mean is None else f"{mean:.6g}" for mean in means]
            writer.writerow([source, run.unit, each.number, *cells])
    return text.getvalue()


def as_page(runs: dict[str, Run]) -> str:
    """One self-contained HTML page with the curves of all runs."""
    units = {run.unit for run in runs.values()}
    unit = units.pop() if len(units) == 1 else "epoch or step"
    total = sum(len(run.passes) for run in runs.values())
    title = next(iter(runs)) if len(runs) == 1 else f"{len(runs)} trainings"
    warnings = [f"{name}: {text}" for name, run in runs.items() for text in remarks(run)]
    boxes = _single(next(iter(runs.values()))) if len(runs) == 1 else _several(runs, unit)
    return page.page(
        title,
        "Training losses",
        f"{total} passes over the data",
        [
            page.notes(warnings),
            page.section("Losses", *boxes, hint=f"Means of each pass over the data, by {unit}."),
            page.section("Lowest", page.panel(_table(runs), scroll=True)),
        ],
        f"Trainyard {__version__}",
    )


def _single(run: Run) -> list[str]:
    """A chart of the losses, the lowest validation loss marked; one more of their parts."""
    totals = [name for name in run.names() if name.endswith("_loss")]
    parts = [name for name in run.names() if name not in totals]
    best = run.best("val_loss") or run.best("train_loss")  # the one that a choice goes by
    boxes = []
    for names in (totals, parts):
        if lines := [_series(run, name, _spoken(name)) for name in names]:
            boxes.append(_chart(lines, run.unit, "loss", best.number if best else None))
    return boxes


def _several(runs: dict[str, Run], unit: str) -> list[str]:
    """A chart of the validation losses and one of the training losses."""
    boxes = []
    for part in reversed(PARTS):
        key = f"{part}_loss"
        lines = [_series(run, key, name) for name, run in runs.items() if run.best(key)]
        if lines:
            boxes.append(_chart(lines, unit, _spoken(key), None))
    return boxes


def _chart(lines: Sequence[Series], unit: str, label: str, best: float | None) -> str:
    colours = {line.name: f"k{place % COLOURED + 1}" for place, line in enumerate(lines)}
    marked = {**colours, f"{unit} {best:g}, lowest loss": "dots"} if best is not None else colours
    chart = line_chart(
        lines,
        x_label=unit,
        y_label=label,
        mark_x=best,
        whole_x=True,
        width=900,
        height=360,
        points=max(len(line.x) for line in lines) <= 60,
    )
    return page.panel(chart, page.legend(marked))


def _table(runs: dict[str, Run]) -> str:
    several = len(runs) > 1
    rows = [
        [
            *([page.breakable(name)] if several else []),
            _spoken(loss),
            f"{best.mean(loss):.4f}",
            f"{run.unit} {best.number}",
        ]
        for name, run in runs.items()
        for loss in run.names()
        if (best := run.best(loss))
    ]
    heads, kinds = ["loss", "lowest mean", "at"], ["", "number", "number"]
    return page.table(
        ["log", *heads] if several else heads, rows, ["", *kinds] if several else kinds
    )


def _series(run: Run, key: str, name: str) -> Series:
    known = [(each.number, mean) for each in run.passes if (mean := each.mean(key)) is not None]
    return Series(name, [number for number, _ in known], [mean for _, mean in known])


def _spoken(name: str) -> str:
    part, _, kind = name.partition("_")
    kinds = {"loss": "loss", "loc": "localisation loss", "cls": "classification loss"}
    words = "training" if part == "train" else "validation"
    return f"{words} {kinds.get(kind, kind.replace('_', ' '))}"


def _text(source: str) -> str:
    if source == STDIN:
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return Path(source).read_text(encoding="utf-8", errors="replace")


def _names(sources: Sequence[str]) -> list[str]:
    """A short name of each log: of its file, or of its whole path where files are alike."""
    short = ["standard input" if source == STDIN else Path(source).name for source in sources]
    return [
        source if short.count(name) > 1 else name
        for source, name in zip(sources, short, strict=True)
    ]


def _free_place(source: str) -> Path:
    """`<log>_losses.html` beside the log, numbered where that is taken."""
    first = Path("losses") if source == STDIN else Path(source).with_suffix("")
    stem = first if source == STDIN else first.with_name(f"{first.name}_losses")
    number, place = 1, stem.with_name(f"{stem.name}.html")
    while place.exists() or place.with_suffix(".csv").exists():
        number += 1
        place = stem.with_name(f"{stem.name}_{number}.html")
    return place
