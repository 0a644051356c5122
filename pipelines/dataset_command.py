"""`trainyard dataset`: annotated images checked, converted, resized, divided and counted."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from components.core.errors import InputError, SettingsError
from pipelines.dataset_reading import (
    FORMS,
    check_suffix,
    loaded,
    reading_options,
    require_outside,
    written_as,
)

NEEDED = ("cv2", "numpy", "PIL")

source_argument = click.argument("source", type=click.Path(path_type=Path))
target_argument = click.argument("target", type=click.Path(path_type=Path))
suffix_option = click.option(
    "--suffix",
    type=click.Choice([".jpg", ".png"]),
    help="Of all images of KITTI and COCO; others are written anew  [default: each its own]",
)
link_option = click.option(
    "--link/--copy",
    default=False,
    help="Hard-link images where possible, so that a later change of SOURCE's changes TARGET's "
    "too; by default they are copied, or cloned where the file system can.",
)


@click.group()
def dataset() -> None:
    """Look after data sets of annotated images in KITTI, COCO, VOC, YOLO, CVAT, VoTT or CWFID.

    SOURCE is never changed; TARGET is a new folder that appears when all of it is there.

    \b
    trainyard dataset check data/plants
    trainyard dataset convert export.json data/plants --images photos --to kitti
    trainyard dataset resize data/plants data/plants_960x544 --size 960x544
    trainyard dataset split data/plants data/plants_split --val-size 0.2 \\
        --group-pattern '(.*)_\\d+'
    """
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        text = f"{', '.join(lacking)} not installed here; run: pip install 'trainyard[data]'"
        raise SettingsError([text], "this installation")


@dataset.command()
@source_argument
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Expected; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(source: Path, classes: tuple[str, ...], as_json: bool) -> None:
    """Look through the KITTI folder SOURCE, whole or with subsets, and tell all that is wrong.

    Ends with 3 where lines, boxes or files cannot be used.
    """
    from components.core.kitti.check import check as look

    found = look(source, classes)
    click.echo(json.dumps(found.document(), indent=2) if as_json else found.text())
    if found.errors:
        raise SystemExit(InputError.exit_code)


@dataset.command()
@source_argument
@target_argument
@click.option("--to", required=True, type=click.Choice(FORMS), help="Format of TARGET.")
@suffix_option
@link_option
@reading_options
def convert(source: Path, target: Path, to: str, suffix: str, link: bool, **options: Any) -> None:
    """Write SOURCE as TARGET in another format, or the same with other classes."""
    from pipelines.dataset_writing import put

    check_suffix(suffix, to)
    _, found = loaded(source, target, **options)
    put(to, target, found, suffix or "", link)


@dataset.command()
@source_argument
@target_argument
@click.option("--size", required=True, metavar="WxH", help="Pixels, multiples of 16: 960x544.")
@click.option("--stretch", is_flag=True, help="Change proportions, in place of a grey border.")
@click.option("--to", type=click.Choice(FORMS), help="Format of TARGET  [default: SOURCE's]")
@suffix_option
@reading_options
def resize(
    source: Path,
    target: Path,
    size: str,
    stretch: bool,
    to: str | None,
    suffix: str,
    **options: Any,
) -> None:
    """Write SOURCE as TARGET with all images of one size, boxes scaled with them.

    Stopped, the same command continues.
    """
    from components.core.kitti.resizing import size_of
    from pipelines.dataset_writing import resize_into

    pixels = size_of(size)
    form, found = loaded(source, target, **options)
    resize_into(target, found, pixels, not stretch, written_as(to, form), suffix or "")


@dataset.command()
@source_argument
@target_argument
@click.option("--train-size", default=0.0, help="Fraction (< 1) or images; 0 for all the rest.")
@click.option("--val-size", "--val", default=0.2, show_default=True, help="In the same form.")
@click.option("--test-size", default=0.0, show_default=True, help="In the same form.")
@click.option(
    "--group-by",
    type=click.Choice(["group", "task", "folder", "image"]),
    default="group",
    show_default=True,
    help="What stays together: recording, task, folder, or single images.",
)
@click.option(
    "--group-pattern",
    default="",
    help="What stays together by image names instead: a regular expression whose parentheses "
    r"match the recording, such as '(.*)_\d+'.",
)
@click.option("--frame-window", default=0, help="Frames of a recording that stay together.")
@click.option("--frame-gap", default=0, help="Leave out frames so near to those of another part.")
@click.option("--keep-parts/--new-parts", default=False, help="Keep the parts that SOURCE names.")
@click.option("--allow-missing", is_flag=True, help="Accept classes too rare for every part.")
@click.option("--seed", default=0, show_default=True)
@click.option("--to", type=click.Choice(FORMS), help="Format of TARGET  [default: SOURCE's]")
@suffix_option
@link_option
@reading_options
def split(
    source: Path, target: Path, to: str | None, suffix: str, link: bool, form: str,
    images: Path | None, mapping: tuple[str, ...], classes: tuple[str, ...], one_based: bool,
    unlabelled_empty: bool, strict: bool, **options: Any,
) -> None:  # fmt: skip
    """Divide SOURCE into TARGET/train, TARGET/val …, evenly by class, recordings whole.

    It is done as by the stage split_images; report.html in TARGET tells what each part covers.
    """
    from pipelines.dataset_writing import settings_of, split_into

    settings = settings_of(options)
    read_as, found = loaded(
        source, target, form, images, mapping, classes, one_based, unlabelled_empty, strict
    )
    form = written_as(to, read_as)
    check_suffix(suffix, form)
    split_into(target, found, settings, form, suffix or "", link)


@dataset.command()
@source_argument
@click.option("--output", type=click.Path(path_type=Path), help="HTML page with charts to write.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@reading_options
def statistics(source: Path, output: Path | None, as_json: bool, **options: Any) -> None:
    """Count classes, sizes and images of SOURCE, per subset."""
    from components.core import files
    from components.core.kitti import statistics as counting

    if output and output.exists():
        raise InputError(files.occupied(output))
    if output:
        require_outside(source, output)
    _, found = loaded(source, None, **options)
    made = counting.statistics(found.images, found.labels)
    click.echo(json.dumps(counting.document(made), indent=2) if as_json else counting.text(made))
    if output:
        notes = [str(problem) for problem in found.problems[:20]]
        files.write_text(output, counting.html(made, source.name, notes))
        click.echo(f"written: {output}", err=True)
