"""What `trainyard dataset` writes: whole folders, or nothing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from components import __version__
from components.core import files
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.errors import InputError
from components.core.events import Reporter
from components.core.formats.shapes import AnnotatedImage, Annotations
from components.core.kitti import conversion
from components.core.kitti.resizing import resized
from components.core.kitti.subsets import whole
from components.core.settings import build
from components.core.stage import Job
from components.core.state import StateDir
from components.core.wording import counted
from components.split_images.stage import SplitSettings, split_images

Progress = Callable[[int, int], None]


def put(
    form: str,
    target: Path,
    found: Annotations,
    suffix: str = "",
    link: bool = False,
    more: Sequence[tuple[Path, str]] = (),
) -> None:
    """Writes a data set as `target` and says what is in it.

    Args:
        form: to write.
        target: new or empty.
        found: images with files, and the classes.
        suffix: of KITTI's and COCO's images.
        link: hard-link images where possible: a later change of the source's changes them too.
        more: files, and names that they get in `target`.
    """
    with whole(target) as folder:
        notes = conversion.write(
            form, folder, found.images, found.labels, suffix, progress("writing"), link
        )
        for path, name in more:
            shutil.copyfile(path, folder / name)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    tell(form, target, found.images)


def tell(form: str, target: Path, images: Sequence[AnnotatedImage]) -> None:
    """Says what was written."""
    parts = Counter(image.part for image in images)
    named = ", ".join(
        f"{part} {parts[part]}" for part in ("train", "val", "test", "") if part and parts[part]
    )
    objects = sum(len(image.shapes) for image in images)
    click.echo(
        f"{target} ({form}): {counted(len(images), 'image')}{f' ({named})' if named else ''}, "
        f"{counted(objects, 'object')}"
    )


def resize_into(
    target: Path,
    found: Annotations,
    size: tuple[int, int],
    letterbox: bool,
    form: str,
    suffix: str,
) -> None:
    """Writes `target` with resized images; what a stopped call has done is used.

    It is kept in a hidden folder beside `target`, under a key of the images and the options.
    """
    if problem := files.place_problem(target):
        raise InputError(problem)
    room = target.absolute().parent / f".{target.name}.resizing"
    identity = {
        "version": __version__,
        "size": list(size),
        "letterbox": letterbox,
        "suffix": suffix,
        "images": [_identity(image) for image in found.images],
    }
    state = StateDir(room, "resize", identity)
    with files.full_disk_named(target), state.locked(lambda text: click.echo(text, err=True)):
        files.remove_partials(state.work)
        images = resized(found.images, size, state.work, letterbox, suffix, progress("resizing"))
        put(form, target, replace(found, images=images), suffix, link=True)  # our own files
    files.remove(room)


def _identity(image: AnnotatedImage) -> list[Any]:
    assert image.path is not None  # as they are read
    status = image.path.stat()
    return [image.name, str(image.path.absolute()), status.st_size, status.st_mtime_ns]


def settings_of(options: Mapping[str, Any]) -> SplitSettings:
    """The settings of the stage split_images for the command's options.

    Raises:
        SettingsError: with all that is wrong.
    """
    kept = options["keep_parts"]
    values = {key: value for key, value in options.items() if key != "keep_parts"}
    values |= {"published_test": kept, "strategy": "published" if kept else "groups"}
    return build(SplitSettings, values, "the command line")


def split_into(
    target: Path, found: Annotations, settings: SplitSettings, form: str, suffix: str, link: bool
) -> None:
    """Writes `target` with a folder, or list, for every part, and report.html.

    Raises:
        InputError: a part would be empty, or lack a class.
    """
    if problem := files.place_problem(target):
        raise InputError(problem)
    place = target.absolute().parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}{files.PARTIAL}", dir=place) as made:
        room = Path(made)
        room.joinpath("dataset").mkdir()
        labels = list(dict.fromkeys([*found.labels, *found.counts()]))
        everywhere = Path("/")  # hard links to all images: it only lives until the split is done
        DetectionDataset.write(room / "dataset", found.images, labels, "the data set", everywhere)
        job = Job(
            inputs={"dataset": room / "dataset"},
            outputs={"split": room / "split", "report": room / "report.html"},
            work=room,
            report=Reporter("split"),
        )
        split_images(settings, job)
        parts = Split.load(room / "split").parts
        images = [
            replace(image, part=parts[image.name]) for image in found.images if image.name in parts
        ]
        put(
            form,
            target,
            replace(found, images=images),
            suffix,
            link,
            [(room / "report.html", "report.html")],
        )


def progress(what: str) -> Progress:
    """A line that counts up, where standard error is a terminal."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() and (done == total or done % 50 == 0):
            end = "\n" if done == total else ""
            print(f"\r{what}: {done} of {total} images", end=end, file=sys.stderr, flush=True)

    return show
