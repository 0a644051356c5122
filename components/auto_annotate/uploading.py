"""The new boxes go to CVAT: one task, one request, and never twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.auto_annotate.drawing import Drawn, ranked
from components.auto_annotate.sources import Source
from components.auto_annotate.stage import LONGEST_NAME, AnnotateSettings
from components.core import files
from components.core.annotation_tasks import AnnotationTask
from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.thresholds import NEVER
from components.core.detection.verified import frame_numbers
from components.core.errors import InputError
from components.core.formats.shapes import AnnotatedImage, Shape
from components.core.stage import Job
from components.core.state import digest
from components.core.wording import counted

RECORD = "upload.json"
"""In the stage's scratch: the name, and once it is known the number, of the task that we make."""

ANY = "any"
"""Type of a label that takes every kind of shape."""

Sent = tuple[str, int]
"""The task as `<id> <name>`, and how many boxes of ours it holds."""


def prepared(
    settings: AnnotateSettings,
    source: Source,
    bundle: ModelBundle,
    thresholds: Mapping[str, float],
    job: Job,
) -> Callable[[Sequence[Drawn]], Sent]:
    """What uploads the results; whatever stands in its way is told before the images are read.

    Raises:
        InputError: labels that the task lacks, a name that a task has already, or images that
            cannot be in one task.
    """
    classes = [name for name in bundle.classes if thresholds[name] < NEVER]
    upload = _Upload(settings, source, bundle, classes, job)
    upload.check()
    return upload


