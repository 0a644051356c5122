"""What all readers of annotations do: find the image, check every shape, keep what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from components.core.errors import InputError
from components.core.formats import boxes
from components.core.formats.image_files import ImageFiles, image_size
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Problem, Shape

Placed = tuple[str, Shape]
"""Line, element or entry of a shape, and the shape."""


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
        one. A second image of the same name is left out and told.
        """
        if self.known(image.name):
            self.problem(
                Fault.DUPLICATE,
                file,
                where,
                f"image {image.name!r} is there a second time: only the first is kept",
            )
            return
        image = self._placed(image, file, where)
        image.shapes = [*image.shapes, *self._usable(image, shapes, file)]
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
        return Annotations(self.labels or sorted(used), images, self.problems)

    def _placed(self, image: AnnotatedImage, file: Path | str, where: str) -> AnnotatedImage:
        path = image.path
        if path is None and self.files is not None:
            path = self.files.find(image.name)
            if path is None:
                self.problem(Fault.MISSING_IMAGE, file, where, self._missing(image.name))
        if path is not None and path in self._owners:
            what = f"image {image.name!r}: {path} is already that of {self._owners[path]!r}"
            self.problem(Fault.MISSING_IMAGE, file, where, what)
            path = None
        if path is None:
            return replace(image, path=None)
        self._owners[path] = image.name
        try:
            size = image_size(path)
        except InputError as error:
            self.problem(Fault.UNREADABLE, path, "", str(error))
            return replace(image)
        said = image.width, image.height
        if said != size and all(said):
            self.problem(
                Fault.SIZE,
                file,
                where,
                f"image {image.name!r} has {size[0]} x {size[1]} pixels, not {said[0]} x {said[1]}"
                ": the size of the file is taken, coordinates stay as they are",
            )
        return replace(image, path=path, width=size[0], height=size[1])

    def _missing(self, name: str) -> str:
        assert self.files is not None
        several = self.files.candidates(name)
        if not several:
            return f"image {name!r} is not in {self.files.folder}"
        return f"image {name!r} may be each of {', '.join(several)} in {self.files.folder}"

    def _usable(
        self, image: AnnotatedImage, shapes: Iterable[Placed], file: Path | str
    ) -> Iterable[Shape]:
        known = set(self.labels)
        for where, shape in shapes:
            if self.labels and shape.label not in known:
                self.problem(
                    Fault.UNKNOWN_CLASS,
                    file,
                    where,
                    f"{shape.kind} of the class {shape.label!r}, which is not declared: left out; "
                    f"declared are {', '.join(self.labels)}",
                )
                continue
            usable, fault, what = boxes.fit(shape, image.width, image.height)
            if fault is not None:
                self.problem(fault, file, where, what)
            if usable is not None:
                yield usable


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
