"""Writes the data set, its tables and the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from components.annotation_sync.gallery import samples
from components.annotation_sync.report import html_report
from components.annotation_sync.selection import Selection, has_boxes, without_damaged
from components.annotation_sync.stage import CVAT, FILES, AnnotationSyncSettings
from components.core import files
from components.core.artifacts.detections import DetectionDataset, Summary
from components.core.credentials import without_credentials
from components.core.detection.figures import statistics
from components.core.formats.shapes import AnnotatedImage, Problem
from components.core.stage import Job
from components.core.wording import counted

PROBLEMS, STATISTICS = "problems.csv", "statistics.json"


def write(settings: AnnotationSyncSettings, selection: Selection, job: Job) -> None:
    """Writes `dataset` and `report`, and says what is in them."""
    images, notes = selection.images, list(selection.notes)
    if settings.full_hd:
        from components.annotation_sync.cropping import FULL_HD, cropped

        images, more = cropped(images, FULL_HD, settings.crop_quality, job)
        images, damaged = without_damaged(images)
        notes += [*more, *damaged]
        for note in [*more, *damaged]:
            job.report.message(note)
        if not settings.keep_empty:
            images = [image for image in images if has_boxes(image)]
    folder = job.outputs["dataset"]
    told_source = source(settings)
    dataset = DetectionDataset.write(folder, images, selection.classes, told_source, job.work)
    written = dataset.images(folder)
    if copies := _copies(written):
        notes.append(copies)
        job.report.warn(copies)
    found = statistics(written, dataset.classes)
    files.write_json(folder / STATISTICS, found.document())
    files.write_text(folder / PROBLEMS, table(selection.problems))
    shown = samples(written, dataset.classes)
    told = {key: value for key, value in settings.identity().items() if value not in ("", [])}
    page = html_report(dataset, found, shown, selection.problems, notes, told)
    files.write_text(job.outputs["report"], page)
    job.report.message(f"the data set:\n{text(dataset.summary())}")
    job.metadata["dataset"] = metadata(dataset.summary(), len(selection.problems))


def source(settings: AnnotationSyncSettings) -> str:
    """Where the annotations are from, without credentials."""
    if settings.origin == FILES:
        return without_credentials(settings.annotations)
    if settings.origin == CVAT:
        from components.annotation_sync.tasks import cvat_place

        return without_credentials(cvat_place())
    return "the annotation database"


def table(problems: Sequence[Problem]) -> str:
    """All problems as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("kind", "file", "where", "what"))
    writer.writerows((str(p.fault), p.file, p.where, p.what) for p in problems)
    return out.getvalue()


def text(summary: Summary) -> str:
    """Images and annotations per class, as lines."""
    rows = [("class", "images", "annotations")]
    rows += [(name, str(n.images), str(n.annotations)) for name, n in summary.classes.items()]
    rows.append(("total", str(summary.images), str(summary.annotations)))
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{name:<{width}}  {a:>7}  {b:>11}" for name, a, b in rows)


def metadata(summary: Summary, problems: int) -> dict[str, float]:
    """What the Kubeflow UI shows beside the data set."""
    return {
        "images": summary.images,
        "empty_images": summary.empty,
        "annotations": summary.annotations,
        "classes": len(summary.classes),
        "tasks": len(summary.tasks),
        "problems": problems,
        **{f"annotations of {name}": n.annotations for name, n in summary.classes.items()},
    }


def _copies(images: Sequence[AnnotatedImage]) -> str:
    """Says which images have the content of another one."""
    first: dict[str, str] = {}
    copies = []
    for image in images:
        original = first.setdefault(image.checksum, image.name)
        if original != image.name:
            copies.append(f"{image.name} = {original}")
    if not copies:
        return ""
    shown = ", ".join(copies[:5]) + (" …" if len(copies) > 5 else "")
    return (
        f"{counted(len(copies), 'image')} with the same content as another one, which may be "
        f"trained on and tested with: {shown}; leave copies out with excluded_images"
    )
