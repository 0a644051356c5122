"""The work of the stage: data set looked through, program run, records published."""

from __future__ import annotations

from pathlib import Path

from components.core import files
from components.core.artifacts.tao_data import CONVERT, COPY, DATA, TaoData
from components.core.errors import ProblemsError, SettingsError, TrainyardError
from components.core.stage import Job
from components.core.state import digest
from components.core.tao import dataset, process, status
from components.core.tao.commands import shown
from components.core.tao.experiment import Experiment
from components.core.tao.project import Project
from components.core.tao.specs import SpecTree
from components.core.tao.task import Task, planned
from components.core.wording import counted
from components.tao_convert.stage import ConvertSettings

DONE = "done.json"


def look(settings: ConvertSettings) -> dataset.Found:
    """The data set, as far as the project can be read; the rest is told elsewhere."""
    try:
        experiment = Project.load(Path(settings.project)).experiment(settings.experiment)
    except TrainyardError:
        return dataset.Found()
    try:
        spec = _spec(experiment, Path(settings.project))
    except ProblemsError as error:
        return _looked(experiment, None, error.problems)
    except TrainyardError as error:
        return _looked(experiment, None, [str(error)])
    return _looked(experiment, spec, [])


def run(settings: ConvertSettings, job: Job) -> None:
    """Converts; see `stage.convert`."""
    task = planned(
        settings.project, settings.experiment, settings.release, ["train"], report=job.report
    )
    found = look(settings)
    if found.problems:
        raise SettingsError(found.problems, f"the data set of {settings.experiment}")
    for note in found.notes:
        job.report.warn(note)
    content = dataset.content(task.experiment.data)
    counts = ", ".join(f"{name} {count}" for name, count in found.classes.items())
    job.report.message(f"{counted(found.images, 'image')} in {task.experiment.data}: {counts}")
    place, command = _converted(task, found, content, job)
    out = job.outputs["records"]
    files.publish(place, out)
    (out / DATA).mkdir(exist_ok=True)
    (out / DONE).unlink(missing_ok=True)
    names = sorted(
        p.relative_to(out / DATA).as_posix() for p in (out / DATA).rglob("*") if p.is_file()
    )
    index = TaoData(
        fingerprint=digest([content, task.head.name, task.release.tag, command, names]),
        project=task.project.name,
        experiment=task.experiment.name,
        head=task.head.name,
        release=task.release.tag if command else "",
        form=task.head.data,
        source=COPY if (out / COPY).is_dir() else str(task.experiment.data),
        content=content,
        classes=found.classes,
        images=found.images,
        empty=found.empty,
        files=names,
        command=command,
        notes=found.notes,
    )
    index.save(out)
    job.metadata["records"] = {"images": found.images, "files": len(names), "head": task.head.name}


def _converted(task: Task, found: dataset.Found, content: str, job: Job) -> tuple[Path, str]:
    """Folder with data and log, and the command that made it; '' where none had to.

    What an earlier run made of the same data and specification is taken again.
    """
    if "dataset_convert" not in task.head.tasks:
        place = job.work / "nothing"
        (place / DATA).mkdir(parents=True, exist_ok=True)
        return place, ""
    template = task.experiment.spec("convert").read_bytes().decode("utf-8", "replace")
    place = job.work / digest([content, task.release.tag, template], 16)
    copied = found.scores or found.marked
    source = place / COPY if copied else task.experiment.data
    spec = place / CONVERT / task.experiment.spec("convert").name
    command = task.program.convert(spec, place / DATA, place / CONVERT)
    told = shown(command, task.key).replace(f"{place}/", "")
    if (place / DONE).exists():
        job.report.message("converted already")
        return place, told
    files.remove(place)
    (place / DATA).mkdir(parents=True)
    if copied:
        job.report.message(
            f"{counted(found.scores, 'label line')} with a 16th column, "
            f"{counted(found.marked, 'label file')} with a byte order mark: a copy without is used"
        )
        dataset.clean_copy(task.experiment.data, source)
    more = {"dataset": str(source), "dataset_raw": str(source)}
    rendered = task.experiment.rendered("convert", place / DATA, more)
    files.write_text(spec, rendered.text)
    process.run(
        command,
        key=task.key,
        log=place / CONVERT / "convert.log",
        report=job.report,
        folder=place,
        more=task.environment,
        results=[place / DATA, place / CONVERT],
    )
    if failed := status.failure(status.lines_of(status.file_in(place / CONVERT))):
        raise TrainyardError(f"{task.head.name} dataset_convert says: {task.key.hidden(failed)}")
    if not any(path.stat().st_size for path in (place / DATA).rglob("*") if path.is_file()):
        raise TrainyardError(
            f"{task.head.name} dataset_convert ended well and wrote no records; look at "
            f"{place / CONVERT / 'convert.log'} and at the paths in {rendered.source}"
        )
    files.write_json(place / DONE, {"command": told})
    return place, told


def _spec(experiment: Experiment, project: Path) -> SpecTree:
    """The specification that names the data's places."""
    convert = "dataset_convert" in experiment.known_head.tasks
    return experiment.rendered("convert" if convert else "train").tree


def _looked(experiment: Experiment, spec: SpecTree | None, problems: list[str]) -> dataset.Found:
    found = dataset.look_through(experiment, spec)
    found.problems = [*problems, *found.problems]
    return found
