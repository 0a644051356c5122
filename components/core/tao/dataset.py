"""The data set of an experiment: looked through, counted, and never changed.

KITTI for heads of TensorFlow 1, COCO documents and image folders for the others. Where label lines
have a 16th column, the score of a prediction, or label files a byte order mark, a copy without it
takes the data set's place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from components.core import files
from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.formats import coco, kitti_labels
from components.core.formats.image_files import ImageFiles
from components.core.formats.reading import text_of
from components.core.formats.shapes import Problem
from components.core.kitti.check import check
from components.core.tao.experiment import Experiment
from components.core.tao.layout import IMAGE_FOLDERS
from components.core.tao.specs import SpecTree, lookup, lookup_all
from components.core.wording import counted

COLUMNS = kitti_labels.COLUMNS

SOURCES = (("train_data_sources", True), ("val_data_sources", True), ("test_data_sources", False))
"""Sections of `dataset` in a PyTorch head's specification, and whether they are needed."""

RECORDS = "tfrecords"
"""Beginning of the names of folders with converted data, which may lie in a data set's."""

ARCHIVER = "__MACOSX"
"""Folder that unpacking an archive of macOS leaves; of no use, as hidden ones."""

SHOWN = 20
"""Problems that are listed."""


@dataclass
class Found:
    """What a data set holds."""

    classes: dict[str, int] = field(default_factory=dict)
    images: int = 0
    empty: int = 0
    scores: int = 0
    """Label lines with a 16th column."""
    marked: int = 0
    """Label files with a byte order mark."""
    problems: list[str] = field(default_factory=list)
    """What keeps a training from being started."""
    notes: list[str] = field(default_factory=list)


def look_through(experiment: Experiment, spec: SpecTree | None) -> Found:
    """Everything in and wrong with the data set.

    Args:
        experiment: whose data set it is.
        spec: that names folders and files: of the conversion, or of the training for COCO.
    """
    if not experiment.data.is_dir():
        return Found(problems=[f"{experiment.where}: the data set {experiment.data} is no folder"])
    if experiment.known_head.data == "kitti-tfrecord":
        return _kitti(experiment.data, spec)
    return _coco(spec, experiment.known_head.framework)


def _kitti(folder: Path, spec: SpecTree | None) -> Found:
    found = Found()
    for place in _subsets(folder, spec, found.notes):
        try:
            report = check(place)
        except InputError as error:
            found.problems.append(str(error))
            continue
        for name, count in report.classes.items():
            found.classes[name] = found.classes.get(name, 0) + count
        found.images += report.labels
        found.empty += len(report.empty)
        found.scores += report.scores
        found.marked += report.marked
        found.problems += _told(report.errors)
        missing = {str(place / name) for name in report.unlabelled}
        found.notes += _told(note for note in report.notes if note.file not in missing)
        found.problems += _unlabelled(missing, spec)
    if spec:
        found.problems += _places(spec)
    return found


def _unlabelled(missing: set[str], spec: SpecTree | None) -> list[str]:
    """Images of the conversion that have no label file: NVIDIA's program fails on the first."""
    root = Path(lookup(spec, "kitti_config.root_directory_path", "") if spec else "")
    converted = root / str(lookup(spec, "kitti_config.image_dir_name", "") if spec else "")
    names = sorted(path for path in missing if Path(path).parent == converted)
    if not names:
        return []
    shown = ", ".join(Path(name).name for name in names[:SHOWN])
    return [
        f"{converted}: {len(names)} images have no label file ({shown}); give each one, an empty "
        "one where there is nothing on it, or take them out"
    ]


def _subsets(folder: Path, spec: SpecTree | None, notes: list[str]) -> list[Path]:
    """The folders that hold labels, or that `spec` names; those of records lie beside them."""
    if any((folder / name).is_dir() for name in kitti_labels.LABEL_FOLDERS):
        return [folder]
    named = {path.resolve() for path in _named(spec).values()} if spec else set()
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and _used(path.name)):
        inside = place.resolve()
        if any(path.is_relative_to(inside) for path in named) or _has_labels(place):
            found.append(place)
        elif images := len(ImageFiles(place).names):
            notes.append(f"{place}: {counted(images, 'image')} without labels: left out")
    return found or [folder]


