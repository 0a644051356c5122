"""A small scene as the Inovis viewer would export it, with exact depths and lookup coordinates.

Textured boards stand in front of a wall, on a floor. Rays give the photos and where each point of
the target is seen in each aux photo. What the viewer would draw from a point cloud is coarser: the
points of a grid on the surfaces, of which some are missing, always the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.core import files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NATIVE = (136, 104)
"""Width and height of the photos in pixels; what is rendered is floored to multiples of 32."""

FRAMES = 24
AUX = 4
HOLES = 0.2
"""Share of the points that are missing."""

NEAR, FAR = 0.5, 20.0
"""Planes between which depth is measured."""

CELL = 0.12
"""Distance between points of the cloud."""

FOCAL = 0.9
"""Focal length in widths of the photo."""

_PLANES = (
    # corner, side, other side (both without rotation towards each other), number of the texture
    ((-8.0, -12.0, 6.5), (16.0, 0.0, 0.0), (0.0, 24.0, 0.0), 0),
    ((-6.0, 1.3, 1.5), (12.0, 0.0, 0.0), (0.0, 0.6, 5.0), 1),
    ((-1.9, -0.9, 4.4), (1.5, 0.0, 0.3), (0.0, 2.3, 0.0), 2),
    ((0.5, -0.6, 3.6), (1.2, 0.0, -0.2), (0.0, 2.0, 0.0), 3),
)


@dataclass(frozen=True)
class View:
    """What rays from one camera meet; arrays of the photo's height and width."""

    points: Floats
    """(H, W, 3) in the world."""
    depth: Floats
    """(H, W) distance along the view."""
    plane: NDArray[np.int64]
    """(H, W) number of the surface."""
    place: Floats
    """(H, W, 2) on the surface, in units of the world."""


def write_scene(
    folder: Path,
    frames: int = FRAMES,
    aux: int = AUX,
    native: tuple[int, int] = NATIVE,
    sets: Sequence[str] = ("scene",),
    depth: Literal["png", "png16", "blob"] = "png",
    holes: float = HOLES,
    seed: int = 0,
) -> Path:
    """Writes `<folder>/<set>/<sub-folder>/<frame>`; a folder that exists is used as it is.

    Args:
        folder: appears whole or not at all.
        frames: of each set.
        aux: aux photos of each frame, fewer than `frames`.
        native: width and height of the photos; at most three times as high as wide.
        sets: names; each has a camera path and missing points of its own.
        depth: 8-bit pictures as the viewer writes them, 16-bit ones, or blobs of float32.
        holes: share of the points that are missing.
        seed: of paths and missing points.
    """
    if folder.exists():
        return folder
    if not 1 <= aux < frames:
        raise ValueError(f"aux must be from 1 to {frames - 1} with {frames} frames, got {aux}")
    with files.atomic_path(folder) as temporary:
        for number, name in enumerate(sets):
            cameras = _cameras(frames, [seed, number])
            drawing = _Drawing(temporary / name, native, depth, holes, seed + number)
            views = [drawing.view(camera) for camera in cameras]
            for frame in range(frames):
                drawing.write(f"Image{frame:04d}", views, cameras, frame, aux)
    return folder


