"""CVAT's XML: "CVAT for images 1.1" (read and written) and "CVAT for video 1.1" (read).

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from components.core import files
from components.core.errors import InputError
from components.core.formats import xml_elements
from components.core.formats.cvat_meta import CvatMeta, CvatTask, read_meta
from components.core.formats.cvat_shapes import KINDS, ShapeError, read_shape, write_shape
from components.core.formats.cvat_video import read_tracks
from components.core.formats.image_files import ImageFiles, normal_name
from components.core.formats.reading import Placed, Reading
from components.core.formats.shapes import (
    AnnotatedImage,
    Annotations,
    Fault,
    part_of,
)
from components.core.formats.xml_elements import Element

VERSION = "1.1"


def read(source: Path, images: Path | None = None) -> Annotations:
    """Reads a CVAT XML file, or all those of a folder.

    Args:
        source: file, or folder with files `*.xml`.
        images: folder in which the images are looked for; by default that of `source`.

    Names of images begin with the folder of their XML file, where it is not `source` itself.

    Returns:
        All images of the export, also those without labels, and of a video all frames of the task.

    Raises:
        InputError: there is no such file.
    """
    paths = sorted(source.rglob("*.xml")) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise InputError(f"{source} is no CVAT XML file and no folder with files *.xml")
    folder = images or (source if source.is_dir() else source.parent)
    found = Reading(ImageFiles(folder))
    for path in paths:
        place = path.parent.relative_to(source).as_posix() if source.is_dir() else "."
        _read_file(path, found, "" if place == "." else f"{place}/")
    return found.finished()


def write(
    path: Path,
    images: Sequence[AnnotatedImage],
    labels: Sequence[str],
    name: str = "",
) -> None:
    """Writes "CVAT for images 1.1".

    Images of several tasks make the export of a project called `name`, else of a task.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = VERSION
    tasks = _numbered_tasks(images)
    _write_meta(root, tasks, images, labels, name)
    for number, image in enumerate(images):
        _write_image(root, image, number, tasks)
    files.write_text(path, xml_elements.text(root))


def _read_file(path: Path, found: Reading, prefix: str) -> None:
    try:
        root = xml_elements.parse(path)
    except InputError as error:
        found.problem(Fault.UNREADABLE, path, "", str(error).removeprefix(f"{path}: "))
        return
    if root.tag != "annotations":
        found.problem(Fault.UNREADABLE, path, "", f"the root is <{root.tag}>, not <annotations>")
        return
    if (version := root.value("version", VERSION)) != VERSION:
        what = f"version {version!r} is read as if it were {VERSION}"
        found.problem(Fault.UNREADABLE, path, "<version>", what)
    try:
        meta = read_meta(root)
    except ValueError as error:
        found.problem(Fault.UNREADABLE, path, "<meta>", f"{error}: it is left out")
        meta = CvatMeta()
    known = [label for label in meta.labels if label not in found.labels]
    found.labels += known
    for element in root.all("*"):
        if element.tag == "image":
            _read_image(element, path, meta, found, prefix)
        elif element.tag not in ("version", "meta", "track"):
            what = f"<{element.tag}> is not read"
            found.problem(Fault.LEFT_OUT, path, element.where, what)
    read_tracks(root, path, meta, found, prefix)


def _read_image(element: Element, path: Path, meta: CvatMeta, found: Reading, prefix: str) -> None:
    name = normal_name(element.get("name", ""))
    try:
        frame = int(element.get("id", ""))
        width, height = int(element.get("width", "0")), int(element.get("height", "0"))
    except ValueError:
        what = "id, width or height is no whole number: image left out"
        found.problem(Fault.NUMBER, path, element.where, what)
        return
    if not name:
        found.problem(Fault.UNREADABLE, path, element.where, "image without a name: left out")
        return
    task = meta.task(element.get("task_id", ""))
    subset = element.get("subset", "")
    if subset and not name.startswith(f"{subset}/"):
        name = f"{subset}/{name}"
    name = f"{prefix}{name}"
    ids = {"task": task.id, "image": str(frame), "subset": subset or task.subset}
    image = AnnotatedImage(
        name,
        width,
        height,
        task=task.name,
        frame=frame,
        part=part_of(subset or task.subset),
        source_id={key: value for key, value in ids.items() if value},
    )
    found.add(image, list(_read_shapes(element, path, found)), path, element.where)


def _read_shapes(element: Element, path: Path, found: Reading) -> list[Placed]:
    shapes: list[Placed] = []
    for child in element.all("*"):
        if child.tag not in KINDS:
            found.problem(Fault.LEFT_OUT, path, child.where, f"<{child.tag}> is not read")
            continue
        try:
            shapes.append((child.where, read_shape(child)))
        except ShapeError as error:
            found.problem(error.fault, path, child.where, str(error))
            shapes.append((child.where, None))
    return shapes


def _numbered_tasks(images: Sequence[AnnotatedImage]) -> dict[tuple[str, str], CvatTask]:
    """Task name and subset → task, with the source's id where it has one."""
    tasks: dict[tuple[str, str], CvatTask] = {}
    used = {image.source_id.get("task", "") for image in images}
    free = (str(number) for number in range(1, len(images) + 2) if str(number) not in used)
    taken: set[str] = set()
    for image in images:
        key = image.task, _subset(image)
        if key not in tasks:
            number = image.source_id.get("task", "")
            number = number if number and number not in taken else next(free)
            taken.add(number)
            tasks[key] = CvatTask(number, image.task, _subset(image))
    return tasks


def _subset(image: AnnotatedImage) -> str:
    return image.source_id.get("subset", image.part)


def _write_meta(
    root: ElementTree.Element,
    tasks: Mapping[tuple[str, str], CvatTask],
    images: Sequence[AnnotatedImage],
    labels: Sequence[str],
    name: str,
) -> None:
    meta = ElementTree.SubElement(root, "meta")
    if len(tasks) > 1:
        parent = ElementTree.SubElement(meta, "project")
        ElementTree.SubElement(parent, "name").text = name
        place = ElementTree.SubElement(parent, "tasks")
        sizes = Counter((image.task, _subset(image)) for image in images)
        for key, task in tasks.items():
            _write_task(ElementTree.SubElement(place, "task"), task, sizes[key])
    else:
        parent = ElementTree.SubElement(meta, "task")
        for task in tasks.values():
            _write_task(parent, CvatTask(task.id, task.name or name, task.subset), len(images))
    listed = ElementTree.SubElement(parent, "labels")
    for label in labels:
        entry = ElementTree.SubElement(listed, "label")
        ElementTree.SubElement(entry, "name").text = label


def _write_task(parent: ElementTree.Element, task: CvatTask, size: int) -> None:
    content = {"id": task.id, "name": task.name, "size": str(size), "mode": "annotation"}
    for key, value in {**content, "subset": task.subset}.items():
        ElementTree.SubElement(parent, key).text = value


def _write_image(
    root: ElementTree.Element,
    image: AnnotatedImage,
    number: int,
    tasks: Mapping[tuple[str, str], CvatTask],
) -> None:
    subset = _subset(image)
    name = image.name
    given = {"id": str(number if image.frame is None else image.frame), "name": name}
    if len(tasks) > 1:
        if subset:
            given |= {"name": name.removeprefix(f"{subset}/"), "subset": subset}
        given["task_id"] = tasks[image.task, subset].id
    given |= {"width": str(image.width), "height": str(image.height)}
    element = ElementTree.SubElement(root, "image", given)
    for shape in image.shapes:
        write_shape(element, shape)
