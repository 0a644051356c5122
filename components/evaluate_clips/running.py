"""Logits of the parts of a split, kept so that a restart does not compute them again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.core import files
from components.core.cpus import usable_cpus
from components.core.stage import Job
from components.evaluate_clips.inference import clip_logits, open_classifier
from components.evaluate_clips.stage import EvaluateSettings
from components.evaluate_clips.subject import Subject


class Runner:
    """Runs models over the clips of a part, each of them once.

    Args:
        settings: of the stage; everything after the model is loaded follows them.
        job: where results are kept and reported.
        with_torch: PyTorch for all models, also for those with an ONNX graph.
    """

    def __init__(self, settings: EvaluateSettings, job: Job, with_torch: bool = False) -> None:
        self.settings = settings
        self.job = job
        self.workers = settings.workers or usable_cpus()
        self._with_torch = with_torch

    def logits(self, subject: Subject, part: str, about: str = "") -> NDArray[np.float32]:
        """Logits `(N, C)` of a part's clips; `about` names the model in what is reported.

        Raises:
            InputError: the model cannot be loaded, or gives nothing usable.
        """
        kept = self.job.work / f"logits-{subject.bundle.fingerprint[:16]}-{part}.npy"
        if kept.exists():
            return np.asarray(np.load(kept), dtype=np.float32)
        settings, report = self.settings, self.job.report
        classifier = open_classifier(
            subject.directory, subject.bundle, settings.device, self.workers, self._with_torch
        )
        clips = subject.clips(part)
        name = f"{part}, {about}" if about else part
        report.message(f"{name}: {len(clips)} clips on {classifier.device}")
        logits = clip_logits(
            classifier,
            subject.reader,
            clips,
            subject.window,
            views=settings.views,
            batch_size=settings.batch_size,
            workers=self.workers,
            progress=lambda done, total: report.progress(done, total, "clips", name),
        )
        with files.atomic_path(kept) as temporary, open(temporary, "wb") as file:
            np.save(file, logits)
        return logits
