"""Logits of the parts of a split, kept so that a restart does not compute them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
        return self.several(subject, [part], about)[0]

    def several(
        self, subject: Subject, parts: Sequence[str], about: str = ""
    ) -> list[NDArray[np.float32]]:
        """Logits `(N, C)` of the clips of each part, in one pass over all that are not known yet.

        Raises:
            InputError: the model cannot be loaded, or gives nothing usable.
        """
        mark = subject.bundle.fingerprint[:16]
        kept = [self.job.work / f"logits-{mark}-{part}.npy" for part in parts]
        absent = [n for n, path in enumerate(kept) if not path.exists()]
        if absent:
            self._run(subject, [parts[n] for n in absent], [kept[n] for n in absent], about)
        return [np.asarray(np.load(path), dtype=np.float32) for path in kept]

    def _run(
        self, subject: Subject, parts: Sequence[str], places: Sequence[Path], about: str
    ) -> None:
        settings, report = self.settings, self.job.report
        classifier = open_classifier(
            subject.directory, subject.bundle, settings.device, self.workers, self._with_torch
        )
        each = [subject.clips(part) for part in parts]
        clips = [clip for own in each for clip in own]
        name = " and ".join(parts) + (f", {about}" if about else "")
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
        first = 0
        for own, place in zip(each, places, strict=True):
            with files.atomic_path(place) as temporary, open(temporary, "wb") as file:
                np.save(file, logits[first : first + len(own)])
            first += len(own)
