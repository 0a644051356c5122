"""Full-HD cuts: OBDB's rule, for its own cut and for any other."""

from pathlib import Path

import numpy as np
import pytest
from labelled_images import rectangle
from PIL import Image
from synced_annotations import sync, write_coco

from components.annotation_sync.cropping import FULL_HD, Crop, _write
from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Kind, Mask, Shape


def obdb(left: float, top: float, right: float, bottom: float) -> tuple[float, ...] | None:
    """The rule as OBDB's own program has it, for its cut of 3840 x 2160 pixels."""
    if bottom <= 1080 + 30 or left >= 2880 - 30 or right <= 960 + 30:
        return None
    left, right = max(left - 960, 0), min(right - 960, 1920)
    return left, max(top - 1080, 0), right, min(bottom - 1080, 1080)


def test_boxes_are_those_of_obdb() -> None:
    random = np.random.default_rng(1)
    kept = 0
    for _ in range(3000):
        x, y = random.integers(0, 3780), random.integers(0, 2100)
        box = x, y, min(3840, x + random.integers(1, 900)), min(2160, y + random.integers(1, 900))
        shape = FULL_HD.cut(rectangle("weed", *map(float, box)))
        assert (shape and shape.points) == obdb(*box), box
        kept += shape is not None
    assert 500 < kept < 2500


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((1000, 1000, 1100, 1110), None),  # 30 pixels past the upper edge
        ((1000, 1000, 1100, 1111), (40, 0, 140, 31)),
        ((2850, 1500, 2900, 1600), None),
        ((2849, 1500, 2900, 1600), (1889, 420, 1920, 520)),
        ((900, 1500, 990, 1600), None),
        ((900, 1500, 991, 1600), (0, 420, 31, 520)),
        ((1000, 2155, 1010, 2160), (40, 1075, 50, 1080)),  # nothing is cut off below
    ],
)
def test_thirty_pixels_past_an_edge_where_something_is_cut_off(
    points: tuple[float, ...], expected: tuple[float, ...] | None
) -> None:
    shape = FULL_HD.cut(rectangle("weed", *points))
    assert (shape.points if shape else None) == expected


def test_any_cut_has_its_own_edges() -> None:
    upper = Crop(400, 300, left=100, top=0, right=400, bottom=150)
    # Below 150 something is cut off, above 0 and right of 400 nothing is.
    assert upper.cut(rectangle("weed", 200, 120, 220, 300)) is None
    shape = upper.cut(rectangle("weed", 200, 119, 220, 300))
    assert shape is not None
    assert shape.points == (100, 119, 120, 150)
    corner = upper.cut(rectangle("weed", 390, 0, 400, 5))
    assert corner is not None
    assert corner.points == (290, 0, 300, 5)


def test_shapes_of_every_kind_move() -> None:
    crop = Crop(200, 100, left=50, top=20, right=150, bottom=100)
    polygon = Shape(
        "weed",
        Kind.POLYGON,
        (60.0, 30.0, 110.0, 30.0, 110.0, 60.0),
        further_parts=((120.0, 70.0, 130.0, 70.0, 130.0, 80.0),),
    )
    ellipse = Shape("weed", Kind.ELLIPSE, (100.0, 60.0, 30.0, 10.0))
    mask = Shape("weed", Kind.MASK, mask=Mask(40, 30, 80, 40, (0, 3200)))
    joints = (Shape("head", Kind.POINTS, (60.0, 40.0)), Shape("foot", Kind.POINTS, (99.0, 90.0)))
    skeleton = Shape("weed", Kind.SKELETON, elements=joints)
    own_box = Shape("weed", Kind.POLYGON, polygon.points, box=(60.0, 30.0, 160.0, 90.0))
    found = [crop.cut(shape) for shape in (polygon, ellipse, mask, skeleton, own_box)]
    image = AnnotatedImage("a", 100, 80)
    assert [boxes.box_on(shape, image) for shape in found if shape] == [
        (10, 10, 80, 60),
        (20, 30, 80, 50),
        (0, 10, 70, 50),
        (10, 20, 49, 70),
        (10, 10, 100, 70),
    ]
    assert found[2] is not None
    assert found[2].mask == Mask(0, 10, 70, 40, (0, 2800))
    tag = Shape("weed", Kind.TAG)
    assert crop.cut(tag) is tag


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of 4k, of which one becomes another's name, and a small one."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "images").mkdir()
    pixels = np.zeros((2160, 3840, 3), np.uint8)
    pixels[1080:, 960:2880] = (10, 20, 30)
    pixels[1500, 1000] = (200, 100, 50)
    Image.fromarray(pixels).save(folder / "images" / "a.bmp")
    Image.new("RGB", (3840, 2160), "red").save(folder / "images" / "b.jpg")
    Image.new("RGB", (64, 48), "blue").save(folder / "images" / "a.png")
    images = [
        AnnotatedImage(
            "a.bmp", 3840, 2160, [rectangle("weed", 1000, 1500, 1100, 1600),
                                  rectangle("weed", 10, 10, 500, 500)]
        ),
        AnnotatedImage("a.png", 64, 48, [rectangle("weed", 1, 2, 30, 40)]),
        AnnotatedImage("b.jpg", 3840, 2160, [rectangle("weed", 0, 0, 900, 1000)]),
    ]  # fmt: skip
    write_coco(folder, images, ["weed"])
    return folder


