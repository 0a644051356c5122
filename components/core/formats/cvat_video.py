"""The tracks of "CVAT for video 1.1", frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from components.core.formats.cvat_meta import CvatMeta, CvatTask
from components.core.formats.cvat_shapes import KINDS, ShapeError, read_shape
from components.core.formats.image_files import normal_name
from components.core.formats.reading import Placed, Reading
from components.core.formats.shapes import AnnotatedImage, Fault, Kind, part_of
from components.core.formats.tracks import TrackedShape, filled
from components.core.formats.xml_elements import Element

FRAME = "frame_{:06d}"
"""What CVAT calls the images of a video's frames."""


def read_tracks(
    root: Element, path: Path, meta: CvatMeta, found: Reading, prefix: str = ""
) -> None:
    """Adds all frames of every video in a document, with the shapes of its tracks.

    Names of images are `<prefix><task>/frame_<number>.png`.
    """
    tracks = root.all("track")
    videos = {task.id: task for task in meta.tasks.values() if task.mode == "interpolation"}
    if not tracks and (root.find("image") is not None or not videos):
        return
    by_task: dict[str, list[Element]] = {number: [] for number in videos}
    for track in tracks:
        task = meta.task(track.get("task_id", ""))
        videos.setdefault(task.id, task)
        by_task.setdefault(task.id, []).append(track)
    for number, own in by_task.items():
        _read_video(own, path, videos[number], found, prefix)


def _read_video(
    tracks: Sequence[Element], path: Path, task: CvatTask, found: Reading, prefix: str
) -> None:
    damaged: dict[int, str] = {}
    given = [(track, _tracked(track, path, found, damaged)) for track in tracks]
    frames = task.frames()
    if not frames:
        frames = sorted({tracked.frame for _, shapes in given for _, tracked in shapes})
        what = "the meta does not say which frames there are: only those with labels are read"
        found.problem(Fault.LEFT_OUT, path, "<meta>", what)
    placed: dict[int, list[Placed]] = {frame: [] for frame in frames}
    for track, shapes in given:
        places = {tracked.frame: where for where, tracked in shapes}
        for tracked in filled([shape for _, shape in shapes], _lasting(shapes, frames)):
            if tracked.frame not in placed:
                what = f"frame {tracked.frame} is not one of the video: left out"
                found.problem(Fault.LEFT_OUT, path, places[tracked.frame], what)
                continue
            where = places.get(tracked.frame, f"{track.where}, frame {tracked.frame}")
            placed[tracked.frame].append((where, tracked.shape))
    for frame in placed.keys() & damaged.keys():
        placed[frame].append((damaged[frame], None))
    stem = _folder(task, path)
    subset = task.subset or next((track.get("subset", "") for track in tracks), "")
    for frame, own in placed.items():
        name = f"{prefix}{stem}/{FRAME.format(frame)}.png"
        ids = {"task": task.id, "image": str(frame), "subset": subset}
        image = AnnotatedImage(
            name,
            task.width,
            task.height,
            task=task.name,
            group=task.source or task.name or stem,
            frame=frame,
            part=part_of(subset),
            source_id={key: value for key, value in ids.items() if value},
        )
        found.add(image, own, path, f"frame {frame}")


def _folder(task: CvatTask, path: Path) -> str:
    """The folder of a video's frames in the names of its images."""
    return normal_name(task.name) or PurePosixPath(normal_name(task.source)).stem or path.stem


def _tracked(
    track: Element, path: Path, found: Reading, damaged: dict[int, str]
) -> list[tuple[str, TrackedShape]]:
    """The shapes of a track as they are given, with their places; one per frame.

    `damaged` gets the frames of those that cannot be read, and their places.
    """
    shapes: dict[int, tuple[str, TrackedShape]] = {}
    carried: dict[str, str] = {}
    for child in track.all("*"):
        if child.tag not in KINDS or child.tag == "tag":
            found.problem(Fault.LEFT_OUT, path, child.where, f"<{child.tag}> is not read")
            continue
        try:
            frame = int(child.get("frame", ""))
            shape = read_shape(child, track.get("label", ""))
        except ShapeError as error:
            found.problem(error.fault, path, child.where, str(error))
            damaged[frame] = child.where
            continue
        except ValueError:
            what = f"frame {child.get('frame')!r} is no whole number: left out"
            found.problem(Fault.NUMBER, path, child.where, what)
            continue
        if frame in shapes:
            what = f"frame {frame} of track {track.get('id')!r} is there a second time: left out"
            found.problem(Fault.DUPLICATE, path, child.where, what)
            continue
        carried = carried | shape.attributes
        shape = replace(
            shape,
            attributes=carried,
            track=track.get("id", ""),
            source=track.get("source", "manual"),
            group="" if track.get("group_id", "0") == "0" else track.get("group_id", ""),
        )
        outside = child.get("outside") == "1"
        if shape.kind is Kind.SKELETON:
            outside = all(element.outside for element in shape.elements)
        shapes[frame] = child.where, TrackedShape(frame, shape, outside)
    return list(shapes.values())


def _lasting(shapes: Sequence[tuple[str, TrackedShape]], frames: Sequence[int]) -> Sequence[int]:
    """The frames that a track may fill.

    CVAT exports a shape of one frame as a track which ends at the next one, but leaves that end out
    where the next frame is the last: such a shape does not last.
    """
    if len(shapes) == 1 and len(frames) > 1 and shapes[0][1].frame == frames[-2]:
        return frames[:-1]
    return frames
