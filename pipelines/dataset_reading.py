"""How `trainyard dataset` reads its SOURCE, and what its commands have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from components.core.errors import InputError, SettingsError
from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.formats.shapes import Annotations

F = TypeVar("F", bound=Callable[..., None])

FORMS = ("kitti", "coco", "voc", "yolo", "cvat")
READ_ONLY = ("vott", "cwfid")
"""Formats that are read and not written."""


def reading_options(function: F) -> F:
    """What decides how SOURCE is read."""
    for option in reversed((
        click.option(
            "--from", "form", type=click.Choice(["auto", *FORMS, *READ_ONLY]), default="auto",
            show_default=True, help="Format of SOURCE; auto looks at the content.",
        ),
        click.option(
            "--images", type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="Folder of the images  [default: SOURCE]",
        ),
        click.option(
            "--map", "mapping", multiple=True, metavar="OLD=NEW",
            help="Give a class another name; OLD= leaves it out; repeatable.",
        ),
        click.option(
            "--class", "classes", multiple=True, metavar="NAME",
            help="Keep only these classes, in this order; repeatable.",
        ),
        click.option("--one-based", is_flag=True, help="Pascal VOC: pixels are counted from 1."),
        click.option(
            "--unlabelled-empty", is_flag=True,
            help="KITTI: images without a label file are background, not left out.",
        ),
        click.option("--strict", is_flag=True, help="Refuse where any label or image is lost."),
    )):  # fmt: skip
        function = option(function)
    return function


def loaded(
    source: Path,
    target: Path | None,
    form: str,
    images: Path | None,
    mapping: Sequence[str],
    classes: Sequence[str],
    one_based: bool,
    unlabelled_empty: bool,
    strict: bool,
) -> tuple[str, Annotations]:
    """The format of SOURCE and what is in it; what is wrong is told on standard error.

    Raises:
        SettingsError: a wrong --map.
        InputError: SOURCE cannot be read, TARGET holds something or is in SOURCE, or with `strict`
            a label is lost.
    """
    from components.core.formats.shapes import told
    from components.core.kitti import conversion

    pairs = [text.partition("=") for text in mapping]
    wrong = [
        text for text, (old, sign, _) in zip(mapping, pairs, strict=True) if not (old and sign)
    ]
    if wrong:
        raise SettingsError([f"--map: got {text!r}, accepted is OLD=NEW" for text in wrong],
                            "the command line")  # fmt: skip
    if target is not None:
        require_outside(source, target)
    read_as, found = conversion.read(
        source, form, images, one_based=one_based, unlabelled_empty=unlabelled_empty
    )
    found = conversion.renamed(found, {old: new for old, _, new in pairs}, classes)
    if not found.labels:
        found.labels = sorted(found.counts())
    lost = conversion.losses(found.problems)
    if lost and strict:
        lines = "".join(f"\n  - {line}" for line in told(lost))
        raise InputError(f"{source}: {counted(len(lost), 'problem')}; nothing was written:{lines}")
    for line in told(found.problems):
        click.echo(f"note: {line}", err=True)
    return read_as, found


def require_outside(source: Path, target: Path) -> None:
    """Raises InputError where `target` holds something, or is in the folder `source` or below."""
    from components.core import files

    if files.holds_something(target):
        raise InputError(files.occupied(target))
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"{target} is in the data set {source}, which is never changed; name a place outside it"
        )


def check_suffix(suffix: str | None, form: str) -> None:
    """Raises SettingsError where --suffix has no effect."""
    if suffix and form not in ("kitti", "coco"):
        raise SettingsError(
            [f"--suffix: images of {form} stay as they are; leave it out, or resize them"],
            "the command line",
        )


def written_as(to: str | None, read_as: str) -> str:
    """The format to write: that which is asked for, or was read; VoTT and CWFID become COCO."""
    return to or ("coco" if read_as in READ_ONLY else read_as)
