"""The published data set: an index and hard links to the mirrored files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.core import files
from components.core.artifacts.clips import Clip, ClipDataset
from components.core.errors import InputError
from components.core.events import Reporter
from components.dataset_sync.catalogue import shown
from components.dataset_sync.mirror import Mirror

BAD_SHOWN = 50


def grouped(clips: list[Clip], groups: Mapping[str, str], report: Reporter) -> list[Clip]:
    """The clips in the groups that the table gives them; others keep what they have.

    Raises:
        InputError: there are groups, but for none of the clips.
    """
    if not groups:
        return clips
    present = {clip.id for clip in clips}
    if not present & set(groups):
        raise InputError(
            f"groups: none of its clips is in the data set; it names {shown(groups)}, the data "
            f"set has {shown(present)}"
        )
    if unknown := set(groups) - present:
        report.warn(f"groups names {len(unknown)} clips that do not exist: {shown(unknown)}")
    if alone := [clip.id for clip in clips if clip.id not in groups and not clip.group]:
        report.warn(
            f"groups lacks {len(alone)} clips, each of which is a group of its own now: "
            f"{shown(alone)}"
        )
    return [clip.model_copy(update={"group": groups.get(clip.id, clip.group)}) for clip in clips]


def tell_copies(clips: Sequence[Clip], report: Reporter) -> None:
    """Says which clips have the content of an earlier one; they stay, and are never split apart."""
    first: dict[str, str] = {}
    pairs = [(c.id, first.setdefault(c.checksum, c.id)) for c in clips if not c.error]
    copies = [f"{copy} = {original}" for copy, original in pairs if copy != original]
    if copies:
        report.message(
            f"copies of other clips: {len(copies)}; they stay, and no split parts them: "
            f"{shown(copies)}"
        )


def refuse_bad(clips: Sequence[Clip], max_bad_fraction: float, report: Reporter) -> None:
    """Reports the clips that cannot be used.

    Raises:
        InputError: they are more than the fraction `max_bad_fraction` of all.
    """
    bad = [clip for clip in clips if clip.error]
    if not bad:
        return
    width = min(max(len(clip.id) for clip in bad), 60)
    lines = [f"  {clip.id:<{width}}  {clip.error}" for clip in bad[:BAD_SHOWN]]
    if len(bad) > BAD_SHOWN:
        lines.append(f"  … and {len(bad) - BAD_SHOWN} more")
    listing = "\n".join([f"{len(bad)} of {len(clips)} clips are unreadable:", *lines])
    if len(bad) > max_bad_fraction * len(clips):
        raise InputError(
            f"{listing}\nThat is more than max_bad_fraction={max_bad_fraction:g} allows: replace "
            "or remove them at the source, or allow more"
        )
    report.warn(listing)


def write(
    clips: Sequence[Clip], classes: list[str], source: str, mirror: Mirror, directory: Path
) -> ClipDataset:
    """Writes the data set into the new folder `directory`; returns its index.

    Args:
        clips: all of them.
        classes: in the order of the source; empty for all labels, sorted.
        source: where it is from.
        mirror: holds the files.
        directory: where to.
    """
    classes = classes or sorted({label for clip in clips for label in clip.labels})
    dataset = ClipDataset.create(classes, list(clips), source)
    paths = {dataset.file(directory, clip): mirror.file(clip.checksum) for clip in clips}
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, mirrored in paths.items():
        files.link_or_copy(mirrored, path)
    dataset.save(directory)
    return dataset


def table(dataset: ClipDataset) -> str:
    """Usable clips, hours and unreadable clips per class, as text."""
    rows = [("class", "clips", "hours", "unreadable")]
    rows += [_row(name, dataset, [name]) for name in dataset.classes]
    rows.append(_row("total", dataset, dataset.classes))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Rows as lines of text, the first `texts` columns to the left and the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _row(title: str, dataset: ClipDataset, classes: list[str]) -> tuple[str, str, str, str]:
    members = [clip for clip in dataset.clips if set(clip.labels) & set(classes)]
    good = [clip for clip in members if not clip.error]
    hours = sum(clip.duration for clip in good) / 3600
    return title, str(len(good)), f"{hours:.2f}", str(len(members) - len(good))


def figures(dataset: ClipDataset) -> dict[str, float]:
    """What the Kubeflow UI shows beside the data set."""
    good = list(dataset.usable())
    return {
        "classes": len(dataset.classes),
        "clips": len(good),
        "hours": round(sum(clip.duration for clip in good) / 3600, 4),
        "unreadable": len(dataset.clips) - len(good),
    }
