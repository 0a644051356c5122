"""`trainyard tao split`: a subset of a data set into `train` and `val`, beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from components.core import files
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.settings import parse_assignments
from components.core.tao.experiment import Experiment
from components.core.tao.layout import IMAGE_FOLDERS
from components.split_images.stage import SplitSettings
from pipelines.tao_places import exchange

PARTS = ("train", "val")


ROOM = f".split{files.PARTIAL}"
"""Beginning of the names of folders in which subsets are divided."""


def problems(experiment: Experiment, subset: str, overwrite: bool) -> list[str]:
    """What keeps a data set from being divided."""
    source = experiment.data / subset
    there = sorted(
        path.name for path in experiment.data.glob("[!.]*") if (path / "label_2").is_dir()
    )
    listed = f"; subsets are {', '.join(there)}" if there else ""
    if not subset or Path(subset).name != subset or subset.startswith("."):
        return [
            f"--subset: got {subset!r}, accepted is the plain name of a folder in "
            f"{experiment.data}{listed}"
        ]
    if not source.is_dir():
        return [f"the data set {experiment.dataset} has no subset {subset!r} ({source}){listed}"]
    if subset in PARTS:
        return [f"the subset {subset} would be divided into itself; name another, such as full"]
    found = [experiment.data / part for part in PARTS]
    occupied = [path for path in found if files.holds_something(path)]
    if occupied and not overwrite:
        names = " and ".join(str(path) for path in occupied)
        return [f"{names} already there; --overwrite moves what is there into the archive"]
    return []


def split(
    experiment: Experiment, subset: str, val: float, seed: int, pairs: Sequence[str] = ()
) -> None:
    """Divides `data/<dataset>/<subset>` as the stage split_images does; images are hard links.

    What `train` and `val` held before goes to the archive.

    Args:
        experiment: whose data set it is.
        subset: to divide.
        val: share of the images for `val`.
        seed: of what is random.
        pairs: `key=value`, further settings of the stage.

    Raises:
        InputError: labels that cannot be used, or a part that would be empty.
        SettingsError: a wrong setting.
    """
    from components.core.kitti import check, conversion
    from pipelines.dataset_writing import settings_of, split_into

    source = experiment.data / subset
    options = {"train_size": 0.0, "val_size": val, "test_size": 0.0, "seed": seed}
    texts = {n for n, field in SplitSettings.model_fields.items() if field.annotation is str}
    more = parse_assignments(pairs, texts)
    settings = settings_of({**options, "keep_parts": False, **more})
    form, found = conversion.read(source)
    if form == "kitti":
        check.check(source).require()
    room = experiment.data / f"{ROOM}{subset}"
    for begin in (ROOM, f".{ROOM}"):
        for left in experiment.data.glob(f"{begin}*"):
            files.remove(left)  # of a call that was killed
    try:
        split_into(room, found, settings, form, "", link=False)
        made = {room / part: experiment.data / part for part in PARTS if (room / part).is_dir()}
        if missing := [part for part in PARTS if room / part not in made]:
            raise InputError(f"{source}: {' and '.join(missing)} would be empty; change --val")
        folder = exchange(experiment, made, [])
    finally:
        files.remove(room)
    if folder:
        click.echo(f"what was there before is in {folder}")
    for target in made.values():
        click.echo(f"{target}: {_images(target)} images")


def datasets(
    experiments: list[Experiment], subset: str, val: float, overwrite: bool
) -> list[Experiment]:
    """One experiment for each data set.

    Raises:
        SettingsError: `val` is no share of the images.
        ProblemsError: with everything that keeps any of them from being divided.
    """
    if not 0 < val < 1:
        text = f"--val: got {val:g}, accepted is a share of the images between 0 and 1, such as 0.2"
        raise SettingsError([text], "the command line")
    chosen = list({experiment.data: experiment for experiment in experiments}.values())
    if found := [text for one in chosen for text in problems(one, subset, overwrite)]:
        raise ProblemsError([InputError(text) for text in found], "the data sets")
    return chosen


def _images(folder: Path) -> int:
    return sum(path.is_file() for name in IMAGE_FOLDERS for path in (folder / name).glob("*"))
