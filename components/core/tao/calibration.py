"""Images of the training part for int8 calibration, as a folder of links."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.core import files
from components.core.artifacts.tao_data import CONVERT, DATA, TaoData
from components.core.errors import InputError
from components.core.tao.commands import Calibration
from components.core.tao.specs import lookup, lookup_all, parse
from components.core.tao.task import Task

SUFFIXES = (".jpg", ".jpeg", ".png")

VALIDATION = "-fold-000-of-"
"""In the names of records of the part for validation, where there are several."""

FRAME = b"frame/id"


def calibration(
    task: Task, records: Path, folder: Path, batches: int, batch_size: int
) -> Calibration:
    """Links images of the training part into `folder/calibration`.

    Which images are chosen depends on their names only. Those of the validation part are left out
    as far as the records tell them apart.

    Raises:
        InputError: there are fewer images than calibration needs.
    """
    training = sorted(_training(task, records))
    count = batches * batch_size
    if len(training) < count:
        raise InputError(
            f"int8 needs {batches} x {batch_size} images, the training part has {len(training)}; "
            "lower calibration_batches or calibration_batch_size"
        )
    chosen = sorted(training, key=lambda path: hashlib.sha256(path.name.encode()).hexdigest())
    place = folder / "calibration"
    files.remove(place)
    place.mkdir(parents=True)
    for number, path in enumerate(chosen[:count]):
        files.link_or_copy(path.resolve(), place / f"{number:05d}_{path.name}")
    return Calibration(place, folder / "calibration.bin", batches, batch_size)


def _training(task: Task, records: Path) -> Iterator[Path]:
    data = TaoData.load(records)
    if data.form != "kitti-tfrecord":
        spec = task.rendered("train", records).tree
        named = [str(path) for path in lookup_all(spec, "dataset.train_data_sources.image_dir")]
        if data.form == "coco-tfrecord":
            convert = task.rendered("convert", records).tree
            named = [str(lookup(convert, "dataset_convert.image_dir", ""))]
        for name in named:
            yield from _images(Path(name).glob("*"))
        return
    written = sorted((records / CONVERT).glob("*.txt"))
    if not written:
        raise InputError(f"{records} does not say which images it was made of; convert anew")
    spec = parse(written[0].read_text(encoding="utf-8"), written[0])
    source = Path(lookup(spec, "kitti_config.root_directory_path", ""))
    if not source.is_dir() or data.source == "dataset":
        source = records / "dataset" if data.source == "dataset" else Path(data.source)
    below = source / str(lookup(spec, "kitti_config.image_dir_name", ""))
    held_back = validation_frames(records / DATA)
    for path in _images(below.rglob("*")):
        if path.stem not in held_back:
            yield path


def _images(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def validation_frames(folder: Path) -> set[str]:
    """Names, without suffix, of the images in the records of the part for validation."""
    found: set[str] = set()
    for path in folder.glob(f"*{VALIDATION}*"):
        if VALIDATION + "001-" not in path.name:
            for record in _records(path):
                if frame := _frame(record):
                    found.add(Path(frame).name)
    return found


def _records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file: length (8 bytes), its checksum (4), content, checksum (4)."""
    left = path.stat().st_size
    with open(path, "rb") as file:
        while left >= 16:
            (length,) = struct.unpack("<Q", file.read(12)[:8])
            left -= length + 16
            if left < 0:
                return  # another kind of file
            yield file.read(length)
            file.seek(4, 1)


def _frame(record: bytes) -> str:
    """The value of the feature `frame/id` of a tf.train.Example; '' where it has none.

    In the message the name is followed by value (2) { bytes_list (1) { value (1) } }.
    """
    place = record.find(FRAME)
    if place < 0:
        return ""
    place += len(FRAME)
    length = 0
    for tag in (0x12, 0x0A, 0x0A):
        if place >= len(record) or record[place] != tag:
            return ""
        length, place = _varint(record, place + 1)
    return record[place : place + length].decode("utf-8", "replace")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(content):
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return value, place
