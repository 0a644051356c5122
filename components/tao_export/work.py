"""The work of the stage."""

from __future__ import annotations

from pathlib import Path

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.errors import TrainyardError
from components.core.stage import Job
from components.core.tao import bundles, exporting, graphs, process, status
from components.core.tao.calibration import calibration
from components.core.tao.commands import shown
from components.core.tao.exporting import ENGINE, ETLT, NAMES, ONNX, Exported
from components.core.tao.specs import SpecTree
from components.core.tao.task import Task, planned
from components.tao_export.stage import ExportSettings


def run(settings: ExportSettings, job: Job) -> None:
    """Exports; see `stage.export`."""
    task = planned(
        settings.project, settings.experiment, settings.release, ["export"], report=job.report
    )
    records = job.inputs["records"]
    data = bundles.fitting_data(records, task)
    bundle, checkpoint = bundles.fitting(job.inputs["model"], task)
    if other := bundles.foreign(bundle, data):
        job.report.warn(other)
    data_type = settings.export_type or task.experiment.export_type
    folder = job.work / "export"
    files.remove(folder)
    folder.mkdir()
    scales = None
    if task.release.quantises and data_type == "int8":
        sizes = settings.calibration_batches, settings.calibration_batch_size
        scales = calibration(task, records, folder, *sizes)
    kind = ETLT if task.release.encrypts else ONNX
    engine = folder / NAMES[ENGINE] if task.release.quantises else None
    rendered = task.rendered("export", records)
    spec = folder / rendered.source.name
    files.write_text(spec, rendered.text)
    command = task.program.export(
        spec,
        checkpoint,
        folder / NAMES[kind],
        folder,
        data_type=data_type,
        calibration=scales,
        engine=engine,
        max_batch_size=settings.max_batch_size,
    )
    process.run(
        command,
        key=task.key,
        log=folder / "export.log",
        report=job.report,
        folder=folder,
        more=task.environment,
    )
    if failed := status.failure(status.lines_of(status.file_in(folder))):
        raise TrainyardError(f"{task.head.name} export says: {task.key.hidden(failed)}")
    paths = {kind: folder / NAMES[kind]} | ({ENGINE: engine} if engine else {})
    _require(paths, task, folder)
    inputs, outputs, plugins = _described(paths, task, rendered.tree, bundle)
    exported = Exported(
        paths,
        inputs,
        outputs,
        plugins,
        data_type if engine else "fp32",
        settings.max_batch_size if engine else 0,
        scales,
        tuple(sorted(folder.glob("nvinfer*"))),
    )
    details = {"export_command": shown(command, task.key)}
    made = exporting.write(job.outputs["exported"], bundle, exported, details)
    told = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in [*inputs, *outputs])
    job.report.message(f"exported {', '.join(made.formats)}: {told}")
    if plugins:
        job.report.message(
            f"only TensorRT runs this ONNX file ({', '.join(plugins)}); tao_engine builds an engine"
        )
    job.metadata["exported"] = {"formats": ", ".join(made.formats), "data_type": exported.data_type}


def _require(paths: dict[str, Path], task: Task, folder: Path) -> None:
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        there = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise TrainyardError(
            f"{task.head.name} export ended well and did not write {' and '.join(missing)}; there "
            f"are {there}"
        )


def _described(
    paths: dict[str, Path], task: Task, spec: SpecTree, bundle: ModelBundle
) -> tuple[list[Tensor], list[Tensor], list[str]]:
    height, width = (
        int(bundle.architecture.get(f"input_{side}", 0)) for side in ("height", "width")
    )
    if ONNX in paths:
        inputs, outputs, plugins = graphs.read(paths[ONNX])
        if problem := graphs.size_problem(inputs, height, width):
            raise TrainyardError(problem)
        return inputs, outputs, plugins
    return *graphs.known(task.head, spec, height, width, len(bundle.classes)), []