def test_cut_images_are_new_files(
    tmp_path: Path, large: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in (large / "images").iterdir()}
    found = sync(tmp_path, annotations=str(large), full_hd=True)
    places = {
        name: (i.width, i.height, [s.points for s in i.shapes]) for name, i in found.images.items()
    }
    assert places == {
        "a-2.png": (1920, 1080, [(40.0, 420.0, 140.0, 520.0)]),
        "a.png": (64, 48, [(1.0, 2.0, 30.0, 40.0)]),
        "b.png": (1920, 1080, []),
    }
    path = found.images["a-2.png"].path
    assert path is not None
    cut = np.asarray(Image.open(path))
    assert cut.shape == (1080, 1920, 3)
    assert tuple(cut[420, 40]) == (200, 100, 50)
    assert {tuple(colour) for colour in cut.reshape(-1, 3)[::977]} == {(10, 20, 30)}
    said = capsys.readouterr().err
    assert "2 images of 3840 x 2160 pixels cut to rows 1080 to 2160 and columns 960 to 2880" in said
    assert "2 shapes outside or within 30 pixels of a cut edge left out" in said
    assert "full_hd changes no images of other sizes: 1 of 64 x 48" in said
    assert {path.name: path.read_bytes() for path in (large / "images").iterdir()} == before
    kept = list((tmp_path / "state").rglob("work/cropped/*.png"))
    written = {path: path.stat().st_mtime_ns for path in kept}
    again = sync(tmp_path, annotations=str(large), full_hd=True)
    assert again.index.fingerprint == found.index.fingerprint
    assert {path: path.stat().st_mtime_ns for path in kept} == written


def test_cut_images_as_jpeg_and_without_negatives(tmp_path: Path, large: Path) -> None:
    options = {"full_hd": True, "crop_quality": 90, "keep_empty": False}
    found = sync(tmp_path, annotations=str(large), **options)
    assert [*found.images] == ["a.jpg", "a.png"]
    path = found.images["a.jpg"].path
    assert path is not None
    assert Image.open(path).format == "JPEG"


def test_without_full_hd_large_images_stay(tmp_path: Path, large: Path) -> None:
    found = sync(tmp_path, annotations=str(large))
    assert [(i.name, i.width, len(i.shapes)) for i in found.images.values()] == [
        ("a.bmp", 3840, 2),
        ("a.png", 64, 1),
        ("b.jpg", 3840, 1),
    ]


@pytest.mark.parametrize("quality", [0, 90])
def test_cuts_of_sixteen_bits_are_not_white(tmp_path: Path, quality: int) -> None:
    Image.fromarray(np.full((40, 60), 64 * 256, np.uint16)).save(tmp_path / "a.png")
    target = tmp_path / ("cut.jpg" if quality else "cut.png")
    _write(tmp_path / "a.png", target, Crop(60, 40, left=10, top=5, right=50, bottom=40), quality)
    cut = np.asarray(Image.open(target))
    assert cut.shape == (35, 40, 3)
    assert abs(float(cut.mean()) - 64) < 2
