"""Means over frames and sets, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.rendering_evaluation import (
    FrameFigures,
    Interval,
    RenderingMetrics,
)
from components.evaluate_renderings.stage import EvaluateRenderingsSettings

FIGURES = ("psnr", "ssim", "l1", "lpips", "baseline_psnr", "baseline_ssim", "covered", "seen")


def columns(frames: Sequence[FrameFigures]) -> dict[str, NDArray[np.float64]]:
    """Figure → (F,) its values, of those figures that every frame has."""
    rows = [frame.model_dump() for frame in frames]
    found = {
        name: np.array([row[name] for row in rows], dtype=np.float64)
        for name in FIGURES
        if all(row[name] is not None for row in rows)
    }
    found["gain"] = found["psnr"] - found["baseline_psnr"]
    return found


def measure(
    frames: Sequence[FrameFigures], settings: EvaluateRenderingsSettings, notes: Sequence[str]
) -> RenderingMetrics:
    """All figures of the part."""
    values = columns(frames)
    names = np.array([frame.name.rpartition("/")[0] for frame in frames])
    return RenderingMetrics(
        frames=list(frames),
        figures={name: float(column.mean()) for name, column in values.items()},
        intervals=_intervals(values, len(frames), settings),
        confidence=settings.confidence,
        sets={
            str(name): {key: float(column[names == name].mean()) for key, column in values.items()}
            for name in dict.fromkeys(names.tolist())
        },
        notes=list(notes),
    )


def _intervals(
    values: dict[str, NDArray[np.float64]], count: int, settings: EvaluateRenderingsSettings
) -> dict[str, Interval]:
    """Percentile bootstrap of the means; frames count as independent."""
    if not settings.bootstrap or count < 2:
        return {}
    draws = np.random.default_rng(settings.seed).integers(count, size=(settings.bootstrap, count))
    tail = (1 - settings.confidence) / 2
    found = {}
    for name, column in values.items():
        low, high = np.quantile(column[draws].mean(axis=1), [tail, 1 - tail])
        found[name] = float(low), float(high)
    return found
