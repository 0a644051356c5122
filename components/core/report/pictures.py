"""Charts as PNG files, for people and programs that show pictures; the report has its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

WRITTEN_UP_TO = 30
"""Classes; with more of them numbers in cells cannot be read."""


def confusion_png(path: Path, counts: NDArray[Any], classes: Sequence[str], title: str) -> None:
    """A confusion matrix: clips by true class (rows) and predicted class (columns).

    Args:
        path: to write.
        counts: (C, C); shading is the share of a row.
        classes: names of rows and columns.
        title: above it.
    """
    side = 2.5 + 0.45 * min(len(classes), 60)
    figure, axes = _figure((side + 1.5, side))
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    if len(classes) <= WRITTEN_UP_TO:
        for (row, column), count in _cells(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    _save(figure, path)


def history_png(path: Path, curves: Sequence[Mapping[str, float]], chosen: int) -> None:
    """Losses, and figures between 0 and 1, over the epochs.

    Args:
        path: to write.
        curves: figures of each epoch, as a ModelBundle has them.
        chosen: the epoch to mark; 0 for none.
    """
    figure, axes = _figure((11, 4), columns=2)
    epochs = [row.get("epoch", number) for number, row in enumerate(curves, 1)]
    names = list(dict.fromkeys(name for row in curves for name in row))
    losses = [name for name in names if name.endswith("loss")]
    figures = [n for n in names if n.startswith(("train_", "val_")) and n not in losses]
    for place, lines, label in zip(axes, (losses, figures), ("loss", "figure"), strict=True):
        for name in lines:
            values = [row.get(name, float("nan")) for row in curves]
            place.plot(epochs, values, marker="." if len(curves) < 40 else "", label=_words(name))
        if chosen:
            place.axvline(chosen, linestyle=":", color="grey", label="chosen epoch")
        place.set(xlabel="epoch", ylabel=label)
        if place.lines:
            place.legend()
    axes[1].set_ylim(0, 1)
    _save(figure, path)


def _figure(size: tuple[float, float], columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def _cells(counts: NDArray[Any]) -> list[tuple[tuple[int, int], int]]:
    rows, columns = counts.shape
    return [((r, c), int(counts[r, c])) for r in range(rows) for c in range(columns)]


def _words(name: str) -> str:
    return name.replace("_", " ")