@dataclass
class _Upload:
    settings: AnnotateSettings
    source: Source
    bundle: ModelBundle
    classes: Sequence[str]
    job: Job

    def check(self) -> None:
        """Whether the task can take what may be found."""
        task = self.source.task
        if self.settings.upload_to == "same":
            assert task is not None
            known = {label["name"]: label.get("type") or ANY for label in task.labels}
            if narrow := [n for n in self.classes if known.get(n, ANY) not in (ANY, "rectangle")]:
                raise InputError(
                    f"cvat_task: the labels {', '.join(narrow)} of {task.name!r} take no "
                    "rectangles: change their type in CVAT, or leave the classes out with "
                    f"score_thresholds: {', '.join(f'{name}=off' for name in narrow)}"
                )
            if lacking := [name for name in self.classes if name not in known]:
                raise InputError(
                    f"cvat_task: {task.name!r} has no labels {', '.join(lacking)} (it has "
                    f"{', '.join(known) or 'none'}): add them in CVAT, or leave the classes out "
                    f"with score_thresholds: {', '.join(f'{name}=off' for name in lacking)}"
                )
        elif self.settings.share_prefix:
            if task is not None and task.video:
                raise InputError(
                    f"share_prefix: {task.name!r} is a video, whose frames are no files on the "
                    "share: leave it out"
                )
        else:
            self._check_names()
        if self.settings.upload_to == "new" and self.settings.upload_name:
            self._check_task_name()

    def _check_task_name(self) -> None:
        """Whether the new task can have its name, unless an earlier attempt may have made it."""
        from components.core.cvat import Cvat

        names = [self._name_in_task(image) for image in self.source.images]
        name = self.settings.upload_name
        record = _kept(self.job.work / RECORD)
        some = self.settings.upload_images  # which ones is known when all are predicted
        if record.get("name") == name and (some or record["key"] == _key(names)):
            return
        _refuse_taken(
            name, [task.id for task in Cvat.from_environment().tasks() if task.name == name]
        )

    def _check_names(self) -> None:
        """CVAT tells files that are sent to it apart by their names without folders."""
        names: dict[str, str] = {}
        twice = []
        for image in self.source.images:
            last = image.path.name if image.path else image.name
            if last in names:
                twice.append(f"{names[last]} and {image.name}")
            names[last] = image.name
        if twice:
            raise InputError(
                "new_images: CVAT takes files of one name for the same: "
                f"{', '.join(twice[:10])}{', …' if len(twice) > 10 else ''}: set share_prefix to "
                "where they lie on its share, or annotate one folder at a time"
            )

    def __call__(self, results: Sequence[Drawn]) -> Sent:
        chosen = list(results)
        if limit := self.settings.upload_images:
            chosen = ranked(chosen)[:limit]
        if self.settings.upload_to == "same":
            return self._into_source(chosen)
        return self._into_new(sorted(chosen, key=lambda result: result.image.name))

    def _into_source(self, chosen: Sequence[Drawn]) -> Sent:
        """First the new boxes, then those that they replace go: a kill in between loses none."""
        from components.core.cvat import Cvat

        task = self.source.task
        assert task is not None
        shapes = {_frame(result.image): result.new for result in chosen}
        gone = [record for record in self.source.replaced if record["frame"] in shapes]
        cvat = Cvat.from_environment()
        count = _send(cvat, task, shapes)
        if gone:
            cvat.remove(task.id, shapes=gone)
        more = f", {counted(len(gone), 'box', 'boxes')} of a model removed" if gone else ""
        self.job.report.message(
            f"{counted(count, 'box', 'boxes')} uploaded to the task {task.id} {task.name!r}{more}"
        )
        return f"{task.id} {task.name}", count

    def _into_new(self, chosen: Sequence[Drawn]) -> Sent:
        from components.core.cvat import Cvat

        cvat = Cvat.from_environment()
        names = [self._name_in_task(result.image) for result in chosen]
        path = self.job.work / RECORD
        record, known = self._record(path, names)
        found = self._existing(cvat, record, known, len(names))
        if not found:
            found = self._create(cvat, record["name"], chosen, names)
        files.write_json(path, {**record, "task": found})
        task = cvat.task(found)
        numbers = frame_numbers(names, [frame.name for frame in task.frames])
        if lost := [name for name in names if name not in numbers]:
            raise InputError(
                f"task {found} {task.name!r} has no frames {', '.join(lost[:10])}: it was made of "
                "other images; choose another upload_name"
            )
        if task.shapes or task.tracks:
            self.job.report.message(
                f"task {found} {task.name!r} has its boxes already; it is left as it is"
            )
            return f"{found} {task.name}", len(task.shapes)
        shapes = {numbers[name]: result.new for name, result in zip(names, chosen, strict=True)}
        count = _send(cvat, task, shapes)
        self.job.report.message(
            f"{counted(count, 'box', 'boxes')} uploaded to the new task {found} {task.name!r}"
        )
        return f"{found} {task.name}", count

    def _record(self, path: Path, names: list[str]) -> tuple[dict[str, str], bool]:
        """Name and number of the task that we make of these images; whether we began earlier."""
        key, record = _key(names), _kept(path)
        if record.get("key") == key:
            return record, True
        name = self.settings.upload_name or self._default_name()
        record = {"key": key, "name": name, "task": ""}
        files.write_json(path, record)
        return record, False

    def _default_name(self) -> str:
        time = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        return f"auto_annotation_{self.bundle.name}_{time}_{self.source.name}"[:LONGEST_NAME]

    def _existing(self, cvat: Any, record: dict[str, str], known: bool, size: int) -> str:
        """Number of the task that an earlier attempt made; '' where there is none.

        Raises:
            InputError: somebody else's task has the name.
        """
        every = list(cvat.tasks())
        if any(task.id == record["task"] for task in every):
            return record["task"]
        tasks = [task for task in every if task.name == record["name"]]
        if not tasks:
            return ""
        if known and not record["task"] and len(tasks) == 1:
            if tasks[0].frames == size:
                return str(tasks[0].id)
            if not tasks[0].frames:  # we were killed before its images were in it
                cvat.delete_task(tasks[0].id)
                return ""
        _refuse_taken(record["name"], [task.id for task in tasks])
        return ""

    def _create(self, cvat: Any, name: str, chosen: Sequence[Drawn], names: Sequence[str]) -> str:
        labels = self._labels()
        if self.settings.share_prefix:
            return str(cvat.create_task(name, labels, names, where="share", scores=True))
        paths = [result.image.path for result in chosen]
        return str(cvat.create_task(name, labels, paths, where="upload", scores=True))

    def _labels(self) -> list[Any]:
        """The model's classes; with the colours of the source's labels, where they are known."""
        task = self.source.task
        colours = {label["name"]: label.get("color", "") for label in task.labels} if task else {}
        return [{"name": name, "color": colours.get(name, "")} for name in self.bundle.classes]

    def _name_in_task(self, image: AnnotatedImage) -> str:
        """What CVAT will call the image."""
        name = image.name
        task = self.source.task
        if task is not None:
            name = task.frames[_frame(image)].name
        if not self.settings.share_prefix:
            return str(image.path.name) if image.path else name
        prefix = self.settings.share_prefix.strip("/")
        return f"{prefix}/{name}" if prefix else name


def _frame(image: AnnotatedImage) -> int:
    assert image.frame is not None
    return image.frame


def _key(names: Sequence[str]) -> str:
    return digest(list(names), 16)


def _kept(path: Path) -> dict[str, str]:
    """What an earlier attempt noted of the task that it made; {} where there was none."""
    record: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return record


def _refuse_taken(name: str, numbers: Sequence[str]) -> None:
    """Where tasks have a name already, refuses to make another of it."""
    if numbers:
        raise InputError(
            f"upload_name: a task {name!r} is there already ({', '.join(numbers)}): choose another "
            "name, or annotate that task with cvat_task and upload_to: same"
        )


def _send(cvat: Any, task: AnnotationTask, shapes: Mapping[int, Sequence[Shape]]) -> int:
    """All boxes in one request; returns how many."""
    from components.core.cvat.drawings import records

    made, _ = records(shapes, task.labels)
    if made:
        cvat.upload(task.id, shapes=made)
    return len(made)
