"""Writes a RenderingEvaluation directory."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.core import files
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.state import digest
from components.evaluate_renderings.frames import Rendered
from components.evaluate_renderings.gallery import entries
from components.evaluate_renderings.measuring import columns
from components.evaluate_renderings.report import html_report
from components.evaluate_renderings.stage import EvaluateRenderingsSettings
from components.evaluate_renderings.subject import Subject

TABLE, RENDERINGS = "frame_figures.csv", "renderings"


def write_evaluation(
    directory: Path,
    evaluation: RenderingEvaluation,
    subject: Subject,
    results: Sequence[Rendered],
    metrics: RenderingMetrics,
    settings: EvaluateRenderingsSettings,
) -> RenderingEvaluation:
    """Writes everything into a new directory, the index last.

    Args:
        directory: created; must not exist.
        evaluation: the index; `fingerprint` and `files` are filled in here.
        subject: renderer and frames.
        results: of the part's frames.
        metrics: the figures.
        settings: of the stage.
    """
    directory.mkdir(parents=True)
    files.write_text(directory / "metrics.json", metrics.model_dump_json(indent=2) + "\n")
    files.write_text(directory / TABLE, _table(metrics))
    listed = {
        "metrics.json": "all figures, intervals and remarks",
        TABLE: "figures of each frame, the worst first",
    }
    for name, values in columns(metrics.frames).items():
        with open(directory / f"{name}.npy", "wb") as file:
            np.save(file, values)
        listed[f"{name}.npy"] = f"{name} of each frame (F,), in the order of metrics.json"
    if settings.save_renderings:
        for one in results:
            place = directory / RENDERINGS / f"{one.figures.name}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            files.link_or_copy(one.picture, place)
            listed[str(place.relative_to(directory))] = "what was rendered"
    shown = entries(subject, results, settings.gallery)
    files.write_text(directory / "report.html", html_report(evaluation, metrics, shown, subject))
    listed["report.html"] = "the report, one self-contained file"
    content = {name: _sha256(directory / name) for name in sorted(listed)}
    identity = [evaluation.models, evaluation.dataset, content]
    whole = evaluation.model_copy(update={"fingerprint": digest(identity), "files": listed})
    whole.save(directory)
    return whole


def _table(metrics: RenderingMetrics) -> str:
    text = io.StringIO()
    rows = [frame.model_dump() for frame in metrics.frames]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: (row["psnr"], row["name"])):
        shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
        writer.writerow({key: "" if value is None else value for key, value in shown.items()})
    return text.getvalue()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