def _has_labels(place: Path) -> bool:
    """Whether it has label files in folders for them, or beside images that are in no such one."""
    if any(path.is_dir() for name in kitti_labels.LABEL_FOLDERS for path in place.rglob(name)):
        return bool(kitti_labels.label_files(place))
    if any(path.is_dir() for name in IMAGE_FOLDERS for path in place.rglob(name)):
        return False
    return bool(ImageFiles(place).names and kitti_labels.label_files(place))


def _used(name: str) -> bool:
    """Whether a file or folder of this name belongs to the data."""
    return not name.startswith((".", RECORDS)) and name != ARCHIVER


def _named(spec: SpecTree) -> dict[str, Path]:
    """Setting of a conversion → folder that it names."""
    root = lookup(spec, "kitti_config.root_directory_path", "")
    named = {"image_directory_path": Path(lookup(spec, "image_directory_path", "") or ".")}
    if root:
        named["kitti_config.root_directory_path"] = Path(root)
        for name in ("image_dir_name", "label_dir_name"):
            if below := lookup(spec, f"kitti_config.{name}", ""):
                named[f"kitti_config.{name}"] = Path(root) / below
    return named


def _places(spec: SpecTree) -> list[str]:
    """Folders that a conversion names and that are not there."""
    return [
        f"{spec.path}:{spec.line(name)}: {name}: {path} is no folder; name one of the data set"
        for name, path in _named(spec).items()
        if not path.is_dir()
    ]


def _coco(spec: SpecTree | None, framework: str) -> Found:
    found = Found()
    if spec is None:
        return found
    pairs = list(_sources(spec, found.problems)) if framework == "pyt" else list(_converted(spec))
    for section, document, images in pairs:
        line = f"{spec.path}:{spec.line(section)}: {section}"
        missing = [
            f"{line}: {path} is not there" for path in (document, images) if not path.exists()
        ]
        found.problems += missing
        if missing:
            continue
        try:
            read = coco.read(document, images)
        except InputError as error:
            found.problems.append(str(error))
            continue
        found.problems += _told(read.problems)
        found.images += len(read.images)
        found.empty += sum(not image.shapes for image in read.images)
        for name in read.labels:
            found.classes.setdefault(name, 0)
        for image in read.images:
            for shape in image.shapes:
                found.classes[shape.label] = found.classes.get(shape.label, 0) + 1
    return found


def _sources(spec: SpecTree, problems: list[str]) -> Iterator[tuple[str, Path, Path]]:
    for name, needed in SOURCES:
        place = f"dataset.{name}"
        pairs = [
            (entry.get("json_file"), entry.get("image_dir"))
            for entry in lookup_all(spec, place)
            if isinstance(entry, dict)
        ]
        if needed and not pairs:
            problems.append(
                f"{spec.path}: {place} is missing; give it json_file and image_dir, as in "
                "$dataset/train/annotations.json and $dataset/train/images"
            )
        for document, images in pairs:
            if document and images:
                yield place, Path(document), Path(images)
            else:
                problems.append(
                    f"{spec.path}:{spec.line(place)}: {place} lacks json_file or image_dir"
                )


def _converted(spec: SpecTree) -> Iterator[tuple[str, Path, Path]]:
    document = lookup(spec, "dataset_convert.annotations_file", "")
    images = lookup(spec, "dataset_convert.image_dir", "")
    if document and images:
        yield "dataset_convert", Path(document), Path(images)


def content(folder: Path) -> str:
    """SHA-256 (hex) over the names and bytes of the files, but for converted and hidden ones."""
    paths = list(_files(folder))

    def hashed(path: Path) -> str:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    total = hashlib.sha256()
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for path, one in zip(paths, pool.map(hashed, paths), strict=True):
            total.update(f"{path.relative_to(folder).as_posix()}\0{one}\n".encode())
    return total.hexdigest()


def clean_copy(source: Path, target: Path) -> None:
    """A copy whose label lines have 15 columns and no byte order mark; other files are linked.

    Args:
        source: KITTI data set, with subsets or not; not changed.
        target: new or empty folder.
    """
    labels = set(kitti_labels.label_files(source))
    for path in _files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path not in labels:
            files.link_or_copy(path.resolve(), place)
            continue
        lines = text_of(path).splitlines()
        cut = (" ".join(line.split()[:COLUMNS]) for line in lines if line.strip())
        files.write_text(place, "".join(f"{line}\n" for line in cut))


def _files(folder: Path) -> Iterable[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and all(_used(part) for part in path.relative_to(folder).parts)
    )


def _told(problems: Iterable[Problem]) -> list[str]:
    lines = [str(problem) for problem in problems]
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more of the kind"] if more > 0 else lines
