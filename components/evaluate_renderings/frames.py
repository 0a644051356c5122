"""Renders each frame once and compares it; kept, so that a restart does not render again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.core import files
from components.core.artifacts.rendering_evaluation import FrameFigures
from components.core.errors import InputError
from components.core.metrics.images import Lpips, psnr, ssim
from components.core.models.bundle import load_network
from components.core.models.warp import backward_warp, lookup_validity
from components.core.report.images import png
from components.core.stage import Job
from components.core.training.fit import resolve_device
from components.core.training.rendering import render
from components.core.training.rendering_losses import l1
from components.core.training.renderings import RenderingExamples
from components.core.training.result_images import as_pixels, moved
from components.evaluate_renderings.stage import EvaluateRenderingsSettings
from components.evaluate_renderings.subject import Subject


@dataclass(frozen=True)
class Rendered:
    """A frame that was rendered and compared."""

    figures: FrameFigures
    picture: Path
    """PNG of what was rendered, a part of the stage's scratch."""


def rendered(subject: Subject, settings: EvaluateRenderingsSettings, job: Job) -> list[Rendered]:
    """Every frame of the part, in the data set's order.

    Raises:
        InputError: the network or its weights for LPIPS cannot be loaded, there is no such device,
            or what is rendered is no number.
    """
    mark = f"{subject.bundle.fingerprint[:16]}-{subject.reader.index.fingerprint[:16]}"
    folder = job.work / f"rendered-{mark}"
    examples = whole_frames(subject)
    network: nn.Module | None = None
    lpips: nn.Module | None = None
    device = resolve_device(settings.device)
    found = []
    total = len(examples)
    job.report.message(f"{settings.part}: {total} frames")
    for number, name in enumerate(subject.names):
        picture, note = folder / f"{name}.png", folder / f"{name}.json"
        if not note.exists():
            if network is None:
                network = load_network(subject.directory, device)
                if settings.lpips_weights:
                    lpips = Lpips(settings.lpips_weights).to(device)
            batch = moved(examples.batch(0, [number]), device)
            with torch.no_grad():
                image = render(network, batch).float()
                figures = compared(name, image, batch, lpips)
            with files.atomic_path(picture) as temporary:
                temporary.write_bytes(png(as_pixels(image[0])))
            files.write_json(note, figures.model_dump())
        content = json.loads(note.read_text(encoding="utf-8"))
        found.append(Rendered(FrameFigures(**content), picture))
        job.report.progress(number + 1, total, "frames", settings.part)
    return found


def whole_frames(subject: Subject) -> RenderingExamples:
    """The part's frames in full size."""
    return RenderingExamples(subject.reader, subject.positions, aux=subject.aux)


def compared(name: str, image: Tensor, batch: Any, lpips: nn.Module | None) -> FrameFigures:
    """Figures of one frame.

    Args:
        name: of the frame.
        image: (1, 3, H, W) what was rendered.
        batch: of the frame alone.
        lpips: the distance, if there are weights for it.

    Raises:
        InputError: the image holds values that are no numbers.
    """
    if not bool(torch.isfinite(image).all()):
        raise InputError(
            f"the network renders values of {name!r} that are no numbers; train it again"
        )
    target, valid = batch["target"], batch["valid"]
    simple = baseline(batch).to(image.device)
    seen = torch.cat([lookup_validity(places) for places in batch["coordinates"]], 1)
    distance = None
    if lpips is not None:
        distance = float(lpips(torch.lerp(target, image, valid), target))
    return FrameFigures(
        name=name,
        psnr=float(psnr(image, target, valid)),
        ssim=float(ssim(image, target, valid)),
        l1=float(l1(image, target, valid)),
        lpips=distance,
        baseline_psnr=float(psnr(simple, target, valid)),
        baseline_ssim=float(ssim(simple, target, valid)),
        covered=float((batch["levels"][0][:, 3:] > 0).float().mean()),
        seen=float(seen.amax(1).mean()),
    )


def baseline(batch: Any) -> Tensor:
    """The nearest photograph that shows a pixel, warped, (1, 3, H, W) on the CPU.

    Pixels that no photograph shows take the colour of the nearest one that some photograph shows.
    """
    picture = torch.zeros_like(batch["target"])
    shown = torch.zeros_like(batch["valid"])
    pairs = list(zip(batch["aux"], batch["coordinates"], strict=True))
    for photograph, places in reversed(pairs):
        warped = backward_warp(photograph[:, :3], places, "bilinear")
        seen = lookup_validity(places)
        picture, shown = torch.where(seen > 0, warped, picture), torch.maximum(shown, seen)
    return filled(picture.cpu(), shown.cpu() > 0)


def filled(picture: Tensor, shown: Tensor) -> Tensor:
    """A picture (1, 3, H, W) whose pixels outside of (1, 1, H, W) are those nearest to them."""
    import cv2

    there = shown[0, 0].numpy()
    if there.all() or not there.any():
        return picture
    holes = np.where(there, 0, 1).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        holes, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(labels.max() + 1, dtype=np.int64)
    place[labels[there]] = np.flatnonzero(there)
    nearest = torch.from_numpy(place[labels].reshape(-1))
    return picture.flatten(2)[:, :, nearest].view_as(picture)
