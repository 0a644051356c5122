"""Tiny annotated images for tests of annotation formats."""

from pathlib import Path

from PIL import Image

from components.core.formats.shapes import AnnotatedImage, Annotations, Kind, Mask, Shape


def picture(path: Path, width: int = 100, height: int = 80) -> Path:
    """A blank image file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)
    return path


def rectangle(label: str, *points: float, **more) -> Shape:
    return Shape(label, Kind.RECTANGLE, points, **more)


def every_kind() -> list[Shape]:
    """One shape of each kind, inside an image of 100 x 80 pixels."""
    joints = (
        Shape("head", Kind.POINTS, (20.5, 20.0)),
        Shape("hand", Kind.POINTS, (30.0, 28.25), occluded=True),
        Shape("foot", Kind.POINTS, (0.0, 0.0), outside=True),
    )
    return [
        rectangle("cat", 1.5, 2.25, 30.0, 40.75, occluded=True, attributes={"age": "old"}),
        Shape("dog", Kind.ROTATED, (30.0, 30.0, 60.0, 50.0), rotation=33.5, z_order=2),
        Shape("cat", Kind.POLYGON, (5.0, 5.0, 50.0, 6.5, 20.0, 70.0), source="automatic"),
        Shape("cat", Kind.POLYLINE, (5.0, 5.0, 50.0, 6.5, 20.0, 70.0)),
        Shape("dog", Kind.POINTS, (1.0, 2.0, 9.0, 8.0), group="7"),
        Shape("dog", Kind.ELLIPSE, (50.0, 40.0, 20.0, 10.5), rotation=12.25),
        Shape("cat", Kind.MASK, mask=Mask(10, 20, 4, 3, (0, 3, 2, 3, 4))),
        Shape("dog", Kind.CUBOID, tuple(float(number) for number in range(10, 42, 2))),
        Shape("cat", Kind.SKELETON, elements=joints, occluded=True),
        Shape("dog", Kind.TAG, attributes={"weather": "rain"}),
    ]


def problems(annotations: Annotations) -> list[tuple[str, str, str, str]]:
    """Kind, file name, place and text of all problems."""
    return [(str(p.fault), Path(p.file).name, p.where, p.what) for p in annotations.problems]


def comparable(images: list[AnnotatedImage]) -> list[AnnotatedImage]:
    """Images without the place of their files."""
    return [AnnotatedImage(**{**vars(image), "path": None}) for image in images]
