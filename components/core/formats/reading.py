"""What all readers of annotations do: find the image, check every shape, keep what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from components.core.errors import InputError
from components.core.formats import boxes
from components.core.formats.image_files import ImageFiles, exif_orientation, image_size
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Problem, Shape
from components.core.formats.turning import SIDEWAYS, turned
from components.core.wording import counted

Placed = tuple[str, Shape | None]
"""Line, element or entry of a shape, and the shape; None where it is damaged, which was told."""


class Reading:
    """Collects images and problems of one or several files."""

    def __init__(self, files: ImageFiles | None = None, labels: Sequence[str] = ()) -> None:
        """`files`: where the images are looked for; `labels`: the declared ones, [] for any."""
        self.files = files
        self.labels = list(labels)
        self.problems: list[Problem] = []
        self._images: dict[str, AnnotatedImage] = {}
        self._owners: dict[Path, str] = {}

    def problem(self, fault: Fault, file: Path | str, where: str, what: str) -> None:
        """Notes one problem."""
        self.problems.append(Problem(fault, str(file), where, what))

    def known(self, name: str) -> bool:
        """Whether an image of this name was added before."""
        return name in self._images

    def add(
        self, image: AnnotatedImage, shapes: Iterable[Placed], file: Path | str, where: str = ""
    ) -> None:
        """Adds an image with those of its shapes that can be used.

        Its file is looked for unless `path` is set; the size is that of the file where there is
        one. A second image of the same name is left out with its shapes and told. Shapes that
        cannot be used are counted in `lost`, of which no image is taken for a negative example.
        """
        given = list(shapes)
        if self.known(image.name):
            what = f"image {image.name!r} is there a second time: only the first is kept"
            if given:
                what += f", without the {counted(len(given), 'shape')} of this one"
                self._images[image.name].lost += len(given)
            self.problem(Fault.DUPLICATE, file, where, what)
            return
        said = image.width, image.height
        image = self._placed(image, len(given), file, where)
        if orientation := _turn(said, image):
            what = f"{_as_stored(image, orientation)}, for which the annotations are: "
            what += f"{counted(len(given), 'shape')} are turned as well"
            self.problem(Fault.SIZE, file, where, what)
            given = [(place, _turned(shape, orientation, *said)) for place, shape in given]
        checked = [(place, self._usable(image, place, shape, file)) for place, shape in given]
        image.lost += sum(shape is None for _, shape in checked)
        image.shapes = [*image.shapes, *self._once(checked, file)]
        self._images[image.name] = image

    def finished(self, told_unused: bool = True) -> Annotations:
        """All that was found; images in the folder that no annotation mentions are told."""
        if self.files and told_unused:
            for name in self.files.unused():
                self.problem(
                    Fault.NO_ENTRY, self.files.folder / name, "", "no annotation mentions it"
                )
        images = list(self._images.values())
        used = {shape.label for image in images for shape in image.shapes}
        declared = [label for label in self.labels if label.strip()]
        return Annotations(declared or sorted(used), images, self.problems)

    def _placed(
        self, image: AnnotatedImage, count: int, file: Path | str, where: str
    ) -> AnnotatedImage:
        """The image with its file and size; `count`: of its shapes."""
        path = image.path
        if path is None and self.files is not None:
            path = self.files.find(image.name)
            if path is None:
                self.problem(Fault.MISSING_IMAGE, file, where, self._missing(image.name))
        if path is not None and path in self._owners:
            what = f"image {image.name!r}: {path} is already that of {self._owners[path]!r}"
            if count:
                what += f": left out with {counted(count, 'shape')}"
                self._images[self._owners[path]].lost += count
            self.problem(Fault.MISSING_IMAGE, file, where, what)
            path = None
        if path is None:
            return replace(image, path=None)
        self._owners[path] = image.name
        try:
            size = image_size(path)
        except InputError as error:
            self.problem(Fault.UNREADABLE, path, "", str(error))
            return replace(image, path=None)
        said = image.width, image.height
        placed = replace(image, path=path, width=size[0], height=size[1])
        if said != size and all(said) and not _turn(said, placed):
            self.problem(
                Fault.SIZE,
                file,
                where,
                f"image {image.name!r} has {size[0]} x {size[1]} pixels, not {said[0]} x {said[1]}"
                ": the size of the file is taken, coordinates stay as they are",
            )
        return placed

    def _missing(self, name: str) -> str:
        assert self.files is not None
        several = self.files.candidates(name)
        if not several:
            return f"image {name!r} is not in {self.files.folder}"
        return f"image {name!r} may be each of {', '.join(several)} in {self.files.folder}"

    def _usable(
        self, image: AnnotatedImage, where: str, shape: Shape | None, file: Path | str
    ) -> Shape | None:
        """The shape as it can be used, or None; what is wrong is told."""
        if shape is None:
            return None
        if not shape.label.strip():
            what = f"{shape.kind} whose class has no name: left out"
            self.problem(Fault.UNKNOWN_CLASS, file, where, what)
            return None
        if self.labels and shape.label not in self.labels:
            self.problem(
                Fault.UNKNOWN_CLASS,
                file,
                where,
                f"{shape.kind} of the class {shape.label!r}, which is not declared: left out; "
                f"declared are {', '.join(self.labels)}",
            )
            return None
        usable, fault, what = boxes.fit(shape, image.width, image.height)
        if fault is not None:
            self.problem(fault, file, where, what)
        return usable

    def _once(self, shapes: Iterable[Placed], file: Path | str) -> Iterable[Shape]:
        """The shapes without those that are there a second time, which are told."""
        seen: dict[object, str] = {}
        for where, shape in shapes:
            if shape is None:
                continue
            drawn = _drawn(shape)
            if shape.kind is Kind.TAG or drawn not in seen:
                seen[drawn] = where
                yield shape
                continue
            what = f"{shape.kind} {shape.label!r} is drawn a second time: left out"
            what += f"; the first is {seen[drawn]}" if seen[drawn] not in ("", where) else ""
            self.problem(Fault.DUPLICATE, file, where, what)


def _drawn(shape: Shape) -> object:
    """What two labels of one object have in common that was drawn twice."""
    parts = tuple((part.label, part.points, part.outside) for part in shape.elements)
    place = shape.points, shape.further_parts, shape.rotation, shape.box, shape.mask
    return shape.label, shape.kind, shape.crowd, shape.score, place, parts


def _turn(said: tuple[int, int], image: AnnotatedImage) -> int:
    """The EXIF orientation of an image whose annotations give its size as stored; else 0."""
    if image.path is None or said[0] == said[1] or said != (image.height, image.width):
        return 0
    found = exif_orientation(image.path)
    return found if found in SIDEWAYS else 0


def _as_stored(image: AnnotatedImage, orientation: int) -> str:
    return (
        f"image {image.name!r} is shown turned to {image.width} x {image.height} pixels, as its "
        f"EXIF (orientation {orientation}) asks; stored are {image.height} x {image.width}"
    )


def _turned(shape: Shape | None, orientation: int, width: int, height: int) -> Shape | None:
    try:
        return turned(shape, orientation, width, height) if shape else None
    except ValueError:  # a damaged mask, of which the check of the shape tells
        return shape


def text_of(path: Path) -> str:
    """A UTF-8 text file, without a byte order mark.

    Raises:
        InputError: not there, or no such text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def short(number: float, decimals: int = 6) -> str:
    """A number for a text format, without superfluous zeros."""
    text = f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