class _Drawing:
    """Writes the files of one set."""

    def __init__(
        self, folder: Path, native: tuple[int, int], depth: str, holes: float, seed: int
    ) -> None:
        self._folder, self._format = folder, depth
        self._holes, self._seed = holes, seed
        self._width, self._height = native
        width, height = (side // 32 * 32 for side in native)
        left, top = (self._width - width) // 2, (self._height - height) // 2
        self._crop = slice(top, top + height), slice(left, left + width)

    def view(self, camera: Floats) -> View:
        """What a camera sees."""
        return _traced(camera, self._width, self._height)

    def write(
        self, stem: str, views: list[View], cameras: list[Floats], number: int, aux: int
    ) -> None:
        """Writes all files of one frame."""
        from components.core.formats.inovis_blobs import write_blob
        from components.core.formats.inovis_images import write_rgba

        view = views[number]
        write_rgba(self._folder / "groundtruth" / f"{stem}.png", _photo(view))
        colours, depths = self._points(view)
        colours, depths = colours[self._crop], depths[self._crop]
        drawn = depths > 0
        for level in range(4):
            write_rgba(self._folder / f"input_{level}_lod0" / f"{stem}.png", colours)
            self._write_depth(f"depth_{level}_lod0", stem, depths)
            colours, depths = _halved(colours, depths)
        for place, other in enumerate(_nearest(cameras, number)[:aux], 1):
            write_rgba(
                self._folder / f"nearest{place}_groundtruth_0" / f"{stem}.png",
                _photo(views[other]),
            )
            self._write_depth(f"nearest{place}_depth_0_lod0", stem, self._points(views[other])[1])
            found = _looked_up(view.points[self._crop], cameras[other], self._width, self._height)
            found[~drawn] = 0
            found[..., 2] = drawn
            write_blob(self._folder / f"nearest{place}_motion_0_lod0" / f"{stem}.bin", found)

    def _points(self, view: View) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(H, W, 3) colours and (H, W) window depths of the cloud's points; 0 where none is."""
        import numpy as np

        cell = np.floor(view.place / CELL).astype(np.int64)
        words = cell[..., 0] * 73856093 ^ cell[..., 1] * 19349663 ^ view.plane * 83492791
        words = (words ^ self._seed * 2654435761) & 0xFFFFFFFF
        words = ((words ^ words >> 15) * 0x2C1B3C6D) & 0xFFFFFFFF
        words = ((words ^ words >> 12) * 0x297A2D39) & 0xFFFFFFFF
        there = (words ^ words >> 15) / 2.0**32 >= self._holes
        colours = _colours(view.plane, (cell + 0.5) * CELL)
        depth = FAR / (FAR - NEAR) * (1 - NEAR / view.depth)
        return (colours * there[..., None]).astype(np.uint8), (depth * there).astype(np.float32)

    def _write_depth(self, name: str, stem: str, depth: NDArray[np.float32]) -> None:
        from components.core.formats.inovis_blobs import write_blob
        from components.core.formats.inovis_images import write_grey16, write_rgba

        if self._format == "blob":
            write_blob(self._folder / name / f"{stem}.bin", depth[..., None])
        elif self._format == "png16":
            write_grey16(self._folder / name / f"{stem}.png", depth)
        else:
            grey = (depth * 255).round().astype("uint8")
            write_rgba(self._folder / name / f"{stem}.png", grey)


def _cameras(count: int, seed: Sequence[int]) -> list[Floats]:
    """(3, 4) from world to camera (x right, y down, z ahead) along a slightly shaken path."""
    import numpy as np

    rng = np.random.default_rng(seed)
    found = []
    for step in np.linspace(-1, 1, count):
        centre = np.array([1.2 * step, 0.15 * np.sin(4 * step), 0.3 * np.cos(3 * step) - 0.3])
        centre += rng.normal(0, 0.02, 3)
        yaw, pitch = -0.12 * step + rng.normal(0, 0.01), rng.normal(0, 0.01)
        around = np.array(
            [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
        )
        tilt = np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        turn = tilt @ around
        found.append(np.hstack([turn, -turn @ centre[:, None]]))
    return found


def _nearest(cameras: list[Floats], number: int) -> list[int]:
    """Other frames by the viewer's score of distance and angle, the best ones first."""

    def centre(camera: Floats) -> Floats:
        return -camera[:, :3].T @ camera[:, 3]

    own, scores = cameras[number], []
    for other, camera in enumerate(cameras):
        squared = float(((centre(own) - centre(camera)) ** 2).sum())
        angle = float(own[2, :3] @ camera[2, :3])
        score = (max(squared, 0.5) + 0.5) * (100 * (1 - angle) + 1)
        scores.append((score, squared, other))
    return [other for _, _, other in sorted(scores) if other != number]


def _traced(camera: Floats, width: int, height: int) -> View:
    """The nearest surface along the ray of each pixel's centre."""
    import numpy as np

    rows, columns = np.mgrid[:height, :width] + 0.5
    focal = FOCAL * width
    across, down = (columns - width / 2) / focal, (rows - height / 2) / focal
    rays = np.stack([across, down, np.ones_like(across)], axis=-1) @ camera[:, :3]
    centre = -camera[:, :3].T @ camera[:, 3]
    depth = np.full((height, width), np.inf)
    plane, place = np.zeros((height, width), np.int64), np.zeros((height, width, 2))
    for number, (corner, side, other, _) in enumerate(_PLANES):
        first, second = np.array(side), np.array(other)
        normal = np.cross(first, second)
        with np.errstate(divide="ignore"):
            reach = (np.array(corner) - centre) @ normal / (rays @ normal)
        offset = centre + reach[..., None] * rays - np.array(corner)
        inside = np.stack([offset @ axis / np.linalg.norm(axis) for axis in (first, second)], -1)
        sizes = np.linalg.norm(first), np.linalg.norm(second)
        hit = (reach > NEAR) & (reach < depth) & (inside >= 0).all(-1) & (inside <= sizes).all(-1)
        depth[hit], plane[hit], place[hit] = reach[hit], number, inside[hit]
    assert np.isfinite(depth).all(), "the wall must fill every photo"
    return View(centre + depth[..., None] * rays, depth, plane, place)


def _looked_up(points: Floats, camera: Floats, width: int, height: int) -> NDArray[np.float32]:
    """(H, W, 3): normalised coordinates (x right, y up) of points in another photo, and 1."""
    import numpy as np

    seen = points @ camera[:, :3].T + camera[:, 3]
    focal = FOCAL * width
    across = seen[..., 0] / seen[..., 2] * focal * 2 / width
    up = -seen[..., 1] / seen[..., 2] * focal * 2 / height
    return np.stack([across, up, np.ones_like(up)], axis=-1).astype(np.float32)


def _photo(view: View) -> NDArray[np.uint8]:
    return _colours(view.plane, view.place)


def _colours(plane: NDArray[np.int64], place: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 texture at places on the surfaces."""
    import numpy as np

    texture = np.array([number for *_, number in _PLANES])[plane]
    across, down = place[..., 0], place[..., 1]
    phase = np.arange(3) * 0.9
    large = np.sin(across * (2.1 + 0.7 * texture) + 0.5 * texture)[..., None] * np.cos(
        (down * (1.7 + 0.5 * texture))[..., None] + phase
    )
    fine = np.tanh(4 * np.sin(across * 11 + texture) * np.sin(down * (9 + 2 * texture)))[..., None]
    base = np.array([[0.55, 0.5, 0.45], [0.35, 0.45, 0.35], [0.6, 0.4, 0.35], [0.35, 0.45, 0.65]])
    values = base[texture] + 0.22 * large + 0.16 * fine * np.array([1.0, 0.8, 0.6])
    colours: NDArray[np.uint8] = np.rint(np.clip(values, 0.04, 1) * 255).astype(np.uint8)
    return colours


def _halved(
    colours: NDArray[np.uint8], depths: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The nearest point of each 2 x 2 pixels, as the viewer reduces them."""
    import numpy as np

    def blocks(values: NDArray[Any]) -> NDArray[Any]:
        height, width = (side // 2 for side in values.shape[:2])
        split = values.reshape(height, 2, width, 2, -1).swapaxes(1, 2)
        return split.reshape(height, width, 4, -1)

    near = blocks(np.where(depths > 0, depths, np.inf))[..., 0].argmin(axis=2)[..., None, None]
    pick = [np.take_along_axis(blocks(values), near, axis=2) for values in (colours, depths)]
    return pick[0][:, :, 0], pick[1][:, :, 0, 0]
