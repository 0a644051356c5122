"""The HTML report of a rendering data set."""

from __future__ import annotations

from html import escape
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core.artifacts.renderings import RenderingDataset
from components.core.artifacts.split import PARTS
from components.core.rendering.lookup import looked_up
from components.core.rendering.reader import RenderingReader
from components.core.report import page
from components.core.report.images import data_url, strip
from components.core.wording import counted

SAMPLES = 6
"""Frames that are shown."""


def html_report(dataset: RenderingDataset, directory: Path) -> str:
    """The whole report; the same data set gives the same bytes."""
    facts = [
        counted(len(dataset.frames), "frame"),
        counted(len(dataset.sets), "set"),
        counted(dataset.aux, "aux view"),
        f"{dataset.precision} bits",
    ]
    sections = [
        page.notes(_notes(dataset)),
        page.section("Sets", page.panel(_sets(dataset), scroll=True)),
        page.section(
            "Samples",
            *_samples(RenderingReader(directory)),
            hint="The rendering, the photo it should become, and what the first aux photo shows of "
            "it, the nearest pixel each; black where nothing is known",
        ),
        page.section("Left out", page.properties({s.id: s.reason for s in dataset.skipped})),
    ]
    return page.page(
        dataset.source or "Rendered frames",
        "Renderings",
        " · ".join(facts),
        sections,
        f"Trainyard {__version__}",
    )


def _notes(dataset: RenderingDataset) -> list[str]:
    lines = []
    if seen := dataset.seen_tests():
        tests = len(dataset.positions("test"))
        lines.append(
            f"The photos of {len(seen)} of {counted(tests, 'test frame')} are also aux photos of "
            "training frames, so a network has seen them, though never as what it should make."
        )
    if dataset.skipped:
        lines.append(f"{counted(len(dataset.skipped), 'frame')} left out; they are listed below.")
    return lines


def _sets(dataset: RenderingDataset) -> str:
    heads = ["set", "rendering", "photo", *PARTS]
    heads += [f"seen in aux {number}" for number in range(1, dataset.aux + 1)]
    counts, rows = dataset.counts(), []
    for name in dataset.sets:
        frames = [frame for frame in dataset.frames if frame.set == name]
        sizes = sorted({f"{frame.width} x {frame.height}" for frame in frames})
        photos = sorted({f"{frame.photo_width} x {frame.photo_height}" for frame in frames})
        shares = [fmean(f.aux[view].coverage for f in frames) for view in range(dataset.aux)]
        rows.append(
            [
                escape(name),
                ", ".join(sizes),
                ", ".join(photos),
                *(str(counts[name][part]) for part in PARTS),
                *(f"{share:.0%}" for share in shares),
            ]
        )
    return page.table(heads, rows, ["key", *["number"] * (len(heads) - 1)])


def _samples(reader: RenderingReader) -> list[str]:
    total = len(reader)
    chosen = sorted({round(place) for place in np.linspace(0, total - 1, min(SAMPLES, total))})
    shown = []
    for number in chosen:
        crop = reader.crop(number, aux=[0] if reader.index.aux else [])
        pictures = [crop.levels[0][:3], crop.target]
        if crop.aux:
            pictures.append(looked_up(crop.aux[0][:3], crop.coordinates[0]).astype(np.float32))
        sheet = strip(np.stack([_bytes(picture) for picture in pictures]), 160)
        frame = reader.index.frames[number]
        shown.append(page.picture(data_url(sheet), escape(f"{frame.id} ({frame.part})"), frame.id))
    return shown


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    colours: NDArray[np.uint8] = np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
    return colours
