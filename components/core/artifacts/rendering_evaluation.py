"""RenderingEvaluation: how near rendered frames of one part are to the photographs.

A directory holds:

- `index.json`, and `metrics.json` with all figures, see `RenderingMetrics`.
- `report.html`, and `frame_figures.csv` (one row per frame, the worst first).
- `psnr.npy`, `ssim.npy`, `l1.npy`, `baseline_psnr.npy`, `baseline_ssim.npy` and, with weights,
  `lpips.npy`: float64 `(F,)`, in the order of `frames` in `metrics.json`.
- `renderings/<set>/<stem>.png`: what was rendered, where it was asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.artifacts.base import Index
from components.core.errors import InputError

Interval = tuple[float, float]


class FrameFigures(BaseModel):
    """Figures of one frame, over the pixels that count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """`<set>/<stem>`."""
    psnr: float
    """dB."""
    ssim: float
    l1: float
    """Mean absolute difference of values in [0, 1]."""
    lpips: float | None = None
    baseline_psnr: float
    """dB, of the nearest photographs warped into place; holes show what is beside them."""
    baseline_ssim: float
    covered: float
    """Share of the pixels at which a point was drawn."""
    seen: float
    """Share of the pixels that at least one photograph shows."""


class RenderingMetrics(BaseModel):
    """The content of `metrics.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: list[FrameFigures]
    figures: dict[str, float]
    """Means over the frames: `psnr`, `ssim`, `l1`, `lpips`, `baseline_psnr`, `baseline_ssim`,
    `gain` (dB over the baseline)."""
    intervals: dict[str, Interval]
    """Bootstrap intervals of the means."""
    confidence: float
    sets: dict[str, dict[str, float]]
    """Set → means over its frames."""
    notes: list[str] = []
    """What a reader should know before quoting a figure."""

    @classmethod
    def read(cls, directory: Path) -> RenderingMetrics:
        """Reads `metrics.json` of an evaluation directory.

        Raises:
            InputError: it is missing or damaged.
        """
        path = directory / "metrics.json"
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError:
            raise InputError(f"{path} is missing") from None
        except (ValidationError, json.JSONDecodeError) as error:
            raise InputError(f"{path} is damaged: {error}") from None


class RenderingEvaluation(Index):
    """Index of a RenderingEvaluation directory."""

    SCHEMA: ClassVar[str] = "trainyard/rendering-evaluation"

    task: str
    """`view_synthesis`."""
    part: str
    """`train`, `val` or `test`."""
    frames: int
    models: dict[str, str]
    """Name → fingerprint of the evaluated bundle."""
    dataset: str
    """Fingerprint of the RenderingDataset."""
    code_version: str
    settings: dict[str, Any]
    figures: dict[str, float]
    """The headline figures, also in `metrics.json`."""
    curves: dict[str, list[dict[str, float]]] = {}
    """Model name → its per-epoch training figures."""
    epochs: dict[str, int] = {}
    """Model name → the epoch of its weights, where known."""
    files: dict[str, str]
    """What each file of the directory is."""
